"""The products with the Jacobian of logsumexp over one slice that is too long for one worker.

(a) As `_shared_row` has it: workers find the largest element of ranges of blocks, then sum ranges
    or write them, and the calling thread adds the sums up from left to right.
(b) A slice that is unusual is left to the kernel. Its inputs and its result are as they were.
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
    return kernel in (kernels.logsumexp_vjp, kernels.logsumexp_jvp) and all(
        block.dtype == blocks[1].dtype and block.itemsize >= 4 for block in blocks
    )


def call(kernel: Kernel, blocks: Sequence[Array], workers: int) -> bool:
    """Call the kernel on one slice, shared out among the workers."""
    vector, a, lse, out = blocks
    sums = kernels.begin_tangents(a)
    parts = ranges(len(sums), share_count(a.size, workers))
    workers = min(workers, len(parts))
    maxima: list[float] = []

    def find_largest(parts: Iterable[slice]) -> bool:
        for part in parts:
            maxima.append(kernels.largest_of_blocks(a, part.start, min(part.stop, len(sums))))
        return False

    share(find_largest, parts, workers)
    largest = max(maxima)

    def add(parts: Iterable[slice]) -> bool:
        unusual = False
        for part in parts:
            stop = min(part.stop, len(sums))
            unusual |= kernels.sum_tangent_blocks(vector, a, lse, sums, largest, part.start, stop)
        return unusual

    def weigh(parts: Iterable[slice]) -> bool:
        unusual = False
        for part in parts:
            stop = min(part.stop, len(sums))
            unusual |= kernels.weigh_row_blocks(vector, a, lse, out, largest, part.start, stop)
        return unusual

    if kernel is kernels.logsumexp_vjp:
        return share(weigh, parts, workers) and kernel(*blocks)
    if share(add, parts, workers) or kernels.add_tangent_blocks(a, lse, sums, largest, out):
        return kernel(*blocks)
    return False
