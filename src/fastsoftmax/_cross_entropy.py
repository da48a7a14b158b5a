"""The general path of cross-entropy: settle the arguments, then the kernel for piece after piece.

(a) A row is a slice along the axis of classes, and rows are numbered in index order, whatever the
    layout: so the mean adds the losses in one order. Pieces do not enter into it.
(b) Where logits and gradient are blocks (outer, n, inner) of a dtype that the kernel takes, it
    works on them in place, and a piece is as many rows as their coefficients are kept small for.
    What is not (strided, byte-swapped) is packed into scratch that stays in cache.
(c) Extra memory: the copy of the labels, the scratch of one piece, and a copy of an argument that
    `out` partly overlaps.
(d) `out` may be the logits or the probabilities themselves: a piece is read before it is written.
(e) Workers share the pieces, which are then smaller; each has scratch of its own. They share the
    blocks of a single long row.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ._arguments import compute_dtype, settle_array, settle_dtype, settle_out
from ._invalid import report_invalid
from ._layout import allocate_like, overlaps, row_pieces, share_count
from ._loss_coefficients import ROWS, OfLabels, OfProbabilities, Options
from ._loss_options import (
    fill_masked,
    settle_class_axis,
    settle_class_weight,
    settle_ignore_index,
    settle_label_smoothing,
    settle_reduction,
    settle_sample_weight,
)
from ._loss_sum import LossSum
from ._loss_targets import settle_targets
from ._packing import copied, copy, fits, room, taken_as
from ._target import kernels
from ._workers import ALONE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._arguments import Array, DType, Mask

Optional = TypeVar("Optional", "Array", "Array | None")

# Elements of a piece that is packed, or whose coefficients are as many as its logits.
PIECE = 3 << 13


class Losses(NamedTuple):
    """What the rows come to."""

    total: float
    invalid: bool


def _settle_logits(logits: Any) -> tuple[Array, Mask | None, DType, DType]:
    """The logits, their valid elements if masked, the dtype of the gradient and of the kernel."""
    array, valid = settle_array(logits, "logits")
    dtype = settle_dtype(array.dtype, None)
    compute = compute_dtype(dtype)
    if compute is None:
        raise TypeError(f"cross-entropy has no kernel for logits of dtype {array.dtype}")
    if valid is not None:
        array = fill_masked(array.astype(dtype, copy=False), valid, -np.inf)
    return array, valid, dtype, compute


def _classes_last(x: Array, axis: int) -> Array:
    """A view with the axis of classes behind the others."""
    return x.transpose([*(each for each in range(x.ndim) if each != axis), axis])


def _apart(out: Array, array: Optional) -> Optional:
    """The array, copied if writing `out` could change it before it is read."""
    return copied(array) if array is not None and overlaps(out, array) else array


def _rows_of_piece(rows: int, n: int, small: bool, workers: int) -> int:
    """How many rows a piece has at most; `small` if it is packed, or has dense coefficients."""
    most = min(max(PIECE // n, 1), ROWS) if small else ROWS
    if workers == 1:
        return most
    return min(-(-rows // share_count(rows * n, workers)), most)


def _classes_between(x: Array) -> int:
    """How many of the axes before the classes, the last axis of x, lie outside them in memory."""
    place = x.ndim - 1
    step = abs(x.strides[-1])
    while place > 0 and (x.shape[place - 1] == 1 or abs(x.strides[place - 1]) < step):
        place -= 1
    return place


def _make_canonical(result: Array) -> None:
    """Give every nan one sign: of a product of infinity and 0 each processor makes its own."""
    np.copyto(result, np.nan, where=np.isnan(result))


def _hold_nan(block: Array) -> Mask:
    """Which rows of a block (outer, n, inner) hold a nan."""
    return np.isnan(block).any(axis=1).reshape(-1)


def _came(x: Array, total: Array) -> Mask:
    """Into which rows a nan came, with the logits or with the coefficients, whose sum is total."""
    return _hold_nan(x) | np.isnan(total)


def _run(
    logits: Array,
    coefficients: OfLabels | OfProbabilities,
    dtype: DType,
    losses: Array | None,
    grad: Array | None,
    workers: int,
) -> Losses:
    """Go through the rows of logits (..., n); store losses and gradients that are asked for."""
    *rows, n = logits.shape
    count = logits.size // n
    place = _classes_between(logits)
    order = (*range(place), len(rows), *range(place, len(rows)))
    logits = logits.transpose(order)
    taken = taken_as(logits.dtype, kernels.cross_entropy, dtype)
    direct = fits(logits, taken)
    returned = dtype
    if grad is not None:
        grad = grad.transpose(order)
        returned = taken_as(grad.dtype, kernels.cross_entropy, dtype)
        direct = direct and fits(grad, returned)
    # Helpers are called twice for a single row: for the sum, and for the gradient.
    sharing = workers if count == 1 and logits.size * dtype.itemsize > 2 * ALONE else 1
    if logits.size * dtype.itemsize <= ALONE or count == 1:
        workers = 1
    size = _rows_of_piece(count, n, coefficients.has_dense_rows or not direct, workers)
    total = LossSum(workers)

    def work(pieces: Iterable[tuple[int, int, tuple[Any, ...]]]) -> bool:
        scratch: dict[int, Array] = {}
        row_losses = np.empty(min(size, count))
        invalid = False
        for start, stop, part in pieces:
            box = part if part == (...,) else (*part[:place], slice(None), *part[place:])
            given = logits[box]
            shape = (prod(given.shape[:place]), n, prod(given.shape[place + 1 :]))
            packed = not (direct or fits(given, taken))
            if packed:
                x = room(scratch, 0, shape, taken)
                copy(x.reshape(given.shape), given)
            else:
                x = given.reshape(shape)
            target = block = None
            if grad is not None:
                target = grad[box]
                if direct or fits(target, returned):
                    block, target = target.reshape(shape), None
                else:
                    reused = packed and returned == taken
                    block = x if reused else room(scratch, 1, shape, returned)
            piece = coefficients.piece(start, stop, part, scratch)
            piece_losses = row_losses[: stop - start]
            # Asked while nothing is written yet. The kernel knows of nans among logits alone.
            came = None if np.isfinite(piece.total).all() else _came(x, piece.total)
            if sharing > 1:
                from ._shared_cross_entropy import call

                made = call(x, piece, piece_losses, block, sharing)
            else:
                made = kernels.cross_entropy(x, *piece, piece_losses, block)
            if came is not None:
                _make_canonical(piece_losses)
                nans = np.isnan(piece_losses)
                if block is not None:
                    _make_canonical(block)
                    nans |= _hold_nan(block)
                made = bool((nans & ~came).any())
            invalid |= made
            if target is not None and block is not None:
                copy(target, block.reshape(target.shape))
            if losses is None:
                total.add(start, piece_losses)
            else:
                losses[start:stop] = piece_losses
        return invalid

    pieces = row_pieces(tuple(rows), size) if count else iter(())
    if workers == 1:
        invalid = work(pieces)
    else:
        from ._sharing import share

        invalid = share(work, pieces, workers)
    return Losses(total.value, invalid)


def cross_entropy(
    logits: Any,
    targets: Any,
    axis: Any,
    weight: Any,
    sample_weight: Any,
    ignore_index: Any,
    label_smoothing: Any,
    reduction: Any,
    with_grad: bool,
    out: Any,
    workers: int,
) -> Any:
    """Settle the arguments of the loss, and compute it, or the pair of loss and gradient."""
    reduction = settle_reduction(reduction)
    array, valid, dtype, compute = _settle_logits(logits)
    shape = array.shape
    class_axis = settle_class_axis(axis, shape)
    n = shape[class_axis]
    rows = shape[:class_axis] + shape[class_axis + 1 :]
    options = Options(
        settle_class_weight(weight, n),
        settle_sample_weight(sample_weight, rows),
        settle_label_smoothing(label_smoothing),
        reduction == "mean",
    )
    grad: Array | None = None
    if out is not None:
        grad = settle_out(out, shape, dtype)
    settled, are_labels = settle_targets(
        targets, shape, class_axis, settle_ignore_index(ignore_index)
    )
    if grad is not None:
        array = _apart(grad, array)
        settled = _apart(grad, settled)
        options = options._replace(
            weight=_apart(grad, options.weight), sample_weight=_apart(grad, options.sample_weight)
        )
    elif with_grad:
        grad = allocate_like(array, dtype)

    # The memory of the loss comes before the gradient is written, however little it is.
    losses = np.empty(rows if reduction == "none" else (), compute)
    with np.errstate(all="ignore"):
        coefficients: OfLabels | OfProbabilities
        if are_labels:
            coefficients = OfLabels(settled, rows, n, compute, options)
        else:
            coefficients = OfProbabilities(_classes_last(settled, class_axis), compute, options)
        total, invalid = _run(
            _classes_last(array, class_axis),
            coefficients,
            compute,
            losses.reshape(-1) if reduction == "none" else None,
            None if grad is None else _classes_last(grad, class_axis),
            workers,
        )
        if reduction != "none":
            losses[()] = total if coefficients.normalizer != 0 else np.nan
        loss = losses[()]
    if invalid and coefficients.normalizer != 0:
        report_invalid()

    if not with_grad:
        return loss
    if out is not None:
        return loss, out
    return loss, grad if valid is None else np.ma.array(grad, mask=~valid)
