"""SciPy, whose three functions fastsoftmax stands in for."""

from typing import Any

import numpy as np
import scipy.special

from ..cell import Cell
from ..op import Inputs
from .library import Library, Spelling

SPELLINGS = {
    op: Spelling(f"{op}(x, axis={{axis}})") for op in ("softmax", "log_softmax", "logsumexp")
}


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    return {cell.op: getattr(scipy.special, cell.op), **inputs}


def load() -> Library:
    return Library("SciPy", scipy.__version__, SPELLINGS, _namespace)
