"""The general path of the products with the Jacobians of softmax and log_softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import (
    check_shape,
    compute_dtype,
    promote,
    settle_array,
    settle_axes,
    settle_dtype,
    settle_out,
)
from ._gradient_formulas import multiply_by_formula
from ._invalid import report_invalid
from ._layout import allocate_like
from ._packing import run
from ._where import masked_product

if TYPE_CHECKING:
    from ._gradient_formulas import Product
    from ._packing import Kernel


def multiply(
    kernel: Kernel,
    formula: Product,
    fill: float,
    names: tuple[str, str],
    g: Any,
    y: Any,
    axis: Any,
    out: Any,
    workers: int,
) -> Any:
    """Multiply g with the Jacobian at y by the kernel, or the formula where no kernel computes.

    `fill` is the y of an element that takes no part. `names` are what the caller calls g and y.
    """
    vector, valid = settle_array(g, names[0])
    point, inside = settle_array(y, names[1])
    check_shape(names[0], vector.shape, names[1], point.shape)
    if inside is None:
        inside = valid
    elif valid is not None:
        inside = inside & valid
    axes = settle_axes(axis, point.ndim)
    dtype = settle_dtype(promote((g, y), (vector, point)), None)
    result = allocate_like(point, dtype) if out is None else settle_out(out, point.shape, dtype)

    compute = compute_dtype(dtype)
    if point.size == 0:
        invalid = False
    elif compute is None:
        invalid = multiply_by_formula(formula, fill, vector, point, axes, inside, dtype, result)
    else:
        invalid = run(
            kernel if inside is None else masked_product(kernel, fill),
            "iio" if inside is None else "iimo",
            (vector, point, result) if inside is None else (vector, point, inside, result),
            axes,
            compute,
            consumed=inside is not None,
            leading=1,
            fresh=out is None,
            workers=workers,
        )
    if invalid:
        report_invalid()

    if out is not None:
        return out
    if inside is not None:
        return np.ma.array(result, mask=~inside)
    return result if result.ndim else result[()]
