"""An operation over a block (outer, n, inner) on disk, in pieces that fit in memory.

(a) A piece is some whole slices, of about PIECE_BYTES together, so a file larger than memory needs
    no more memory than a small one. A single slice longer than that is one piece, if `long_slices`
    does not take it apart.
(b) Where all slices of one outer index fit in a piece, pieces divide the outer indices; their
    results follow one another in the file and are written in order. Otherwise pieces divide the
    inner indices as well; their results lie apart, and the output is a memory map.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import npy, output

PIECE_BYTES = 1 << 24

Compute = Callable[[NDArray[Any]], NDArray[Any]]
Advance = Callable[[int], object]


def write(
    file: BinaryIO, header: npy.Header, x: NDArray[Any], compute: Compute, advance: Advance
) -> None:
    """Write `header` and compute(x); `compute` reduces or keeps axis 1 of its block.

    `advance` is called with the number of bytes of x that each step has dealt with.
    """
    header.write(file)
    # An empty slice counts as one element, because its logsumexp is one.
    bytes_per_slice = max(x.shape[1], 1) * x.itemsize
    slices = max(PIECE_BYTES // bytes_per_slice, 1)
    if x.shape[2] <= slices:
        _write_in_order(file, x, slices // max(x.shape[2], 1), compute, advance)
    else:
        _write_through_map(file, header, x, slices, compute, advance)


def _write_in_order(
    file: BinaryIO, x: NDArray[Any], step: int, compute: Compute, advance: Advance
) -> None:
    for outer in ranges(x.shape[0], step):
        file.write(np.ascontiguousarray(compute(x[outer])).data)
        advance(x[outer].nbytes)


def _write_through_map(
    file: BinaryIO,
    header: npy.Header,
    x: NDArray[Any],
    step: int,
    compute: Compute,
    advance: Advance,
) -> None:
    outer, _, inner = x.shape
    with mapped(file, header, outer, inner) as result:
        try:
            for row in range(outer):
                for columns in ranges(inner, step):
                    piece = x[row : row + 1, :, columns]
                    result[row, :, columns] = compute(piece)
                    advance(piece.nbytes)
        finally:
            del result


@contextmanager
def mapped(file: BinaryIO, header: npy.Header, outer: int, inner: int) -> Iterator[NDArray[Any]]:
    """The elements that follow the header as a block (outer, n, inner), writable.

    Nobody may hold the block afterwards, not even the frame of an error: a mapped file cannot be
    renamed or removed on Windows.
    """
    size = math.prod(header.shape)
    shape = (outer, size // (outer * inner), inner)
    offset = file.tell()
    output.claim(file, size * header.dtype.itemsize)
    result = np.memmap(file, header.dtype, "r+", offset, shape)
    try:
        yield result
        result.flush()
    finally:
        del result


def ranges(count: int, step: int) -> Iterator[slice]:
    """Slices of at most `step` that cover `count`; one empty slice where `count` is 0."""
    step = max(step, 1)
    for start in range(0, max(count, 1), step):
        yield slice(start, min(start + step, count))
