"""The multiclass objective as a callback of XGBoost and LightGBM.

Both call an objective with scores of the shape (rows, classes) and take back the gradient and the
diagonal of the Hessian, p * (1 - p), in that shape:

    xgboost.train(..., obj=training_objective)                     XGBoost 2.1 and later
    lightgbm.train({"objective": training_objective, ...}, ...)    LightGBM 4 and later
    xgboost.XGBClassifier(objective=estimator_objective)
    lightgbm.LGBMClassifier(objective=estimator_objective)

None of them has to be installed for `python examples/boosting_objective.py`, which boosts the
simplest model of all: one score a class. It comes to the frequencies of the classes.
"""

from typing import NamedTuple

import numpy as np

from fastsoftmax import cross_entropy, cross_entropy_value_and_grad, log_softmax, softmax

LOWEST = 1e-16  # of the Hessian, by which leaves are divided
LEARNING_RATE = 0.5


def estimator_objective(labels, scores, sample_weight=None):
    """Gradient and diagonal Hessian, as the classifiers with scikit-learn's interface call it."""
    classes = np.asarray(labels).astype(np.int64)  # both libraries keep labels as float32
    _, gradient = cross_entropy_value_and_grad(
        scores, classes, sample_weight=sample_weight, reduction="sum"
    )
    # 1 - p = -expm1(log p) keeps its digits where p is nearly 1.
    log_p = log_softmax(scores, axis=1)
    hessian = np.maximum(-np.exp(log_p) * np.expm1(log_p), LOWEST)
    if sample_weight is not None:
        hessian *= np.asarray(sample_weight, hessian.dtype)[:, np.newaxis]
    return gradient, hessian


def training_objective(scores, data):
    """The same, as `train` of either library calls it: with its DMatrix or Dataset."""
    weights = data.get_weight()
    if weights is not None and np.size(weights) == 0:
        weights = None  # XGBoost's way to say that there are none
    return estimator_objective(data.get_label(), scores, weights)


class Rows(NamedTuple):
    """What an objective asks of a DMatrix or Dataset."""

    labels: np.ndarray
    weights: np.ndarray | None = None

    def get_label(self):
        return self.labels

    def get_weight(self):
        return self.weights


def boost(data, classes, rounds):
    """Newton steps on trees of one leaf; yields the scores of all rows after each."""
    scores = np.zeros((len(data.get_label()), classes), np.float32)
    for _ in range(rounds):
        gradient, hessian = training_objective(scores, data)
        scores -= LEARNING_RATE * gradient.sum(axis=0) / hessian.sum(axis=0)
        yield scores


def main():
    rng = np.random.default_rng(0)
    frequencies = np.array([0.6, 0.3, 0.1])
    labels = rng.choice(3, 10_000, p=frequencies).astype(np.float32)
    for number, scores in enumerate(boost(Rows(labels), 3, 12), 1):
        loss = cross_entropy(scores, labels.astype(np.int64))
        print(f"round {number:2}: loss {loss:.6f}, probabilities {softmax(scores[0]).round(4)}")
    counted = np.bincount(labels.astype(np.int64)) / len(labels)
    print(f"{'frequencies of the classes:':40} {counted}")


if __name__ == "__main__":
    main()
