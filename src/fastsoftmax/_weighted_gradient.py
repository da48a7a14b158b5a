"""The gradient of logsumexp with weights: the kernels without, and the weights beside them.

(a) A weight of 0 removes its element: a becomes -inf there, whose exponential is 0, and what stood
    there, nan included, counts for nothing.
(b) Blocks are float64, so that a float32 exponential and its weight do not overflow apart.
(c) The kernels know nothing of the weights, so whether a nan was made is found out here.
(d) What the kernel is given is small where the result may be: below the smallest normal number it
    would round before the weight does. Rows that have room for it go through it larger. In the
    others the factors of a product may be far apart, and it is made of mantissas and exponents.
(e) A result is made in the scratch that a is, and copied to `out` when nothing can fail any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._target import kernels
from ._weighted import apart, scaled_exp

if TYPE_CHECKING:
    from ._arguments import Array, Mask


def _remove(a: Array, b: Array) -> Mask:
    """Overwrite a where its weight is 0, and return where."""
    removed: Mask = b == 0
    np.copyto(a, -np.inf, where=removed)
    return removed


def _came(*full: Array) -> Mask:
    """Which slices (outer, inner) hold a nan in one of the arrays."""
    came: Mask = np.logical_or.reduce([np.isnan(array.max(axis=1)) for array in full])
    return came


def _made_nan(result: Array, came: Mask, *rows: Array) -> bool:
    """Whether the result (outer, inner) of a slice is nan though none came in."""
    made = np.isnan(result) & ~came
    if not made.any():
        return False
    for array in rows:
        made &= ~np.isnan(array)
    return bool(made.any())


_ROOM = 2.0**208


def _are_small(vector: Array, a: Array, b: Array, lse: Array) -> Mask:
    """Which rows have room: nothing overflows when it is _ROOM times as large."""
    small: Mask = (
        (vector < 2.0**150) & (abs(b).max(axis=1) < 2.0**150) & (a.max(axis=1) - lse < 100)
    )
    return small


def _products(
    small: Mask, vector: Array, a: Array, b: Array, lse: Array
) -> tuple[Mask, Array] | None:
    """Which slices are finite and not small, and vector * b * exp(a - lse) of these, (m, n).

    What leaves the range is rounded once. `vector` has one number a slice, or one an element.
    """
    if small.all():
        return None
    numbers = vector if vector.ndim == 3 else vector[:, None]
    far = ~small & np.isfinite(lse)
    far &= (np.isfinite(numbers) & np.isfinite(b) & (a < np.inf)).all(axis=1)
    a, b = a.swapaxes(1, 2)[far], b.swapaxes(1, 2)[far]
    difference, error = apart(a, lse[far][:, None])
    mantissa, exponent = np.frexp(numbers.swapaxes(1, 2)[far])
    b_mantissa, b_exponent = np.frexp(b)
    return far, scaled_exp(difference, error, b_exponent + exponent, b_mantissa * mantissa)


def weighted_vjp(g: Array, a: Array, b: Array, lse: Array, out: Array) -> bool:
    """Write g * b * exp(a - lse). Overwrites a, which `out` may be."""
    result = a
    removed = _remove(a, b)
    came = _came(a, b)
    small = _are_small(abs(g), a, b, lse)
    products = _products(small, g, a, b, lse)
    room = np.where(small, _ROOM, 1)
    kernels.logsumexp_vjp(g * room, a, lse, result)
    np.multiply(result, b, out=result)
    np.multiply(result, 1 / room[:, None], out=result)
    if products is not None:
        result.swapaxes(1, 2)[products[0]] = products[1]
    np.copyto(result, 0, where=removed)
    totals = result.sum(axis=1)
    if np.isnan(totals).any():
        nans = np.isnan(result)
        # A product's nan has the sign of an operand, or the one that the processor prefers.
        np.copyto(result, np.nan, where=nans)
        totals = np.where(nans.any(axis=1), np.nan, 0)  # not where infinities cancel
    made = _made_nan(totals, came, g, lse)
    if out is not result:
        np.copyto(out, result)
    return made


def weighted_jvp(t: Array, a: Array, b: Array, lse: Array, out: Array) -> bool:
    """Write sum(b * exp(a - lse) * t). Overwrites t and a."""
    removed = _remove(a, b)
    np.copyto(t, 0, where=removed)
    came = _came(t, a, b)
    small = _are_small(abs(t).max(axis=1), a, b, lse)
    products = _products(small, t, a, b, lse)
    room = np.where(small, _ROOM, 1)
    np.multiply(t, room[:, None], out=t)
    np.multiply(t, b, out=t)
    np.copyto(t, 0, where=removed)
    kernels.logsumexp_jvp(t, a, lse, out)
    np.multiply(out, 1 / room, out=out)
    if products is not None:
        sums = np.ascontiguousarray(products[1]).sum(axis=1)
        out[products[0]] = np.where(np.isnan(sums), np.nan, sums)
    return _made_nan(out, came, lse)
