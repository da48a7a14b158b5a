"""Run a kernel over arrays of any layout and dtype.

(a) A kernel takes C-contiguous, aligned, native blocks (outer, n, inner), and (outer, inner) for
    what is reduced. Arrays that are such blocks go to the kernel as they are, in one call.
(b) Anything else (strided, broadcast, byte-swapped, misaligned, of another dtype, reduced axes
    apart) is copied by NumPy, box by box, into a scratch block that stays in cache, and results are
    copied out of one. Kernels of float32 that take float16 and bfloat16 get blocks of those.
(c) Full-size temporaries exist in two cases only: a slice longer than a box, whose maximum and sum
    are needed before its first result, is packed whole unless _packed_row.py knows better; and an
    input that a caller's `out` partly overlaps is copied first.
(d) `out` may be an input itself: every kernel may write a result over any of its inputs, and a box
    is read before it is written.
(e) Ctrl-C is heard between boxes, and between pieces of a copy that is larger than any box.
(f) Workers share boxes, each with scratch of its own, or parts of an array that is a block. A
    single slice is packed by one of them, and then shared by ranges if its kernel can do that;
    what _packed_row.py packs in pieces, each packs for itself.
(g) Casts inside are silent: an overflow or a loss of digits on the way to the asked dtype is that
    dtype's nature.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import is_half
from ._layout import (
    BOX,
    LARGE_BOX,
    SMALL_BOX,
    block_order,
    block_shape,
    boxes,
    overlaps,
    shares,
    whole_block,
)
from ._target import kernels
from ._workers import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ._arguments import Array, DType

    Kernel = Callable[..., bool]

_BOOL = np.dtype(np.bool_)
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)

_OF_HALVES = frozenset(
    {
        kernels.softmax,
        kernels.log_softmax,
        kernels.logsumexp,
        kernels.softmax_vjp,
        kernels.log_softmax_vjp,
        kernels.log_softmax_jvp,
        kernels.cross_entropy,
    }
)


def taken_as(given: DType, kernel: Kernel, dtype: DType) -> DType:
    """As what a kernel that computes in `dtype` takes an array of the dtype given."""
    if is_half(given) and dtype == _FLOAT32 and kernel in _OF_HALVES:
        return _native(given)
    return dtype


def _native(dtype: DType) -> DType:
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def fits(array: Array, dtype: DType) -> bool:
    """Whether a kernel that computes in this dtype takes the array as it is."""
    given = array.dtype
    if given is not dtype and not (given.num == dtype.num and given.isnative):
        return False
    flags = array.flags
    return flags.c_contiguous and flags.aligned


def _apart(roles: str, arrays: Sequence[Array]) -> list[Array]:
    """The arrays, inputs copied that a write to an output could change before they are read."""
    operands = list(zip(roles, arrays, strict=True))
    full = [array for role, array in operands if role == "o"]
    reduced = [array for role, array in operands if role == "O"]
    return [
        copied(array)
        if role in "iIm"
        and (
            any(overlaps(out, array) for out in full)
            or any(np.may_share_memory(out, array) for out in reduced)
        )
        else array
        for role, array in operands
    ]


def copied(source: Array) -> Array:
    """A copy in the order of the source."""
    target = np.empty_like(source)
    copy(target, source)
    return target


def copy(target: Array, source: Array, through: DType | None = None) -> None:
    """Copy piece after piece, so that Ctrl-C is heard in between; round to `through` on the way."""
    if source.size > LARGE_BOX:
        kernels.hear()
        axis = int(np.argmax(source.shape))
        half = source.shape[axis] // 2
        for piece in (slice(half), slice(half, None)):
            index = (slice(None),) * axis + (piece,)
            copy(target[index], source[index], through)
        return
    if through is not None and source.dtype != through and target.dtype != through:
        rounded = np.empty(source.shape, through)
        copy(rounded, source)
        source = rounded
    if is_half(source.dtype):
        vectors = target.dtype == _FLOAT32 or target.dtype == _FLOAT64
    else:
        vectors = source.dtype == _FLOAT32 and is_half(target.dtype)
    if vectors:
        _convert(target, source)
    else:
        np.copyto(target, source, casting="unsafe")


def _convert(target: Array, source: Array) -> None:
    """Copy halves to wider numbers, or float32 to halves: NumPy does it one by one."""
    dtype = _FLOAT32 if is_half(source.dtype) else _native(target.dtype)
    direct = fits(target, dtype)
    result = target if direct else np.empty(target.shape, dtype)
    kernels.convert(np.require(source, _native(source.dtype), ["C", "A"]), result)
    if not direct:
        np.copyto(target, result)


def pieces(block: Array, size: int = LARGE_BOX) -> Iterator[slice]:
    """Cut the slices of a block, so that Ctrl-C is heard between pieces of this size."""
    outer, n, inner = block.shape
    step = max(size // max(outer * inner, 1), 1)
    for start in range(0, n, step):
        if start > 0:
            kernels.hear()
        yield slice(start, start + step)


def run(
    kernel: Kernel,
    roles: str,
    arrays: Sequence[Array],
    axes: tuple[int, ...],
    dtype: DType,
    *,
    through: DType | None = None,
    rows: bool = False,
    consumed: bool = False,
    leading: int = 0,
    fresh: bool = False,
    workers: int = 1,
) -> bool:
    """Call the kernel on blocks of the arrays until all of them are done.

    Parameters
    ----------
    kernel : callable
        Takes one block of each array and returns whether it made a nan in a slice where no nan came
        in.
    roles : str
        A letter for each array: i for an input, m for a mask, o for an output. A capital, I or O,
        says that the array has length 1 along the reduced axes.
    arrays : sequence of ndarray
        Of one shape but for the capitals, with at least one element.
    axes : tuple of int
        The reduced axes, increasing.
    dtype : dtype
        What the kernel computes in.
    through : dtype, optional
        A narrower dtype that inputs are rounded to before the kernel computes.
    rows : bool
        The kernel is NumPy code: it takes boxes with inner = 1, and never the whole, for the sake
        of its temporaries.
    consumed : bool
        The kernel overwrites its full inputs, which therefore are always packed.
    leading : int
        Which of the arrays, an i, decides the order.
    fresh : bool
        The outputs were just allocated: they overlap nothing.
    workers : int
        How many threads may call the kernel.

    Returns
    -------
    bool
        Whether any of the calls returned true.
    """
    if not fresh:
        arrays = _apart(roles, arrays)
    x = arrays[leading]
    flags = x.flags
    if flags.f_contiguous and not flags.c_contiguous and len(axes) == 1:
        arrays = [array.T for array in arrays]
        x = x.T
        axes = (x.ndim - 1 - axes[0],)
    if through is not None and all(
        array.dtype == through for role, array in zip(roles, arrays, strict=True) if role in "iI"
    ):
        through = None
    whole = whole_block(x.shape, axes)
    if whole is not None and through is None and not rows and not consumed:
        for array in arrays:
            if not fits(array, taken_as(array.dtype, kernel, dtype)):
                break
        else:
            blocks = [
                array.reshape(whole if role in "io" else whole[::2])
                for role, array in zip(roles, arrays, strict=True)
            ]
            if workers == 1 or x.size * dtype.itemsize <= ALONE:
                return kernel(*blocks)
            return call_kernel(kernel, blocks, whole, workers)
    if x.size * dtype.itemsize <= ALONE:
        workers = 1
    with np.errstate(all="ignore"):
        return _run_boxes(
            kernel, roles, arrays, x, axes, dtype, through, whole, rows, consumed, workers
        )


def call_kernel(
    kernel: Kernel, blocks: Sequence[Array], shape: tuple[int, int, int], workers: int
) -> bool:
    """Call the kernel on blocks of this shape, shared out among the workers."""
    if workers > 1 and shape[::2] == (1, 1):
        # Helpers are called twice: for the sum, and for the results.
        if shape[1] * max(blocks[0].itemsize, _FLOAT32.itemsize) <= 2 * ALONE:
            return kernel(*blocks)
        from . import _shared_gradient, _shared_logsumexp, _shared_row

        if _shared_row.takes(kernel, blocks):
            return _shared_row.call(kernel, blocks[0], blocks[1], workers)
        if kernel in _shared_gradient.GRADIENTS:
            return _shared_gradient.call(kernel, blocks, workers)
        if _shared_logsumexp.takes(kernel, blocks):
            return _shared_logsumexp.call(kernel, blocks, workers)
        return kernel(*blocks)
    parts = shares(shape, workers) if workers > 1 else []
    if len(parts) < 2:
        return kernel(*blocks)

    def work(parts: Iterable[tuple[slice, slice]]) -> bool:
        invalid = False
        for outer, inner in parts:
            invalid |= kernel(
                *[
                    block[outer, :, inner] if block.ndim == 3 else block[outer, inner]
                    for block in blocks
                ]
            )
        return invalid

    from ._sharing import share

    return share(work, parts, min(workers, len(parts)))


def _run_boxes(
    kernel: Kernel,
    roles: str,
    arrays: Sequence[Array],
    x: Array,
    axes: tuple[int, ...],
    dtype: DType,
    through: DType | None,
    whole: tuple[int, int, int] | None,
    rows: bool,
    consumed: bool,
    workers: int,
) -> bool:
    """Call the kernel on box after box, or on everything at once if nothing full needs packing."""
    if whole is not None and x.size <= SMALL_BOX and not (rows and whole[2] > 1):
        return _run_box(kernel, roles, arrays, whole, dtype, through, consumed, {}, 1)
    order = block_order(x, axes, rows)
    x = x.transpose(order.axes)
    arrays = [array.transpose(order.axes) for array in arrays]
    full = [array for role, array in zip(roles, arrays, strict=True) if role in "io"]
    shape = block_shape(order, x.shape)
    if shape[::2] == (1, 1) or (
        through is None
        and not rows
        and not consumed
        and all(fits(array, taken_as(array.dtype, kernel, dtype)) for array in full)
    ):
        return _run_box(kernel, roles, arrays, shape, dtype, through, consumed, {}, workers)

    def work(parts: Iterable[tuple[Any, ...]]) -> bool:
        invalid = False
        scratch: dict[int, Array] = {}
        for part in parts:
            cut = [array[part] for array in arrays]
            shape = block_shape(order, x[part].shape)
            invalid |= _run_box(kernel, roles, cut, shape, dtype, through, consumed, scratch, 1)
        return invalid

    parts = boxes(order, x.shape, SMALL_BOX if rows else BOX)
    if workers == 1:
        return work(parts)
    from ._sharing import share

    return share(work, parts, workers)


def _run_box(
    kernel: Kernel,
    roles: str,
    arrays: Sequence[Array],
    shape: tuple[int, int, int],
    dtype: DType,
    through: DType | None,
    consumed: bool,
    scratch: dict[int, Array],
    workers: int,
) -> bool:
    """Call the kernel on one box, whose block has this shape."""
    if shape[::2] == (1, 1) and shape[1] > BOX and not consumed:
        from . import _packed_row

        fit = through is None and all(
            fits(array, taken_as(array.dtype, kernel, dtype)) for array in arrays
        )
        if not fit and _packed_row.takes(kernel, arrays):
            if shape[1] * dtype.itemsize <= 2 * ALONE:
                workers = 1
            made_nan = _packed_row.call(kernel, arrays[0], arrays[1], dtype, through, workers)
            if made_nan is not None:
                return made_nan
    blocks: list[Array] = []
    results: list[tuple[Array, Array]] = []
    spare: list[Array] = []
    for place, (role, array) in enumerate(zip(roles, arrays, strict=True)):
        rounded = array.dtype if through is None or role not in "iI" else through
        needed_dtype = _BOOL if role == "m" else taken_as(rounded, kernel, dtype)
        needed_shape = shape if role in "imo" else shape[::2]
        packed = (consumed and role == "i") or rounded is not array.dtype
        if not packed and fits(array, needed_dtype):
            blocks.append(array.reshape(needed_shape))
            continue
        if role == "o" and spare and spare[0].dtype == needed_dtype:
            block = spare.pop(0)
        else:
            block = room(scratch, place, needed_shape, needed_dtype)
        blocks.append(block)
        if role in "oO":
            results.append((array, block))
            continue
        copy(block.reshape(array.shape), array, through if role in "iI" else None)
        if role == "i":
            spare.append(block)
    invalid = call_kernel(kernel, blocks, shape, workers)
    for array, block in results:
        copy(array, block.reshape(array.shape))
    return invalid


def room(scratch: dict[int, Array], place: int, shape: tuple[int, ...], dtype: DType) -> Array:
    """The scratch block for the argument at this place, as large as the largest box so far."""
    buffer = scratch.get(place)
    if buffer is None or buffer.size < prod(shape):
        buffer = scratch[place] = np.empty(shape, dtype)
    if buffer.shape == shape:
        return buffer
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)
