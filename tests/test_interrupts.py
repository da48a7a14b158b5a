"""A real Ctrl-C in the middle of calls of many seconds, each in a process of its own.

`python -m proof.interrupts` goes through all paths and says how soon each of them answers; a test
on a busy machine allows a second. Arrays are one piece of memory mapped again and again.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import targets

ROOT = Path(__file__).parent.parent
PATHS = [
    ("softmax, columns", 2),
    ("softmax, strided rows", 2),
    ("log_softmax, a long row with inf", 1),
    ("log_softmax_vjp, an endless row", 1),
    ("softmax, a long row, float16", 1),
    ("softmax_vjp, a long row, float16", 1),
    ("logsumexp, a long row of float16 with nan", 1),
    ("cross_entropy, rows", 1),
    ("one row with where", 1),
    ("state.update, rows", 1),
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="maps memory as Linux does")
@pytest.mark.skipif(not (ROOT / "proof").is_dir(), reason="needs proof/")
@pytest.mark.parametrize(("path", "workers"), PATHS)
def test_ctrl_c_is_heard_and_leaves_a_whole_process(path, workers):
    code = f"""
from proof.interrupts.__main__ import interrupt
print(*interrupt({targets.runnable()[0]!r}, {path!r}, {workers}, 0.2))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    wall, used, idle, same = done.stdout.split()
    assert min(float(wall), float(used)) < 1
    assert float(idle) < 0.1, "workers compute after the call"
    assert same == "True"
