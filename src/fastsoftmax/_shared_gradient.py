"""The gradient of one slice that is too long for one worker: its sum, and then its results.

(a) As `_shared_row` has it: workers sum ranges of blocks, the calling thread adds these up from
    left to right, workers write ranges.
(b) A slice that is unusual is left to the kernel. Its inputs are as they were.
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
    parts = ranges(len(sums), share_count(values.size, workers))
    workers = min(workers, len(parts))

    def add(parts: Iterable[slice]) -> bool:
        unusual = False
        for part in parts:
            stop = min(part.stop, len(sums))
            unusual |= kernels.sum_gradient_blocks(gradient, g, values, out, sums, part.start, stop)
        return unusual

    if share(add, parts, workers):
        return kernel(g, values, out)
    numbers = kernels.finish_gradient(gradient, g, values, out, sums)
    if numbers is None:
        return kernel(g, values, out)

    def write(parts: Iterable[slice]) -> bool:
        unusual = False
        for part in parts:
            stop = min(part.stop, len(sums))
            unusual |= kernels.write_gradient_blocks(
                gradient, g, values, out, numbers, part.start, stop
            )
        return unusual

    return share(write, parts, workers) and kernel(g, values, out)
