"""The cells of the grid, always in the same order.

(a) A family is a kind of shape; within it cells go from small to large, so that what is learned of
    a slow library on a small array can spare it the large one.
(b) All operations and dtypes of a shape follow each other, and share its arrays.
(c) Several workers are timed where there is work to share, and with a fresh output: what a given
    one saves is seen at one worker already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod

from ..cell import Cell
from ..ops import FORWARD, LOSSES

OPERATIONS = (*FORWARD, "softmax_vjp", "log_softmax_vjp", "cross_entropy_value_and_grad")
FULL_DTYPES = ("float32", "float64")
DTYPES = ("float16", *(("bfloat16",) if find_spec("ml_dtypes") else ()), *FULL_DTYPES)

ONE_ROW = (
    *(1, 2, 3, 7, 8, 10, 16, 17, 31, 33, 64, 100, 1000, 1024),
    *(4095, 4096, 50257, 128_256, 1_000_000, 10_000_000),
)
OUTER = (32, 1024, 65_536)
LENGTHS = (2, 3, 10, 17, 64, 100, 1000)
ATTENTION = (197, 384, 1024)
COLUMNS = ((30_000, 8), (1024, 1024), (10, 100_000), (1024, 4096), (4096, 4097))
INNER = (1, 3, 7, 20, 64)

SHARED_FROM = 1 << 17  # elements; below, more workers than one are not timed
QUICK_UP_TO = 1 << 18  # elements
QUICK_STEP = 3


@dataclass(frozen=True)
class Shape:
    """An array and an axis; `classes` says whether the axis may hold the classes of a loss."""

    family: str
    shape: tuple[int, ...]
    axis: int
    classes: bool = True

    @property
    def size(self) -> int:
        return prod(self.shape)


SHAPES = (
    *(Shape("One row", (1, n), -1, classes=n > 1) for n in ONE_ROW),
    *(Shape("Rows", (outer, n), -1) for outer in OUTER for n in LENGTHS),
    *(Shape("Attention", (12, n, n), -1, classes=False) for n in ATTENTION),
    *(Shape("Columns", shape, 0, classes=False) for shape in COLUMNS),
    *(Shape("Inner axes", (64, 1000, inner), 1) for inner in INNER),
    Shape("Positions", (8, 1000, 28, 28), 1),
    Shape("Positions", (32, 81, 8732), 1),
)
FAMILIES = tuple(dict.fromkeys(shape.family for shape in SHAPES))
_FAMILY = {(shape.shape, shape.axis): shape.family for shape in SHAPES}


def family(cell: Cell) -> str:
    """The family that a cell of the grid belongs to."""
    return _FAMILY[cell.shape, cell.axis if cell.axis is not None else -1]


def _of(
    shape: Shape, dtypes: tuple[str, ...], outs: tuple[bool, ...], workers: int
) -> Iterator[Cell]:
    for dtype in dtypes:
        for op in OPERATIONS:
            if shape.classes or op not in LOSSES:
                for out in outs:
                    yield Cell(op, shape.shape, dtype, shape.axis, out, workers)


def cells(*, quick: bool = False, workers: int = 1) -> Iterator[Cell]:
    """The cells at so many workers; the quick ones are a sample of the small."""
    shapes: tuple[Shape, ...] = SHAPES
    if workers > 1:
        shapes = tuple(shape for shape in shapes if shape.size >= SHARED_FROM)
    if quick:
        shapes = tuple(shape for shape in shapes if shape.size <= QUICK_UP_TO)[::QUICK_STEP]
    outs = (False,) if quick or workers > 1 else (False, True)
    for shape in shapes:
        yield from _of(shape, FULL_DTYPES if quick else DTYPES, outs, workers)
