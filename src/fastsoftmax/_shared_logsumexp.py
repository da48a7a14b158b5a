"""The products with the Jacobian of logsumexp over one slice that is too long for one worker.

(a) As `_shared_row` has it: workers find the largest element of ranges of blocks, then sum ranges
    or write them, and the calling thread adds the sums up from left to right.
(b) A slice that is unusual is left to the kernel. Its inputs and its result are as they were.
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
    return kernel in (kernels.logsumexp_vjp, kernels.logsumexp_jvp) and all(
        block.dtype == blocks[1].dtype and block.itemsize >= 4 for block in blocks
    )


def call(kernel: Kernel, blocks: Sequence[Array], workers: int) -> bool:
    """Call the kernel on one slice, shared out among the workers."""
    vector, a, lse, out = blocks
    sums = kernels.begin_tangents(a)
    count = len(sums)
    maxima: list[float] = []

    def find_largest(first: int, stop: int) -> None:
        maxima.append(kernels.largest_of_blocks(a, first, stop))

    share_blocks(find_largest, count, a.size, workers)
    largest = max(maxima)

    def add(first: int, stop: int) -> bool:
        return kernels.sum_tangent_blocks(vector, a, lse, sums, largest, first, stop)

    def weigh(first: int, stop: int) -> bool:
        return kernels.weigh_row_blocks(vector, a, lse, out, largest, first, stop)

    if kernel is kernels.logsumexp_vjp:
        return share_blocks(weigh, count, a.size, workers) and kernel(*blocks)
    unusual = share_blocks(add, count, a.size, workers)
    if unusual or kernels.add_tangent_blocks(a, lse, sums, largest, out):
        return kernel(*blocks)
    return False
