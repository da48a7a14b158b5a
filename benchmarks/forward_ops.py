"""Softmax, log-softmax and logsumexp."""

import numpy as np

from . import exact
from .op import Inputs, Op, Result


def _logits_alone(logits: np.ndarray, axis: int | None, rng: np.random.Generator) -> Inputs:
    return {"x": logits}


def _softmax(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    value = exact.softmax(inputs["x"], axis)
    return value, value


def _log_softmax(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    value = exact.log_softmax(inputs["x"], axis)
    return value, value


def _logsumexp(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    value = exact.logsumexp(inputs["x"], axis)
    return value, np.maximum(np.abs(value), np.abs(inputs["x"].max(axis=axis)))


FORWARD = {
    "softmax": Op(_logits_alone, _softmax),
    "log_softmax": Op(_logits_alone, _log_softmax),
    "logsumexp": Op(_logits_alone, _logsumexp, Result.ROWS),
}
