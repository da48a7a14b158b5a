"""The exact products with the Jacobians, and the scales their errors are measured by.

(a) The last axis is reduced. The arguments are taken as they are given: y, logp or lse need not be
    the exact ones.
(b) The precision is that of `reference`: float64 for float32 and narrower, longdouble for float64,
    or mpmath's numbers in object arrays.
(c) The scale is the sum of the magnitudes of the terms that make the element.
"""

import functools

import mpmath
import numpy as np
from reference import as_mpf, is_exact_only, workprec

to_mpf = np.vectorize(as_mpf, otypes=[object])
_mpf_exp = np.vectorize(mpmath.exp, otypes=[object])


def widen(arrays, exactly=False):
    """The arrays in more precision than they have."""
    arrays = [np.asarray(a) for a in arrays]
    if exactly or any(is_exact_only(a.dtype) for a in arrays):
        return [to_mpf(a) for a in arrays]
    is_double = any(a.dtype.name == "float64" for a in arrays)
    return [a.astype(np.longdouble if is_double else np.float64) for a in arrays]


def _precise(function):
    """Give the function its arrays in more precision, and mpmath its own."""

    @functools.wraps(function)
    def call(*arrays, exactly=False):
        with workprec(), np.errstate(under="ignore"):
            return function(*widen(arrays, exactly))

    return call


def _exp(x):
    return _mpf_exp(x) if x.dtype == object else np.exp(x)


def _exp_of_difference(a, b):
    """exp(a - b), with the rounding error of the difference made good."""
    difference = a - b
    if a.dtype == object:
        return _exp(difference)
    finite = np.isfinite(difference)
    a, b, safe = np.where(finite, a, 0), np.where(finite, b, 0), np.where(finite, difference, 0)
    back = safe + b
    error = (a - back) + ((back - safe) - b)
    return np.exp(difference) * (1 + error)


def _sum(x):
    return x.sum(axis=-1, keepdims=True)


@_precise
def softmax_vjp(g, y):
    return y * (g - _sum(g * y)), abs(y) * (abs(g) + _sum(abs(g * y)))


softmax_jvp = softmax_vjp


@_precise
def log_softmax_vjp(g, logp):
    p = _exp(logp)
    return g - p * _sum(g), abs(g) + p * _sum(abs(g))


@_precise
def log_softmax_jvp(t, logp):
    p = _exp(logp)
    return t - _sum(p * t), abs(t) + _sum(p * abs(t))


@_precise
def logsumexp_vjp(g, a, lse):
    exact = g[..., None] * _exp_of_difference(a, lse[..., None])
    return exact, abs(exact)


@_precise
def logsumexp_jvp(t, a, lse):
    terms = _exp_of_difference(a, lse[..., None]) * t
    return terms.sum(axis=-1), abs(terms).sum(axis=-1)
