"""The same row has the same bits wherever it stands, however it lies in memory, on any target.

The bits of a row are those of a call with nothing but this row, a contiguous vector.
"""

import itertools

import layouts
import numpy as np
import pytest
import targets
from formats import assert_same_bits

LENGTHS = [*range(1, 70), 100, 127, 128, 129, 255, 256, 257, 300, 1_000, 1_023, 1_024, 1_025, 4_097]
BATCHES = [2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65]
COLUMNS = [1, 2, 3, 5, 8, 15, 16, 17, 31, 63, 64, 65, 100, 130]


def _alone(function, rows):
    """Each row by itself."""
    return np.array([function(np.array(row)) for row in rows])


@pytest.mark.parametrize("count", BATCHES)
def test_alone_or_in_a_batch_of_rows(fs, name, dtype, count, rng):
    function = getattr(fs, name)
    for n in LENGTHS:
        if n * count > 20_000:
            continue
        x = (6 * rng.standard_normal((count, n))).astype(dtype)
        assert_same_bits(function(x, axis=-1), _alone(function, x))


@pytest.mark.parametrize("inner", COLUMNS)
def test_as_a_column_or_as_a_row(fs, name, dtype, inner, rng):
    function = getattr(fs, name)
    for n in (1, 2, 3, 4, 5, 10, 15, 16, 17, 31, 33, 64, 65, 100, 300, 1_025):
        x = (6 * rng.standard_normal((2, n, inner))).astype(dtype)
        expected = function(np.ascontiguousarray(x.swapaxes(1, 2)), axis=-1)
        if name != "logsumexp":
            expected = expected.swapaxes(1, 2)
        assert_same_bits(function(x, axis=1), expected)
        assert_same_bits(function(x[0], axis=0), expected[0])


def test_a_long_row_alone_in_a_batch_or_as_a_column(fs, name, dtype, rng):
    function = getattr(fs, name)
    for n in (16_385, 100_003, 300_000):
        x = (3 * rng.standard_normal((2, n))).astype(dtype)
        alone = _alone(function, x)
        assert_same_bits(function(x, axis=-1), alone)
        assert_same_bits(function(np.ascontiguousarray(x.T), axis=0), alone.T)
        assert_same_bits(function(x.T, axis=0), alone.T)


def test_at_any_distance_from_the_start_of_a_cache_line(fs, name, dtype, rng):
    function = getattr(fs, name)
    x = rng.standard_normal(1_500).astype(dtype)
    for n in (1, 7, 16, 33, 100, 1_025):
        expected = function(x[:n].copy())
        for start in range(17):
            memory = np.zeros(1_600, dtype)
            memory[start : start + n] = x[:n]
            assert_same_bits(function(memory[start : start + n]), expected)


@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(5,), (4, 7), (3, 33, 5), (2, 3, 4, 5), (130, 70), (1, 2_000)])
def test_a_view_and_its_copy(fs, name, dtype, layout, shape, rng):
    function = getattr(fs, name)
    x = rng.standard_normal(shape).astype(dtype)
    if not layouts.fits(layout, x):
        pytest.skip("the dtype has only one byte order")
    view = layout(x)
    axes = range(len(shape))
    choices = [None, *itertools.combinations(axes, 1), *itertools.combinations(axes, 2)]
    for axis in choices:
        assert_same_bits(function(view, axis=axis), function(x, axis=axis))


def test_transposes_agree_for_every_axis(fs, name, dtype, rng):
    function = getattr(fs, name)
    x = rng.standard_normal((4, 5, 6, 7)).astype(dtype)
    expected = [function(x, axis=i) for i in range(4)]
    for order in itertools.permutations(range(4)):
        transposed = x.transpose(order)
        for i in range(4):
            result = function(transposed, axis=order.index(i))
            kept = [k for k in order if k != i] if name == "logsumexp" else order
            lower = [k - (k > i) for k in kept] if name == "logsumexp" else kept
            assert_same_bits(result, expected[i].transpose(lower))


