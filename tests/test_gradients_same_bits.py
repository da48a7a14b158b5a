"""The products of a row have the same bits wherever it stands and however it lies in memory."""

import itertools

import backward
import layouts
import numpy as np
import pytest
import targets
from formats import assert_same_bits, of

NAMES = pytest.mark.parametrize("name", backward.ALL)


def _alone(function, name, arrays):
    """Each row by itself."""
    return np.array([function(*backward.rows_of(name, arrays, i)) for i in range(len(arrays[0]))])


@NAMES
def test_alone_or_in_a_batch_of_rows(fs, name, dtype, rng):
    function = getattr(fs, name)
    for n in (*range(1, 20), 31, 32, 33, 63, 64, 65, 100, 256, 257, 300, 1_024, 1_025):
        for count in (1, 2, 7, 16, 17):
            arrays = backward.arguments(name, rng, (count, n), dtype, -1)
            assert_same_bits(function(*arrays, axis=-1), _alone(function, name, arrays))


@NAMES
def test_long_rows_alone_in_a_batch_or_as_columns(fs, name, dtype, rng):
    function = getattr(fs, name)
    for n in (4_097, 16_385, 100_003):
        arrays = backward.arguments(name, rng, (2, n), dtype, -1)
        alone = _alone(function, name, arrays)
        assert_same_bits(function(*arrays, axis=-1), alone)
        columns = [np.ascontiguousarray(a.T) for a in arrays]
        assert_same_bits(function(*columns, axis=0), alone.T)


@NAMES
def test_as_a_column_or_as_a_row(fs, name, dtype, rng):
    function = getattr(fs, name)
    inners, lengths = (1, 2, 3, 8, 15, 16, 17, 33, 64, 65, 130), (1, 2, 3, 5, 10, 16, 17, 33, 65)
    for inner, n in (
        *itertools.product(inners, lengths),
        (5, 300),
        (70, 300),
        (1_030, 3),
        (33, 1_100),
    ):
        rows = backward.arguments(name, rng, (2, inner, n), dtype, -1)
        columns = [np.ascontiguousarray(a.swapaxes(1, 2)) if a.ndim == 3 else a for a in rows]
        expected = function(*rows, axis=-1)
        expected = expected.swapaxes(1, 2) if expected.ndim == 3 else expected
        assert_same_bits(function(*columns, axis=1), expected)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
