"""The cells the project measures itself by, and how far it means to get in each.

A goal names a quantity of a measured cell (see `Record.quantity`), a bound that a release must keep
and, in some, an aim beyond it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .cell import Cell
from .ops import FORWARD, GRADIENTS, LOSSES

ROWS = ((256, 1000), (64, 32_000), (16, 128_256))
FASTER_THAN = "times faster than "
OF_ONE_EXP = "times one np.exp"
OF_ONE_ADD = "times one np.add"
CYCLES = "cycles per element"
MICROSECONDS = "microseconds"


@dataclass(frozen=True)
class Goal:
    """At least `bound` times faster than a peer; of any other quantity, at most `bound`."""

    cell: Cell
    quantity: str
    bound: float
    aim: float | None = None

    def verdict(self, measured: float | None) -> str:
        return verdict(measured, self.bound, self.aim, more=self.quantity.startswith(FASTER_THAN))


@dataclass(frozen=True)
class GoalGroup:
    """Goals that belong to some operations; `max_ulp` has bound and aim for each dtype."""

    title: str
    ops: tuple[str, ...]
    goals: tuple[Goal, ...]
    max_ulp: dict[str, tuple[float, float | None]]


def verdict(measured: float | None, bound: float, aim: float | None, *, more: bool) -> str:
    """Whether the aim, the bound or neither was reached."""
    if measured is None:
        return "not measured"
    sign = 1 if more else -1
    if aim is not None and sign * measured >= sign * aim:
        return "aim reached"
    return "reached" if sign * measured >= sign * bound else "**missed**"


def _forward() -> Iterator[Goal]:
    for shape in ((128, 128), *ROWS):
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


def _backward() -> Iterator[Goal]:
    for shape in ((128, 128), (256, 1000), (4096, 1024)):
        vjp = Cell("softmax_vjp", shape, "float32", -1)
        yield Goal(vjp, FASTER_THAN + "PyTorch", 1.2, 1.5)
        yield Goal(vjp, FASTER_THAN + "NumPy", 4)
    yield Goal(Cell("softmax_vjp", (4096, 1024), "float32", -1, out=True), OF_ONE_ADD, 1.25)
    for shape in ROWS:
        single = Cell("cross_entropy_value_and_grad", shape, "float32", -1)
        yield Goal(single, FASTER_THAN + "PyTorch", 2.5, 4)
        yield Goal(single, FASTER_THAN + "scikit-learn gradient_proba", 1.5)
        double = Cell("cross_entropy_value_and_grad", shape, "float64", -1)
        yield Goal(double, FASTER_THAN + "PyTorch", 2.5)
    one_row = Cell("cross_entropy_value_and_grad", (1, 10), "float32", -1)
    yield Goal(one_row, MICROSECONDS, 2)


GROUPS = (
    GoalGroup("Forward", tuple(FORWARD), tuple(_forward()), {"float32": (3, 2), "float64": (5, 5)}),
    GoalGroup(
        "Gradients and cross-entropy",
        (*GRADIENTS, *LOSSES),
        tuple(_backward()),
        {"float32": (3, None), "float64": (5, None)},
    ),
)
CELLS = tuple(dict.fromkeys(goal.cell for group in GROUPS for goal in group.goals))

IMPORT_MILLISECONDS = (15, 8)  # bound, aim

# Of cross-entropy's value and gradient: a large row, many long rows, and very many short ones.
MEMORY_CELLS = tuple(
    Cell("cross_entropy_value_and_grad", shape, "float32", -1, out=True)
    for shape in (*ROWS, (1_000_000, 10))
)
MEMORY_MEGABYTES = 1  # beyond the bytes that each row may take
MEMORY_BYTES_A_ROW = 8
