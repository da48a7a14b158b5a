"""Multinomial logistic regression on handwritten digits, beside scikit-learn's.

The model is trained by SciPy's L-BFGS on the loss and gradient that `cross_entropy_value_and_grad`
gives, with the split, the regularisation and the stopping rule of the classifier it is compared
with. Run it with SciPy and scikit-learn installed: `python examples/softmax_regression.py`.
"""

import time
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from fastsoftmax import cross_entropy, cross_entropy_value_and_grad

CLASSES = 10
WHITE = 16  # the brightest pixel
C = 1.0  # inverse strength of the regularisation
TOLERANCE = 1e-6  # of the largest element of the gradient
ITERATIONS = 1_000


class Data(NamedTuple):
    """Pixels of images, and the digits they show."""

    pixels: np.ndarray
    labels: np.ndarray


class Fit(NamedTuple):
    """A trained model and how long that took."""

    weights: np.ndarray
    intercepts: np.ndarray
    seconds: float

    def logits(self, pixels):
        return pixels @ self.weights + self.intercepts


class Quality(NamedTuple):
    """What a model reached."""

    objective: float
    held_out_loss: float
    held_out_accuracy: float


def load():
    """Two halves of the digits, every class evenly: to train on, and held out."""
    pixels, labels = load_digits(return_X_y=True)
    seen, unseen, seen_labels, unseen_labels = train_test_split(
        pixels / WHITE, labels, test_size=0.5, stratify=labels, random_state=0
    )
    return Data(seen, seen_labels), Data(unseen, unseen_labels)


def objective(parameters, data):
    """Mean cross-entropy and half the squared weights, and the gradient of it."""
    table = parameters.reshape(-1, CLASSES)
    weights, intercepts = table[:-1], table[-1]
    strength = 1 / (C * len(data.labels))
    logits = data.pixels @ weights + intercepts
    # The gradient takes the place of the logits.
    loss, grad = cross_entropy_value_and_grad(logits, data.labels, out=logits)
    gradient = np.vstack([data.pixels.T @ grad + strength * weights, grad.sum(axis=0)])
    return loss + strength / 2 * np.vdot(weights, weights), gradient.ravel()


def fit(data):
    """Train with fastsoftmax and SciPy."""
    start = time.perf_counter()
    result = minimize(
        objective,
        np.zeros((data.pixels.shape[1] + 1) * CLASSES),
        (data,),
        method="L-BFGS-B",
        jac=True,
        options={
            "maxiter": ITERATIONS,
            "gtol": TOLERANCE,
            "ftol": 64 * np.finfo(float).eps,
            "maxls": 50,
        },
    )
    table = result.x.reshape(-1, CLASSES)
    return Fit(table[:-1], table[-1], time.perf_counter() - start)


def fit_with_scikit_learn(data):
    """Train the classifier to compare with."""
    start = time.perf_counter()
    model = LogisticRegression(C=C, tol=TOLERANCE, max_iter=ITERATIONS)
    model.fit(data.pixels, data.labels)
    return Fit(model.coef_.T, model.intercept_, time.perf_counter() - start)


def assess(model, seen, unseen):
    """The value of the objective, and loss and accuracy on what was held out."""
    parameters = np.vstack([model.weights, model.intercepts]).ravel()
    logits = model.logits(unseen.pixels)
    return Quality(
        float(objective(parameters, seen)[0]),
        float(cross_entropy(logits, unseen.labels)),
        float(np.mean(logits.argmax(axis=1) == unseen.labels)),
    )


def main():
    seen, unseen = load()
    print(f"{len(seen.labels)} digits to train on, {len(unseen.labels)} held out\n")
    print(f"{'':12} {'objective':>14} {'held-out loss':>14} {'accuracy':>9} {'seconds':>8}")
    for name, train in (("fastsoftmax", fit), ("scikit-learn", fit_with_scikit_learn)):
        model = train(seen)
        reached = assess(model, seen, unseen)
        print(
            f"{name:12} {reached.objective:14.8f} {reached.held_out_loss:14.6f} "
            f"{reached.held_out_accuracy:9.4f} {model.seconds:8.3f}"
        )


if __name__ == "__main__":
    main()
