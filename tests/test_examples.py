"""The examples run, and reach what they promise."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.exists(), reason="the tests stand without the source tree"
)


def _load(name):
    """An example as a module, which does nothing of itself."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def regression():
    pytest.importorskip("sklearn", reason="compares with scikit-learn, which is not installed")
    return _load("softmax_regression")


@pytest.fixture(scope="module")
def data(regression):
    return regression.load()


@pytest.fixture(scope="module")
def boosting():
    return _load("boosting_objective")


def test_every_example_is_tested_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "boosting_objective",
        "softmax_regression",
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("softmax_regression", ["fastsoftmax", "scikit-learn", "accuracy", "seconds"]),
        ("boosting_objective", ["round 1", "frequencies"]),
    ],
)
def test_an_example_runs_as_a_program(name, words):
    if name == "softmax_regression":
        pytest.importorskip("sklearn", reason="compares with scikit-learn, which is not installed")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for word in words:
        assert word in done.stdout


def test_the_objective_is_the_regularised_log_loss(regression, data, rng):
    from sklearn.metrics import log_loss

    seen, _ = data
    parameters = 0.1 * rng.standard_normal((seen.pixels.shape[1] + 1, 10))
    logits = seen.pixels @ parameters[:-1] + parameters[-1]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    penalty = (parameters[:-1] ** 2).sum() / 2 / (regression.C * len(seen.labels))
    value, gradient = regression.objective(parameters.ravel(), seen)
    np.testing.assert_allclose(value, log_loss(seen.labels, p) + penalty, rtol=1e-12)
    direction = rng.standard_normal(parameters.size)
    above, below = (
        regression.objective(parameters.ravel() + step * direction, seen)[0]
        for step in (1e-5, -1e-5)
    )
    np.testing.assert_allclose((above - below) / 2e-5, gradient @ direction, rtol=1e-7)


def test_the_regression_reaches_scikit_learns_loss_and_accuracy(regression, data):
    seen, unseen = data
    ours, theirs = regression.fit(seen), regression.fit_with_scikit_learn(seen)
    reached = regression.assess(ours, seen, unseen)
    wanted = regression.assess(theirs, seen, unseen)
    assert reached.objective <= wanted.objective * (1 + 1e-6)
    np.testing.assert_allclose(reached.held_out_loss, wanted.held_out_loss, rtol=1e-3)
    # One digit more or less may lie on the border.
    assert abs(reached.held_out_accuracy - wanted.held_out_accuracy) <= 1.5 / len(unseen.labels)
    assert reached.held_out_accuracy > 0.95
    parameters = np.vstack([ours.weights, ours.intercepts]).ravel()
    assert abs(regression.objective(parameters, seen)[1]).max() < 1e-5


def _expected(labels, scores, weights):
    """Gradient and diagonal Hessian by their formulas."""
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    weights = np.ones(len(labels)) if weights is None else weights
    hot = np.eye(scores.shape[1])[labels.astype(int)]
    return weights[:, None] * (p - hot), weights[:, None] * p * (1 - p)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", "CF")
def test_the_boosting_objective_gives_gradient_and_hessian(boosting, weighted, order, rng):
    """XGBoost's scores are C-ordered, LightGBM's Fortran-ordered; labels are float32 in both."""
    scores, labels = 3 * rng.standard_normal((50, 4)), rng.integers(4, size=50).astype(np.float32)
    weights = rng.uniform(0.1, 2, 50) if weighted else None
    expected = _expected(labels, scores, weights)
    scores = np.asarray(scores, np.float32, order=order)
    data = boosting.Rows(labels, np.array([]) if weights is None else weights)
    for result in (
        boosting.estimator_objective(labels, scores, weights),
        boosting.training_objective(scores, boosting.Rows(labels, weights)),
        boosting.training_objective(scores, data),
    ):
        for array, wanted in zip(result, expected, strict=True):
            assert array.shape == (50, 4) and array.dtype == np.float32
            np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-6)


def test_the_hessian_of_a_sure_class_keeps_its_digits_and_is_positive(boosting):
    scores = np.array([[30, 0], [0, 300]], np.float32)
    _, hessian = boosting.estimator_objective(np.zeros(2, np.float32), scores)
    np.testing.assert_allclose(hessian[0], np.exp(-30), rtol=1e-5)
    assert (hessian > 0).all()


def test_newton_steps_come_to_the_frequencies_of_the_classes(boosting):
    labels = np.repeat(np.arange(3, dtype=np.float32), [60, 30, 10])
    *_, scores = boosting.boost(boosting.Rows(labels), 3, 20)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, np.tile([0.6, 0.3, 0.1], (100, 1)), rtol=1e-5)
