"""An operation over slices on disk that are longer than a piece, without loading any of them whole.

(a) A first pass adds the pieces of a slice to a `SoftmaxState`, a second one writes its results.
    logsumexp is done after the first.
(b) Pieces end where the kernels' blocks end, so the results have the bits of one call. For that,
    logits of very large magnitude are read once more: their maximum has to be known in advance.
(c) Neighbouring slices are read together as long as their blocks fit in a piece.
(d) longdouble and complex have no such state: their slices are loaded whole.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

from numpy.typing import NDArray

from fastsoftmax import SoftmaxState
from fastsoftmax._pieces import BLOCK
from fastsoftmax._state import anchored

from . import blocks, npy


class Operation(Protocol):
    """What a slice in pieces needs of an operation."""

    def new_state(self) -> SoftmaxState:
        """A state over axis 1 of pieces."""

    def results(self, state: SoftmaxState, piece: NDArray[Any]) -> NDArray[Any]:
        """The results of a piece that the state has seen."""


def due(x: NDArray[Any], operation: Operation) -> bool:
    """Whether the slices of a block are better dealt with here."""
    if x.shape[1] <= BLOCK or x.shape[1] * x.itemsize <= blocks.PIECE_BYTES:
        return False
    try:
        operation.new_state().update(x[:1, :1, :1])
    except TypeError:
        return False
    return True


def write(
    file: BinaryIO,
    header: npy.Header,
    x: NDArray[Any],
    operation: Operation,
    advance: Callable[[int], object],
) -> None:
    """Write `header` and the results of the operation over axis 1 of its block x."""
    header.write(file)
    outer, _, inner = x.shape
    reduces = math.prod(header.shape) != x.size
    with blocks.mapped(file, header, outer, inner) as result:
        try:
            for index in range(outer):
                place = slice(index, index + 1)
                for columns in blocks.ranges(inner, blocks.PIECE_BYTES // (BLOCK * x.itemsize)):
                    slices = x[place, :, columns]
                    for rows, values in _results(slices, operation, reduces, advance):
                        result[place, rows, columns] = values
        finally:
            del result


def _results(
    x: NDArray[Any], operation: Operation, reduces: bool, advance: Callable[[int], object]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """The results of some slices, and where they belong."""
    in_blocks = BLOCK * x.shape[0] * x.shape[2] * x.itemsize
    cuts = list(blocks.ranges(x.shape[1], BLOCK * max(blocks.PIECE_BYTES // in_blocks, 1)))
    state = operation.new_state()
    for rows in cuts:
        state.update(x[:, rows])
        advance(x[:, rows].nbytes if reduces else x[:, rows].nbytes // 2)
    again = anchored(state)
    if again is not None:
        for rows in cuts:
            again.update(x[:, rows])
        state = again
    if reduces:
        yield slice(0, 1), state.logsumexp()[:, None]
        return
    for rows in cuts:
        yield rows, operation.results(state, x[:, rows])
        advance(x[:, rows].nbytes - x[:, rows].nbytes // 2)
