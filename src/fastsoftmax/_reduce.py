"""The general path of logsumexp: settle the arguments, then one call.

(a) Inside, results keep the reduced axes with length 1; the asked shape is a view of that.
(b) The sign is an output of the kernel beside the value, because -inf in the dtype of `out` may be
    an overflow.
(c) With weights, a mask or a sign, NumPy's temporaries are made for box after box. Results go into
    arrays of their own then, and into `out` at the end: an error leaves it as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import (
    broadcast,
    compute_dtype,
    promote,
    real_dtype,
    reduced_shape,
    rounding_dtype,
    settle_array,
    settle_axes,
    settle_dtype,
    settle_outs,
    settle_where,
)
from ._invalid import report_invalid
from ._layout import empty_as
from ._numpy_path import reduce_by_formula
from ._packing import run
from ._target import kernels
from ._weighted import masked_weighted, unsigned, weighted
from ._where import masked_reduction

if TYPE_CHECKING:
    from ._arguments import Array, DType, Mask
    from ._packing import Kernel

_FLOAT64 = np.dtype(np.float64)


def _both(a: Any, b: Any) -> tuple[Array, Array, Mask | None, DType]:
    """The arrays a and b broadcast, their valid elements if masked, their common dtype."""
    array, valid = settle_array(a, "a")
    weights, valid_weights = settle_array(b, "b")
    given = promote((a, b), (array, weights))
    array, weights = broadcast(array, weights)
    if valid is None:
        valid = valid_weights
    elif valid_weights is not None:
        valid = valid & valid_weights
    return array, weights, valid, given


def _with_sign(kernel: Kernel) -> Kernel:
    """The kernel (..., out) as a kernel (..., out, sign)."""

    def signed_kernel(*blocks: Array) -> bool:
        *before, sign = blocks
        invalid = kernel(*before)
        result = before[-1]
        np.copyto(sign, result != -np.inf, casting="unsafe")
        np.copyto(sign, np.nan, where=np.isnan(result))
        return invalid

    return signed_kernel


def _kernel(has_weights: bool, has_mask: bool, signed: bool) -> Kernel:
    """The kernel (a, [b,] [inside,] out [, sign])."""
    kernel: Kernel
    if has_weights:
        kernel = masked_weighted if has_mask else weighted
        return kernel if signed else unsigned(kernel)
    kernel = masked_reduction(kernels.logsumexp) if has_mask else kernels.logsumexp
    return _with_sign(kernel) if signed else kernel


def reduce(
    a: Any,
    axis: Any,
    b: Any,
    keepdims: Any,
    return_sign: Any,
    where: Any,
    out: Any,
    dtype: Any,
    workers: int,
) -> Any:
    """Settle the arguments of logsumexp and compute it."""
    weights: Array | None = None
    if b is None:
        array, valid = settle_array(a, "a")
        given = array.dtype
    else:
        array, weights, valid, given = _both(a, b)
    axes = settle_axes(axis, array.ndim)
    result_dtype = settle_dtype(given, dtype)
    inside = settle_where(where, valid, array.shape)
    kept = reduced_shape(array.shape, axes)
    shape = kept
    if not keepdims:
        shape = tuple(length for i, length in enumerate(array.shape) if i not in axes)

    dtypes: tuple[DType, ...] = (result_dtype,)
    if return_sign:
        dtypes = (real_dtype(result_dtype), result_dtype)
    if out is None:
        results = [empty_as(array, kept, each) for each in dtypes]
    else:
        given_outs = [each.reshape(kept) for each in settle_outs(out, shape, dtypes)]
        apart = weights is not None or inside is not None or return_sign
        results = [np.empty_like(each) for each in given_outs] if apart else given_outs

    compute = compute_dtype(result_dtype)
    if array.size == 0:
        for each, value in zip(results, (-np.inf, -1), strict=False):
            each.fill(value)
        invalid = False
    elif compute is None:
        invalid = reduce_by_formula(array, weights, axes, inside, result_dtype, results)
    else:
        if weights is not None:
            compute = _FLOAT64
        inputs = [array] if weights is None else [array, weights]
        masks = [] if inside is None else [inside]
        invalid = run(
            _kernel(weights is not None, inside is not None, return_sign),
            "i" * len(inputs) + "m" * len(masks) + "O" * len(results),
            [*inputs, *masks, *results],
            axes,
            compute,
            through=rounding_dtype(dtype, result_dtype, compute),
            rows=weights is not None,
            consumed=inside is not None,
            fresh=out is None or apart,
            workers=workers,
        )
    if out is not None and apart:
        for each, result in zip(given_outs, results, strict=True):
            np.copyto(each, result)
    if invalid:
        report_invalid()

    if out is not None:
        return out
    shaped = [each.reshape(shape)[()] for each in results]
    return tuple(shaped) if return_sign else shaped[0]
