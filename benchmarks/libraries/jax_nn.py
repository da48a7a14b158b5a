"""JAX, compiled for the shape beforehand and waited for."""

from functools import partial
from typing import Any

import jax
import numpy as np

from ..cell import Cell
from ..ops import Inputs
from .library import Library, Spelling

FUNCTIONS = {
    "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
    "logsumexp": jax.nn.logsumexp,
}
SPELLINGS = dict.fromkeys(FUNCTIONS, Spelling("compiled(x).block_until_ready()"))


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    compiled = jax.jit(partial(FUNCTIONS[cell.op], axis=cell.axis))
    arrays = {name: jax.numpy.asarray(array) for name, array in inputs.items()}
    return {"compiled": compiled, **arrays}


def load() -> Library:
    jax.config.update("jax_enable_x64", True)  # else float64 would be cast to float32
    # Dispatch in the calling thread: a second thread on the same CPU only costs time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return Library("JAX", jax.__version__, SPELLINGS, _namespace)
