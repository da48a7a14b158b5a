"""One slice that is too long for one worker: its sum, and then its results, by ranges of blocks.

(a) Workers sum ranges, the calling thread merges, workers write ranges: the kernel would do the
    same from left to right, so the bits are its bits.
(b) A slice that is unusual (infinite, with a nan, almost one-hot, with results below the smallest
    normal number) is left to the kernel, which reads it once more. It never has been overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._layout import ranges, share_count
from ._sharing import share
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
    parts = ranges(len(sums), share_count(x.size, workers))
    workers = min(workers, len(parts))

    def add(parts: Iterable[slice]) -> bool:
        for part in parts:
            kernels.sum_row_blocks(row, sums, x, out, part.start, min(part.stop, len(sums)))
        return False

    def apply(parts: Iterable[slice]) -> bool:
        incomplete = False
        for part in parts:
            stop = min(part.stop, len(sums))
            incomplete |= kernels.apply_row(row, sums, x, out, part.start, stop)
        return incomplete

    share(add, parts, workers)
    if kernels.row_needs_shift(row, sums, x):
        share(add, parts, workers)
    if not kernels.row_is_ordinary(row, sums, x):
        return kernel(x, out)
    if kernel is kernels.logsumexp:
        kernels.logsumexp_of_row(row, out)
        return False
    return share(apply, parts, workers) and kernel(x, out)
