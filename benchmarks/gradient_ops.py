"""The backward passes of softmax, log-softmax and logsumexp.

(a) What the forward pass returned is an input, rounded to the dtype; the exact result is that of
    the rounded input, for the rounding is not the backward pass's own.
(b) A difference that cancels is held against the terms it is made of.
"""

import numpy as np

from . import exact
from .op import Inputs, Op


def _upstream(shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def _with_probabilities(logits: np.ndarray, axis: int | None, rng: np.random.Generator) -> Inputs:
    y = exact.softmax(logits, axis).astype(logits.dtype)
    return {"g": _upstream(y.shape, y.dtype, rng), "y": y}


def _with_log_probabilities(
    logits: np.ndarray, axis: int | None, rng: np.random.Generator
) -> Inputs:
    logp = exact.log_softmax(logits, axis).astype(logits.dtype)
    return {"g": _upstream(logp.shape, logp.dtype, rng), "logp": logp}


def _with_logsumexp(logits: np.ndarray, axis: int | None, rng: np.random.Generator) -> Inputs:
    lse = exact.logsumexp(logits, axis).astype(logits.dtype)
    return {"g": _upstream(lse.shape, lse.dtype, rng), "x": logits, "lse": lse}


def _softmax_vjp(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    g, y = (inputs[name].astype(np.longdouble) for name in ("g", "y"))
    terms = g * y
    value = y * (g - terms.sum(axis=axis, keepdims=True))
    return value, y * (np.abs(g) + np.abs(terms).sum(axis=axis, keepdims=True))


def _log_softmax_vjp(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    g, logp = (inputs[name].astype(np.longdouble) for name in ("g", "logp"))
    y = np.exp(logp)
    value = g - y * g.sum(axis=axis, keepdims=True)
    return value, np.abs(g) + y * np.abs(g).sum(axis=axis, keepdims=True)


def _logsumexp_vjp(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    g, x, lse = (inputs[name].astype(np.longdouble) for name in ("g", "x", "lse"))
    if axis is not None:
        g, lse = np.expand_dims(g, axis), np.expand_dims(lse, axis)
    value = g * np.exp(x - lse)
    return value, value


GRADIENTS = {
    "softmax_vjp": Op(_with_probabilities, _softmax_vjp),
    "log_softmax_vjp": Op(_with_log_probabilities, _log_softmax_vjp),
    "logsumexp_vjp": Op(_with_logsumexp, _logsumexp_vjp),
}
