"""The gradient of logsumexp with weights: the kernels without, and the weights beside them.

(a) A weight of 0 removes its element: a becomes -inf there, whose exponential is 0, and what stood
    there, nan included, counts for nothing.
(b) Blocks are float64, so that a float32 exponential and its weight do not overflow apart.
(c) The kernels know nothing of the weights, so whether a nan was made is found out here.
(d) What the kernel is given is small where the result may be: below the smallest normal number it
    would round before the weight does. Rows that have room for it go through it larger. In the
    others the factors of a product may be far apart, and it is made of mantissas and exponents.
(e) A result is made in the scratch that a is, and copied to `out` when nothing can fail any more.
(f) A slice longer than any box is gone through piece by piece, so that Ctrl-C is heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._packing import copy, pieces
from ._target import kernels
from ._weighted import apart, scaled_exp

if TYPE_CHECKING:
    from ._arguments import Array, Mask


_ROOM = 2.0**208
_BOUND = 2.0**150


class _Slices(NamedTuple):
    """What is known of the slices (outer, inner) of a block."""

    came: Mask  # a nan came in
    small: Mask  # nothing overflows when it is _ROOM times as large
    far: Mask  # the others, if all is finite


def _look(vector: Array, a: Array, b: Array, lse: Array) -> _Slices:
    """Overwrite a where its weight is 0, and look through the slices.

    `vector` has one number a slice, or one an element, which is overwritten there as well.
    """
    each = vector.ndim == 3
    largest_a, largest_b, largest = np.full((3, *lse.shape), -np.inf)
    if not each:
        largest = abs(vector)
    for piece in pieces(a):
        x, weights = a[:, piece], b[:, piece]
        removed = weights == 0
        np.copyto(x, -np.inf, where=removed)
        np.maximum(largest_a, x.max(axis=1), out=largest_a)
        np.maximum(largest_b, abs(weights).max(axis=1), out=largest_b)
        if each:
            numbers = vector[:, piece]
            np.copyto(numbers, 0, where=removed)
            np.maximum(largest, abs(numbers).max(axis=1), out=largest)
    came = np.isnan(largest_a) | np.isnan(largest_b)
    if each:
        came |= np.isnan(largest)
    finite = np.isfinite(lse) & (largest_a < np.inf) & (largest_b < np.inf) & (largest < np.inf)
    small = (largest < _BOUND) & (largest_b < _BOUND) & (largest_a - lse < 100)
    return _Slices(came, small, ~small & finite)


def _made_nan(holds_nan: Mask, came: Mask, *rows: Array) -> bool:
    """Whether the result of a slice (outer, inner) holds a nan though none came in."""
    made = holds_nan & ~came
    if not made.any():
        return False
    for array in rows:
        made &= ~np.isnan(array)
    return bool(made.any())


def _products(vector: Array, a: Array, b: Array, lse: Array, far: Mask) -> Array:
    """The numbers vector * b * exp(a - lse) of some slices (m, n), rounded once."""
    numbers = vector if vector.ndim == 3 else vector[:, None]
    a, b = a.swapaxes(1, 2)[far], b.swapaxes(1, 2)[far]
    difference, error = apart(a, lse[far][:, None])
    mantissa, exponent = np.frexp(numbers.swapaxes(1, 2)[far])
    b_mantissa, b_exponent = np.frexp(b)
    return scaled_exp(difference, error, b_exponent + exponent, b_mantissa * mantissa)


def weighted_vjp(g: Array, a: Array, b: Array, lse: Array, out: Array) -> bool:
    """Write g * b * exp(a - lse). Overwrites a, which `out` may be."""
    came, small, far = _look(g, a, b, lse)
    room = np.where(small, _ROOM, 1)
    any_far = far.any()
    holds_nan = np.zeros(lse.shape, np.bool_)
    for piece in pieces(a):
        result, weights = a[:, piece], b[:, piece]
        products = _products(g, result, weights, lse, far) if any_far else None
        kernels.logsumexp_vjp(g * room, result, lse, result)
        np.multiply(result, weights, out=result)
        np.multiply(result, 1 / room[:, None], out=result)
        if products is not None:
            result.swapaxes(1, 2)[far] = products
        np.copyto(result, 0, where=weights == 0)
        if np.isnan(result.sum()):
            nans = np.isnan(result)
            # A product's nan has the sign of an operand, or the one that the processor prefers.
            np.copyto(result, np.nan, where=nans)
            holds_nan |= nans.any(axis=1)
    made_nan = _made_nan(holds_nan, came, g, lse)
    if out is not a:
        copy(out, a)
    return made_nan


def weighted_jvp(t: Array, a: Array, b: Array, lse: Array, out: Array) -> bool:
    """Write sum(b * exp(a - lse) * t). Overwrites t and a."""
    came, small, far = _look(t, a, b, lse)
    room = np.where(small, _ROOM, 1)
    any_far = far.any()
    sums = []
    for piece in pieces(a):
        numbers, weights = t[:, piece], b[:, piece]
        if any_far:
            products = _products(numbers, a[:, piece], weights, lse, far)
            sums.append(np.ascontiguousarray(products).sum(axis=1))
        np.multiply(numbers, room[:, None], out=numbers)
        np.multiply(numbers, weights, out=numbers)
        np.copyto(numbers, 0, where=weights == 0)
    kernels.logsumexp_jvp(t, a, lse, out)
    np.multiply(out, 1 / room, out=out)
    if sums:
        total = np.sum(sums, axis=0)
        out[far] = np.where(np.isnan(total), np.nan, total)
    return _made_nan(np.isnan(out), came, lse)
