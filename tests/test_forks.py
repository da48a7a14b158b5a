"""Forks beside calls with workers and beside other libraries' threads; each is a process tree.

`python -m proof.forks` makes a thousand children.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import has_gil

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not (ROOT / "proof").is_dir(), reason="needs fork, and proof/"
)


def _children(code):
    done = subprocess.run(
        [sys.executable, "-c", "from proof import forks; import targets\n" + code],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


def test_children_made_in_the_middle_of_calls():
    if not has_gil():
        pytest.skip("a fork without the GIL can leave locks of the interpreter held for ever")
    code = """
for target in targets.runnable():
    fs = targets.activate(target)
    forks.use_two_processors(fs)
    expected = forks.results(fs, 1)
    with forks.Busy(fs) as busy:
        print(*forks.fork(fs, expected, 4))
    assert busy.calls
"""
    assert set(_children(code)) == {"0"}


@pytest.mark.parametrize("package", ["sklearn", "torch"])
def test_children_beside_the_threads_of_another_library(package):
    pytest.importorskip(package, exc_type=ImportError)
    code = f"""
fs = targets.activate(targets.runnable()[0])
forks.use_two_processors(fs)
expected = forks.results(fs, 1)
forks.OTHERS[{package!r}]()
assert forks.same(fs, expected)
print(*forks.fork(fs, expected, 9))
"""
    assert set(_children(code)) == {"0"}
