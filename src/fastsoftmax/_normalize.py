"""The general path of softmax and log_softmax: settle the arguments, then one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._arguments import (
    as_masked,
    compute_dtype,
    is_masked,
    rounding_dtype,
    settle_array,
    settle_axes,
    settle_dtype,
    settle_out,
    settle_where,
)
from ._invalid import report_invalid
from ._layout import allocate_like
from ._numpy_path import normalize_by_formula
from ._packing import run
from ._where import masked

if TYPE_CHECKING:
    from ._numpy_path import Formula
    from ._packing import Kernel


def normalize(
    kernel: Kernel,
    formula: Formula,
    fill: float,
    x: Any,
    axis: Any,
    where: Any,
    out: Any,
    dtype: Any,
    workers: int,
) -> Any:
    """Normalise x by the kernel, or the formula where no kernel computes; `fill` goes outside."""
    array, valid = settle_array(x, "x")
    shape = array.shape
    axes = settle_axes(axis, array.ndim)
    result_dtype = settle_dtype(array.dtype, dtype)
    inside = settle_where(where, valid, shape)
    if out is None:
        result = allocate_like(array, result_dtype)
    else:
        result = settle_out(out, shape, result_dtype)

    compute = compute_dtype(result_dtype)
    if array.size == 0:
        if any(shape[each] == 0 for each in axes):
            raise ValueError("zero-size array to reduction operation maximum which has no identity")
        invalid = False
    elif compute is None:
        invalid = normalize_by_formula(formula, fill, array, axes, inside, result_dtype, result)
    else:
        invalid = run(
            kernel if inside is None else masked(kernel, fill),
            "io" if inside is None else "imo",
            (array, result) if inside is None else (array, inside, result),
            axes,
            compute,
            through=rounding_dtype(dtype, result_dtype, compute),
            consumed=inside is not None,
            fresh=out is None,
            workers=workers,
        )
    if invalid:
        report_invalid()

    if out is not None:
        return out
    if array is not x and is_masked(x):
        return as_masked(result, x)
    return result if result.ndim else result[()]
