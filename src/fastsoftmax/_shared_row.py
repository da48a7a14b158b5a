"""One slice that is too long for one worker: its sum, and then its results, by ranges of blocks.

(a) Workers sum ranges, the calling thread merges, workers write ranges: the kernel would do the
    same from left to right, so the bits are its bits.
(b) A slice that is unusual (infinite, with a nan, almost one-hot, with results below the smallest
    normal number) is left to the kernel, which reads it once more. It never has been overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._sharing import share_blocks
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._arguments import Array

    Kernel = Callable[..., bool]


def takes(kernel: Kernel, blocks: Sequence[Array]) -> bool:
    """Whether the kernel's work on blocks of one slice, (1, n, 1), can be shared: not of halves."""
    return kernel in (kernels.softmax, kernels.log_softmax, kernels.logsumexp) and all(
        block.itemsize >= 4 for block in blocks
    )


def call(kernel: Kernel, x: Array, out: Array, workers: int) -> bool:
    """Call the kernel on one slice, shared out among the workers."""
    begun = kernels.begin_row(x, out, kernel is not kernels.softmax)
    if begun is None:
        return kernel(x, out)
    row, sums = begun
    count, single = len(sums), x.itemsize == 4

    def add(first: int, stop: int) -> None:
        kernels.sum_row_blocks(row, sums, x, out, first, stop)

    def apply(first: int, stop: int) -> bool:
        return kernels.apply_row(row, sums, x, out, first, stop)

    share_blocks(add, count, x.size, workers)
    if kernels.row_needs_shift(row, sums, single):
        share_blocks(add, count, x.size, workers)
    if not kernels.row_is_ordinary(row, sums, single):
        return kernel(x, out)
    if kernel is kernels.logsumexp:
        kernels.logsumexp_of_row(row, out)
        return False
    return share_blocks(apply, count, x.size, workers) and kernel(x, out)
