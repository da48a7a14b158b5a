"""Mean cross-entropy of class indices: the loss alone, and with its gradient, which is judged."""

import numpy as np

from . import exact
from .op import Inputs, Op, Result


def _with_targets(logits: np.ndarray, axis: int, rng: np.random.Generator) -> Inputs:
    rows = logits.take(0, axis=axis).shape
    return {"x": logits, "targets": rng.integers(0, logits.shape[axis], rows)}


def _loss(inputs: Inputs, axis: int) -> tuple[np.ndarray, np.ndarray]:
    shifted, _, _, rest = exact.parts(inputs["x"], axis)
    place = np.expand_dims(inputs["targets"], axis)
    value = (np.log1p(rest) - np.take_along_axis(shifted, place, axis)).mean()
    return value, value


def _gradient(inputs: Inputs, axis: int) -> tuple[np.ndarray, np.ndarray]:
    shifted, _, terms, rest = exact.parts(inputs["x"], axis)
    place = np.expand_dims(inputs["targets"], axis)
    at_target = np.take_along_axis(terms, place, axis)
    # p - 1 is minus the sum of the others. Where the target is the peak, that sum is the rest.
    at_peak = (at_target == 0) & (np.take_along_axis(shifted, place, axis) == 0)
    others = np.where(at_peak, rest, 1 + rest - at_target)
    numerators = np.exp(shifted)
    np.put_along_axis(numerators, place, -others, axis)
    value = numerators / ((1 + rest) * inputs["targets"].size)
    return value, value


LOSSES = {
    "cross_entropy": Op(_with_targets, _loss, Result.SCALAR),
    "cross_entropy_value_and_grad": Op(_with_targets, _gradient),
}
