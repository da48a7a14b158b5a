"""Run a kernel over arrays of any layout and dtype.

(a) A kernel takes C-contiguous, aligned, native blocks (outer, n, inner), and (outer, inner) for
    what is reduced. An array that is such a block in block order goes to the kernel as it is. If
    all full arrays of a call are, there is one box, the whole, and one kernel call.
(b) Anything else (strided, broadcast, byte-swapped, misaligned, of another dtype, reduced axes
    apart) is copied by NumPy, box by box, into a scratch block that stays in cache, and results are
    copied out of one.
(c) Full-size temporaries exist in two cases only: a slice longer than a box is packed whole,
    because its maximum and its sum are needed before its first result; and an input that a caller's
    `out` partly overlaps is copied first.
(d) `out` may be an input itself: every kernel may write a result over any of its inputs, and a box
    is read before it is written.
(e) Casts inside are silent: an overflow or a loss of digits on the way to the asked dtype is that
    dtype's nature.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._layout import (
    BOX,
    SMALL_BOX,
    block_order,
    block_shape,
    boxes,
    overlaps,
    whole_block,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ._arguments import Array, DType, Mask
    from ._layout import Order

    Kernel = Callable[..., bool]

_BOOL = np.dtype(np.bool_)


def _fits(array: Array, dtype: DType) -> bool:
    """Whether a kernel that computes in this dtype takes the array as it is."""
    given = array.dtype
    if given is not dtype and not (given.num == dtype.num and given.isnative):
        return False
    flags = array.flags
    return flags.c_contiguous and flags.aligned


class _Operand:
    """One array of a call in block order, with the scratch block its boxes are packed in."""

    __slots__ = ("array", "dtype", "scratch")

    def __init__(self, array: Array, order: Order, dtype: DType) -> None:
        self.array = array.transpose(order.axes)
        self.dtype = dtype
        self.scratch: Array | None = None

    def room(self, shape: tuple[int, ...]) -> Array:
        """A scratch block of this shape. The first box is the largest."""
        if self.scratch is None:
            self.scratch = np.empty(shape, self.dtype)
        if self.scratch.shape == shape:
            return self.scratch
        return self.scratch.reshape(-1)[: prod(shape)].reshape(shape)

    def packed(self, part: Array, shape: tuple[int, ...]) -> Array:
        """A scratch block of this shape with a copy of the part."""
        block = self.room(shape)
        np.copyto(block.reshape(part.shape), part, casting="unsafe")
        return block


def _apart(x: Array, written: Sequence[Array]) -> Array:
    """The input, copied if writing an output could change it before it is read."""
    return x.copy() if any(overlaps(out, x) for out in written) else x


def run(
    kernel: Kernel,
    axes: tuple[int, ...],
    dtype: DType,
    inputs: Sequence[Array],
    outputs: Sequence[Array] = (),
    reduced_outputs: Sequence[Array] = (),
    *,
    mask: Mask | None = None,
    rows: bool = False,
    consumed: bool = False,
    fresh: bool = False,
) -> bool:
    """Call the kernel on blocks of the arrays until all of them are done.

    Parameters
    ----------
    kernel : callable
        Takes the blocks in the order inputs, mask, outputs, reduced outputs, and returns whether it
        made a nan in a slice where no nan came in.
    axes : tuple of int
        The reduced axes, increasing.
    dtype : dtype
        What the kernel computes in.
    inputs, outputs : sequences of ndarray
        Arrays of one shape, of at least one element. The first input decides the order.
    reduced_outputs : sequence of ndarray
        Arrays of that shape with length 1 along the reduced axes.
    mask : ndarray of bool, optional
        A further input of the full shape.
    rows : bool
        The kernel is NumPy code: it takes boxes with inner = 1, and never the whole, for the sake
        of its temporaries.
    consumed : bool
        The kernel overwrites its inputs, which therefore are always packed.
    fresh : bool
        The outputs were just allocated: they overlap nothing.

    Returns
    -------
    bool
        Whether any of the calls returned true.
    """
    if not fresh:
        written = (*outputs, *reduced_outputs)
        inputs = [_apart(x, written) for x in inputs]
        mask = None if mask is None else _apart(mask, written)
    if not rows and not consumed:
        invalid = _run_whole(kernel, axes, dtype, (*inputs, *outputs), reduced_outputs)
        if invalid is not None:
            return invalid
    order = block_order(inputs[0], axes, rows)
    sources = [_Operand(x, order, dtype) for x in inputs]
    if mask is not None:
        sources.append(_Operand(mask, order, _BOOL))
    targets = [_Operand(out, order, dtype) for out in outputs]
    reduced = [_Operand(out, order, dtype) for out in reduced_outputs]
    parts: Iterable[tuple[Any, ...]] = ((...,),)
    if rows or consumed or not all(_fits(each.array, dtype) for each in sources + targets):
        parts = boxes(order, sources[0].array.shape, SMALL_BOX if rows else BOX)
    invalid = False
    with np.errstate(all="ignore"):
        for box in parts:
            invalid |= _run_box(kernel, order, box, sources, targets, reduced, consumed)
    return invalid


def _run_whole(
    kernel: Kernel,
    axes: tuple[int, ...],
    dtype: DType,
    full: Sequence[Array],
    reduced: Sequence[Array],
) -> bool | None:
    """Call the kernel once if the arrays, or their transposes, are blocks; None if not."""
    x = full[0]
    if len(axes) == 1 and not x.flags.c_contiguous:
        axes = (x.ndim - 1 - axes[0],)
        full, reduced = [each.T for each in full], [each.T for each in reduced]
    shape = whole_block(full[0].shape, axes)
    if shape is None or not all([_fits(each, dtype) for each in (*full, *reduced)]):
        return None
    blocks = [each.reshape(shape) for each in full]
    return kernel(*blocks, *[each.reshape(shape[::2]) for each in reduced])


def _run_box(
    kernel: Kernel,
    order: Order,
    box: tuple[Any, ...],
    sources: Sequence[_Operand],
    targets: Sequence[_Operand],
    reduced: Sequence[_Operand],
    consumed: bool,
) -> bool:
    """Call the kernel on one box."""
    blocks: list[Array] = []
    results: list[tuple[Array, Array]] = []
    free: list[Array] = []
    shape = block_shape(order, sources[0].array[box].shape)
    for source in sources:
        part = source.array[box]
        if not consumed and _fits(part, source.dtype):
            blocks.append(part.reshape(shape))
        else:
            blocks.append(source.packed(part, shape))
            if source.dtype != _BOOL:
                free.append(blocks[-1])
    for operands, result_shape in ((targets, shape), (reduced, shape[::2])):
        for target in operands:
            part = target.array[box]
            if _fits(part, target.dtype):
                blocks.append(part.reshape(result_shape))
            else:
                in_place = free and result_shape is shape
                block = free.pop(0) if in_place else target.room(result_shape)
                blocks.append(block)
                results.append((part, block))
    invalid = kernel(*blocks)
    for part, block in results:
        np.copyto(part, block.reshape(part.shape), casting="unsafe")
    return invalid
