"""JAX, compiled for the shape beforehand and waited for.

It has no function for a backward pass whose forward pass is done; the formulas are compiled.
"""

from functools import partial
from operator import itemgetter
from typing import Any

import jax
import numpy as np
from jax import Array, numpy

from ..cell import Cell
from ..op import Inputs
from .library import Library, Spelling


def softmax_vjp(g: Array, y: Array, axis: int) -> Array:
    return y * (g - (g * y).sum(axis, keepdims=True))


def log_softmax_vjp(g: Array, logp: Array, axis: int) -> Array:
    return g - numpy.exp(logp) * g.sum(axis, keepdims=True)


def logsumexp_vjp(g: Array, x: Array, lse: Array, axis: int) -> Array:
    return numpy.expand_dims(g, axis) * numpy.exp(x - numpy.expand_dims(lse, axis))


def cross_entropy(x: Array, targets: Array, axis: int) -> Array:
    place = numpy.expand_dims(targets, axis)
    return -numpy.take_along_axis(jax.nn.log_softmax(x, axis), place, axis).mean()


FUNCTIONS = {
    "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
    "logsumexp": jax.nn.logsumexp,
    "softmax_vjp": softmax_vjp,
    "log_softmax_vjp": log_softmax_vjp,
    "logsumexp_vjp": logsumexp_vjp,
    "cross_entropy": cross_entropy,
    "cross_entropy_value_and_grad": jax.value_and_grad(cross_entropy),
}
SPELLINGS = dict.fromkeys(FUNCTIONS, Spelling("compiled(*arrays).block_until_ready()"))
SPELLINGS["cross_entropy_value_and_grad"] = Spelling(
    "wait(compiled(*arrays))", judged=itemgetter(1)
)


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    compiled = jax.jit(partial(FUNCTIONS[cell.op], axis=cell.axis))
    arrays = tuple(numpy.asarray(array) for array in inputs.values())
    return {"compiled": compiled, "arrays": arrays, "wait": jax.block_until_ready}


def load() -> Library:
    jax.config.update("jax_enable_x64", True)  # else float64 would be cast to float32
    # Dispatch in the calling thread: a second thread on the same CPU only costs time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return Library("JAX", jax.__version__, SPELLINGS, _namespace)
