"""Hand pieces (outer, n, inner) of any layout and dtype to the kernels that know states.

(a) What a kernel cannot take as it is, is packed by NumPy, box by box, in the dtype it computes in;
    and results of another dtype are unpacked.
(b) A box holds whole blocks of the kernels, so that packing does not change where blocks end.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._layout import BOX
from ._packing import fits
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._arguments import Array, DType

    Kernel = Callable[[Array, Array, Array], bool]

BLOCK = 1024  # elements of a slice that kernels sum at a time


class Format(NamedTuple):
    """The dtypes of a state: of its results, of its kernels, and what is rounded to before."""

    result: DType
    compute: DType
    through: DType | None


def add(states: Array, block: Array, form: Format, anchored: bool) -> None:
    """Add a piece to states (outer, inner), in place."""
    if form.through is None and fits(block, form.compute):
        kernels.add_to_states(states, block, anchored)
        return
    for outer, rows, inner in _boxes(*block.shape):
        part = np.ascontiguousarray(states[outer, inner])
        kernels.add_to_states(part, _packed(block[outer, rows, inner], form), anchored)
        states[outer, inner] = part


def apply(kernel: Kernel, states: Array, block: Array, form: Format) -> tuple[Array, bool]:
    """The results of a piece, and whether a nan was made."""
    result = np.empty(block.shape, form.result)
    if form.through is None and fits(block, form.compute) and form.result == form.compute:
        return result, kernel(states, block, result)
    invalid = False
    for outer, rows, inner in _boxes(*block.shape):
        packed = _packed(block[outer, rows, inner], form)
        target = np.empty(packed.shape, form.compute)
        invalid |= kernel(np.ascontiguousarray(states[outer, inner]), packed, target)
        with np.errstate(all="ignore"):
            np.copyto(result[outer, rows, inner], target, casting="unsafe")
    return result, invalid


def _packed(x: Array, form: Format) -> Array:
    with np.errstate(all="ignore"):
        rounded = x if form.through is None else x.astype(form.through)
        return np.require(rounded, form.compute, ["C_CONTIGUOUS", "ALIGNED"])


def _boxes(outer: int, n: int, inner: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut a block into boxes of about BOX elements, each slice from its first element on."""
    rows = max(min(n, BLOCK), 1)
    columns = max(min(inner, BOX // rows), 1)
    slices = max(min(outer, BOX // (rows * columns)), 1)
    rows *= max(BOX // (rows * columns * slices), 1)
    return product(_cuts(outer, slices), _cuts(n, rows), _cuts(inner, columns))


def _cuts(length: int, step: int) -> list[slice]:
    return [slice(start, start + step) for start in range(0, length, step)]
