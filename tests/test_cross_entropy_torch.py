"""Values and gradients of cross-entropy are those of PyTorch with the same options, in float64."""

import itertools

import numpy as np
import pytest

REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
SMOOTHING = pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True], ids=["", "weight"])
# Logits, and the axis of their classes; PyTorch wants it to be the second.
SHAPES = [((6,), 0), ((9, 6), 1), ((9, 6), -1), ((6, 9), 0), ((2, 6, 3), 1), ((2, 3, 6), -1)]
SHAPES += [((2, 6, 3, 4), 1), ((6, 2, 3), 0)]


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    threads = module.get_num_threads()
    module.set_num_threads(1)  # more only wait for each other at these sizes
    yield module
    module.set_num_threads(threads)


def _expected(torch, x, targets, axis, upstream=None, **options):
    """The loss and the gradient of its sum, or of its product with `upstream`."""
    leaf = torch.tensor(x, requires_grad=True)
    logits, targets = leaf, torch.tensor(targets)
    if x.ndim > 1:
        logits = torch.movedim(leaf, axis, 1)
        if targets.ndim == x.ndim:
            targets = torch.movedim(targets, axis, 1)
    if options.get("weight") is not None:
        options["weight"] = torch.tensor(options["weight"])
    if options.get("ignore_index") is None:
        options.pop("ignore_index", None)
    loss = torch.nn.functional.cross_entropy(logits, targets, **options)
    scaled = loss if upstream is None else loss * torch.tensor(upstream)
    (gradient,) = torch.autograd.grad(scaled.sum(), leaf)
    return loss.detach().numpy(), gradient.numpy()


def _assert_same(fs, expected, x, targets, axis, **options):
    loss, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, **options)
    assert loss.shape == expected[0].shape and gradient.shape == x.shape
    np.testing.assert_allclose(loss, expected[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(fs.cross_entropy(x, targets, axis, **options), loss)


@WEIGHTED
@SMOOTHING
@REDUCTIONS
@pytest.mark.parametrize("ignored", [None, -100, 2, 255])
def test_labels(fs, torch, ignored, reduction, smoothing, weighted, rng):
    for shape, axis in SHAPES:
        x = 3 * rng.standard_normal(shape)
        rows = np.delete(shape, axis)
        labels = rng.integers(6, size=rows)
        if ignored is not None and labels.size > 1:
            labels.flat[0] = labels.flat[-1] = ignored
        options = {
            "weight": rng.uniform(0, 2, 6) if weighted else None,
            "label_smoothing": smoothing,
            "ignore_index": ignored,
            "reduction": reduction,
        }
        expected = _expected(torch, x, labels, axis, **options)
        _assert_same(fs, expected, x, labels, axis, **options)


@WEIGHTED
@SMOOTHING
@REDUCTIONS
def test_probabilities(fs, torch, reduction, smoothing, weighted, rng):
    for shape, axis in SHAPES:
        x = 3 * rng.standard_normal(shape)
        # They need not sum to 1, and may be negative.
        for targets in (np.exp(x) / np.exp(x).sum(axis, keepdims=True), rng.standard_normal(shape)):
            options = {
                "weight": rng.uniform(0, 2, 6) if weighted else None,
                "label_smoothing": smoothing,
                "reduction": reduction,
            }
            expected = _expected(torch, x, targets, axis, **options)
            _assert_same(fs, expected, x, targets, axis, **options)


@WEIGHTED
@SMOOTHING
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_sample_weights_are_an_upstream_gradient(fs, torch, kind, smoothing, weighted, rng):
    for (shape, axis), reduction in itertools.product(SHAPES, ("none", "sum")):
        x, rows = 3 * rng.standard_normal(shape), np.delete(shape, axis)
        targets = rng.integers(6, size=rows) if kind == "labels" else rng.random(shape)
        upstream = np.asarray(rng.standard_normal(rows))
        options = {
            "weight": rng.uniform(0, 2, 6) if weighted else None,
            "label_smoothing": smoothing,
        }
        loss, gradient = _expected(
            torch, x, targets, axis, upstream=upstream, reduction="none", **options
        )
        loss = loss * upstream if reduction == "none" else (loss * upstream).sum()
        options |= {"sample_weight": upstream, "reduction": reduction}
        _assert_same(fs, (np.asarray(loss), gradient), x, targets, axis, **options)


@WEIGHTED
@SMOOTHING
def test_sample_weights_stand_beside_class_weights_in_the_mean(fs, torch, smoothing, weighted, rng):
    for shape, axis in SHAPES:
        x, rows = 3 * rng.standard_normal(shape), np.delete(shape, axis)
        labels, upstream = rng.integers(6, size=rows), np.asarray(rng.uniform(0.1, 2, rows))
        weight = rng.uniform(0, 2, 6) if weighted else None
        options = {"weight": weight, "label_smoothing": smoothing}
        loss, gradient = _expected(
            torch, x, labels, axis, upstream=upstream, reduction="none", **options
        )
        total = (upstream * (np.ones(6) if weight is None else weight)[labels]).sum()
        expected = np.asarray((loss * upstream).sum() / total), gradient / total
        _assert_same(fs, expected, x, labels, axis, sample_weight=upstream, **options)


def test_single_precision_is_near_pytorchs(fs, torch, rng):
    x, labels = rng.standard_normal((50, 100)).astype(np.float32), rng.integers(100, size=50)
    loss, gradient = fs.cross_entropy_value_and_grad(x, labels)
    expected = _expected(torch, x, labels, -1)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-8)
    assert loss.dtype == gradient.dtype == np.float32
