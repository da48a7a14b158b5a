"""`info`: what is installed, which target was chosen, and on what machine."""

import argparse
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from fastsoftmax import _cache, _target, get_workers
from fastsoftmax._cpu_count import cpu_count


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("info", help="version, compiled targets, NumPy, CPU")
    parser.set_defaults(run=run)


def run(command: argparse.Namespace) -> None:
    """Print one fact per line."""
    facts = {
        "fastsoftmax": _version(),
        "target": _target.name,
        "runnable here": ", ".join(_target.runnable),
        "workers": f"{get_workers()} by default, {cpu_count()} processors",
        "NumPy": np.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.machine()}",
        "CPU": cpu_model(),
        "cache": f"{_cache.cache / 2**20:g} MiB",
    }
    for name, value in facts.items():
        print(f"{name:<14} {value}")


def cpu_model() -> str:
    """The processor's name as its maker writes it, or the next best thing the system tells."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    if sys.platform == "darwin":
        question = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(question, check=False, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def _version() -> str:
    try:
        return version("fastsoftmax")
    except PackageNotFoundError:
        return "not installed, imported from a source tree"
