"""No call needs a temporary as large as its input: it converts block by block."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

SHAPE = (2_000, 4_000)
# A small part of 32 MB, the size of the input in float32.
LIMIT = 8_000_000


def _peak(call):
    """Most memory that was in use above what was in use before, in bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _out(name, axis):
    return np.empty(SHAPE if name != "logsumexp" else SHAPE[1 - axis], np.float32)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8, ">f4"])
def test_a_cast_needs_no_copy_of_the_whole(fs, name, axis, kind):
    x, out = np.zeros(SHAPE, kind), _out(name, axis)
    assert _peak(lambda: getattr(fs, name)(x, axis=axis, dtype=np.float32, out=out)) < LIMIT


@pytest.mark.parametrize("axis", [0, 1])
def test_another_layout_needs_no_copy_of_the_whole(fs, name, axis):
    x, out = np.zeros((SHAPE[0], 2 * SHAPE[1]), np.float32)[:, ::2], _out(name, axis)
    assert _peak(lambda: getattr(fs, name)(x, axis=axis, out=out)) < LIMIT


@pytest.mark.parametrize("axis", [0, 1])
def test_working_in_place_needs_no_copy(fs, same_shape_name, axis):
    x = np.zeros(SHAPE, np.float32)
    assert _peak(lambda: getattr(fs, same_shape_name)(x, axis=axis, out=x)) < LIMIT


@pytest.mark.parametrize("axis", [0, 1])
def test_working_in_place_of_a_view_needs_no_copy_of_the_whole(fs, same_shape_name, axis):
    """`out=x` may be said by another array object over the same elements, too."""
    memory = np.zeros((SHAPE[0], 2 * SHAPE[1]), np.float32)
    x, same = memory[:, ::2], memory[:, ::2]
    assert _peak(lambda: getattr(fs, same_shape_name)(x, axis=axis, out=same)) < LIMIT


def _resident(key):
    """A line of what Linux tells of this process's memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def _peak_of_kernels(call):
    """The same of memory that Python does not know of: the most that was resident."""
    call()  # what stays in use from one call to the next is no matter
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak cannot be set back")
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")
@pytest.mark.parametrize("shape", [(1, 8_000_000), (2_000, 4_000), (8_000_000, 1), (4_000_000, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_halves_are_not_widened_as_a_whole(fs, shape, axis):
    """In float32 they have 32 MB."""
    x, out = np.zeros(shape, np.float16), np.zeros(shape, np.float16)
    for name in ("softmax", "log_softmax"):
        assert _peak_of_kernels(lambda: getattr(fs, name)(x, axis, out=out)) < LIMIT, name  # noqa: B023
    for name in ("softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"):
        assert _peak_of_kernels(lambda: getattr(fs, name)(x, x, axis, out=out)) < LIMIT, name  # noqa: B023
    assert _peak_of_kernels(lambda: fs.logsumexp(x, axis)) < LIMIT + x.size // shape[axis] * 2


@pytest.mark.parametrize(("shape", "axis"), [((1 << 19, 16), 0), ((100, 100, 100, 8), 3)], ids=str)
def test_packing_goes_by_boxes_of_any_shape(fs, same_shape_name, shape, axis):
    """A few of the longest columns at a time, or some of many axes."""
    x, out = np.zeros(shape, ">f4"), np.empty(shape, np.float32)
    assert _peak(lambda: getattr(fs, same_shape_name)(x, axis=axis, out=out)) < 2.5 * LIMIT


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weights_need_no_copy_of_the_whole(fs, axis, kind):
    a, b, out = np.zeros(SHAPE, kind), np.ones(SHAPE, kind), _out("logsumexp", axis)
    assert _peak(lambda: fs.logsumexp(a, axis=axis, b=b, out=out)) < LIMIT


def test_the_measure_sees_a_copy():
    x = np.zeros(SHAPE, np.float32)
    assert _peak(x.copy) >= x.nbytes