def test_unusual_rows_among_others(fs, name, dtype, rng):
    """One of them may send its neighbours another way, too."""
    function = getattr(fs, name)
    for n in (1, 2, 3, 10, 16, 30, 70, 300, 1_100):
        for unusual in range(9):
            g, values = backward.arguments(name, rng, (35, n), dtype, -1)
            with np.errstate(over="ignore"):
                if unusual < 3:
                    g[20, n // 2] = (np.inf, np.nan, -np.inf)[unusual]
                elif unusual < 6:
                    values[20, n // 2] = (np.inf, np.nan, 0.5)[unusual - 3]
                else:
                    g[20] = (g[20] * (np.finfo(np.float32).max, 1e-30, 0)[unusual - 6]).astype(
                        dtype
                    )
            with np.errstate(invalid="ignore"):
                alone = _alone(function, name, (g, values))
                assert_same_bits(function(g, values, axis=-1), alone)
                columns = [np.ascontiguousarray(a.T) for a in (g, values)]
                assert_same_bits(function(*columns, axis=0), alone.T)


@NAMES
@pytest.mark.parametrize(
    ("n", "inner"),
    [
        *[(n, 70) for n in (1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33)],
        *[(n, inner) for n in (40, 129, 1_024, 1_040, 1_041) for inner in (2, 3, 7, 8, 20, 64, 65)],
        *[(33, inner) for inner in (6_144, 6_145, 10_241)],
    ],
)
def test_columns_of_any_length_and_number(fs, name, dtype, n, inner, rng):
    """Short columns, few columns and wide strips have ways of their own."""
    function = getattr(fs, name)
    arrays = backward.arguments(name, rng, (inner, n), dtype, -1)
    expected = function(*arrays, axis=-1)
    columns = [np.ascontiguousarray(a.T) for a in arrays]
    result = function(*columns, axis=0)
    assert_same_bits(result, expected.T)
    if columns[1].shape == result.shape:
        assert_same_bits(function(*columns, axis=0, out=columns[1]), expected.T)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
def test_short_columns_whose_rows_collide_in_the_cache(fs, name, dtype, rng):
    """Rows are a multiple of 4 kB apart; one column among them is unusual."""
    function = getattr(fs, name)
    for n, inner in ((5, 2_048), (8, 4_096), (17, 2_048), (32, 2_048)):
        g, values = backward.arguments(name, rng, (2, inner, n), dtype, -1)
        g[1, 1_000, n // 2] = np.inf
        columns = [np.ascontiguousarray(a.swapaxes(1, 2)) for a in (g, values)]
        with np.errstate(invalid="ignore"):
            expected = function(g, values, axis=-1).swapaxes(1, 2)
            assert_same_bits(function(*columns, axis=1), expected)
            assert_same_bits(function(*columns, axis=1, out=columns[0]), expected)


@NAMES
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_very_short_rows(fs, name, dtype, n, rng):
    function = getattr(fs, name)
    arrays = backward.arguments(name, rng, (70, n), dtype, -1)
    alone = _alone(function, name, arrays)
    assert_same_bits(function(*arrays, axis=-1), alone)


@NAMES
@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
def test_each_argument_in_any_layout(fs, name, dtype, layout, rng):
    function = getattr(fs, name)
    cases = itertools.chain(
        (((3, 33, 5), axis) for axis in (None, 0, 1, 2, (0, 1), (0, 2), (1, 2))),
        (((130, 70), axis) for axis in (None, 0, 1)),
        (((5,), axis) for axis in (None, 0)),
    )
    for shape, axis in cases:
        arrays = backward.arguments(name, rng, shape, dtype, axis)
        if not layouts.fits(layout, arrays[0]):
            pytest.skip("the dtype has only one byte order")
        expected = function(*arrays, axis=axis)
        views = [layout(a) if a.ndim else a for a in arrays]
        for i, view in enumerate(views):
            one = [*arrays[:i], view, *arrays[i + 1 :]]
            assert_same_bits(function(*one, axis=axis), expected)
        assert_same_bits(function(*views, axis=axis), expected)


@pytest.mark.parametrize("name", [n for n in backward.ALL if n != "logsumexp_jvp"])
def test_a_result_of_plain_arrays_is_in_their_memory_order(fs, name, rng):
    for order in "CF":
        arrays = backward.arguments(name, rng, (3, 4, 5), np.float32, 1)
        result = getattr(fs, name)(*[np.asarray(a, order=order) for a in arrays], axis=1)
        assert result.flags[order + "_CONTIGUOUS"]


@NAMES
def test_several_axes_and_the_same_axes_merged(fs, name, dtype, rng):
    function, shape = getattr(fs, name), (3, 4, 5, 6)
    for axes in [(2, 3), (1, 2), (0, 1), (0, 2), (1, 3), (0, 3), (0, 1, 3), (0, 1, 2, 3)]:
        arrays = backward.arguments(name, rng, shape, dtype, axes)
        kept = tuple(i for i in range(4) if i not in axes)
        order, outer = kept + axes, [shape[i] for i in kept]
        rows = [a.transpose(order).reshape([*outer, -1]) if a.ndim == 4 else a for a in arrays]
        expected = function(*rows, axis=-1)
        if backward.ROLES[name][1] == backward.FULL:
            expected = expected.reshape([shape[i] for i in order]).transpose(np.argsort(order))
        assert_same_bits(function(*arrays, axis=axes), expected)
        assert_same_bits(function(*arrays, axis=axes[::-1]), expected)


@NAMES
def test_broadcast_arguments_and_their_copies(fs, name, dtype, rng):
    function, shape = getattr(fs, name), (40, 33)
    for axis in (None, 0, 1):
        arrays = backward.arguments(name, rng, shape, dtype, axis)
        views = [np.broadcast_to(a.ravel()[:1].reshape((1,) * a.ndim), a.shape) for a in arrays]
        for i, view in enumerate(views):
            before, after = arrays[:i], arrays[i + 1 :]
            expected = function(*before, view.copy(), *after, axis=axis)
            assert_same_bits(function(*before, view, *after, axis=axis), expected)


@NAMES
@pytest.mark.parametrize("length", [1, 10, 17, 1_000, 40_000])
def test_options_that_change_nothing_change_no_bit(fs, name, dtype, length, rng):
    """Small plain calls may take a shorter way; it gives the same bits."""
    function = getattr(fs, name)
    arrays = backward.arguments(name, rng, (2, length), dtype, -1)
    plain = function(*arrays, axis=-1)
    assert_same_bits(function(*arrays, axis=(1,)), plain)
    assert_same_bits(function(*arrays, axis=-1, out=np.empty_like(plain)), plain)
    assert_same_bits(function(*[a[::-1] for a in arrays], axis=1)[::-1], plain)


def test_a_sign_of_one_changes_no_bit(fs, dtype, rng):
    for name in ("logsumexp_vjp", "logsumexp_jvp"):
        for axis in (None, 0, 1):
            arrays = backward.arguments(name, rng, (6, 40), dtype, axis)
            function = getattr(fs, name)
            plain = function(*arrays, axis=axis)
            assert_same_bits(function(*arrays, axis=axis, sign=np.ones_like(arrays[2])), plain)


def test_weights_in_any_layout(fs, dtype, rng):
    for name in ("logsumexp_vjp", "logsumexp_jvp"):
        for axis in (None, 0, 1):
            arrays = backward.arguments(name, rng, (20, 33), dtype, axis)
            b = rng.standard_normal((20, 33)).astype(dtype)
            expected = getattr(fs, name)(*arrays, axis=axis, b=b)
            for layout in layouts.ALL:
                if layouts.fits(layout, b):
                    result = getattr(fs, name)(*arrays, axis=axis, b=layout(b))
                    assert_same_bits(result, expected)


@NAMES
def test_targets_with_fused_multiply_add_agree(name, dtype, rng):
    with_fma = [t for t in targets.runnable() if t in targets.WITH_FMA]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs only {targets.runnable()}")
    cases = [
        (backward.arguments(name, rng, shape, dtype, axis, scale), axis)
        for n in (*range(1, 40), 63, 64, 65, 300, 1_025, 20_001)
        for shape, axis in (((3, n), -1), ((n, 3), 0))
        for scale in (1, 20)
    ]
    special, axis = backward.arguments(name, rng, (5, 40), dtype, -1), -1
    special[0].flat[3], special[0].flat[4] = np.inf, np.nan
    cases.append((special, axis))
    results = []
    for t in with_fma:
        function = getattr(targets.activate(t), name)
        with np.errstate(invalid="ignore"):
            results.append([function(*arrays, axis=axis) for arrays, axis in cases])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert_same_bits(second, first)


@pytest.mark.parametrize("n", [119, 127, 128, 1_031, 2_047])
@pytest.mark.parametrize("product", backward.FULL_TO_FULL)
def test_bundled_columns_of_any_length_have_the_bits_of_rows(fs, product, dtype, n, rng):
    """One row less than fills a vector is the last of them."""
    for inner in (2, 3, 5):
        arrays = backward.arguments(product, rng, (3, n, inner), dtype, 1)
        rows = [np.moveaxis(a, 1, 2).copy() for a in arrays]
        expected = getattr(fs, product)(*rows, axis=2)
        assert_same_bits(getattr(fs, product)(*arrays, axis=1), np.moveaxis(expected, 2, 1))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((9, 10), 1),
        ((9, 100), 1),
        ((9, 300), 1),
        ((4, 1_030), 1),
        ((2, 3_000), 1),
        ((1, 70_000), 1),
        ((10, 40), 0),
        ((100, 40), 0),
        ((1_100, 20), 0),
        ((300, 5), 0),
        ((2, 90, 33), 1),
    ],
    ids=str,
)
def test_a_logp_above_zero_is_seen_wherever_results_go(fs, dtype, shape, axis, rng):
    """Apart from the inputs it may be seen when results have been written already."""
    g, logits = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    logp = fs.log_softmax(logits, axis)
    expected = fs.log_softmax_vjp(g, logp, axis)
    for place in (0, logp.size // 2, logp.size - 1):
        changed = logp.copy()
        changed.reshape(-1)[place] = 3.0
        results = [fs.log_softmax_vjp(g, changed, axis), np.empty_like(g), g.copy(), changed.copy()]
        fs.log_softmax_vjp(g, changed, axis, out=results[1])
        fs.log_softmax_vjp(results[2], changed, axis, out=results[2])
        fs.log_softmax_vjp(g, results[3], axis, out=results[3])
        for result in results[1:]:
            assert_same_bits(result, results[0])
        inside = np.unravel_index(place, shape)
        sum_of_g = g.astype(np.longdouble).sum(axis)[inside[:axis] + inside[axis + 1 :]]
        exact = g[inside].astype(np.longdouble) - np.exp(np.longdouble(3)) * sum_of_g
        error = 4.0 * np.finfo(np.float32).eps if dtype != np.float64 else 1e-14
        error = max(error, 2.0 ** -(of(dtype).digits - 1))
        assert abs(results[0][inside].astype(np.longdouble) - exact) <= error * max(abs(exact), 30)
        slices = np.moveaxis(results[0], axis, -1), np.moveaxis(expected, axis, -1)
        others = np.ones(slices[0].shape[:-1], bool)
        others[inside[:axis] + inside[axis + 1 :]] = False
        assert_same_bits(slices[0][others], slices[1][others])
