"""Products with Jacobians whose sums, or factors, are at the end of the range or beyond it."""

import mpmath
import numpy as np
import pytest

DTYPES = (np.float32, np.float64)
LIMIT = {np.float32: 3, np.float64: 5}


def _vectors(dtype):
    """Vectors g and probabilities y, whose results are within the range though parts are not."""
    m = np.finfo(dtype).max
    fifths = np.full(5, 0.2, dtype)
    yield np.full(5, m, dtype), fifths
    yield np.array([m, m, m, -m, -m], dtype), fifths
    yield np.array([m, -m, m, -m, m], dtype), fifths
    yield np.array([-m, 1, m, 0, m / 2], dtype), np.array([0, 0.25, 0.5, 0.25, 0], dtype)
    yield np.array([m, m, m], dtype), np.array([0.6, 0.3, 0.1], dtype)
    yield np.full(3_000, -m, dtype), np.full(3_000, 1 / 3_000, dtype)


def _check(found, g, y):
    wide_g, wide_y = g.astype(np.longdouble), y.astype(np.longdouble)
    exact = wide_y * (wide_g - (wide_g * wide_y).sum())
    scale = abs(wide_y) * (abs(wide_g) + abs(wide_g * wide_y).sum())
    unit = np.longdouble(np.finfo(g.dtype).eps)
    assert np.isfinite(found).all()
    assert (abs(found - exact) <= LIMIT[g.dtype.type] * unit * scale).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_vjp_of_the_largest_numbers(fs, dtype):
    for g, y in _vectors(dtype):
        with np.errstate(all="raise"):
            found = fs.softmax_vjp(g, y)
        _check(found, g, y)
        rows = fs.softmax_vjp(np.stack([np.ones_like(g), g, g]), np.stack([y, y, y]), -1)
        columns = fs.softmax_vjp(np.stack([g] * 20, 1), np.stack([y] * 20, 1), 0)
        in_place = g.copy()
        fs.softmax_vjp(in_place, y, out=in_place)
        for other in (rows[1], rows[2], columns[:, 0], columns[:, 19], in_place):
            assert other.tobytes() == found.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_gradient_of_the_largest_numbers_is_nan_where_y_is_0(fs, dtype):
    m = np.finfo(dtype).max
    y = fs.softmax(np.array([-2_000, 0, 0, 0, 0, 0], dtype))
    found = fs.softmax_vjp(np.full(6, m, dtype), y)
    assert found[0] == 0
    assert not np.isnan(found).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lse", [-1e10, -1e20, -1e30, -3e38])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_a_product_of_nothing_ends(fs, dtype, lse, n):
    """With a level that is far below, the power of two of the sum, which is 0, is without end."""
    zeros = np.zeros(n, dtype)
    with np.errstate(all="ignore"):
        for weights in (None, np.ones(n, dtype)):
            tangent = fs.logsumexp_jvp(zeros, zeros, dtype(lse), b=weights)
            assert tangent == 0 or np.isnan(tangent)
            balanced = np.where(np.arange(n) % 2, 1, -1).astype(dtype)
            fs.logsumexp_jvp(balanced, zeros, dtype(lse), b=weights)


def test_a_nan_of_what_is_no_probability_is_canonical_and_told_of(fs):
    m = np.finfo(np.float64).max
    with pytest.warns(RuntimeWarning, match="invalid value"):
        found = fs.softmax_vjp(np.array([m, -m, m]), np.array([m, m / 2, 1]))
    nans = np.isnan(found)
    assert nans.any()
    assert not np.signbit(found[nans]).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sum_at_the_limit_of_the_careful_way_goes_one_way_everywhere(fs, dtype):
    """The ways differ by a rounding in most rows: all kernels have to draw the same line."""
    limit = np.ldexp(np.longdouble(1), -100 if dtype == np.float32 else -960)
    rng = np.random.default_rng(20261129)
    found = 0
    while found < 20:
        y = rng.uniform(0.1, 0.5, 6).astype(dtype)
        g = (rng.uniform(-1, 1, 6) * limit).astype(dtype)
        g[-1] = (limit - (y[:-1].astype(np.longdouble) * g[:-1]).sum()) / y[-1]
        if (y.astype(np.longdouble) * g).sum().astype(dtype) != limit:
            continue
        found += 1
        alone = fs.softmax_vjp(g, y)
        rows = fs.softmax_vjp(np.stack([g] * 20), np.stack([y] * 20), -1)
        columns = fs.softmax_vjp(np.stack([g] * 20, 1), np.stack([y] * 20, 1), 0)
        for other in (*rows, *columns.T):
            assert other.tobytes() == alone.tobytes()


@pytest.mark.parametrize("n", [1, 2, 40])
def test_a_huge_exponential_meets_a_tiny_tangent(fs, n, rng):
    """Products of float64 up to the end of the range, of an exponential that is far beyond it."""
    for distance in (*rng.uniform(990, 1_015, 60), *rng.uniform(700, 1_400, 20)):
        exponent = mpmath.mpf(rng.uniform(990, 1_023.5))
        t = float(mpmath.mpf(2) ** exponent * mpmath.exp(-distance) / n)
        exact = n * t * mpmath.exp(distance)
        tangents, far = np.full(n, t), np.full(n, distance)
        assert abs(fs.logsumexp_jvp(tangents, far, 0.0) / exact - 1) < 1e-15
        tangents, far = np.append(tangents, 0), np.append(far, 0.0)
        assert abs(fs.log_softmax_jvp(tangents, far)[n] / -exact - 1) < 1e-15
        assert abs(fs.logsumexp_vjp(t, far, 0.0)[0] / (exact / n) - 1) < 1e-15


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distance", [3e6, 1e12, 1e17, 7e31, 1e38])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_an_exponential_far_beyond_the_range_is_infinite(fs, dtype, distance, n):
    for t in (1e-30, -1e-30, 1e30, -1e30):
        tangents, far = np.full(n, t, dtype), np.full(n, distance, dtype)
        for rows in (1, 20):
            batch = np.stack([tangents] * rows), np.stack([far] * rows)
            found = fs.logsumexp_jvp(*batch, np.zeros(rows, dtype), axis=1)
            np.testing.assert_array_equal(found, np.copysign(np.inf, t))
            found = fs.log_softmax_jvp(*batch, axis=1)
            np.testing.assert_array_equal(found, -np.copysign(np.inf, t))
            found = fs.logsumexp_vjp(batch[0][:, 0], batch[1], np.zeros(rows, dtype), axis=1)
            np.testing.assert_array_equal(found, np.copysign(np.inf, t))
            found = fs.log_softmax_vjp(*batch, axis=1)
            np.testing.assert_array_equal(found, -np.copysign(np.inf, t))
