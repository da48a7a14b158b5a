"""The exact values, and the distance of a result from them in units in the last place.

(a) Every function takes rows (the last axis is reduced) with a finite maximum and computes in
    more precision than the result has: float32 and narrower in float64, float64 in longdouble
    where that has 64 bits or more.
(b) Where longdouble is no wider than float64, and wherever `exactly` is asked, mpmath computes
    with 200 bits; the values are then mpmath's numbers in an object array. That is slow, and it
    is what (a) is checked against.
(c) The difference to the maximum is kept as a sum of two numbers, so that it is not rounded for
    any input.
"""

import threading
from contextlib import contextmanager

import mpmath
import numpy as np
from formats import of

PRECISION = 200
_LOCK = threading.RLock()
LONGDOUBLE_IS_WIDER = np.finfo(np.longdouble).nmant >= 63


@contextmanager
def workprec(bits=PRECISION):
    """mpmath with so many bits, in one thread at a time: its precision is the process's."""
    with _LOCK, mpmath.workprec(bits):
        yield


def is_exact_only(dtype) -> bool:
    """Whether a result of this dtype can only be judged by mpmath on this machine."""
    return np.dtype(dtype).name == "float64" and not LONGDOUBLE_IS_WIDER


def _wide(x):
    return np.asarray(x).astype(np.longdouble if x.dtype.name == "float64" else np.float64)


def _exponentials(x):
    """The maximum and exp(x - maximum), with the rounding error of the difference made good."""
    x = _wide(x)
    top = x.max(axis=-1, keepdims=True)
    # An element of -inf has no rounding error, but inf - inf would make one up.
    finite = np.where(np.isfinite(x), x, top)
    difference = finite - top
    back = difference + top
    error = (finite - back) + ((back - difference) - top)
    with np.errstate(under="ignore"):
        terms = np.exp(difference) * (1 + error)
    return top, difference, error, np.where(np.isfinite(x), terms, 0)


def _without_one_maximum(x, terms):
    """The sum of the terms without that of one maximum, which is 1."""
    rest = terms.copy()
    np.put_along_axis(rest, _wide(x).argmax(axis=-1)[..., None], 0, axis=-1)
    return rest.sum(axis=-1, keepdims=True)


def as_mpf(value):
    """The value of any of NumPy's floats, longdouble included, as mpmath's number."""
    # The significand alone, so that no part of it falls below float64's range.
    significand, exponent = np.frexp(value)
    high = float(significand)
    if not np.isfinite(high):
        return mpmath.mpf(high)
    low = float(significand - type(significand)(high))
    return mpmath.ldexp(mpmath.mpf(high) + mpmath.mpf(low), int(exponent))


def _by_rows(function, x, reduces):
    """Apply an mpmath function of one row to every row."""
    x = np.asarray(x)
    rows = x.reshape(-1, x.shape[-1])
    with workprec():
        values = [function([as_mpf(v) for v in row]) for row in rows]
    shape = x.shape[:-1] if reduces else x.shape
    flat = values if reduces else [v for row in values for v in row]
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(shape)


def softmax(x, exactly=False):
    if exactly or is_exact_only(x.dtype):
        return _by_rows(_softmax_exactly, x, reduces=False)
    _, _, _, terms = _exponentials(x)
    return terms / terms.sum(axis=-1, keepdims=True)


def _softmax_exactly(row):
    total = mpmath.fsum(mpmath.exp(v) for v in row)
    return [mpmath.exp(v) / total for v in row]


def log_softmax(x, exactly=False):
    if exactly or is_exact_only(x.dtype):
        return _by_rows(_log_softmax_exactly, x, reduces=False)
    _, difference, error, terms = _exponentials(x)
    # Both parts are at most 0, so their sum cancels nothing.
    logarithm = np.log1p(_without_one_maximum(x, terms))
    return np.where(np.isneginf(_wide(x)), -np.inf, difference - (logarithm - error))


def _log_softmax_exactly(row):
    top, logarithm = _logarithm_of_sum(row)
    return [v - top - logarithm for v in row]


def _logarithm_of_sum(row):
    """The maximum, and the logarithm of the sum of exponentials relative to it."""
    # It may be so small that 1 + rest would lose it in any fixed precision.
    top = row.index(max(row))
    rest = mpmath.fsum(mpmath.exp(v - row[top]) for i, v in enumerate(row) if i != top)
    return row[top], mpmath.log1p(rest)


def _logsumexp_exactly(row):
    top, logarithm = _logarithm_of_sum(row)
    return top + logarithm


def logsumexp(x, exactly=False):
    if exactly or is_exact_only(x.dtype):
        return _by_rows(_logsumexp_exactly, x, reduces=True)
    top, _, _, terms = _exponentials(x)
    return (top + np.log1p(_without_one_maximum(x, terms)))[..., 0]


def logsumexp_scale(x, exact):
    """What the error of logsumexp is measured by: max(|max x|, |result|)."""
    top = abs(_wide(x).max(axis=-1))
    if exact.dtype == object:
        top = np.vectorize(as_mpf, otypes=[object])(top)
    return np.maximum(top, abs(exact))


def _unit(scale, dtype):
    """The distance of two neighbours in the format around `scale`, constant among subnormals."""
    form = of(dtype)
    _, exponent = np.frexp(scale)
    exponent = np.where(scale == 0, form.lowest, np.maximum(exponent - 1, form.lowest))
    exponent -= form.digits - 1
    return np.ldexp(np.ones_like(scale), exponent)


def ulp_error(result, exact, dtype, scale=None):
    """Distance of `result` from `exact` in ULP of the format `dtype` at `scale`.

    The scale is that of `exact` unless given. The error is infinite where one of the two is a nan
    or an infinity and the other is something else.
    """
    scale = exact if scale is None else scale
    if exact.dtype == object:
        return _ulp_error_exactly(result, exact, dtype, scale)
    result = np.asarray(result).astype(exact.dtype)
    finite = np.isfinite(result) & np.isfinite(exact)
    distance = abs(np.where(finite, result, 0) - np.where(finite, exact, 0))
    error = distance / _unit(np.where(finite, scale, 1), dtype)
    return np.where(finite, error, np.where(result == exact, 0, np.inf))


def _ulp_error_exactly(result, exact, dtype, scale):
    form, errors = of(dtype), []
    triples = zip(np.ravel(result), np.ravel(exact), np.ravel(scale), strict=True)
    with workprec():
        for r, e, s in triples:
            if not (mpmath.isfinite(e) and np.isfinite(r)):
                errors.append(0.0 if as_mpf(r) == e else np.inf)
                continue
            exponent = form.lowest if s == 0 else max(mpmath.frexp(s)[1] - 1, form.lowest)
            unit = mpmath.ldexp(1, exponent - (form.digits - 1))
            errors.append(float(abs(as_mpf(r) - e) / unit))
    return np.array(errors).reshape(exact.shape)
