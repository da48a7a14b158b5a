"""What the benchmark knows of an operation."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

Inputs = dict[str, np.ndarray]
MakeInputs = Callable[[np.ndarray, int | None, np.random.Generator], Inputs]
Reference = Callable[[Inputs, int | None], tuple[np.ndarray, np.ndarray]]


class Result(Enum):
    """The shape of a result."""

    FULL = "that of the logits"
    ROWS = "the logits' without the axis"
    SCALAR = "one number"


@dataclass(frozen=True)
class Op:
    """An operation on logits of one shape.

    A reference returns the exact value and the magnitude whose ULP the error is counted in. For
    most results that is the value itself; where a sum cancels, it is what the documentation bounds.
    """

    inputs: MakeInputs  # from logits of the cell's dtype
    reference: Reference
    result: Result = Result.FULL

    def result_shape(self, shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
        if self.result is Result.FULL:
            return shape
        if self.result is Result.SCALAR or axis is None:
            return ()
        kept = list(shape)
        del kept[axis]
        return tuple(kept)
