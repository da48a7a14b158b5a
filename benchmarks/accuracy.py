"""The largest error of a result, counted in ULP of the result's dtype."""

from dataclasses import dataclass

import numpy as np

from .arrays import dtype_named
from .cell import Cell
from .op import Inputs
from .ops import OPS

LARGEST_JUDGED = 1 << 22  # elements; longdouble arithmetic on more takes seconds and gigabytes


@dataclass(frozen=True)
class Judge:
    """Knows the exact results of one cell."""

    exact: np.ndarray
    ulp: np.ndarray

    def max_ulp(self, result: np.ndarray) -> float:
        """The largest error, or inf where a result is not finite."""
        wide = result.astype(np.longdouble)
        if not np.isfinite(wide).all():
            return float("inf")
        return float(np.max(np.abs(wide - self.exact) / self.ulp, initial=0))


def _ulp(magnitude: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The distance between neighbouring numbers of the dtype at this magnitude."""
    if dtype.name == "bfloat16":
        import ml_dtypes

        info = ml_dtypes.finfo(dtype)
    else:
        info = np.finfo(dtype)
    _, exponent = np.frexp(magnitude)
    spacing = np.ldexp(np.longdouble(1), exponent - 1 - info.nmant)
    smallest = np.longdouble(info.smallest_subnormal)
    return np.where(magnitude == 0, smallest, np.maximum(spacing, smallest))


def judge(cell: Cell, inputs: Inputs) -> Judge | None:
    """A judge for the cell, or None where its exact results are out of reach."""
    dtype = dtype_named(cell.dtype)
    no_wider_type = cell.dtype == "float64" and np.finfo(np.longdouble).nmant <= 52
    if no_wider_type or cell.size > LARGEST_JUDGED:
        return None
    exact, magnitude = OPS[cell.op].reference(inputs, cell.axis)
    return Judge(exact, _ulp(np.abs(magnitude), dtype))
