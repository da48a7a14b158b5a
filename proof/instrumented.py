"""Kernels built to be observed, and the environment in which a checker's runtime is found."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = """
import sys
sys.path.insert(0, ".")
import setup as s
from setuptools import setup
chosen = sys.argv[1].split(",")
s.TARGETS = {name: target for name, target in s.TARGETS.items() if name in chosen}
setup(ext_modules=s.extensions(), cmdclass={"build_ext": s.BuildKernels}, script_args=sys.argv[2:])
"""


def build(instrument, chosen, arguments, tree=ROOT):
    """Run setup.py for some targets, with kernels that an instrument observes."""
    subprocess.run(
        [sys.executable, "-c", BUILD, ",".join(chosen), *arguments],
        cwd=tree,
        env=os.environ | {"FASTSOFTMAX_INSTRUMENT": instrument},
        check=True,
    )


def build_apart(instrument, chosen):
    """Build into a folder of its own below `build`; where the package is then."""
    base = ROOT / "build" / instrument
    build(instrument, chosen, ["-q", "build", "--build-base", str(base)])
    return built(instrument)


def built(instrument):
    """Where the package is that was built before."""
    module = f"lib.*/fastsoftmax/_cpu{sysconfig.get_config_var('EXT_SUFFIX')}"
    (found,) = (ROOT / "build" / instrument).glob(module)
    return found.parent.parent


def runtime(name):
    """The path of a library of the compiler."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    found = subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()
