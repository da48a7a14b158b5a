"""fastsoftmax itself, with `workers=` wherever more than one is asked for."""

import inspect
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from typing import Any

import numpy as np

import fastsoftmax

from ..cell import Cell
from ..op import Inputs
from .library import Library, Spelling

ARGUMENTS = {
    "softmax": "x",
    "log_softmax": "x",
    "logsumexp": "x",
    "softmax_vjp": "g, y",
    "log_softmax_vjp": "g, logp",
    "logsumexp_vjp": "g, x, lse",
}
SPELLINGS = {
    op: Spelling(f"{op}({arrays}, axis={{axis}})", f"{op}({arrays}, axis={{axis}}, out=out)")
    for op, arrays in ARGUMENTS.items()
}
SPELLINGS["cross_entropy"] = Spelling("cross_entropy(x, targets, axis={axis})")
SPELLINGS["cross_entropy_value_and_grad"] = Spelling(
    "cross_entropy_value_and_grad(x, targets, axis={axis})",
    "cross_entropy_value_and_grad(x, targets, axis={axis}, out=out)",
    judged=itemgetter(1),
)


def takes_workers(op: str) -> bool:
    """Whether the function can be told to use several threads."""
    return "workers" in inspect.signature(getattr(fastsoftmax, op)).parameters


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    function = getattr(fastsoftmax, cell.op)
    if cell.workers > 1:
        function = partial(function, workers=cell.workers)
    return {cell.op: function, "out": out, **inputs}


def _version() -> str:
    try:
        return version("fastsoftmax")
    except PackageNotFoundError:  # built in place, and found through PYTHONPATH
        return "of a checkout"


def load() -> Library:
    return Library("fastsoftmax", _version(), SPELLINGS, _namespace)
