"""The general path of the products with the Jacobian of logsumexp.

(a) Row-shaped arrays (g, lse, sign, a result) are seen with the reduced axes at length 1.
(b) A mask is a weight of 0. `sign` is +-1 and multiplies rows, before or after the kernel.
(c) With b, narrower dtypes are computed in float64: exp(a - lse) may be far below float32 where its
    product with g and b is not.
(d) Where b broadcasts a, the gradient is first made of the full shape, in memory that puts the
    axes to be summed last: NumPy then adds pairwise, whatever the layout of a and b.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._arguments import (
    broadcast,
    check_shape,
    compute_dtype,
    promote,
    reduced_shape,
    settle_array,
    settle_axes,
    settle_dtype,
    settle_out,
)
from ._gradient_formulas import weigh_by_formula
from ._invalid import report_invalid
from ._layout import allocate_like, empty_as
from ._packing import run
from ._target import kernels
from ._weighted_gradient import weighted_jvp, weighted_vjp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._arguments import Array, DType, Mask

_FLOAT64 = np.dtype(np.float64)


class _Call(NamedTuple):
    """The settled arguments that vjp and jvp share."""

    vector: Array
    point: Array
    valid: Mask | None
    a: Array
    weights: Array | None
    lse: Array
    sign: Array | None
    axes: tuple[int, ...]
    kept: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: DType
    workers: int


def _filled(x: Any, name: str, fill: float) -> Array:
    """The plain array in x, `fill` where it is masked."""
    array, valid = settle_array(x, name)
    return array if valid is None else np.where(valid, array, array.dtype.type(fill))


def _settle_weights(b: Any, valid: Mask | None) -> tuple[Array | None, Sequence[tuple[Any, Array]]]:
    """The weights, 0 where a or b is masked; and what takes part in the promotion."""
    if b is None:
        return valid, ()
    weights = _filled(b, "b", 0)
    if valid is None:
        return weights, ((b, weights),)
    inside, weights = broadcast(valid, weights)
    return np.where(inside, weights, weights.dtype.type(0)), ((b, weights),)


def _settle(
    name: str,
    vector: Any,
    a: Any,
    lse: Any,
    axis: Any,
    b: Any,
    keepdims: Any,
    sign: Any,
    workers: int,
) -> _Call:
    """Understand the arguments; `vector`, called `name`, is g of a vjp or t of a jvp."""
    point, valid = settle_array(a, "a")
    direction = _filled(vector, name, 0)
    level = _filled(lse, "lse", -np.inf)
    weights, promoted = _settle_weights(b, valid)
    given, arrays = zip((vector, direction), (a, point), (lse, level), *promoted, strict=True)
    dtype = settle_dtype(promote(given, arrays), None)

    full = point
    if weights is not None:
        full, weights = broadcast(point, weights)
    axes = settle_axes(axis, full.ndim)
    kept = reduced_shape(full.shape, axes)
    shape = kept
    if not keepdims:
        shape = tuple(length for i, length in enumerate(full.shape) if i not in axes)
    check_shape("lse", level.shape, "logsumexp(a)", shape)
    if name == "g":
        check_shape("g", direction.shape, "logsumexp(a)", shape)
        direction = direction.reshape(kept)
    else:
        check_shape(name, direction.shape, "a", point.shape)
        if direction.shape != full.shape:
            direction = np.broadcast_to(direction, full.shape)

    rows = None
    if sign is not None:
        rows, _ = settle_array(sign, "sign")
        check_shape("sign", rows.shape, "logsumexp(a)", shape)
        # d log(s) = ds / s, and s = sign * exp(lse).
        rows = rows.conj() if rows.dtype.kind == "c" else rows.copy()
        rows = rows.reshape(kept)
    return _Call(
        direction,
        point,
        valid,
        full,
        weights,
        level.reshape(kept),
        rows,
        axes,
        kept,
        shape,
        dtype,
        workers,
    )


def _weigh(call: _Call, g: Array, result: Array, dtype: DType, fresh: bool) -> bool:
    """Store the gradient with respect to the broadcast a."""
    compute = compute_dtype(dtype)
    if compute is None:
        return weigh_by_formula(g, call.a, call.weights, call.lse, call.axes, dtype, result)
    if call.weights is None:
        arrays = [g, call.a, call.lse, result]
        return run(
            kernels.logsumexp_vjp,
            "IiIo",
            arrays,
            call.axes,
            compute,
            leading=1,
            fresh=fresh,
            workers=call.workers,
        )
    arrays = [g, call.a, call.weights, call.lse, result]
    return run(
        weighted_vjp,
        "IiiIo",
        arrays,
        call.axes,
        _FLOAT64,
        consumed=True,
        leading=1,
        fresh=fresh,
        workers=call.workers,
    )


def _weigh_and_sum(call: _Call, g: Array, result: Array) -> bool:
    """The same, summed over the axes that a was broadcast along."""
    ndim = call.a.ndim
    lengths = (1,) * (ndim - call.point.ndim) + call.point.shape
    summed = [i for i in range(ndim) if lengths[i] != call.a.shape[i]]
    order = [i for i in range(ndim) if i not in summed] + summed
    dtype = call.dtype if compute_dtype(call.dtype) is None else _FLOAT64
    block = np.empty([call.a.shape[i] for i in order], dtype)
    invalid = _weigh(call, g, block.transpose(np.argsort(order)), dtype, True)
    with np.errstate(all="ignore"):
        total = block.reshape(result.size, -1).sum(axis=1)
        total[np.isnan(total)] = np.nan  # of either sign, where infinities cancelled
        np.copyto(result, total.reshape(result.shape), casting="unsafe")
        if not invalid and np.isnan(total).any():
            invalid = not np.isnan(block).any()
    return invalid


def logsumexp_vjp(
    g: Any,
    a: Any,
    lse: Any,
    axis: Any,
    b: Any,
    keepdims: Any,
    sign: Any,
    out: Any,
    workers: int,
) -> Any:
    """Settle the arguments and compute g times the Jacobian."""
    call = _settle("g", g, a, lse, axis, b, keepdims, sign, workers)
    if out is None:
        result = allocate_like(call.point, call.dtype)
    else:
        result = settle_out(out, call.point.shape, call.dtype)
    rows = call.vector
    if call.sign is not None:
        with np.errstate(all="ignore"):
            rows = rows * call.sign

    if call.a.size == 0:
        result.fill(0)
        invalid = False
    elif call.a.shape == call.point.shape:
        invalid = _weigh(call, rows, result, call.dtype, out is None)
    else:
        invalid = _weigh_and_sum(call, rows, result)
    if invalid:
        report_invalid()

    if out is not None:
        return out
    if call.valid is not None:
        return np.ma.array(result, mask=~call.valid)
    return result if result.ndim else result[()]


def logsumexp_jvp(
    t: Any,
    a: Any,
    lse: Any,
    axis: Any,
    b: Any,
    keepdims: Any,
    sign: Any,
    out: Any,
    workers: int,
) -> Any:
    """Settle the arguments and compute the Jacobian times t."""
    call = _settle("t", t, a, lse, axis, b, keepdims, sign, workers)
    if out is None:
        result = empty_as(call.a, call.kept, call.dtype)
    else:
        given = settle_out(out, call.shape, call.dtype).reshape(call.kept)
        # Errors, where memory does not suffice for the next box, leave `out` as it was.
        result = np.empty_like(given)

    compute = compute_dtype(call.dtype)
    tangents = (call.vector, call.a)
    if call.a.size == 0:
        result.fill(0)
        invalid = False
    elif compute is None:
        invalid = weigh_by_formula(*tangents, call.weights, call.lse, call.axes, call.dtype, result)
    elif call.weights is None:
        arrays = [*tangents, call.lse, result]
        invalid = run(
            kernels.logsumexp_jvp,
            "iiIO",
            arrays,
            call.axes,
            compute,
            leading=1,
            fresh=True,
            workers=workers,
        )
    else:
        arrays = [*tangents, call.weights, call.lse, result]
        invalid = run(
            weighted_jvp,
            "iiiIO",
            arrays,
            call.axes,
            _FLOAT64,
            consumed=True,
            leading=1,
            fresh=True,
            workers=workers,
        )
    if call.sign is not None:
        with np.errstate(all="ignore"):
            np.multiply(result, call.sign, out=result, casting="unsafe")
            result[np.isnan(result)] = np.nan  # that of the sign, or one the processor made
    if out is not None:
        np.copyto(given, result)
    if invalid:
        report_invalid()
    return out if out is not None else result.reshape(call.shape)[()]
