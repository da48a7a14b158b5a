"""The cells, in groups that belong to one table or one plot."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from .cell import Cell
from .ops import OPS

OPS_IN_ORDER = tuple(OPS)
COMMON_DTYPES = ("float32", "float64")
HALF_DTYPES = ("float16", "bfloat16") if find_spec("ml_dtypes") else ("float16",)
DTYPES = COMMON_DTYPES + HALF_DTYPES

BLOCK = 1 << 18  # elements: a block that stays in a level-2 cache of today, in float32
ROW_LENGTHS = (2, 4, 10, 32, 100, 256, 1000, 4096, 16384, 65536, 262144)
ONE_ROW = (10, 32, 100, 320, 1000, 3200, 10_000, 32_000, 100_000, 320_000, 1_000_000, 10_000_000)
COLUMNS = (((10, 25_000), 0), ((1000, 256), 0), ((4096, 1024), 0), ((32, 256, 100), 1))


@dataclass(frozen=True)
class Group:
    """Cells that differ in length, dtype and operation only; `sweep` says they make a curve."""

    title: str
    cells: tuple[Cell, ...]
    sweep: bool = True


def _step(dtype: str, step: int) -> int:
    """Half as many lengths for the halves: without instructions for them, some peers crawl."""
    return 2 * step if dtype in HALF_DTYPES else step


def _one_row(dtypes: tuple[str, ...], step: int, out: bool) -> Iterator[Cell]:
    for op in OPS_IN_ORDER:
        for dtype in dtypes:
            for n in ONE_ROW[:: _step(dtype, step)]:
                yield Cell(op, (n,), dtype, -1, out)


def _blocks(dtypes: tuple[str, ...], step: int, out: bool) -> Iterator[Cell]:
    for op in OPS_IN_ORDER:
        for dtype in dtypes:
            for n in ROW_LENGTHS[:: _step(dtype, step)]:
                yield Cell(op, (BLOCK // n, n), dtype, -1, out)


def _columns(dtypes: tuple[str, ...]) -> Iterator[Cell]:
    for op in OPS_IN_ORDER:
        for dtype in dtypes:
            for shape, axis in COLUMNS:
                yield Cell(op, shape, dtype, axis)


def groups(quick: bool) -> list[Group]:
    """The whole grid; the quick one has two dtypes and every third length."""
    dtypes = COMMON_DTYPES if quick else DTYPES
    step = 3 if quick else 1
    return [
        Group("One row, fresh output", tuple(_one_row(dtypes, step, out=False))),
        Group("One row, output given", tuple(_one_row(COMMON_DTYPES, step, out=True))),
        Group("Rows of a block, fresh output", tuple(_blocks(dtypes, step, out=False))),
        Group("Rows of a block, output given", tuple(_blocks(COMMON_DTYPES, step, out=True))),
        Group("Columns, fresh output", tuple(_columns(dtypes)), sweep=False),
    ]
