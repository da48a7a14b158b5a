"""scikit-learn's fused kernels of the multinomial loss, which its linear models and boosting call.

(a) `gradient_proba` makes the gradient and the probabilities, but not the loss; `loss_gradient`
    makes the losses and the gradient. They are two rows of the table of libraries.
(b) Both give each row's own gradient. That of the mean is it over the number of rows, and the
    judge divides by it, off the clock.
(c) Both take labels as numbers of the logits' dtype, and classes along the last of two axes.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np
import sklearn
from sklearn._loss.loss import HalfMultinomialLoss

from ..cell import Cell
from ..op import Inputs
from .library import Library, Spelling, Unsupported

CALLS = {
    "gradient_proba": Spelling(
        "gradient_proba(targets, x, n_threads={threads})",
        "gradient_proba(targets, x, gradient_out=out, proba_out=beside, n_threads={threads})",
        judged=itemgetter(0),
    ),
    "loss_gradient": Spelling(
        "loss_gradient(targets, x, n_threads={threads})",
        "loss_gradient(targets, x, gradient_out=out, loss_out=beside, n_threads={threads})",
        judged=itemgetter(1),
    ),
}
BESIDE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gradient_proba": np.empty_like,
    "loss_gradient": lambda x: np.empty(len(x), x.dtype),
}


def _of_the_mean(gradient: np.ndarray) -> np.ndarray:
    return gradient / np.asarray(len(gradient), gradient.dtype)


def _library(function: str) -> Library:
    def namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
        x = inputs["x"]
        if x.ndim != 2 or cell.axis not in (1, -1):
            raise Unsupported("takes rows of two-dimensional arrays")
        loss = HalfMultinomialLoss(n_classes=x.shape[1])
        return {
            function: getattr(loss, function),
            "x": x,
            "targets": inputs["targets"].astype(x.dtype),
            "out": out,
            "beside": None if out is None else BESIDE[function](x),
        }

    spellings = {"cross_entropy_value_and_grad": CALLS[function]}
    name = f"scikit-learn {function}"
    return Library(name, sklearn.__version__, spellings, namespace, _of_the_mean)


def load_gradient_proba() -> Library:
    return _library("gradient_proba")


def load_loss_gradient() -> Library:
    return _library("loss_gradient")
