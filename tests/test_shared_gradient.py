"""The gradient of one slice shared among workers: the bits of one worker, usual or not."""

import numpy as np
import pytest
from formats import assert_same_bits
from sharing import module

pytestmark = pytest.mark.usefixtures("four_processors")

NAMES = pytest.mark.parametrize("name", ["softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"])
LENGTHS = [1, 2, 1_023, 1_024, 1_025, 3_073, 40_000, 131_072, 300_001]
WORKERS = 3


def usual(g, values):
    pass


def with_nan(g, values):
    g[-1] = np.nan


def with_nan_among_values(g, values):
    values[len(values) // 2] = np.nan


def with_infinity(g, values):
    g[len(g) // 2] = np.inf


def with_infinities_of_both_signs(g, values):
    g[0], g[-1] = np.inf, -np.inf


def value_above_zero_at_the_start(g, values):
    values[0] = 0.5


def value_above_zero_at_the_end(g, values):
    values[-1] = 0.5


def all_minus_infinity_but_one(g, values):
    values[1:] = -np.inf if values.min() < 0 else 0


def tiny(g, values):
    g *= g.dtype.type(1e-7 if g.dtype.itemsize == 2 else 1e-37)


def zero(g, values):
    g[:] = 0


def large(g, values):
    g *= g.dtype.type(1e4 if g.dtype.itemsize == 2 else 1e37)


def huge(g, values):
    g[:] = np.finfo(np.float32).max / 2 if g.dtype == np.float32 else 3e4


KINDS = [
    usual,
    with_nan,
    with_nan_among_values,
    with_infinity,
    with_infinities_of_both_signs,
    value_above_zero_at_the_start,
    value_above_zero_at_the_end,
    all_minus_infinity_but_one,
    tiny,
    zero,
    large,
    huge,
]


def _row(fs, name, n, dtype, rng):
    """A gradient and an output of softmax or log_softmax, as blocks (1, n, 1)."""
    forward = fs.softmax if name == "softmax_vjp" else fs.log_softmax
    values = forward(4 * rng.standard_normal(n).astype(dtype))
    return rng.standard_normal(n).astype(dtype), values


def _block(x):
    return x.copy().reshape(1, -1, 1)


@NAMES
@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_row_has_the_bits_of_one_worker(fs, name, dtype, kind, rng):
    kernel = getattr(module(fs, "_target").kernels, name)
    call = module(fs, "_shared_gradient").call
    for n in LENGTHS:
        g, values = _row(fs, name, n, dtype, rng)
        with np.errstate(over="ignore", under="ignore"):
            kind(g, values)
        expected, actual = (np.full_like(_block(g), 9) for _ in range(2))
        made_nan = kernel(_block(g), _block(values), expected)
        given = _block(g), _block(values)
        assert call(kernel, (*given, actual), WORKERS) == made_nan
        assert_same_bits(actual, expected)
        assert_same_bits(given[0], _block(g))
        assert_same_bits(given[1], _block(values))
        for place in (0, 1):
            over = [_block(g), _block(values)]
            assert call(kernel, (*over, over[place]), WORKERS) == made_nan
            assert_same_bits(over[place], expected)


@NAMES
def test_arrays_of_several_formats(fs, name, rng):
    """Of one format only are they shared."""
    kernel = getattr(module(fs, "_target").kernels, name)
    call = module(fs, "_shared_gradient").call
    g, values = (_block(x) for x in _row(fs, name, 40_000, np.float32, rng))
    for formats in ((2, 4, 4), (4, 2, 4), (4, 4, 2), (2, 2, 4)):
        first, second = g.astype(f"f{formats[0]}"), values.astype(f"f{formats[1]}")
        expected, actual = (np.empty(g.shape, f"f{formats[2]}") for _ in range(2))
        kernel(first, second, expected)
        assert not call(kernel, (first, second, actual), WORKERS)
        assert_same_bits(actual, expected)


@NAMES
def test_only_unusual_rows_are_left_to_one_worker(fs, name, rng, monkeypatch):
    kernel = getattr(module(fs, "_target").kernels, name)
    gradients, call = module(fs, "_shared_gradient").GRADIENTS, module(fs, "_shared_gradient").call
    alone = []

    def noted(*blocks):
        alone.append(blocks)
        return kernel(*blocks)

    monkeypatch.setitem(gradients, noted, gradients[kernel])
    for kind in (usual, with_nan, with_infinity, value_above_zero_at_the_end):
        g, values = _row(fs, name, 40_000, np.float64, rng)
        kind(g, values)
        call(noted, (_block(g), _block(values), np.empty_like(_block(g))), WORKERS)
        above = kind is value_above_zero_at_the_end and name != "softmax_vjp"
        assert bool(alone) == (kind in (with_nan, with_infinity) or above)
        alone.clear()


@NAMES
def test_public_calls_share_a_single_slice(fs, name, dtype, rng, monkeypatch):
    calls = []
    shared_gradient = module(fs, "_shared_gradient")

    def noted(*arguments, call=shared_gradient.call):
        calls.append(arguments)
        return call(*arguments)

    monkeypatch.setattr(shared_gradient, "call", noted)
    g, values = _row(fs, name, 3_500_000, dtype, rng)
    function = getattr(fs, name)
    expected = function(g, values)
    assert not calls
    assert_same_bits(function(g, values, workers=WORKERS), expected)
    assert len(calls) == 1
    assert_same_bits(
        function(g[::-1], values[::-1], workers=WORKERS), function(g[::-1], values[::-1])
    )
    columns = g.reshape(-1, 1), values.reshape(-1, 1)
    assert_same_bits(function(*columns, axis=0, workers=WORKERS).ravel(), expected)


def test_kernels_refuse_what_is_no_row(fs):
    kernels = module(fs, "_target").kernels
    row, sums = np.zeros((1, 3_000, 1)), np.zeros((3, 2))
    with pytest.raises(ValueError, match="no such gradient"):
        kernels.begin_gradient(3, row, row, row)
    with pytest.raises(ValueError, match=r"block \(1, n, 1\)"):
        kernels.begin_gradient(0, *3 * [np.zeros((2, 3, 1))])
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.begin_gradient(0, *3 * [row.astype(int)])
    for wrong in (np.zeros((2, 2)), sums.astype(np.float32), np.zeros((3, 4))[:, ::2]):
        with pytest.raises(ValueError, match="numbers of the row"):
            kernels.sum_gradient_blocks(0, row, row, row, wrong, 0, 1)
    for first, stop in ((-1, 1), (2, 1), (0, 4)):
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.sum_gradient_blocks(0, row, row, row, sums, first, stop)
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.write_gradient_blocks(0, row, row, row, (0.0, 0.0, 0.0), first, stop)
