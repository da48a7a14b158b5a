"""The vector vocabulary of every target against one model, with each compiler at hand.

(a) The test itself is `vocabulary.cpp`; here it is compiled as `setup.py` compiles the kernels, and
    run. Two targets that agree with the model agree with each other, bit for bit.
(b) aarch64 is compiled by Debian's cross compiler and run by its emulator, which are the tools
    `tools/aarch64.sh` installs.
(c) The generic target has two forms, one with the vector extension of gcc and clang and one
    without; both are tested.
"""

import ast
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import targets

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
HEADERS = CHECKOUT / "src" / "fastsoftmax" / "simd"

if os.name != "posix" or not (CHECKOUT / "setup.py").exists() or not HEADERS.is_dir():
    pytest.skip(
        "needs a source checkout and guard pages as POSIX has them", allow_module_level=True
    )


def build_tables() -> dict:
    """Targets and flags as `setup.py` has them, without its imports, which only builds need."""
    wanted = {"X86_64", "AARCH64", "Target", "TARGETS", "GCC_FLAGS"}
    tables = {"NamedTuple": NamedTuple, "__name__": "setup"}
    tree = ast.parse((CHECKOUT / "setup.py").read_text())
    for node in tree.body:
        names = {target.id for target in getattr(node, "targets", [])} | {getattr(node, "name", "")}
        if names & wanted:
            exec(compile(ast.Module([node], []), "setup.py", "exec"), tables)
    return tables


class Toolchain(NamedTuple):
    """A compiler, the machines it compiles for, and what runs its programs."""

    compiler: str
    machine: str
    options: tuple[str, ...]
    runner: tuple[str, ...]


HOST = platform.machine().lower()
TOOLCHAINS = [
    Toolchain("g++", HOST, (), ()),
    Toolchain("clang++", HOST, (), ()),
    Toolchain("aarch64-linux-gnu-g++", "aarch64", ("-static",), ("qemu-aarch64-static",)),
]
TABLES = build_tables()
SINGLE = ("-DFASTSOFTMAX_SINGLE_LANES",)
CASES = [
    (toolchain, target, form)
    for toolchain in TOOLCHAINS
    for target, row in TABLES["TARGETS"].items()
    for form in ((), SINGLE)
    if toolchain.machine in row.machines and (form == () or target == "generic")
]


@pytest.mark.parametrize(
    ("toolchain", "target", "form"),
    CASES,
    ids=[f"{c.compiler}-{target}{'-single' if form else ''}" for c, target, form in CASES],
)
def test_vocabulary(toolchain, target, form, tmp_path):
    if not toolchain.runner and target not in targets.runnable():
        pytest.skip(f"this machine cannot run {target}")
    for tool in (toolchain.compiler, *toolchain.runner):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    row = TABLES["TARGETS"][target]
    program = tmp_path / "vocabulary"
    subprocess.run(
        [
            toolchain.compiler,
            *TABLES["GCC_FLAGS"],
            *row.gcc,
            *toolchain.options,
            f"-D{row.macro}",
            *form,
            f"-I{HEADERS}",
            str(HERE / "vocabulary.cpp"),
            "-o",
            str(program),
        ],
        check=True,
    )
    done = subprocess.run([*toolchain.runner, program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" checks, 0 failures\n")
