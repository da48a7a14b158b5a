"""Errors of cross-entropy and its gradient, in ULP.

(a) With labels and no option, the scale is the exact value itself: losses near 0 and the gradient
    at the label keep their digits.
(b) With probabilities or options it is the sum of the magnitudes of the terms.
"""

import functools

import families
import numpy as np
import pytest
import reference
import reference_losses
from formats import of
from test_accuracy import GENERIC_ALLOWANCE

LENGTHS = (*range(1, 70), 100, 300, 1_000, 4_097, 100_003)
OPTIONS = [
    {},
    {"weight": True},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0, "weight": True},
    {"weight": True, "label_smoothing": 0.3, "sample_weight": True},
]


def loss_dtype(dtype):
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _limit(dtype, target):
    return of(dtype).ulp_limit + (GENERIC_ALLOWANCE if target == "generic" else 0)


@functools.cache
def _labelled(family, dtype):
    """Logits, labels, exact losses and gradients, block by block."""
    rng = np.random.default_rng(3)
    lengths = families.SHORT_LENGTHS if reference.is_exact_only(dtype) else LENGTHS
    cases = []
    for x in families.rows(family, dtype, lengths):
        labels = rng.integers(x.shape[1], size=len(x))
        # Every other row's label is that of its largest logit, whose loss may be near 0.
        labels[::2] = x[::2].astype(np.float64).argmax(axis=-1)
        loss = -np.take_along_axis(reference.log_softmax(x), labels[:, None], axis=-1)[:, 0]
        cases.append((x, labels, loss, reference_losses.label_gradient(x, labels)))
    return cases


def _assert_within(results, exact, scale, dtype, target, report):
    error = reference.ulp_error(results, exact, dtype, scale)
    report(error.max())
    assert error.max() <= _limit(dtype, target)
    subnormal = (abs(scale) < of(dtype).tiny).astype(bool)
    assert error[subnormal].max(initial=0) <= 1, "below the smallest normal number"


@pytest.mark.parametrize("family", families.ALL, ids=lambda f: f.__name__)
def test_labels_are_within_the_promised_ulp(fs, target, dtype, family, worst):
    if not families.fits(family, dtype):
        pytest.skip("the family leaves the range of the dtype")
    cases = _labelled(family, dtype)
    losses, gradients = [], []
    for x, labels, _, _ in cases:
        loss, gradient = fs.cross_entropy_value_and_grad(x, labels, reduction="none")
        losses.append(loss)
        gradients.append(gradient.ravel())
    for name, results, at, kind in (
        ("cross_entropy", losses, 2, loss_dtype(dtype)),
        ("its gradient", gradients, 3, dtype),
    ):
        exact = np.concatenate([case[at].ravel() for case in cases])
        report = functools.partial(_report, worst, name, dtype, target, family.__name__)
        _assert_within(np.concatenate(results), exact, exact, kind, target, report)


def _report(worst, name, dtype, target, where, error):
    worst(name, dtype, target, error, where)


@functools.cache
def _with_options(family, dtype, kind, chosen):
    rng = np.random.default_rng(5)
    cases = []
    for x in families.rows(family, dtype, (*range(1, 20), 33, 100, 1_025)):
        rows, n = x.shape
        options = dict(OPTIONS[chosen])
        if "weight" in options:
            options["weight"] = rng.uniform(0.1, 3, n)
        if "sample_weight" in options:
            options["sample_weight"] = rng.standard_normal(rows)
        targets = rng.integers(n, size=rows)
        if kind == "probabilities":
            targets = rng.dirichlet(np.ones(n), rows).astype(dtype)
        k = reference_losses.coefficients(targets, n, reduction="none", **options)
        values = reference_losses.losses(x, k), reference_losses.gradient(x, k)
        cases.append((x, targets, options, *values))
    return cases


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("chosen", range(len(OPTIONS)), ids=lambda i: ",".join(OPTIONS[i]))
def test_probabilities_and_options_are_as_accurate(fs, target, dtype, kind, chosen, worst):
    for family in (families.normal, families.uniform_40, families.one_dominant, families.all_equal):
        for x, targets, options, *exact in _with_options(family, dtype, kind, chosen):
            results = fs.cross_entropy_value_and_grad(x, targets, reduction="none", **options)
            kinds = (loss_dtype(dtype), dtype)
            for name, result, (value, scale), result_kind in zip(
                ("cross_entropy", "its gradient"), results, exact, kinds, strict=True
            ):
                where = f"{family.__name__}, {kind}"
                report = functools.partial(_report, worst, name, dtype, target, where)
                _assert_within(result, value, scale, result_kind, target, report)


