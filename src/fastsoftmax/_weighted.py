"""logsumexp with weights: the logarithm and sign of sum(b * exp(a)), in float64, by rows.

(a) Terms are divided by the dominant one, whose b * exp(a) is largest in magnitude, so none
    overflows, and the sum of the others goes through log1p. A weight may lie anywhere in the range
    of float64, so weights take part in finding the dominant term and enter as mantissa and
    exponent.
(b) The difference of two exponents is kept with its rounding error, and split into a multiple of
    log 2 and a remainder (two-term Cody-Waite): exp of it is then off by an ULP or two, however far
    apart the two lie.
(c) What is not finite is settled by signs alone, apart from the arithmetic: a term is +-inf if a =
    +inf or b = +-inf, and nan if a or b is nan or if b = +-inf meets a = -inf. A weight of 0
    removes the element before all this.
(d) exp and log are the kernels': NumPy's have other bits on other processors.
(e) Rows only: NumPy's sum along the contiguous axis adds in an order that depends on the length
    alone, and so the bits do not depend on the layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._target import kernels

if TYPE_CHECKING:
    from ._arguments import Array, Mask
    from ._packing import Kernel

_LOG2_E = 1.4426950408889634
# log 2 = HIGH + LOW. HIGH has 32 significant bits: its product with an integer below 2**21 is
# exact.
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")

# The largest number that log1p takes.
_HUGE = 2.0**1021

# exp of less, times the ratio or the product of any two weights, is 0; exp of more than its
# opposite is infinite.
_LOWEST = -4000.0


def apart(a: Array, origin: Array) -> tuple[Array, Array]:
    """a - origin, rounded, and the rounding error of it."""
    difference = a - origin
    back = difference - a
    error = (a - (difference - back)) - (origin + back)
    return difference, error


def scaled_exp(difference: Array, error: Array, exponent: Array, factor: Array) -> Array:
    """factor * exp(difference + error) * 2**exponent, without overflow on the way."""
    far = ~(abs(difference) < -_LOWEST)
    difference[far] = np.where(difference[far] > 0, -_LOWEST, _LOWEST)
    error[far] = 0
    n = np.rint(difference * _LOG2_E)
    remainder = ((difference - n * _LN2_HIGH) - n * _LN2_LOW) + error
    scaled: Array = np.ldexp(factor * kernels.exp(remainder), exponent + n.astype(np.intc))
    return scaled


def _log(mantissa: Array, exponent: Array) -> Array:
    """log(mantissa * 2**exponent), of what `numpy.frexp` makes of a positive number."""
    log: Array = kernels.log1p(2 * mantissa - 1)
    return (exponent - 1) * _LN2_HIGH + (log + (exponent - 1) * _LN2_LOW)


def _log1p(x: Array) -> Array:
    """log(1 + x) for x above -1, and -inf for -1."""
    negative = x < 0
    log: Array = kernels.log1p(np.where(negative, np.minimum(-x / (1 + x), _HUGE), x))
    return np.where(x == -1, -np.inf, np.where(negative, -log, log))


def _log_of_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """log|s| and the sign of s for rows (m, n) of finite or -inf a and finite b."""
    takes_part = (b != 0) & (a > -np.inf)
    a = np.where(takes_part, a, -np.inf)
    b = np.where(takes_part, b, 1)
    nothing = ~takes_part.any(axis=1)
    highest = a.max(axis=1, keepdims=True)
    highest[nothing] = 0
    rows = np.arange(len(a))
    mantissa, exponent = np.frexp(b)
    log_of_weights = _log(np.abs(mantissa), exponent)
    dominant = ((a - highest) + log_of_weights).argmax(axis=1)
    origin = np.where(nothing, 0, a[rows, dominant])
    weight_mantissa, weight_exponent = mantissa[rows, dominant], exponent[rows, dominant]
    difference, error = apart(a, origin[:, np.newaxis])
    terms = scaled_exp(difference, error, exponent - weight_exponent[:, np.newaxis], mantissa)
    terms[rows, dominant] = 0
    rest = terms.sum(axis=1) / weight_mantissa

    # |1 + rest| without rounding 1 + rest where the others outweigh the dominant term.
    log_ratio = _log1p(np.where(rest < -1, -2 - rest, rest))
    value = (log_of_weights[rows, dominant] + log_ratio) + origin
    # Adding 0.0 makes of -0.0 an ordinary zero.
    sign = np.sign(1 + rest) * np.sign(weight_mantissa) + 0.0
    return np.where(nothing, -np.inf, value), np.where(nothing, 0, sign)


def _settle_infinite(a: Array, b: Array, out: Array, sign: Array) -> bool:
    """Overwrite the results of rows with infinite or nan terms; true if infinities made a nan."""
    takes_part = b != 0
    infinite = np.isinf(b)
    came = ((np.isnan(a) | np.isnan(b)) & takes_part).any(axis=1)
    huge = ((a == np.inf) | (infinite & (a > -np.inf))) & takes_part
    up = (huge & (b > 0)).any(axis=1)
    down = (huge & (b < 0)).any(axis=1)
    made = ((infinite & (a == -np.inf)).any(axis=1) | (up & down)) & ~came
    np.copyto(out, np.inf, where=up | down)
    np.copyto(sign, 1, where=up)
    np.copyto(sign, -1, where=down)
    for result in (out, sign):
        np.copyto(result, np.nan, where=came | made)
    return bool(made.any())


def weighted(a: Array, b: Array, out: Array, sign: Array) -> bool:
    """The kernel: blocks (outer, n, 1) to (outer, 1); true if it made a nan of infinities."""
    a, b, out, sign = a[:, :, 0], b[:, :, 0], out[:, 0], sign[:, 0]
    finite = np.isfinite(b) & (a < np.inf)
    with np.errstate(all="ignore"):
        if finite.all():
            out[:], sign[:] = _log_of_sum(a, b)
            return False
        out[:], sign[:] = _log_of_sum(np.where(finite, a, -np.inf), np.where(finite, b, 0))
        return _settle_infinite(a, b, out, sign)


def masked_weighted(a: Array, b: Array, inside: Mask, out: Array, sign: Array) -> bool:
    """The same for the elements inside a mask; overwrites b."""
    np.copyto(b, 0, where=~inside)
    return weighted(a, b, out, sign)


def unsigned(kernel: Kernel) -> Kernel:
    """The kernel (..., out, sign) as a kernel (..., out): nan for a negative sum, silently."""

    def unsigned_kernel(*blocks: Array) -> bool:
        out = blocks[-1]
        sign = np.empty_like(out)
        invalid = kernel(*blocks, sign)
        np.copyto(out, np.nan, where=sign < 0)
        return invalid

    return unsigned_kernel
