"""The cells, in groups that belong to one table or one plot."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from .cell import Cell
from .op import Result
from .ops import FORWARD, GRADIENTS, LOSSES, OPS

COMMON_DTYPES = ("float32", "float64")
HALF_DTYPES = ("float16", "bfloat16") if find_spec("ml_dtypes") else ("float16",)

BLOCK = 1 << 18  # elements: a block that stays in a level-2 cache of today, in float32
ROW_LENGTHS = (2, 4, 10, 32, 100, 256, 1000, 4096, 16384, 65536, 262144)
ONE_ROW = (10, 32, 100, 320, 1000, 3200, 10_000, 32_000, 100_000, 320_000, 1_000_000, 10_000_000)
COLUMNS = (((10, 25_000), 0), ((1000, 256), 0), ((4096, 1024), 0), ((32, 256, 100), 1))
CLASSES_OF_POSITIONS = (((32, 256, 100), 1), ((4, 21, 16_384), 1))  # of words, of pixels


@dataclass(frozen=True)
class Group:
    """Cells that differ in length, dtype and operation only; `sweep` says they make a curve."""

    title: str
    cells: tuple[Cell, ...]
    sweep: bool = True


def dtypes_of(op: str, quick: bool) -> tuple[str, ...]:
    """Half precision belongs to the full run, and there to the forward functions."""
    return COMMON_DTYPES if quick or op not in FORWARD else COMMON_DTYPES + HALF_DTYPES


def _step(dtype: str, step: int) -> int:
    """Half as many lengths for the halves: without instructions for them, some peers crawl."""
    return 2 * step if dtype in HALF_DTYPES else step


def _row(op: str, n: int) -> tuple[int, ...]:
    """One row; some know the loss of a batch only."""
    return (1, n) if op in LOSSES else (n,)


@dataclass(frozen=True)
class _Sweep:
    """What a family of operations is timed on."""

    ops: Iterable[str]
    quick: bool

    @property
    def _step(self) -> int:
        return 3 if self.quick else 1

    def _dtypes(self, op: str, out: bool) -> tuple[str, ...]:
        return dtypes_of(op, self.quick or out)

    def _ops(self, out: bool) -> Iterator[str]:
        return (op for op in self.ops if not (out and OPS[op].result is Result.SCALAR))

    def one_row(self, out: bool = False) -> Iterator[Cell]:
        for op in self._ops(out):
            for dtype in self._dtypes(op, out):
                for n in ONE_ROW[:: _step(dtype, self._step)]:
                    yield Cell(op, _row(op, n), dtype, -1, out)

    def blocks(self, out: bool = False) -> Iterator[Cell]:
        for op in self._ops(out):
            for dtype in self._dtypes(op, out):
                for n in ROW_LENGTHS[:: _step(dtype, self._step)]:
                    yield Cell(op, (BLOCK // n, n), dtype, -1, out)

    def columns(self, shapes: Iterable[tuple[tuple[int, ...], int]] = COLUMNS) -> Iterator[Cell]:
        for op in self.ops:
            for dtype in self._dtypes(op, out=False):
                for shape, axis in shapes:
                    yield Cell(op, shape, dtype, axis)


def groups(quick: bool) -> list[Group]:
    """The whole grid; the quick one has two dtypes, every third length and fewer groups."""
    forward = _Sweep(FORWARD, quick)
    gradients = _Sweep(GRADIENTS, quick)
    losses = _Sweep(LOSSES, quick)
    always = [
        Group("One row, fresh output", tuple(forward.one_row())),
        Group("One row, output given", tuple(forward.one_row(out=True))),
        Group("Rows of a block, fresh output", tuple(forward.blocks())),
        Group("Rows of a block, output given", tuple(forward.blocks(out=True))),
        Group("Columns, fresh output", tuple(forward.columns()), sweep=False),
        Group("Gradients, rows of a block, output given", tuple(gradients.blocks(out=True))),
        Group("Cross-entropy, rows of a block, fresh output", tuple(losses.blocks())),
    ]
    if quick:
        return always
    positions = losses.columns(CLASSES_OF_POSITIONS)
    return [
        *always,
        Group("Gradients, one row, fresh output", tuple(gradients.one_row())),
        Group("Gradients, rows of a block, fresh output", tuple(gradients.blocks())),
        Group("Gradients, columns, fresh output", tuple(gradients.columns()), sweep=False),
        Group("Cross-entropy, one row, fresh output", tuple(losses.one_row())),
        Group("Cross-entropy, rows of a block, output given", tuple(losses.blocks(out=True))),
        Group("Cross-entropy, positions, fresh output", tuple(positions), sweep=False),
    ]
