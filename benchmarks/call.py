"""A call as a user writes it, ready to be run and timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from timeit import Timer
from typing import Any


@dataclass(frozen=True)
class Call:
    """A statement and the names it uses.

    Timing source text, not a Python function around it, keeps the cost of such a function, which
    is half of a small call, out of the figures.
    """

    statement: str
    namespace: dict[str, Any] = field(repr=False)

    def timer(self, clock: Callable[[], float] = time.perf_counter) -> Timer:
        return Timer(self.statement, timer=clock, globals=self.namespace)

    def result(self) -> Any:
        return eval(self.statement, self.namespace)  # our own table's text, not input
