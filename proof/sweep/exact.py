"""Exact values for what the tests have no reference for, to far less than an ULP.

(a) The exponential of float32 is judged in float64, that of float64 in longdouble, where
    x - n log 2 is taken by pieces of log 2 so short that every product with n is exact.
(b) `logsumexp` with weights is relative to its dominant term, like the reference without them.
(c) `check` compares all of it with mpmath on samples, so an error here is not taken for accuracy.
"""

import mpmath
import numpy as np
import reference
from reference_backward import widen

LOG2_E = 1.4426950408889634
PIECES = 7
# As many bits a piece as are left beside the n of any x, in float64 and in longdouble.
PIECE_BITS = {"float32": 32, "float64": 18}


def _pieces(name):
    """The parts of log 2, each a short multiple of a power of two; the last takes the rest."""
    bits, parts = PIECE_BITS[name], []
    with reference.workprec(400):
        left = mpmath.log(2)
        for i in range(1, PIECES if name == "float64" else 2):
            part = mpmath.floor(mpmath.ldexp(left, bits * i))
            parts.append(wide_of(name)(mpmath.ldexp(part, -bits * i)))
            left -= mpmath.ldexp(part, -bits * i)
        # As a float of that size, it keeps all the digits that matter.
        parts.append(wide_of(name)(float(left)))
    return parts


def wide_of(name):
    return np.longdouble if name == "float64" else np.float64


PARTS = {name: _pieces(name) for name in PIECE_BITS}


def exponential(x):
    """n and e^(x - n log 2) with n = round(x / log 2), both wide; |x| up to 2^44, or 2^17."""
    wide = x.astype(wide_of(x.dtype.name))
    n = np.rint(x.astype(np.float64) * LOG2_E)
    wide_n = n.astype(wide.dtype)
    for part in PARTS[x.dtype.name]:
        wide = wide - wide_n * part
    return n, np.exp(wide)


def log1p(x):
    """log(1 + x) of float64."""
    return np.log1p(x.astype(np.longdouble))


def weighted_logsumexp(a, b):
    """log|sum(b e^a)| over rows and the sign, and what its error is measured by.

    The scale is that of logsumexp without weights, the dominant term's exponent for the maximum,
    plus the magnitudes' sum over the sum: what an error of that becomes in its logarithm.
    """
    a, b = widen([a, b])
    with np.errstate(divide="ignore"):
        top = np.take_along_axis(a, (a + np.log(abs(b))).argmax(axis=-1)[:, None], axis=-1)
    finite = np.where(np.isfinite(a), a, top)
    difference = finite - top
    back = difference + top
    error = (finite - back) + ((back - difference) - top)
    with np.errstate(under="ignore", divide="ignore"):
        terms = np.where(np.isfinite(a), b * np.exp(difference) * (1 + error), 0)
        total, magnitude = terms.sum(axis=-1), abs(terms).sum(axis=-1)
        value = np.log(abs(total)) + top[:, 0]
        condition = magnitude / np.where(total == 0, 1, abs(total))
    return value, np.sign(total), np.maximum(abs(top[:, 0]), abs(value)) + condition


def _check(name, wide, exact, bound):
    with reference.workprec():
        error = max(abs(reference.as_mpf(w) / e - 1) for w, e in zip(wide, exact, strict=True))
    if not error <= bound:
        raise AssertionError(f"the reference of {name} is off by {float(error):.3g}, not {bound}")
    return float(error)


def check():
    """Compare with mpmath; the largest relative errors, in ULP of what they judge."""
    rng = np.random.default_rng(11)
    found = {}
    with reference.workprec():
        for name, digits, limit in (("float32", 24, 17), ("float64", 53, 44)):
            x = 2.0 ** rng.uniform(-30, limit, 3_000) * rng.choice([-1, 1], 3_000)
            x = np.concatenate([x, rng.uniform(-1_000, 1_000, 3_000)]).astype(name)
            n, power = exponential(x)
            exact = [
                mpmath.exp(mpmath.mpf(float(v)) - int(k) * mpmath.log(2))
                for v, k in zip(x, n, strict=True)
            ]
            found[f"exp, {name}"] = _check("exp", power, exact, 2.0 ** (-digits - 9)) * 2**digits
        x = 2.0 ** np.concatenate([rng.uniform(-1_000, 1_000, 2_000), rng.uniform(-70, 3, 4_000)])
        exact = [mpmath.log1p(mpmath.mpf(v)) for v in x]
        found["log1p"] = _check("log1p", log1p(x), exact, 2.0**-62) * 2**53
        a, b = 5 * rng.standard_normal((300, 5)), rng.standard_normal((300, 5))
        value, _, scale = weighted_logsumexp(a, b)
        rows = [
            mpmath.log(abs(mpmath.fsum(w * mpmath.exp(v) for v, w in zip(*pair, strict=True))))
            for pair in zip(a.tolist(), b.tolist(), strict=True)
        ]
        off = max(
            abs(reference.as_mpf(v) - e) / reference.as_mpf(s)
            for v, e, s in zip(value, rows, scale, strict=True)
        )
        assert off <= 2.0**-61, float(off)
        found["weighted logsumexp"] = float(off) * 2**53
    return found
