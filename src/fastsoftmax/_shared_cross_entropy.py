"""Cross-entropy of one slice that is too long for one worker: its sum, and then its gradient.

(a) As `_shared_row` has it: workers sum ranges of blocks, the calling thread merges these from left
    to right, workers write ranges.
(b) Only an index target is shared, of logits and a gradient of one dtype, float32 or float64. A
    slice that is unusual is left to the kernel. Its logits are as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._pieces import BLOCK
from ._sharing import share_blocks
from ._target import kernels

if TYPE_CHECKING:
    from ._arguments import Array
    from ._loss_coefficients import Piece


def takes(x: Array, piece: Piece, grad: Array | None) -> bool:
    """Whether the work on a block of one slice, (1, n, 1), can be shared."""
    return (
        piece.labels is not None
        and piece.dense is None
        and piece.labels[0] >= 0
        and x.size > BLOCK
        and x.itemsize >= 4
        and (grad is None or grad.dtype == x.dtype)
    )


def call(x: Array, piece: Piece, losses: Array, grad: Array | None, workers: int) -> bool:
    """Do what `kernels.cross_entropy` does on one slice, shared out among the workers."""
    if not takes(x, piece, grad):
        return kernels.cross_entropy(x, *piece, losses, grad)
    assert piece.labels is not None
    label, at_target, total = (int(piece.labels[0]), piece.at_target[0], piece.total[0])
    row, sums = kernels.begin_loss(x)
    count = len(sums)

    def add(first: int, stop: int) -> None:
        kernels.sum_loss_blocks(sums, x, first, stop)

    def write(first: int, stop: int) -> bool:
        assert grad is not None
        return kernels.write_loss_blocks(row, x, grad, first, stop)

    share_blocks(add, count, x.size, workers)
    loss = kernels.finish_loss(row, sums, x, label, at_target, total, grad)
    if loss is None or (grad is not None and share_blocks(write, count, x.size, workers)):
        return kernels.cross_entropy(x, *piece, losses, grad)
    losses[0] = loss
    if grad is not None:
        kernels.finish_loss_gradient(row, grad, label)
    return False
