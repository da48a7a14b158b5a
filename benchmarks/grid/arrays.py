"""The arrays of the grid, made in moments where the judge's own would take minutes.

(a) A large array repeats a block of a million drawn values; no library looks at values twice.
(b) What a backward pass needs of the forward pass is made by fastsoftmax, for it is quick. Times
    do not depend on its last bits, and errors are not counted on these arrays.
"""

from functools import lru_cache
from typing import Any

import numpy as np

import fastsoftmax

from ..arrays import SEED, SPREAD, dtype_named
from ..cell import Cell
from ..op import Inputs
from ..ops import LOSSES

BLOCK = 1 << 20


@lru_cache(maxsize=2)
def _block(which: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng((SEED, which)).standard_normal(BLOCK)


@lru_cache(maxsize=2)
def _normal(which: int, spread: float, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.resize((_block(which) * spread).astype(dtype_named(dtype)), shape)


def _forward(op: str, x: np.ndarray[Any, Any], axis: int | None) -> np.ndarray[Any, Any]:
    result: np.ndarray[Any, Any] = getattr(fastsoftmax, op)(x, axis=axis)
    return result


@lru_cache(maxsize=1)
def inputs_of(cell: Cell) -> Inputs:
    """The inputs by the names that the libraries' spellings use."""
    x = _normal(0, SPREAD, cell.shape, cell.dtype)
    if cell.op in LOSSES:
        rows = list(cell.shape)
        n = rows.pop(cell.axis)
        return {"x": x, "targets": np.random.default_rng(SEED).integers(0, n, rows)}
    if not cell.op.endswith("_vjp"):
        return {"x": x}
    g = _normal(1, 1.0, cell.shape, cell.dtype)
    if cell.op == "softmax_vjp":
        return {"g": g, "y": _forward("softmax", x, cell.axis)}
    return {"g": g, "logp": _forward("log_softmax", x, cell.axis)}


def forget() -> None:
    """Give the memory back."""
    inputs_of.cache_clear()
    _normal.cache_clear()