def test_broadcast_arrays_and_their_copies(fs, name, dtype, rng):
    function = getattr(fs, name)
    row, column = rng.standard_normal(33).astype(dtype), rng.standard_normal((20, 1)).astype(dtype)
    one = np.array(1.5, dtype)
    arrays = [(row, (20, 33)), (column, (20, 33)), (one, (20, 33)), (one, (70,))]
    for array, shape in arrays:
        view = np.broadcast_to(array, shape)
        for axis in (None, 0, -1):
            assert_same_bits(function(view, axis=axis), function(view.copy(), axis=axis))


def test_windows_that_share_memory_and_their_copies(fs, name, dtype, rng):
    function = getattr(fs, name)
    windows = np.lib.stride_tricks.sliding_window_view(rng.standard_normal(90).astype(dtype), 20)
    for axis in (None, 0, 1):
        assert_same_bits(function(windows, axis=axis), function(windows.copy(), axis=axis))


def test_several_axes_and_the_same_axes_merged(fs, name, dtype, rng):
    """The order of summation is that of the flattened reduced axes, apart or not."""
    function = getattr(fs, name)
    x = rng.standard_normal((3, 4, 5, 6)).astype(dtype)
    for axes in [(2, 3), (1, 2), (0, 1), (0, 2), (1, 3), (0, 3), (0, 1, 3), (0, 1, 2, 3)]:
        kept = tuple(i for i in range(4) if i not in axes)
        rows = x.transpose(kept + axes).reshape([x.shape[i] for i in kept] + [-1])
        expected = function(rows, axis=-1)
        if name != "logsumexp":
            expected = expected.reshape([x.shape[i] for i in kept + axes])
            expected = expected.transpose(np.argsort(kept + axes))
        assert_same_bits(function(x, axis=axes), expected)
        assert_same_bits(function(x, axis=axes[::-1]), expected)


def test_no_axis_and_the_flattened_array(fs, name, dtype, rng):
    function = getattr(fs, name)
    x = rng.standard_normal((7, 11, 13)).astype(dtype)
    for layout in (x, x.T, x[::-1], np.asfortranarray(x)):
        expected = function(layout.ravel())
        if name != "logsumexp":
            expected = expected.reshape(layout.shape)
        assert_same_bits(function(layout), expected)


@pytest.mark.parametrize(
    "options", [{"where": True}, {"dtype": "same"}, {"out": "fresh"}, {"axis": (-1,)}]
)
def test_options_that_change_nothing_change_no_bit(fs, name, dtype, options, rng):
    """Small plain calls may take a shorter way than calls with options; both give the same bits."""
    function = getattr(fs, name)
    for n in LENGTHS:
        x = rng.standard_normal((2, n)).astype(dtype)
        plain = function(x, axis=-1)
        given = {"axis": -1, **options}
        if "dtype" in given:
            given["dtype"] = dtype
        if "out" in given:
            given["out"] = np.empty_like(plain)
        assert_same_bits(function(x, **given), plain)


def test_lists_and_arrays_agree(fs, name, rng):
    function = getattr(fs, name)
    x = rng.standard_normal((3, 17))
    assert_same_bits(function(x.tolist(), axis=-1), function(x, axis=-1))


def test_targets_with_fused_multiply_add_agree(name, dtype, rng):
    with_fma = [t for t in targets.runnable() if t in targets.WITH_FMA]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs only {targets.runnable()}")
    blocks = []
    for n in (*LENGTHS, 100_003):
        for scale in (1, 10, 60):
            blocks.append((scale * rng.standard_normal((2, n))).astype(dtype))
    blocks += [block.T for block in blocks[::7]]
    results = []
    for t in with_fma:
        function = getattr(targets.activate(t), name)
        results.append([function(x, axis=-1) for x in blocks])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert_same_bits(second, first)


def test_repeated_calls_agree(fs, name, dtype, rng):
    function = getattr(fs, name)
    x = rng.standard_normal((50, 333)).astype(dtype)
    expected = function(x, axis=-1)
    for _ in range(5):
        assert_same_bits(function(x, axis=-1), expected)
