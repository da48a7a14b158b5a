"""The cells the project measures itself by, and how far it means to get in each.

A goal names a quantity of a measured cell (see `Record.quantity`), a bound that a release must keep
and an aim beyond it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .cell import Cell

ROWS = ((128, 128), (256, 1000), (64, 32_000), (16, 128_256))
FASTER_THAN = "times faster than "
OF_ONE_EXP = "times one np.exp"
CYCLES = "cycles per element"


@dataclass(frozen=True)
class Goal:
    """At least `bound` times faster than a peer; of any other quantity, at most `bound`."""

    cell: Cell
    quantity: str
    bound: float
    aim: float

    def verdict(self, measured: float | None) -> str:
        return verdict(measured, self.bound, self.aim, more=self.quantity.startswith(FASTER_THAN))


def verdict(measured: float | None, bound: float, aim: float, *, more: bool) -> str:
    """Whether the aim, the bound or neither was reached."""
    if measured is None:
        return "not measured"
    sign = 1 if more else -1
    if sign * measured >= sign * aim:
        return "aim reached"
    return "reached" if sign * measured >= sign * bound else "**missed**"


def _goals() -> Iterator[Goal]:
    for shape in ROWS:
        single = Cell("softmax", shape, "float32", -1)
        yield Goal(single, FASTER_THAN + "ONNX Runtime", 1.2, 1.6)
        yield Goal(single, FASTER_THAN + "PyTorch", 2, 3)
        yield Goal(single, FASTER_THAN + "SciPy", 5, 6)
        double = Cell("softmax", shape, "float64", -1)
        yield Goal(double, FASTER_THAN + "PyTorch", 2, 3)
        yield Goal(double, FASTER_THAN + "SciPy", 4, 6)
    for op in ("softmax", "log_softmax", "logsumexp"):
        yield Goal(Cell(op, (10,), "float32", -1), OF_ONE_EXP, 0.75, 0.5)
    yield Goal(Cell("softmax", (4096,), "float32", -1, out=True), CYCLES, 0.70, 0.55)
    yield Goal(Cell("logsumexp", (256, 1000), "float32", -1), FASTER_THAN + "SciPy", 8, 12)
    yield Goal(Cell("log_softmax", (256, 1000), "float32", -1), FASTER_THAN + "SciPy", 5, 8)


GOALS = tuple(_goals())
CELLS = tuple(dict.fromkeys(goal.cell for goal in GOALS))

MAX_ULP = {"float32": (3, 2), "float64": (5, 5)}  # bound, aim
IMPORT_MILLISECONDS = (15, 8)
