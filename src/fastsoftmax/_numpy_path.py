"""longdouble and complex: SciPy's formulas in NumPy, over whole arrays.

(a) No kernel computes in these dtypes. The results are correct, but neither fast nor sparing with
    memory, and their bits are NumPy's.
(b) Elements outside `where` are set to -inf in a copy. A slice with nothing inside is computed from
    zeros and overwritten.
(c) As for the kernels, a nan is reported only in a slice in which none came in.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._arguments import Array, DType, Mask

    Formula = Callable[[Array, tuple[int, ...]], Array]


def softmax(x: Array, axes: tuple[int, ...]) -> Array:
    """exp(x - max) over its sum."""
    terms = np.exp(x - x.max(axis=axes, keepdims=True))
    result: Array = terms / terms.sum(axis=axes, keepdims=True)
    return result


def log_softmax(x: Array, axes: tuple[int, ...]) -> Array:
    """x - max - log(sum(exp(x - max)))."""
    highest = x.max(axis=axes, keepdims=True)
    shifted = x - np.where(np.isfinite(highest), highest, 0)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True))
    return result


def normalize_by_formula(
    formula: Formula,
    fill: float,
    x: Array,
    axes: tuple[int, ...],
    inside: Mask | None,
    dtype: DType,
    out: Array,
) -> bool:
    """Store the normalised x, `fill` outside; return whether a nan came up where none came in."""
    x = x.astype(dtype)
    with np.errstate(all="ignore"):
        if inside is not None:
            x[~inside] = -np.inf
            x[np.broadcast_to(~inside.any(axis=axes, keepdims=True), x.shape)] = 0
        result = np.asarray(formula(x, axes))
        if inside is not None:
            result[~inside] = fill
        np.copyto(out, result, casting="same_kind")
    return _made_nan(x, result, axes)


def _made_nan(x: Array, result: Array, axes: tuple[int, ...]) -> bool:
    came = np.isnan(x).any(axis=axes, keepdims=True)
    return bool((np.isnan(result) & ~came).any())


def _rows(x: Array, axes: tuple[int, ...]) -> Array:
    """x with the kept axes merged into one, and after it the reduced axes merged into one."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = [prod(x.shape[axis] for axis in kept), prod(x.shape[axis] for axis in axes)]
    return x.transpose([*kept, *axes]).reshape(shape)


def _weigh(terms: Array, b: Array) -> Array:
    """b * terms; a weight of 1 keeps a term, as complex multiplication by 1 may not."""
    return np.where(b == 0, 0, np.where(b == 1, terms, b * terms))


def _shifted(a: Array, b: Array) -> tuple[Array, Array]:
    """log(s) and the sign of s = sum(b * exp(a)) along rows, shifted by the largest real part.

    For real input the logarithm is that of the magnitude.
    """
    rows = np.arange(len(a))
    dominant = a.real.argmax(axis=1)
    origin, weight = a[rows, dominant], b[rows, dominant]
    terms = _weigh(np.exp(a - origin[:, np.newaxis]), b)
    terms[rows, dominant] = 0
    rest = terms.sum(axis=1) / weight
    sign = np.sign(1 + rest) * np.sign(weight) + 0.0
    if np.iscomplexobj(a):
        return np.log1p(rest) + np.log(weight) + origin, sign * np.exp(origin.imag * 1j)
    return np.log1p(np.where(rest < -1, -2 - rest, rest)) + np.log(np.abs(weight)) + origin, sign


def _direct(a: Array, b: Array) -> tuple[Array, Array]:
    """The same without the shift, which leaves infinite terms to the rules of C99."""
    total = _weigh(np.exp(a), b).sum(axis=1)
    return np.log(total if np.iscomplexobj(a) else np.abs(total)), np.sign(total)


def _principal(value: Array) -> Array:
    """The complex value with its imaginary part in (-pi, pi]; what lies there is kept."""
    phase = value.imag
    wrapped = np.pi - (np.pi - phase) % (2 * np.pi)
    value.imag = np.where(np.abs(phase) < np.pi, phase, wrapped)
    return value


def reduce_by_formula(
    a: Array,
    b: Array | None,
    axes: tuple[int, ...],
    inside: Mask | None,
    dtype: DType,
    outs: Sequence[Array],
) -> bool:
    """Store the logarithm, and the sign if there are two outs; return whether a nan came up."""
    weights = np.ones_like(a, dtype) if b is None else b.astype(dtype)
    if inside is not None:
        weights[~inside] = 0
    a, weights = _rows(a.astype(dtype), axes), _rows(weights, axes)
    removed = weights == 0
    a[removed] = -np.inf
    with np.errstate(all="ignore"):
        value, sign = _shifted(a, weights)
        direct_value, direct_sign = _direct(a, weights)
        finite = (removed | (np.isfinite(a) & np.isfinite(weights))).all(axis=1)
        use_direct = ~np.isfinite(value) & ~(finite & ~removed.all(axis=1))
        value = np.where(use_direct, direct_value, value)
        sign = np.where(use_direct, direct_sign, sign)
        came = ((np.isnan(a) | np.isnan(weights)) & ~removed).any(axis=1)
        invalid = bool((np.isnan(value) & ~came).any())
        if len(outs) == 2:
            value = value.real
            np.copyto(outs[1], sign.reshape(outs[1].shape), casting="same_kind")
        elif np.iscomplexobj(value):
            value = _principal(value)
        else:
            value[sign < 0] = np.nan
        np.copyto(outs[0], value.reshape(outs[0].shape), casting="same_kind")
    return invalid
