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
(f) Long rows are gone through in pieces of one length, three times: for the largest a, for the
    dominant term and for the sum. Temporaries stay in cache then, and Ctrl-C is heard in between.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._layout import BOX
from ._packing import pieces
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Iterator

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

_PIECE = BOX


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


class _Part(NamedTuple):
    """A piece (m, k) of rows, where what takes no part is exp(-inf) with a weight of 1."""

    start: int
    a: Array
    mantissa: Array
    exponent: Array


class _Parts:
    """The pieces of rows of a and b, to be gone through again and again."""

    def __init__(self, a: Array, b: Array) -> None:
        self._a = a
        self._b = b
        self.finite = True  # as far as it is known
        self._only = [self._part(0)] if a.shape[1] <= _PIECE else None

    def __iter__(self) -> Iterator[_Part]:
        if self._only is not None:
            yield from self._only
            return
        for start in range(0, self._a.shape[1], _PIECE):
            kernels.hear()
            yield self._part(start)

    def _part(self, start: int) -> _Part:
        a, b = self._a[:, start : start + _PIECE], self._b[:, start : start + _PIECE]
        finite = np.isfinite(b) & (a < np.inf)
        self.finite &= bool(finite.all())
        takes_part = (a > -np.inf) & (b != 0) & finite
        weights = np.where(takes_part, b, 1)
        return _Part(start, np.where(takes_part, a, -np.inf), *np.frexp(weights))


class _Dominant(NamedTuple):
    """The largest term of each row: its logarithm less `highest`, where it stands, what it is."""

    size: Array
    place: Array
    a: Array
    mantissa: Array
    exponent: Array
    log_of_weight: Array

    def replace(self, other: _Dominant) -> None:
        """Take the other's in rows where it is larger."""
        larger = other.size > self.size
        for mine, new in zip(self, other, strict=True):
            np.copyto(mine, new, where=larger)


def _dominant(parts: _Parts, highest: Array) -> _Dominant:
    """The largest terms of rows whose largest a is `highest`, (m, 1)."""
    rows = np.arange(len(highest))
    dominant = None
    for start, a, mantissa, exponent in parts:
        log_of_weights = _log(np.abs(mantissa), exponent)
        size = (a - highest) + log_of_weights
        place = size.argmax(axis=1)
        found = _Dominant(
            size[rows, place],
            start + place,
            a[rows, place],
            mantissa[rows, place],
            exponent[rows, place],
            log_of_weights[rows, place],
        )
        if dominant is None:
            dominant = found
        else:
            dominant.replace(found)
    assert dominant is not None
    return dominant


def _log_of_sum(parts: _Parts) -> tuple[Array, Array]:
    """log|s| and the sign of s for each row, of the terms that are finite."""
    highest: Array = reduce(np.maximum, (part.a.max(axis=1, keepdims=True) for part in parts))
    nothing = highest[:, 0] == -np.inf
    highest[nothing] = 0
    dominant = _dominant(parts, highest)
    origin = np.where(nothing, 0, dominant.a)

    sums = []
    for start, x, mantissa, exponent in parts:
        difference, error = apart(x, origin[:, np.newaxis])
        relative = exponent - dominant.exponent[:, np.newaxis]
        terms = scaled_exp(difference, error, relative, mantissa)
        place = dominant.place - start
        (rows,) = ((place >= 0) & (place < x.shape[1])).nonzero()
        terms[rows, place[rows]] = 0
        sums.append(terms.sum(axis=1, keepdims=True))
    total = sums[0] if len(sums) == 1 else np.concatenate(sums, axis=1).sum(axis=1, keepdims=True)
    rest = total[:, 0] / dominant.mantissa

    # |1 + rest| without rounding 1 + rest where the others outweigh the dominant term.
    log_ratio = _log1p(np.where(rest < -1, -2 - rest, rest))
    value = (dominant.log_of_weight + log_ratio) + origin
    # Adding 0.0 makes of -0.0 an ordinary zero.
    sign = np.sign(1 + rest) * np.sign(dominant.mantissa) + 0.0
    return np.where(nothing, -np.inf, value), np.where(nothing, 0, sign)


def _settle_infinite(a: Array, b: Array, out: Array, sign: Array) -> bool:
    """Overwrite the results of rows with infinite or nan terms; true if infinities made a nan."""
    came, up, down, lost = np.zeros((4, len(a)), np.bool_)
    for start in range(0, a.shape[1], _PIECE):
        x, weights = a[:, start : start + _PIECE], b[:, start : start + _PIECE]
        kernels.hear()
        takes_part = weights != 0
        infinite = np.isinf(weights)
        came |= ((np.isnan(x) | np.isnan(weights)) & takes_part).any(axis=1)
        huge = ((x == np.inf) | (infinite & (x > -np.inf))) & takes_part
        up |= (huge & (weights > 0)).any(axis=1)
        down |= (huge & (weights < 0)).any(axis=1)
        lost |= (infinite & (x == -np.inf)).any(axis=1)
    made = (lost | (up & down)) & ~came
    np.copyto(out, np.inf, where=up | down)
    np.copyto(sign, 1, where=up)
    np.copyto(sign, -1, where=down)
    for result in (out, sign):
        np.copyto(result, np.nan, where=came | made)
    return bool(made.any())


def weighted(a: Array, b: Array, out: Array, sign: Array) -> bool:
    """The kernel: blocks (outer, n, 1) to (outer, 1); true if it made a nan of infinities."""
    a, b, out, sign = a[:, :, 0], b[:, :, 0], out[:, 0], sign[:, 0]
    with np.errstate(all="ignore"):
        parts = _Parts(a, b)
        out[:], sign[:] = _log_of_sum(parts)
        return not parts.finite and _settle_infinite(a, b, out, sign)


def masked_weighted(a: Array, b: Array, inside: Mask, out: Array, sign: Array) -> bool:
    """The same for the elements inside a mask; overwrites b."""
    for piece in pieces(b):
        np.copyto(b[:, piece], 0, where=~inside[:, piece])
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
