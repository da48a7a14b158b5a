"""One slice, longer than a box, that its kernel cannot take as it is: no temporary is made for it.

(a) It is packed into the memory of its results, if the kernel takes that, and computed in place.
(b) Otherwise it is packed piece by piece, twice, into scratch that stays in cache. As in
    _shared_row.py, pieces are summed, the sums merged from left to right, and pieces turned into
    results: the bits are those of the kernel.
(c) An unusual slice is left to _packing.py, which copies it as it does shorter ones: there is a
    temporary for it after all. But logsumexp takes the way of states, which needs none (see
    states.pxd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._packing import call_kernel, copy, fits, taken_as
from ._pieces import BLOCK, Format, add
from ._sharing import share_blocks
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ._arguments import Array, DType

    Kernel = Callable[..., bool]

BLOCKS = 64  # of a piece: what is packed together stays in cache


def takes(kernel: Kernel, arrays: Sequence[Array]) -> bool:
    """Whether one slice of these arrays is for this file: without gaps, or of one axis."""
    return kernel in (kernels.softmax, kernels.log_softmax, kernels.logsumexp) and all(
        array.ndim == 1 or array.flags.c_contiguous for array in arrays
    )


def call(
    kernel: Kernel, x: Array, out: Array, dtype: DType, through: DType | None, workers: int
) -> bool | None:
    """Call the kernel of this dtype on one slice, shared out among the workers.

    Returns whether it made a nan; or None, with the slice as it was, if that takes a copy of all of
    it.
    """
    x, out = x.reshape(-1), out.reshape(-1)
    packed = taken_as(x.dtype if through is None else through, kernel, dtype)
    if x.size == out.size and fits(out, packed):
        copy(out, x, through)
        block = out.reshape(1, -1, 1)
        return call_kernel(kernel, (block, block), block.shape, workers)
    if _by_pieces(kernel, x, out, Format(out.dtype, dtype, through), workers):
        return False
    if kernel is kernels.logsumexp:
        _by_states(x, out, Format(out.dtype, dtype, through))
        return False
    return None


def _by_pieces(kernel: Kernel, x: Array, out: Array, form: Format, workers: int) -> bool:
    """Compute the slice piece by piece, if it is an ordinary one; whether it was."""
    as_it_is = form.through is None and fits(x, form.compute)
    may_overwrite = np.may_share_memory(x, out)
    row, sums = kernels.begin_packed_row(x.size, kernel is not kernels.softmax, may_overwrite)

    def pieces(first: int, stop: int) -> Iterator[tuple[slice, slice, Array]]:
        """The blocks of each piece, its elements, and these packed."""
        scratch = np.empty(0 if as_it_is else BLOCKS * BLOCK, form.compute)
        for start in range(first, stop, BLOCKS):
            blocks = slice(start, min(start + BLOCKS, stop))
            elements = slice(start * BLOCK, min(blocks.stop * BLOCK, x.size))
            part = x[elements]
            if not as_it_is:
                part = scratch[: part.size]
                copy(part, x[elements], form.through)
            yield blocks, elements, part
            kernels.hear()

    def sum_pieces(first: int, stop: int) -> None:
        for blocks, _, part in pieces(first, stop):
            kernels.sum_row_blocks(row, sums[blocks], part, part, 0, blocks.stop - blocks.start)

    def apply(first: int, stop: int) -> bool:
        scratch = np.empty(BLOCKS * BLOCK, form.compute)
        is_unusual = False
        for blocks, elements, part in pieces(first, stop):
            results, count = scratch[: part.size], blocks.stop - blocks.start
            is_unusual |= kernels.apply_row(row, sums[blocks], part, results, 0, count)
            copy(out[elements], results)
        return is_unusual

    count, single = len(sums), form.compute.itemsize == 4
    share_blocks(sum_pieces, count, x.size, workers)
    if kernels.row_needs_shift(row, sums, single):
        share_blocks(sum_pieces, count, x.size, workers)
    if not kernels.row_is_ordinary(row, sums, single):
        return False
    if kernel is not kernels.logsumexp:
        return not share_blocks(apply, count, x.size, workers)
    result = np.empty(1, form.compute)
    kernels.logsumexp_of_row(row, result)
    copy(out, result)
    return True


def _by_states(x: Array, out: Array, form: Format) -> None:
    """logsumexp of the slice, with the bits of one call."""
    single = form.compute.itemsize == 4
    states = kernels.empty_states(1, 1)
    add(states, x.reshape(1, -1, 1), form, False)
    again = kernels.anchored_states(states, single)
    if again is not None:
        states = again
        add(states, x.reshape(1, -1, 1), form, True)
    result = np.empty(1, form.compute)
    kernels.logsumexp_by_states(states, result)
    copy(out, result)
