"""Leave elements out: kernels over a scratch copy in which what is outside `where` is -inf.

(a) -inf takes no part in a sum of exponentials, so the kernels need to know nothing of masks. What
    stood there, nan included, is overwritten first.
(b) A slice with nothing inside would be all -inf, whose softmax is an invalid nan. It is computed
    from zeros instead and its results are overwritten.
(c) A block is at most a box, but for a single slice that is longer. So that Ctrl-C is heard, such a
    one is gone through piece by piece.
(d) A box is at hand before its results are written: what is needed afterwards is allocated first,
    so that where memory does not suffice, `out` is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._layout import LARGE_BOX
from ._packing import pieces

if TYPE_CHECKING:
    from ._arguments import Array, Mask
    from ._packing import Kernel


_NOTHING = np.array(-np.inf)
_ZERO = np.array(0.0)


class _Outside:
    """What is outside of a block."""

    def __init__(self, inside: Mask) -> None:
        self._inside = inside
        self._outside = ~inside if inside.size <= LARGE_BOX else None

    def overwrite(self, block: Array, value: Array) -> None:
        """Overwrite it by a number."""
        if self._outside is not None:
            np.copyto(block, value, where=self._outside, casting="unsafe")
            return
        for piece in pieces(block):
            outside = ~self._inside[:, piece]
            np.copyto(block[:, piece], value, where=outside, casting="unsafe")


def _leave_out(x: Array, inside: Mask, outside: _Outside) -> Mask:
    """Overwrite what is outside in x; return which slices (outer, 1, inner) are left empty."""
    outside.overwrite(x, _NOTHING)
    empty: Mask = np.ones((x.shape[0], 1, x.shape[2]), np.bool_)
    for piece in pieces(x):
        empty &= ~np.logical_or.reduce(inside[:, piece], axis=1, keepdims=True)
    if empty.any():
        for piece in pieces(x):
            np.copyto(x[:, piece], _ZERO, where=empty, casting="unsafe")
    return empty


def masked(kernel: Kernel, fill: float) -> Kernel:
    """The kernel (x, out) as a kernel (x, inside, out), which overwrites x; `fill` outside."""

    value = np.array(fill)

    def masked_kernel(x: Array, inside: Mask, out: Array) -> bool:
        outside = _Outside(inside)
        _leave_out(x, inside, outside)
        invalid = kernel(x, out)
        outside.overwrite(out, value)
        return invalid

    return masked_kernel


def masked_reduction(kernel: Kernel) -> Kernel:
    """The same for out of shape (outer, inner); empty slices give -inf."""

    def masked_kernel(x: Array, inside: Mask, out: Array) -> bool:
        empty = _leave_out(x, inside, _Outside(inside))[:, 0, :]
        invalid = kernel(x, out)
        np.copyto(out, _NOTHING, where=empty, casting="unsafe")
        return invalid

    return masked_kernel


def masked_product(kernel: Kernel, fill: float) -> Kernel:
    """The kernel (g, y, out) of a Jacobian's product as a kernel (g, y, inside, out).

    It overwrites g and y. Outside, where the function has the constant value `fill`, g counts for
    nothing and the product is 0.
    """

    value = np.array(fill)

    def masked_kernel(g: Array, y: Array, inside: Mask, out: Array) -> bool:
        outside = _Outside(inside)
        outside.overwrite(g, _ZERO)
        outside.overwrite(y, value)
        invalid = kernel(g, y, out)
        outside.overwrite(out, _ZERO)
        return invalid

    return masked_kernel
