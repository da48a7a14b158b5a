"""The arrays a cell is timed on."""

from typing import Any

import numpy as np

from .cell import Cell
from .op import Inputs
from .ops import OPS

SEED = 20240229
# Wide enough to look like a classifier's logits, narrow enough that no library meets the
# subnormal numbers, on which some are many times slower.
SPREAD = 3.0


def dtype_named(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name; bfloat16 is that of ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def inputs_from(logits: np.ndarray, cell: Cell) -> Inputs:
    """The cell's inputs, rounded to its dtype."""
    others = np.random.default_rng((SEED, 1))  # what goes with the logits is independent of them
    made = OPS[cell.op].inputs(logits.astype(dtype_named(cell.dtype)), cell.axis, others)
    return {name: np.ascontiguousarray(array) for name, array in made.items()}


def inputs_of(cell: Cell) -> Inputs:
    """The inputs the cell is timed on, the same in every run."""
    logits = np.random.default_rng(SEED).standard_normal(cell.shape) * SPREAD
    return inputs_from(logits, cell)


def output_of(cell: Cell) -> np.ndarray:
    """An output whose memory has been touched."""
    shape = OPS[cell.op].result_shape(cell.shape, cell.axis)
    return np.ones(shape, dtype_named(cell.dtype))
