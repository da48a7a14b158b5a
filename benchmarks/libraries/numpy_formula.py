"""The formula as careful NumPy users write it: stable, and without a temporary too many."""

from typing import Any

import numpy as np

from ..cell import Cell
from ..ops import Inputs
from .library import Library, Spelling


def softmax(x: np.ndarray, axis: int | None, out: np.ndarray | None = None) -> np.ndarray:
    y = np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y


def log_softmax(x: np.ndarray, axis: int | None, out: np.ndarray | None = None) -> np.ndarray:
    y = np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def logsumexp(x: np.ndarray, axis: int | None, out: np.ndarray | None = None) -> np.ndarray:
    peak = x.max(axis=axis, keepdims=True)
    y = x - peak
    np.exp(y, out=y)
    return np.add(np.log(y.sum(axis=axis)), peak.squeeze(axis), out=out)


FORMULAS = {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp}
SPELLINGS = {op: Spelling(f"{op}(x, {{axis}})", f"{op}(x, {{axis}}, out)") for op in FORMULAS}


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    return {**FORMULAS, "out": out, **inputs}


def load() -> Library:
    return Library("NumPy", np.__version__, SPELLINGS, _namespace)
