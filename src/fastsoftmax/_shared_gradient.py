"""The gradient of one slice that is too long for one worker: its sum, and then its results.

(a) As `_shared_row` has it: workers sum ranges of blocks, the calling thread adds these up from
    left to right, workers write ranges.
(b) A slice that is unusual is left to the kernel. Its inputs are as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._sharing import share_blocks
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._arguments import Array

    Kernel = Callable[..., bool]

# The kernels' own numbers of what they compute.
GRADIENTS: dict[Kernel, int] = {
    kernels.softmax_vjp: 0,
    kernels.log_softmax_vjp: 1,
    kernels.log_softmax_jvp: 2,
}


def call(kernel: Kernel, blocks: Sequence[Array], workers: int) -> bool:
    """Call the kernel of a gradient on one slice, shared out among the workers."""
    gradient = GRADIENTS[kernel]
    g, values, out = blocks
    sums = kernels.begin_gradient(gradient, g, values, out)
    if sums is None:
        return kernel(g, values, out)
    count = len(sums)

    def add(first: int, stop: int) -> bool:
        return kernels.sum_gradient_blocks(gradient, g, values, out, sums, first, stop)

    if share_blocks(add, count, values.size, workers):
        return kernel(g, values, out)
    numbers = kernels.finish_gradient(gradient, g, values, out, sums)
    if numbers is None:
        return kernel(g, values, out)

    def write(first: int, stop: int) -> bool:
        return kernels.write_gradient_blocks(gradient, g, values, out, numbers, first, stop)

    return share_blocks(write, count, values.size, workers) and kernel(g, values, out)
