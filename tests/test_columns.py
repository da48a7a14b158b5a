"""Columns of every kind and shape have the bits of rows, beside other kinds and in place.

The kernels take columns in vectors, in strips and in bundles, and send what is unusual to another
one; the shapes are those at which one of them begins or ends.
"""

import numpy as np
import pytest
from formats import assert_same_bits

SHAPES = [
    *[(n, 70) for n in (1, 2, 15, 16, 17, 32, 33, 128, 129)],
    *[(33, inner) for inner in (64, 65, 1_023, 1_024, 1_025, 2_049)],
    *[(n, inner) for n in (16, 100, 129, 1_025) for inner in (2, 3, 7, 8, 15, 16, 17, 64)],
    (2_100, 3),
    (3_000, 65),
    (1_024, 129),
]


def _with_last_row(value):
    def change(column):
        column[-1] = value

    return change


def _all(value):
    def change(column):
        column[:] = value

    return change


def _scaled(factor):
    def change(column):
        column *= factor

    return change


def _one_hot(depth):
    def change(column):
        column[1:] -= depth

    return change


KINDS = {
    "plain": _scaled(1),
    "masked": _with_last_row(-np.inf),
    "nan": _with_last_row(np.nan),
    "infinite": _with_last_row(np.inf),
    "empty": _all(-np.inf),
    "only nan": _all(np.nan),
    "deep": _scaled(30),
    "subnormal": _one_hot(95),
    "subnormal in float64": _one_hot(715),
    "one-hot": _one_hot(40),
    "large": _with_last_row(3e30),
    "constant": _all(-2.5),
}


def _expected(function, x):
    with np.errstate(invalid="ignore"):
        rows = function(np.ascontiguousarray(x.swapaxes(1, 2)), axis=-1)
    return rows if rows.ndim == 2 else rows.swapaxes(1, 2)


def _check(function, name, x):
    expected = _expected(function, x)
    with np.errstate(invalid="ignore"):
        assert_same_bits(function(x, axis=1), expected)
        if name != "logsumexp":
            function(x, axis=1, out=x)
            assert_same_bits(x, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_column_of_a_kind_among_plain_ones(fs, name, dtype, shape, rng):
    n, inner = shape
    for kind in KINDS:
        x = rng.standard_normal((2, n, inner)).astype(dtype)
        KINDS[kind](x[1, :, rng.integers(inner)])
        _check(getattr(fs, name), name, x)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_of_all_kinds_mixed(fs, name, dtype, shape, rng):
    n, inner = shape
    x = rng.standard_normal((1, n, inner)).astype(dtype)
    changes = list(KINDS.values())
    for j in range(inner):
        changes[rng.integers(len(changes))](x[0, :, j])
    _check(getattr(fs, name), name, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_that_are_all_masked_or_far_below_in_long_columns(fs, name, dtype, rng):
    for inner in (3, 70):
        x = rng.standard_normal((1, 3_000, inner)).astype(dtype)
        x[:, :1_024, 1] = -np.inf
        x[:, 2_048:, 2] -= 60
        _check(getattr(fs, name), name, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [0, 1_024, 2_000])
def test_small_results_anywhere_in_long_columns_are_those_of_rows(fs, dtype, start, rng):
    """In place, too."""
    x = np.zeros((2_500, 37), dtype)
    deep = rng.uniform(*((80, 95) if dtype is np.float32 else (701, 735)), (500, 37))
    x[start : start + 500] -= deep.astype(dtype)
    expected = fs.softmax(x.T.copy(), axis=1).T
    assert_same_bits(fs.softmax(x, axis=0), expected)
    assert_same_bits(fs.softmax(x, axis=0, out=x), expected)


def test_results_of_very_long_columns_below_the_smallest_normal_number(fs):
    """So many share the sum that an element not far below the largest has such a result."""
    n = 1 << 24
    x = np.zeros((n, 2), np.float32)
    x[:200] = -np.linspace(70.7, 70.99, 200)[:, np.newaxis]
    result = fs.softmax(x, axis=0)
    exact = np.exp(x[:200, 0].astype(float)) / ((n - 200) + np.exp(x[:200, 0].astype(float)).sum())
    assert exact.min() < np.finfo(np.float32).tiny
    smallest = np.finfo(np.float32).smallest_subnormal
    assert (abs(result[:200, 0] - exact) <= smallest).all()
    assert_same_bits(result[:, 0], fs.softmax(x[:, 0].copy()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unusual_columns_in_place(fs, same_shape_name, dtype, rng):
    """Whoever writes over the logits decides before on what is below the smallest normal number."""
    function = getattr(fs, same_shape_name)
    spread = 40 if dtype == np.float32 else 300
    for n in (3, 40, 1_500):
        x = (spread * rng.standard_normal((n, 40))).astype(dtype)
        x[0, ::16] = np.inf
        with np.errstate(invalid="ignore"):
            expected = function(x, axis=0)
            function(x, axis=0, out=x)
        assert_same_bits(x, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms_below_the_smallest_normal_number_beside_unusual_columns(fs, dtype, rng):
    depth = (88, 100) if dtype == np.float32 else (709, 740)
    for n in (3, 40, 1_500):
        x = np.full((n, 32), -np.inf, dtype)
        x[n // 2] = 1
        x[-1] = 1 - rng.uniform(*depth, 32)
        x[0, ::16] = np.inf
        with np.errstate(invalid="ignore"):
            logp, lse = fs.log_softmax(x, axis=0), fs.logsumexp(x, axis=0)
        for j in range(1, 16):
            alone = fs.log_softmax(x[:, j].copy())
            assert -np.finfo(dtype).tiny < alone[n // 2] < 0
            assert_same_bits(logp[:, j], alone)
            assert_same_bits(lse[j], fs.logsumexp(x[:, j].copy()))
