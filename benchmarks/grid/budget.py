"""The time of a run, shared out among its cells.

A cell's share grows with its size. What a cell leaves of its share, or takes beyond it, is spread
over those that follow, so a run ends close to its time on any machine.
"""

import time
from collections.abc import Callable, Iterable

from ..cell import Cell

ONE_MORE = 1 << 22  # elements that count as much as a cell does by itself
LONGEST = 6.0  # seconds; no cell gets more


def weight(cell: Cell) -> float:
    """How much of the time a cell asks for, beside the others."""
    return 1 + cell.size / ONE_MORE


class Budget:
    """Knows what is left."""

    def __init__(
        self,
        seconds: float,
        cells: Iterable[Cell],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._weight = sum(weight(cell) for cell in cells)

    def share(self, cell: Cell) -> float:
        """The seconds for this cell, which is then behind us."""
        left = max(0.0, self._end - self._clock())
        own = weight(cell)
        share = left * own / max(own, self._weight)
        self._weight -= own
        return min(share, LONGEST)
