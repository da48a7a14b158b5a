"""Accuracy on inputs that are hard in different ways, for every library."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from .accuracy import Judge, judge
from .arrays import SEED, inputs_from
from .cell import Cell
from .libraries import Library
from .op import Inputs
from .ops import FORWARD, OPS

SHAPE = (256, 1000)
COMMON_DTYPES = ("float32", "float64")
HALF_DTYPES = ("float16", "bfloat16") if find_spec("ml_dtypes") else ("float16",)


def _dominated(rng: np.random.Generator) -> np.ndarray:
    logits = rng.standard_normal(SHAPE)
    logits[:, 0] += 30
    return logits


HARD: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "N(0, 1)": lambda rng: rng.standard_normal(SHAPE),
    "10 N(0, 1)": lambda rng: 10 * rng.standard_normal(SHAPE),
    "uniform(-40, 40)": lambda rng: rng.uniform(-40, 40, SHAPE),
    "uniform(-300, 300)": lambda rng: rng.uniform(-300, 300, SHAPE),
    "10,000 + N(0, 1)": lambda rng: 1e4 + rng.standard_normal(SHAPE),
    "one dominant": _dominated,
    "all equal": lambda rng: np.zeros(SHAPE),
}


@dataclass(frozen=True)
class Errors:
    """The largest error of each library on one kind of input; None where it has no such call."""

    op: str
    dtype: str
    kind: str
    ulp: dict[str, float | None]


def _ulp(
    judged: Judge, ours: Library, peers: list[Library], cell: Cell, inputs: Inputs
) -> dict[str, float | None]:
    def error(library: Library) -> float:
        return judged.max_ulp(library.result(cell, library.call(cell, inputs)))

    ulp: dict[str, float | None] = {ours.name: error(ours)}
    for peer in peers:
        try:
            ulp[peer.name] = error(peer)
        except Exception:  # whatever a foreign library raises means that it cannot do this
            ulp[peer.name] = None
    return ulp


def errors(ours: Library, peers: list[Library], *, short: bool) -> list[Errors]:
    """Every operation and dtype on every kind of input."""
    table = []
    for op in OPS:
        for dtype in COMMON_DTYPES if short or op not in FORWARD else COMMON_DTYPES + HALF_DTYPES:
            cell = Cell(op, SHAPE, dtype, -1)
            for kind, make in HARD.items():
                inputs = inputs_from(make(np.random.default_rng(SEED)), cell)
                if judged := judge(cell, inputs):
                    ulp = _ulp(judged, ours, peers, cell, inputs)
                    table.append(Errors(op, dtype, kind, ulp))
    return table
