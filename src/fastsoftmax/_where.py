"""Leave elements out: kernels over a scratch copy in which what is outside `where` is -inf.

(a) -inf takes no part in a sum of exponentials, so the kernels need to know nothing of masks. What
    stood there, nan included, is overwritten first.
(b) A slice with nothing inside would be all -inf, whose softmax is an invalid nan. It is computed
    from zeros instead and its results are overwritten.
(c) A block is at most a box, but for a single slice that is longer. So that Ctrl-C is heard, such a
    one is gone through piece by piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._layout import LARGE_BOX
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._arguments import Array, Mask
    from ._packing import Kernel


def _pieces(block: Array) -> Iterator[slice]:
    """Cut the slices of a block; Ctrl-C is heard in between."""
    outer, n, inner = block.shape
    step = max(LARGE_BOX // max(outer * inner, 1), 1)
    for start in range(0, n, step):
        if start > 0:
            kernels.hear()
        yield slice(start, start + step)


def _overwrite(block: Array, value: float, inside: Mask) -> None:
    """Overwrite what is outside."""
    for piece in _pieces(block):
        np.copyto(block[:, piece], value, where=~inside[:, piece])


def _leave_out(x: Array, inside: Mask) -> Mask:
    """Overwrite what is outside in x; return which slices (outer, 1, inner) are left empty."""
    _overwrite(x, -np.inf, inside)
    empty: Mask = np.ones((x.shape[0], 1, x.shape[2]), np.bool_)
    for piece in _pieces(x):
        empty &= ~np.logical_or.reduce(inside[:, piece], axis=1, keepdims=True)
    if empty.any():
        for piece in _pieces(x):
            np.copyto(x[:, piece], 0, where=empty)
    return empty


def masked(kernel: Kernel, fill: float) -> Kernel:
    """The kernel (x, out) as a kernel (x, inside, out), which overwrites x; `fill` outside."""

    def masked_kernel(x: Array, inside: Mask, out: Array) -> bool:
        _leave_out(x, inside)
        invalid = kernel(x, out)
        _overwrite(out, fill, inside)
        return invalid

    return masked_kernel


def masked_reduction(kernel: Kernel) -> Kernel:
    """The same for out of shape (outer, inner); empty slices give -inf."""

    def masked_kernel(x: Array, inside: Mask, out: Array) -> bool:
        empty = _leave_out(x, inside)
        invalid = kernel(x, out)
        np.copyto(out, -np.inf, where=empty[:, 0, :])
        return invalid

    return masked_kernel


def masked_product(kernel: Kernel, fill: float) -> Kernel:
    """The kernel (g, y, out) of a Jacobian's product as a kernel (g, y, inside, out).

    It overwrites g and y. Outside, where the function has the constant value `fill`, g counts for
    nothing and the product is 0.
    """

    def masked_kernel(g: Array, y: Array, inside: Mask, out: Array) -> bool:
        _overwrite(g, 0, inside)
        _overwrite(y, fill, inside)
        invalid = kernel(g, y, out)
        _overwrite(out, 0, inside)
        return invalid

    return masked_kernel
