"""Gradients of weighted logsumexp whose factors lie anywhere in the range of float64.

g * b * exp(a - lse) is an ordinary number where its factors are none, or where the product of two
of them is none.
"""

import mpmath
import numpy as np
import pytest
import reference

BOUND = 5
SMALLEST = np.finfo(np.float64).tiny


def _far_apart(rng, n):
    """Logits, weights, a vector and a logarithm; one weight in ten is 0."""
    a = rng.standard_normal(n) * 10.0 ** rng.integers(0, 4)
    b = np.ldexp(rng.standard_normal(n), rng.integers(-1_074, 1_023, n))
    b[rng.random(n) < 0.1] = 0
    vector = np.ldexp(rng.standard_normal(n), rng.integers(-1_000, 1_000, n))
    return vector, a, b, rng.standard_normal() * 10.0 ** rng.integers(0, 4)


def _exact(vector, a, b, lse):
    """The products, with more digits and range than any of their factors has."""
    with reference.workprec(400):
        return [
            mpmath.mpf(v) * mpmath.mpf(w) * mpmath.exp(mpmath.mpf(x) - mpmath.mpf(lse))
            for v, x, w in zip(vector.tolist(), a.tolist(), b.tolist(), strict=True)
        ]


def _error(actual, exact, scale):
    """In ULP of the scale; 0 beyond the range, where both have to be infinite."""
    if not np.isfinite(float(scale)):
        return 0 if np.isinf(actual) or abs(actual) > np.finfo(np.float64).max / 2 else np.inf
    unit = np.spacing(max(abs(float(scale)), SMALLEST))
    return float(abs(mpmath.mpf(float(actual)) - exact) / unit) if np.isfinite(actual) else np.inf


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient(fs, seed):
    rng = np.random.default_rng(seed)
    for _ in range(150):
        vector, a, b, lse = _far_apart(rng, rng.integers(1, 7))
        result = fs.logsumexp_vjp(vector[0], a, lse, b=b)
        exact = _exact(np.full_like(a, vector[0]), a, b, lse)
        for actual, product in zip(result, exact, strict=True):
            assert _error(actual, product, product) <= BOUND, (vector[0], a, b, lse)


@pytest.mark.parametrize("seed", range(4))
def test_the_product_with_a_tangent(fs, seed):
    rng = np.random.default_rng(seed)
    for _ in range(150):
        t, a, b, lse = _far_apart(rng, rng.integers(1, 7))
        exact = _exact(t, a, b, lse)
        with reference.workprec(400):
            total, scale = mpmath.fsum(exact), mpmath.fsum(map(abs, exact))
        if np.isfinite(float(scale)):
            actual = fs.logsumexp_jvp(t, a, lse, b=b)
            assert _error(actual, total, scale) <= BOUND, (t, a, b, lse)


@pytest.mark.parametrize("axis", [0, 1])
def test_slices_that_are_far_apart_beside_others(fs, axis, rng):
    """A slice has its bits wherever it stands."""
    a = rng.standard_normal((6, 5))
    b = rng.standard_normal((6, 5))
    t = rng.standard_normal((6, 5))
    a[2], b[2], t[2] = -1_500, 1e200, 1e200
    b[4] = 1e-320
    lse = fs.logsumexp(a, 1, b=abs(b))
    g = np.array([1, 2, 1e200, 4, 5, 6])
    vjp = np.array([fs.logsumexp_vjp(*row[:3], b=row[3]) for row in zip(g, a, lse, b, strict=True)])
    jvp = np.array([fs.logsumexp_jvp(*row[:3], b=row[3]) for row in zip(t, a, lse, b, strict=True)])
    if axis == 0:
        a, b, t, vjp = a.T, b.T, t.T, vjp.T
    np.testing.assert_array_equal(fs.logsumexp_vjp(g, a, lse, axis, b=b), vjp)
    np.testing.assert_array_equal(fs.logsumexp_jvp(t, a, lse, axis, b=b), jvp)
