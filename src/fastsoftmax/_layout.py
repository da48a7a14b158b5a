"""The geometry of a call: any array and axes seen as blocks (outer, n, inner).

(a) The memory order of an array lists its axes from the largest stride to the smallest. Put in that
    order an array that is C- or Fortran-contiguous, or any permutation of that, is C-contiguous.
    Results are allocated in the memory order of the input.
(b) The block order puts the reduced axes together: outer axes, reduced axes, inner axes. It is the
    memory order where the reduced axes already stand together there and in increasing order of
    axis. Otherwise the kept axes come first.
(c) In every block order the reduced axes run in increasing order, so that element i of a slice is
    the same element whatever the layout. This is why a view, its copy and its transpose have the
    same bits.
(d) Axes of length 1 have no order: they never keep an array from being a block.
(e) A box is a range of slices, each whole along the reduced axes: what is packed at a time, between
    two looks at Ctrl-C, and what a worker takes. Of a block that needs no packing a worker takes a
    range of rows, or of columns whose rows stay as far apart as they are.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._arguments import Array, DType

# Elements of a box. Its two or three arrays stay in a level-2 cache of 1 MB, and packing costs one
# copy in cache.
BOX = 1 << 16

# The same for kernels that are NumPy code: their ten temporaries or so stay in cache, too, and are
# small enough for malloc to reuse without a system call.
SMALL_BOX = 1 << 13

# A slice longer than a box whose neighbours lie side by side in memory: so many of them fill a
# cache line of float32, and they are packed together as long as the box does not exceed LARGE_BOX.
NEIGHBOURS = 16
LARGE_BOX = 1 << 21


# A block is cut into up to so many parts for each worker, so that one that begins late has less to
# do; but not into parts smaller than SHARE, for each costs a call.
SHARES_EACH = 4
SHARE = 1 << 17

# Parts begin at multiples of this: kernels take so many columns, or short rows, together.
TOGETHER = 64


class Order(NamedTuple):
    """The axes of an array in block order."""

    outer: tuple[int, ...]
    reduced: tuple[int, ...]
    inner: tuple[int, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """All axes, in the order in which a transposition takes them."""
        return self.outer + self.reduced + self.inner


def memory_order(x: Array) -> tuple[int, ...]:
    """Axes from the largest stride to the smallest; index order where the strides do not tell."""
    flags = x.flags
    if flags.c_contiguous:
        return tuple(range(x.ndim))
    if flags.f_contiguous:
        return tuple(range(x.ndim - 1, -1, -1))
    strides = x.strides
    if 0 in strides:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(strides[axis])))


def allocate_like(x: Array, dtype: DType) -> Array:
    """A new array of x's shape and memory order, without holes."""
    flags = x.flags
    if flags.c_contiguous or flags.f_contiguous:
        return np.empty(x.shape, dtype, "C" if flags.c_contiguous else "F")
    order = memory_order(x)
    place = {axis: position for position, axis in enumerate(order)}
    block: Array = np.empty([x.shape[axis] for axis in order], dtype)
    return block.transpose([place[axis] for axis in range(x.ndim)])


