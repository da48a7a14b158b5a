"""The choice of a target, for processors and systems of other kinds than this one."""

import subprocess
from shutil import which

import pytest
import targets
from test_vocabulary import HEADERS, HERE, HOST, TABLES


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_detection(compiler, tmp_path):
    if HOST not in TABLES["X86_64"]:
        pytest.skip("only x86-64 has something to detect")
    if which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = tmp_path / "detection"
    source = [f"-I{HEADERS}", str(HERE / "detection.cpp"), "-o", str(program)]
    subprocess.run([compiler, *TABLES["GCC_FLAGS"], *source], check=True)
    done = subprocess.run([program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    avx2, avx512 = (name in targets.runnable() for name in ("avx2", "avx512"))
    assert done.stdout == f"{avx2:d} {avx512:d}\n58 checks, 0 failures\n"
