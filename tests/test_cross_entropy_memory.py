"""Beside the gradient, cross-entropy takes 1 MB and 8 bytes a row, whatever the size."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import targets

MEGABYTE = 2**20
OPTIONS = {
    "plain": {},
    "all": {"weight": 1, "label_smoothing": 0.1, "sample_weight": 1},
}


@pytest.fixture(scope="module")
def fs():
    """The package on one target: all of them take their memory from the same Python code."""
    return targets.activate(targets.runnable()[0])


def _peak(function, *args, **kwargs):
    """Most memory in use above what was in use before, in bytes; NumPy reports its own."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function(*args, **kwargs)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("chosen", OPTIONS)
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((100_000, 10), 1), ((10, 100_000), 0), ((1_000, 1_000), 1), ((10, 100_000), 1)],
    ids=str,
)
def test_value_and_grad_into_out(fs, dtype, shape, axis, kind, chosen):
    rows, n = shape[1 - axis], shape[axis]
    x, out = np.zeros(shape, dtype), np.empty(shape, dtype)
    y = np.zeros(rows, np.int32) if kind == "labels" else np.zeros(shape, np.float32)
    made = {"weight": np.ones(n), "sample_weight": np.ones(rows)}
    options = {"axis": axis} | {k: made.get(k, v) for k, v in OPTIONS[chosen].items()}
    limit = MEGABYTE + 8 * rows
    assert _peak(fs.cross_entropy, x, y, **options) <= limit
    assert _peak(fs.cross_entropy_value_and_grad, x, y, out=out, **options) <= limit
    assert _peak(fs.cross_entropy_value_and_grad, x, y, out=x, **options) <= limit


@pytest.mark.parametrize("axis", [0, 1])
def test_views_are_not_copied_as_a_whole(fs, axis):
    shape = (2_000, 1_000) if axis else (1_000, 2_000)
    x = np.zeros((2 * shape[0], 2 * shape[1]), ">f4")[::2, ::2]
    out, labels = np.zeros(shape, np.float64)[::-1], np.zeros(4_000, np.uint8)[::2]
    peak = _peak(fs.cross_entropy_value_and_grad, x, labels, axis, out=out)
    assert peak <= MEGABYTE + 8 * 2_000


def test_losses_of_rows_are_the_only_addition_without_a_reduction(fs):
    x, labels, out = np.zeros((300_000, 10)), np.zeros(300_000, int), np.zeros((300_000, 10))
    peak = _peak(fs.cross_entropy_value_and_grad, x, labels, reduction="none", out=out)
    assert peak <= MEGABYTE + (8 + x.itemsize) * 300_000


def test_a_new_gradient_is_the_only_addition_without_out(fs):
    x, labels = np.zeros((3_000, 1_000)), np.zeros(3_000, int)
    peak = _peak(fs.cross_entropy_value_and_grad, x, labels)
    assert x.nbytes <= peak <= x.nbytes + MEGABYTE + 8 * 3_000


# The memory of the whole process, whoever asks for it.
WHOLE = """
import resource, sys
import numpy as np
import fastsoftmax as fs

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

rows, n = map(int, sys.argv[1:])
x, out = np.empty((rows, n), np.float32), np.empty((rows, n), np.float32)
labels = np.empty(rows, np.int64)
x[...], out[...], labels[...] = 1, 1, 1
fs.cross_entropy_value_and_grad(x[:9], labels[:9], out=out[:9])
before = peak()
fs.cross_entropy_value_and_grad(x, labels, out=out)
print(peak() - before)
"""


@pytest.mark.parametrize("shape", [(1_000, 8_000), (800_000, 10), (20, 400_000)], ids=str)
def test_the_process_grows_by_no_more(target, shape):
    pytest.importorskip("resource", reason="asks the system for the process's memory")
    done = subprocess.run(
        [sys.executable, "-c", WHOLE, *map(str, shape)],
        env=os.environ | {targets.VARIABLE: target},
        capture_output=True,
        text=True,
        check=True,
    )
    # Beside it, pages of the allocator.
    assert int(done.stdout) <= 8 * shape[0] + 2 * MEGABYTE


@pytest.mark.parametrize("name", ["softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_gradients_need_no_copy_of_the_whole(fs, name, axis):
    function = getattr(fs, name)
    for kinds in (("f4", "f4", "f4"), ("f2", "f2", "f2"), ("f2", "f8", "f4"), (">f4", "f4", "f4")):
        g, y, out = (np.zeros((3_000, 1_000), kind) for kind in kinds)
        assert _peak(function, g, y, axis=axis, out=out) < 2 * MEGABYTE
        assert _peak(function, g, y, axis=axis, out=g) < 2 * MEGABYTE
