"""Leave elements out: kernels over a scratch copy in which what is outside `where` is -inf.

(a) -inf takes no part in a sum of exponentials, so the kernels need to know nothing of masks. What
    stood there, nan included, is overwritten first.
(b) A slice with nothing inside would be all -inf, whose softmax is an invalid nan. It is computed
    from zeros instead and its results are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._arguments import Array, Mask
    from ._packing import Kernel


def _leave_out(x: Array, outside: Mask) -> Mask:
    """Overwrite what is outside in x; return which slices (outer, 1, inner) are left empty."""
    np.copyto(x, -np.inf, where=outside)
    empty: Mask = np.logical_and.reduce(outside, axis=1, keepdims=True)
    np.copyto(x, 0, where=empty)
    return empty


def masked(kernel: Kernel, fill: float) -> Kernel:
    """The kernel (x, out) as a kernel (x, inside, out), which overwrites x; `fill` outside."""

    def masked_kernel(x: Array, inside: Mask, out: Array) -> bool:
        outside = ~inside
        _leave_out(x, outside)
        invalid = kernel(x, out)
        np.copyto(out, fill, where=outside)
        return invalid

    return masked_kernel


def masked_reduction(kernel: Kernel) -> Kernel:
    """The same for out of shape (outer, inner); empty slices give -inf."""

    def masked_kernel(x: Array, inside: Mask, out: Array) -> bool:
        empty = _leave_out(x, ~inside)
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
        outside = ~inside
        np.copyto(g, 0, where=outside)
        np.copyto(y, fill, where=outside)
        invalid = kernel(g, y, out)
        np.copyto(out, 0, where=outside)
        return invalid

    return masked_kernel
