"""A library that can be told to make a call ready and to time it, here or in another process.

At one thread the clock is the process's processor time: what other processes take of the CPU is not
in it, and nobody waits for anybody. With several threads it is the wall time, for waiting counts.
"""

import time
from timeit import Timer
from typing import Protocol

from ..accuracy import judge
from ..call import Call
from ..cell import Cell
from ..libraries import Library, Unsupported
from ..run import PLAINLY_WRONG, first_line
from .arrays import inputs_of

JUDGED_UP_TO = 1 << 14  # elements


class Contestant(Protocol):
    """What the contest needs of a library."""

    @property
    def name(self) -> str: ...

    def prepare(self, cell: Cell) -> None:
        """Make the call and run it once; raises `Unsupported` where there is none."""

    def seconds(self, number: int) -> float:
        """The time that so many calls take together."""

    def release(self) -> None:
        """Let go of the cell's arrays."""


class Yardstick:
    """A call that is timed beside the libraries."""

    def __init__(self, name: str, call: Call) -> None:
        self.name = name
        self._timer = call.timer(time.process_time)

    def seconds(self, number: int) -> float:
        return self._timer.timeit(number)


class Here:
    """A library in this process; its results are judged on small arrays if it is ours."""

    def __init__(self, library: Library, *, judged: bool = False) -> None:
        self.name = library.name
        self._library = library
        self._judged = judged
        self._timer: Timer | None = None

    def prepare(self, cell: Cell) -> None:
        inputs = inputs_of(cell)
        try:
            call = self._library.call(cell, inputs)
            result = self._library.result(cell, call)
        except Unsupported:
            raise
        except Exception as error:
            if self._judged:
                raise
            # Whatever a foreign library raises means that it cannot do this.
            raise Unsupported(first_line(error)) from error
        if self._judged and cell.size <= JUDGED_UP_TO and (verdict := judge(cell, inputs)):
            ulp = verdict.max_ulp(result)
            if ulp > PLAINLY_WRONG:
                raise ArithmeticError(f"{cell.name} is off by {ulp:g} ULP; its time means nothing")
        self._timer = call.timer(time.process_time if cell.workers == 1 else time.perf_counter)

    def seconds(self, number: int) -> float:
        assert self._timer is not None
        return self._timer.timeit(number)

    def release(self) -> None:
        self._timer = None
