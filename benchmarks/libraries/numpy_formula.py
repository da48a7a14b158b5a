"""The formulas as NumPy users write them.

(a) Forward passes and cross-entropy: stable, and without a temporary too many.
(b) Backward passes: one expression with its temporaries, as everybody has it. With an output given,
    the same operations run in place.
"""

from operator import itemgetter
from typing import Any

import numpy as np

from ..cell import Cell
from ..op import Inputs
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


def softmax_vjp_into(g: np.ndarray, y: np.ndarray, axis: int | None, out: np.ndarray) -> None:
    np.multiply(g, y, out=out)
    np.subtract(g, out.sum(axis=axis, keepdims=True), out=out)
    out *= y


def log_softmax_vjp_into(
    g: np.ndarray, logp: np.ndarray, axis: int | None, out: np.ndarray
) -> None:
    np.exp(logp, out=out)
    out *= g.sum(axis=axis, keepdims=True)
    np.subtract(g, out, out=out)


def logsumexp_vjp_into(
    g: np.ndarray, x: np.ndarray, lse: np.ndarray, axis: int, out: np.ndarray
) -> None:
    np.subtract(x, np.expand_dims(lse, axis), out=out)
    np.exp(out, out=out)
    out *= np.expand_dims(g, axis)


def cross_entropy(x: np.ndarray, targets: np.ndarray, axis: int) -> np.floating:
    y = x - x.max(axis=axis, keepdims=True)
    at_target = np.take_along_axis(y, np.expand_dims(targets, axis), axis)
    np.exp(y, out=y)
    return (np.log(y.sum(axis=axis, keepdims=True)) - at_target).mean()


def value_and_grad(
    x: np.ndarray, targets: np.ndarray, axis: int, out: np.ndarray | None = None
) -> tuple[np.floating, np.ndarray]:
    place = np.expand_dims(targets, axis)
    y = np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    at_target = np.take_along_axis(y, place, axis)
    np.exp(y, out=y)
    total = y.sum(axis=axis, keepdims=True)
    loss = (np.log(total) - at_target).mean()
    y /= total * targets.size
    gradient = np.take_along_axis(y, place, axis) - 1 / targets.size
    np.put_along_axis(y, place, gradient, axis)
    return loss, y


FUNCTIONS = {
    function.__name__: function
    for function in (
        softmax,
        log_softmax,
        logsumexp,
        softmax_vjp_into,
        log_softmax_vjp_into,
        logsumexp_vjp_into,
        cross_entropy,
        value_and_grad,
    )
}
SPELLINGS = {
    op: Spelling(f"{op}(x, {{axis}})", f"{op}(x, {{axis}}, out)")
    for op in ("softmax", "log_softmax", "logsumexp")
} | {
    "softmax_vjp": Spelling(
        "y * (g - (g * y).sum(axis={axis}, keepdims=True))",
        "softmax_vjp_into(g, y, {axis}, out)",
    ),
    "log_softmax_vjp": Spelling(
        "g - np.exp(logp) * g.sum(axis={axis}, keepdims=True)",
        "log_softmax_vjp_into(g, logp, {axis}, out)",
    ),
    "logsumexp_vjp": Spelling(
        "np.expand_dims(g, {axis}) * np.exp(x - np.expand_dims(lse, {axis}))",
        "logsumexp_vjp_into(g, x, lse, {axis}, out)",
    ),
    "cross_entropy": Spelling("cross_entropy(x, targets, {axis})"),
    "cross_entropy_value_and_grad": Spelling(
        "value_and_grad(x, targets, {axis})",
        "value_and_grad(x, targets, {axis}, out)",
        judged=itemgetter(1),
    ),
}


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    return {"np": np, **FUNCTIONS, "out": out, **inputs}


def load() -> Library:
    return Library("NumPy", np.__version__, SPELLINGS, _namespace)
