"""fastsoftmax itself."""

from importlib.metadata import version
from typing import Any

import numpy as np

import fastsoftmax

from ..cell import Cell
from ..ops import Inputs
from .library import Library, Spelling

SPELLINGS = {
    op: Spelling(f"{op}(x, axis={{axis}})", f"{op}(x, axis={{axis}}, out=out)")
    for op in ("softmax", "log_softmax", "logsumexp")
}


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    return {cell.op: getattr(fastsoftmax, cell.op), "out": out, **inputs}


def load() -> Library:
    return Library("fastsoftmax", version("fastsoftmax"), SPELLINGS, _namespace)