@pytest.mark.parametrize("axis", [0, -1])
def test_many_equal_coefficients_add_up_without_error(fs, target, axis, worst, rng):
    """Those of label smoothing alone, each rounded alike, whose sum once was off by 3 ULP."""
    for n in (30, 85, 127, 128, 200, 300):
        x, weight = rng.standard_normal((100, n)), rng.standard_normal(100)
        labels = rng.integers(n, size=100)
        options = {"label_smoothing": 1.0, "sample_weight": weight}
        exact, scale = reference_losses.gradient(
            x, reference_losses.coefficients(labels, n, reduction="none", **options)
        )
        _, result = fs.cross_entropy_value_and_grad(
            x if axis else np.ascontiguousarray(x.T), labels, axis, reduction="none", **options
        )
        report = functools.partial(
            _report, worst, "its gradient", x.dtype, target, "smoothing of 1"
        )
        _assert_within(result if axis else result.T, exact, scale, x.dtype, target, report)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_loss_near_zero_and_its_gradient_keep_their_digits(fs, kind):
    """-log(p) and p - 1, computed as they are written, are 0 from a gap of 17 or 37 on."""
    for gap in (1.0, 10.0, 20.0, 40.0, 80.0):
        x = np.array([gap, 0.0, 0.0], kind)
        loss, gradient = fs.cross_entropy_value_and_grad(x, 0)
        near = 8 * np.finfo(kind).eps
        np.testing.assert_allclose(loss, np.log1p(2 * np.exp(-gap)), rtol=near)
        rest = 2 * np.exp(-gap) / (1 + 2 * np.exp(-gap))
        np.testing.assert_allclose(gradient, [-rest, rest / 2, rest / 2], rtol=near)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weights_of_any_size_scale_the_gradient(fs, target, kind, rng):
    """A tiny coefficient times a probability is no subnormal until the product is."""
    x, labels = rng.standard_normal((30, 10)).astype(kind), rng.integers(10, size=30)
    exact = reference_losses.label_gradient(x, labels)
    for exponent in (-100, -60, -20, 20, 60, 100, *((-900, 900) if kind is np.float64 else ())):
        weights = np.full(30, 2.0**exponent)
        _, gradient = fs.cross_entropy_value_and_grad(
            x, labels, sample_weight=weights, reduction="sum"
        )
        error = reference.ulp_error(gradient, exact * 2.0**exponent, np.dtype(kind))
        assert error.max() <= _limit(np.dtype(kind), target), exponent


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("shape", [(40, 10), (2, 1_000), (2, 150_000)], ids=str)
def test_gradients_that_a_tiny_weight_makes_subnormal_are_rounded_once(
    fs, kind, in_place, shape, rng
):
    """Rows in a group, rows that fit the cache, and rows that do not."""
    x = rng.uniform(-30, 0, shape).astype(kind)
    labels = rng.integers(shape[1], size=shape[0])
    exact = reference_losses.label_gradient(x, labels)
    for weight in (2.0**-100, -(2.0**-120), -(2.0**-1000), 3e-308):
        factors = np.full(shape[0], weight)
        logits = x.copy()
        _, gradient = fs.cross_entropy_value_and_grad(
            logits, labels, sample_weight=factors, reduction="sum", out=logits if in_place else None
        )
        wanted = exact * np.longdouble(weight)
        subnormal = abs(wanted) < np.finfo(kind).tiny
        error = reference.ulp_error(gradient, wanted, np.dtype(kind))
        assert error[subnormal].max(initial=0) <= 1, weight


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reductions_are_as_accurate_as_rows(fs, target, dtype, reduction, worst):
    rng = np.random.default_rng(8)
    for shape in ((1, 7), (5, 10), (333, 10), (5_000, 3), (9_001, 11), (70, 1_000)):
        x, labels = (
            (4 * rng.standard_normal(shape)).astype(dtype),
            rng.integers(shape[1], size=shape[0]),
        )
        k = reference_losses.coefficients(labels, shape[1], reduction=reduction)
        losses, _ = reference_losses.losses(x, k)
        loss, gradient = fs.cross_entropy_value_and_grad(x, labels, reduction=reduction)
        exact, scale = reference_losses.gradient(x, k)
        kind, total = loss_dtype(dtype), np.array(losses.sum())
        worst("cross_entropy", dtype, target, reference.ulp_error(loss, total, kind), reduction)
        assert reference.ulp_error(loss, total, kind) <= _limit(dtype, target)
        assert reference.ulp_error(gradient, exact, dtype, scale).max() <= _limit(dtype, target)


def test_half_precision_losses_are_summed_in_more(fs):
    """10,000 losses of log 2 in float16 would not pass 4,096."""
    x = np.zeros((10_000, 2), np.float16)
    loss = fs.cross_entropy(x, np.zeros(10_000, int), reduction="sum")
    np.testing.assert_allclose(loss, 10_000 * np.log(2), rtol=1e-6)
    assert type(loss) is np.float32
