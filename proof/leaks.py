"""A million calls keep no memory: `python -m proof.leaks`.

(a) Operations succeed, and fail in every way that a caller can make them fail, in all dtypes, in
    turn. The process does not grow, nor do the number of its objects and the reference counts.
(b) The first tenth fills what interpreter and NumPy keep for later, and is not counted.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import targets
from formats import FLOATS

CALLS, FEW_CALLS = 1_000_000, 50_000
KILOBYTES = (
    1_024  # that the process may grow by: one page for every four calls would be 1,000 times that
)
OBJECTS = 2_500  # that free lists may hold


def resident():
    """Kilobytes that the process has in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def good_calls(fs, dtype):
    """Calls that succeed, and the arrays they share."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 20)).astype(dtype)
    out, rows = np.empty_like(x), np.empty(6, dtype)
    labels, mask = rng.integers(20, size=6), rng.random((6, 20)) < 0.5
    y, g, lse = fs.softmax(x, 1), x[::-1].copy(), fs.logsumexp(x, 1)
    state = fs.SoftmaxState(axis=1).update(x)
    calls = [
        lambda: fs.softmax(x, 1),
        lambda: fs.softmax(x),
        lambda: fs.softmax(x, 0, out=out),
        lambda: fs.softmax(x[:, ::2], 1),
        lambda: fs.softmax(x, (0, 1), where=mask),
        lambda: fs.softmax([1.0, 2.0]),
        lambda: fs.log_softmax(x, 1, out=out),
        lambda: fs.log_softmax(x, 0),
        lambda: fs.log_softmax(np.ma.array(x, mask=mask), 1),
        lambda: fs.logsumexp(x, 1),
        lambda: fs.logsumexp(x, 0, b=x, return_sign=True),
        lambda: fs.logsumexp(x, 1, out=rows, where=mask),
        lambda: fs.softmax_vjp(g, y, 1),
        lambda: fs.log_softmax_vjp(g, y, 0, out=out),
        lambda: fs.log_softmax_jvp(g, y, 1),
        lambda: fs.logsumexp_vjp(lse, x, lse, 1),
        lambda: fs.logsumexp_jvp(g, x, lse, 1),
        lambda: fs.cross_entropy(x, labels),
        lambda: fs.cross_entropy(x, y, label_smoothing=0.1),
        lambda: fs.cross_entropy_value_and_grad(x, labels),
        lambda: fs.cross_entropy_value_and_grad(x, labels, ignore_index=3, out=out),
        lambda: state.copy().update(x).merge(state).logsumexp(),
        lambda: state.softmax(x),
    ]
    return calls, [x, out, rows, labels, mask, y, g, lse]


def bad_calls(fs, dtype):
    """Calls that raise, and the arrays they share."""
    x, small = np.zeros((6, 20), dtype), np.empty((6, 19), dtype)
    special, labels = np.full((6, 20), np.inf, dtype), np.full(6, 20)
    read_only, integers = np.empty_like(x), np.empty(x.shape, int)
    read_only.flags.writeable = False
    state = fs.SoftmaxState(axis=1).update(x)
    calls = [
        lambda: fs.softmax(x, 2),
        lambda: fs.softmax(x, "a"),
        lambda: fs.softmax(x, (0, 0)),
        lambda: fs.softmax(x, 1, out=small),
        lambda: fs.softmax(x, 1, out=read_only),
        lambda: fs.softmax(x, 1, out=integers),
        lambda: fs.softmax(x, 1, where=x),
        lambda: fs.softmax(x, 1, where=np.ones(7, bool)),
        lambda: fs.softmax(x, 1, workers=0),
        lambda: fs.softmax(x, 1, dtype=int),
        lambda: fs.softmax(x[:0], 0),
        lambda: fs.softmax(special, 1),
        lambda: fs.softmax("text"),
        lambda: fs.log_softmax(special, 0),
        lambda: fs.logsumexp(x, 1, b=np.ones(7)),
        lambda: fs.logsumexp(x, 1, out=small),
        lambda: fs.logsumexp(x, 1, return_sign=True, out=small),
        lambda: fs.softmax_vjp(x, small, 1),
        lambda: fs.logsumexp_vjp(x, x, x, 1),
        lambda: fs.cross_entropy(x, labels),
        lambda: fs.cross_entropy(x, labels, reduction="none"),
        lambda: fs.cross_entropy_value_and_grad(x, labels),
        lambda: fs.cross_entropy(x, labels, reduction="all"),
        lambda: fs.cross_entropy(x, small),
        lambda: state.update(small[:3]),
        lambda: state.softmax(x + 1),
    ]
    return calls, [x, small, special, labels, read_only, integers]


def succeed(call):
    call()


def fail(call):
    try:
        call()
    except (ArithmeticError, TypeError, ValueError):
        return
    raise AssertionError("no error")


def measure(count):
    """Make so many calls on the target that is imported by default; report."""
    import fastsoftmax as fs

    tasks, arrays = [], []
    for form in FLOATS:
        for make, way in ((good_calls, succeed), (bad_calls, fail)):
            calls, shared = make(fs, form.dtype)
            tasks += [(way, call) for call in calls]
            arrays += shared
    rounds = -(-count // len(tasks))

    def repeat(rounds):
        for _ in range(rounds):
            for way, call in tasks:
                way(call)
        gc.collect()

    with np.errstate(invalid="raise"):
        repeat(1 + rounds // 10)
        references = [sys.getrefcount(array) for array in arrays]
        before, objects = resident(), sys.getallocatedblocks()
        repeat(rounds)
        grown, more = resident() - before, sys.getallocatedblocks() - objects
    assert references == [sys.getrefcount(array) for array in arrays], "references are kept"
    assert grown <= KILOBYTES, f"the process has grown by {grown} kB"
    assert more <= OBJECTS, f"{more} objects are kept"
    print(f"{rounds * len(tasks):,} calls, {grown:+} kB, {more:+} objects")


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.leaks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="50,000 calls a target")
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    begin, failed = time.monotonic(), False
    count = str(FEW_CALLS if options.quick else CALLS)
    for target in options.target:
        done = subprocess.run(
            [sys.executable, "-m", "proof.leaks", "--measure", count],
            env=os.environ | {targets.VARIABLE: target},
            check=False,
            capture_output=True,
            text=True,
        )
        print(f"{target}: {done.stdout.strip() or done.stderr}", flush=True)
        failed |= done.returncode != 0
    print(
        f"leaks: {len(options.target)} targets, "
        f"{'FAILED' if failed else 'nothing kept'}, {time.monotonic() - begin:.0f} s"
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
