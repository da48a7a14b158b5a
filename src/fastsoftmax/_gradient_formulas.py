"""Products with Jacobians in longdouble and complex: the formulas in NumPy, over whole arrays.

(a) As in `_numpy_path`: correct, but neither fast nor sparing with memory.
(b) The functions are holomorphic, and these are their complex derivatives: nothing is conjugated.
(c) `multiply_by_formula` and `weigh_by_formula` report a nan only in a slice in which none came in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._arguments import Array, DType, Mask

    Product = Callable[[Array, Array, tuple[int, ...]], Array]


def softmax_vjp(g: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """y * (g - sum(g * y))."""
    product: Array = y * (g - (g * y).sum(axis=axes, keepdims=True))
    return product


def log_softmax_vjp(g: Array, logp: Array, axes: tuple[int, ...]) -> Array:
    """g - exp(logp) * sum(g)."""
    product: Array = g - np.exp(logp) * g.sum(axis=axes, keepdims=True)
    return product


def log_softmax_jvp(t: Array, logp: Array, axes: tuple[int, ...]) -> Array:
    """t - sum(exp(logp) * t)."""
    product: Array = t - (np.exp(logp) * t).sum(axis=axes, keepdims=True)
    return product


def _any_nan(arrays: Sequence[Array], axes: tuple[int, ...]) -> Mask:
    """Which slices hold a nan in any of the arrays, some of length 1 along the reduced axes."""
    came = np.zeros((), np.bool_)
    for array in arrays:
        came = came | np.isnan(array).any(axis=axes, keepdims=True)
    return came


def multiply_by_formula(
    formula: Product,
    fill: float,
    g: Array,
    y: Array,
    axes: tuple[int, ...],
    inside: Mask | None,
    dtype: DType,
    out: Array,
) -> bool:
    """Store the formula's product, 0 outside; return whether a nan came up where none came in."""
    g, y = g.astype(dtype), y.astype(dtype)
    with np.errstate(all="ignore"):
        if inside is not None:
            g[~inside] = 0
            y[~inside] = fill
        product = formula(g, y, axes)
        if inside is not None:
            product[~inside] = 0
        np.copyto(out, product, casting="same_kind")
        came = _any_nan((g, y), axes)
        return bool((np.isnan(product) & ~came).any())


def weigh_by_formula(
    g: Array, a: Array, b: Array | None, lse: Array, axes: tuple[int, ...], dtype: DType, out: Array
) -> bool:
    """Store g * b * exp(a - lse), summed over the reduced axes if `out` has length 1 there.

    A weight of 0 removes the term, and so does lse = -inf. Return as the function above.
    """
    a, lse, g = a.astype(dtype), lse.astype(dtype), g.astype(dtype)
    removed = np.broadcast_to(lse == -np.inf, a.shape)
    with np.errstate(all="ignore"):
        terms = g * np.exp(a - lse)
        if b is not None:
            removed = removed | (b == 0)
            terms = terms * b
        terms[removed] = 0
        a[removed] = 0
        came = _any_nan((g, a, lse), axes)
        if b is not None:
            came = came | _any_nan((b,), axes)
        if out.shape != terms.shape:
            terms = terms.sum(axis=axes, keepdims=True)
        np.copyto(out, terms, casting="same_kind")
        return bool((np.isnan(terms) & ~came).any())