def empty_as(x: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """A new array of another shape, in Fortran order if x is."""
    return np.empty(shape, dtype, "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C")


def whole_block(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(outer, n, inner) of a C-contiguous array; None if its reduced axes lie apart."""
    if not axes:
        return 1, 1, prod(shape)
    first, last = axes[0], axes[-1] + 1
    if last - first != len(axes):
        return None
    return prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])


def block_order(x: Array, axes: tuple[int, ...], rows: bool = False) -> Order:
    """The block order for x reduced over `axes`; with `rows`, one without inner axes."""
    shape = x.shape
    single = tuple(axis for axis, length in enumerate(shape) if length == 1 and axis not in axes)
    long = tuple(axis for axis in memory_order(x) if shape[axis] != 1)
    reduced = tuple(axis for axis in long if axis in axes)
    if not rows:
        start = long.index(reduced[0]) if reduced else 0
        stop = start + len(reduced)
        if long[start:stop] == reduced and reduced == tuple(sorted(reduced)):
            return Order(single + long[:start], axes, long[stop:])
    return Order(single + tuple(axis for axis in long if axis not in axes), axes, ())


def boxes(order: Order, shape: tuple[int, ...], size: int) -> Iterator[tuple[Any, ...]]:
    """Cut an array of this shape, in block order, into boxes: indices of views of it.

    A box has at most `size` elements, or else one slice or a few neighbours. The innermost kept
    axes are taken whole as long as they fit, one axis is cut into even parts, and the axes before
    that one are taken an index at a time.
    """
    first, last = len(order.outer), len(order.outer) + len(order.reduced)
    kept = [*range(first), *range(last, len(shape))]
    elements = length = prod(shape[first:last])
    box = [slice(None)] * len(shape)
    while kept and elements * shape[kept[-1]] <= size:
        elements *= shape[kept.pop()]
    if not kept:
        yield (*box, ...)
        return
    cut = kept.pop()
    step = size // elements
    if elements == length and cut >= last:
        step = max(step, min(NEIGHBOURS, LARGE_BOX // length))
    parts = -(-shape[cut] // max(step, 1))
    step = -(-shape[cut] // parts)
    for position in product(*(range(shape[axis]) for axis in kept)):
        for axis, at in zip(kept, position, strict=True):
            box[axis] = slice(at, at + 1)
        for start in range(0, shape[cut], step):
            box[cut] = slice(start, start + step)
            yield (*box, ...)


def block_shape(order: Order, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(outer, n, inner) of an array of this shape in block order."""
    first, last = len(order.outer), len(order.outer) + len(order.reduced)
    return prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])


def share_count(size: int, workers: int) -> int:
    """How many parts a block of this size is cut into: as many for each worker, none very long."""
    each = min(max(size // (SHARE * workers), 1), SHARES_EACH)
    return max(each * workers, size // LARGE_BOX)


def shares(shape: tuple[int, int, int], workers: int) -> list[tuple[slice, slice]]:
    """Cut a block (outer, n, inner) into parts for workers: ranges of outer and of inner."""
    outer, n, inner = shape
    count = share_count(outer * n * inner, workers)
    whole = slice(None)
    if outer >= count or inner < 2 * TOGETHER:
        return [(part, whole) for part in ranges(outer, count)]
    # Kernels of columns read up to 1,024 of them as they lie in memory, and fewer more slowly.
    return [(whole, part) for part in ranges(inner, min(count, max(workers, inner >> 10)))]


def ranges(length: int, count: int) -> list[slice]:
    """Cut a length into about so many even parts."""
    step = -(-length // count)
    if step > TOGETHER:
        step = -(-step // TOGETHER) * TOGETHER
    return [slice(start, start + step) for start in range(0, length, step)]


def overlaps(out: Array, x: Array) -> bool:
    """Whether writing `out` could change an element of x that belongs to another place."""
    if out is x or not np.may_share_memory(out, x):
        return False
    same_elements = (
        out.__array_interface__["data"] == x.__array_interface__["data"]
        and out.shape == x.shape
        and out.strides == x.strides
        and out.itemsize == x.itemsize
    )
    return not same_elements


def row_pieces(shape: tuple[int, ...], size: int) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
    """Cut rows of this shape, in index order, into pieces of at most `size`: start, stop, index."""
    rows = prod(shape)
    if rows <= size:
        yield 0, rows, (...,)
        return
    start = 0
    for part in boxes(Order(tuple(range(len(shape))), (), ()), shape, size):
        lengths = [len(range(*cut.indices(n))) for cut, n in zip(part, shape, strict=False)]
        stop = start + prod(lengths)
        yield start, stop, part
        start = stop
