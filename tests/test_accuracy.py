"""Errors in ULP against the exact value: the largest are printed, the limits asserted."""

import functools

import families
import mpmath
import numpy as np
import pytest
import reference
from formats import of

# Every target rounds alike but the one without fused multiply-add.
GENERIC_ALLOWANCE = 1


def _lengths(dtype):
    return families.SHORT_LENGTHS if reference.is_exact_only(dtype) else families.LENGTHS


@functools.cache
def _exact(name, family, dtype):
    """Exact values of all rows in one flat array, and the scale of their errors."""
    values, scales = [], []
    for x in families.rows(family, dtype, _lengths(dtype)):
        exact = getattr(reference, name)(x)
        scale = reference.logsumexp_scale(x, exact) if name == "logsumexp" else exact
        values.append(exact.ravel())
        scales.append(scale.ravel())
    return np.concatenate(values), np.concatenate(scales)


def _limit(name, dtype, target):
    return of(dtype).ulp_limit + (GENERIC_ALLOWANCE if target == "generic" else 0)


@pytest.mark.parametrize("family", families.ALL, ids=lambda f: f.__name__)
def test_error_is_within_the_promised_ulp(fs, target, name, dtype, family, worst):
    if not families.fits(family, dtype):
        pytest.skip("the family leaves the range of the dtype")
    function = getattr(fs, name)
    blocks = families.rows(family, dtype, _lengths(dtype))
    result = np.concatenate([np.ravel(function(x, axis=-1)) for x in blocks])
    exact, scale = _exact(name, family, dtype)
    error = reference.ulp_error(result, exact, dtype, scale)
    worst(name, dtype, target, error.max(), family.__name__)
    assert error.max() <= _limit(name, dtype, target)
    subnormal = (abs(scale) < of(dtype).tiny).astype(bool)
    assert error[subnormal].max(initial=0) <= 1, "below the smallest normal number"


@pytest.mark.parametrize("low", [-708.0, -1e3, -1e4])
def test_rows_beside_the_thresholds_of_the_method_are_accurate(fs, target, name, dtype, low, worst):
    """Maxima around powers of two, where a method may change, over elements far and near."""
    form = of(dtype)
    powers = 2.0 ** np.arange(3, 60 if form.name == "float64" else 40)
    tops = np.outer([-1.001, -1, -0.999, 0.999, 1, 1.001], powers).ravel()
    tops = tops[abs(tops) < form.largest / 4].astype(form.dtype).astype(np.float64)
    steps = np.array([0, -0.5, -1, -3, -20, -80, low])
    spacing = 2.0 ** (np.floor(np.log2(abs(tops))) - form.digits + 1)
    x = tops[:, None] + np.where(abs(steps) < spacing[:, None], 0, steps)
    x = x.astype(form.dtype)
    exact = getattr(reference, name)(x)
    scale = reference.logsumexp_scale(x, exact) if name == "logsumexp" else exact
    error = reference.ulp_error(getattr(fs, name)(x, axis=-1), exact, dtype, scale)
    worst(name, dtype, target, error.max(), "beside thresholds")
    assert error.max() <= _limit(name, dtype, target)


def test_columns_are_as_accurate_as_rows(fs, target, name, dtype):
    for x in families.rows(families.ten_normal, dtype, (1, 2, 3, 10, 17, 300)):
        tall = np.ascontiguousarray(np.concatenate([x, x[:, ::-1]]).T)
        exact = getattr(reference, name)(tall.T)
        scale = reference.logsumexp_scale(tall.T, exact) if name == "logsumexp" else exact
        result = getattr(fs, name)(tall, axis=0)
        error = reference.ulp_error(result.T, exact, dtype, scale)
        assert error.max() <= _limit(name, dtype, target)


def test_log_softmax_near_zero_keeps_its_digits(fs, target):
    for gap in (1.0, 10.0, 40.0, 100.0, 700.0, 730.0):
        x = np.array([[0.0, -gap]])
        error = reference.ulp_error(
            fs.log_softmax(x, axis=-1), reference.log_softmax(x, exactly=True), np.float64
        )
        assert error.max() <= _limit("log_softmax", np.float64, target)


@pytest.mark.parametrize("depth", [743.2, 744.2, 744.5])
def test_the_logarithm_of_terms_at_the_end_of_the_range(fs, depth):
    """Thousands of terms of one or two of the smallest subnormal number, in blocks of their own."""
    x = np.full(4_096, -1_000.0)
    x[0], x[1_024:] = 0, -depth
    exact = 3_072 * np.exp(np.longdouble(-depth))
    for result in (
        fs.logsumexp(x),
        -fs.log_softmax(x)[0],
        fs.logsumexp(x[::-1]),
        *fs.logsumexp(np.stack([x] * 3, axis=1), axis=0),
    ):
        assert abs(result - exact) <= np.finfo(np.float64).smallest_subnormal


@pytest.mark.parametrize("n", [2, 9, 40, 100, 1_025])
def test_a_single_small_result_of_a_row_is_rounded_once(fs, n, rng):
    """As many of them are, below the smallest normal number of float32."""
    x = np.zeros((1_000, n), np.float32)
    place = np.arange(1_000), rng.integers(n, size=1_000)
    x[place] = -rng.uniform(88 - np.log(n), 100, 1_000)
    term = np.exp(x[place].astype(np.float64))
    exact = term / (n - 1 + term)
    error = abs(fs.softmax(x, axis=1)[place] - exact) / np.finfo(np.float32).smallest_subnormal
    assert error[exact < np.finfo(np.float32).tiny].max() <= 0.51


def test_half_precision_sums_keep_more_than_half_precision(fs):
    """A sum in float16 would stop growing at 2,048 ones; in bfloat16, at 256."""
    for n in (2_048, 4_096, 16_384):
        p = fs.softmax(np.zeros((n, 2), np.float16), axis=0)
        np.testing.assert_array_equal(p, np.float16(1 / n))
        assert p.dtype == np.float16


def test_blocks_far_below_the_largest_element_count(fs):
    """Each has nothing but terms below the smallest subnormal number, and their sum is above it."""
    x = np.full(100_000, -745.0)
    x[0] = 0.0
    expected = -float(mpmath.mpf(99_999) * mpmath.exp(-745))
    for array, axis in ((x, 0), (np.array([x, x]), 1), (np.array([x] * 3).T.copy(), 0)):
        largest = np.take(fs.log_softmax(array, axis=axis), 0, axis=axis)
        assert (np.abs(largest - expected) <= 5e-324).all()
