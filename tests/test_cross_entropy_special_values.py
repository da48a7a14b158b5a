"""Infinities, nans, empty and ignored rows in cross-entropy, and its warnings."""

import math
import warnings

import numpy as np
import pytest
from formats import assert_same_bits

INF, NAN = math.inf, math.nan
LOG2 = math.log(2)

# logits, targets, options, loss, gradient of one row
SILENT = [
    ([0, 0], 0, {}, LOG2, [-0.5, 0.5]),
    ([7], 0, {}, 0, [0]),
    ([-INF, 0, 0], 1, {}, LOG2, [0, -0.5, 0.5]),
    ([-INF, 0], 1, {}, 0, [0, 0]),
    ([-INF, 0], 0, {}, INF, [-1, 1]),
    ([6e4, -6e4], 0, {}, 0, [0, 0]),
    ([0, 1e4], 0, {}, 1e4, [-1, 1]),
    ([NAN, 0], 0, {}, NAN, [NAN, NAN]),
    ([NAN, 0], 1, {}, NAN, [NAN, NAN]),
    ([NAN, INF], 1, {}, NAN, [NAN, NAN]),
    # A term whose probability or weight is 0 contributes 0.
    ([-INF, 0], [0.0, 1.0], {}, 0, [0, 0]),
    ([-INF, 0, 0], [0.0, 0.5, 0.5], {}, LOG2, [0, 0, 0]),
    ([-INF, 0], [1.0, 0.0], {}, INF, [-1, 1]),
    ([-INF, 0], [0.0, 0.0], {}, 0, [0, 0]),
    ([-INF, 0], 0, {"weight": [0, 1]}, 0, [0, 0]),
    ([-INF, 0], 0, {"sample_weight": 0}, 0, [0, 0]),
    ([-INF, 0], [1.0, 0.0], {"weight": [0, 1]}, 0, [0, 0]),
    ([-INF, 0, 0], 1, {"label_smoothing": 1, "weight": [0, 0, 3]}, LOG2, [0, 0.5, -0.5]),
    ([-INF, 0], 1, {"label_smoothing": 0.5}, INF, [-0.25, 0.25]),
    # An ignored row has no loss and no gradient, whatever it holds.
    ([NAN, INF], -100, {"ignore_index": -100}, 0, [0, 0]),
    ([INF, INF], 1, {"ignore_index": 1}, 0, [0, 0]),
    ([-INF, -INF], 0, {"ignore_index": 0, "label_smoothing": 0.5}, 0, [0, 0]),
]
# A nan is made of no nan.
WARNING = [
    ([INF, 0], 0, {}, NAN, [NAN, NAN]),
    ([INF, INF], 0, {}, NAN, [NAN, NAN]),
    ([-INF, -INF], 0, {}, NAN, [NAN, NAN]),
    ([-INF, -INF], [0.5, 0.5], {}, NAN, [NAN, NAN]),
]


def _call(fs, case, dtype, reduction):
    x, targets = np.array(case[0], dtype), np.array(case[1])
    return fs.cross_entropy_value_and_grad(x, targets, **case[2], reduction=reduction)


def _assert_values(result, case):
    for value, expected in zip(result, case[3:], strict=True):
        actual = np.asarray(value).astype(float)
        np.testing.assert_allclose(actual, expected, rtol=1e-2)
        whole = np.isin(expected, [0, -0.5, 0.5, 1, -1, INF])
        np.testing.assert_array_equal(actual[whole], np.asarray(expected, float)[whole])


@pytest.mark.parametrize("case", SILENT, ids=str)
def test_values(fs, dtype, case):
    with np.errstate(all="raise"):
        result = _call(fs, case, dtype, "sum")
        alone = _call(fs, case, dtype, "none")
    _assert_values(result, case)
    assert_same_bits(alone[0], result[0])
    assert_same_bits(alone[1], result[1])


@pytest.mark.parametrize("case", WARNING, ids=str)
def test_values_that_warn(fs, dtype, case):
    with pytest.warns(RuntimeWarning, match="invalid value") as caught:
        result = _call(fs, case, dtype, "sum")
    assert len(caught) == 1
    loss, gradient = (np.asarray(r).astype(float) for r in result)
    assert np.isnan(loss) and np.isnan(gradient).any()


@pytest.mark.parametrize("case", SILENT + WARNING, ids=str)
def test_among_ordinary_rows_and_columns_which_keep_their_bits(fs, dtype, case, rng):
    for axis in (0, 1):
        _assert_keeps_to_itself(fs, dtype, case, axis, rng)


def _assert_keeps_to_itself(fs, dtype, case, axis, rng):
    n = len(case[0])
    x = rng.standard_normal((40, n)).astype(dtype)
    is_label = np.ndim(case[1]) == 0
    targets = rng.integers(n, size=40) if is_label else rng.random((40, n))
    options = dict(case[2])
    if "ignore_index" in options:
        targets[targets == options["ignore_index"]] = n - 1 - max(options["ignore_index"], 0)
    if "sample_weight" in options:
        options["sample_weight"] = np.ones(40)
    with np.errstate(invalid="ignore"):
        before = _along(fs, x, targets, axis, options)
        x[17], targets[17] = case[0], case[1]
        if "sample_weight" in options:
            options["sample_weight"][17] = case[2]["sample_weight"]
        after = _along(fs, x, targets, axis, options)
    for first, second in zip(before, after, strict=True):
        assert_same_bits(np.delete(second, 17, axis=0), np.delete(first, 17, axis=0))
    if case in SILENT:
        _assert_values((after[0][17], after[1][17]), case)
    else:
        assert np.isnan(after[0][17])


def _along(fs, x, targets, axis, options):
    """Loss and gradient of each row, classes along an axis."""
    turn = np.transpose if axis == 0 else np.asarray
    targets = np.ascontiguousarray(turn(targets)) if targets.ndim == 2 else targets
    x = np.ascontiguousarray(turn(x))
    loss, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, reduction="none", **options)
    return loss, turn(gradient)


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (5_000, 3), (4, 40_000)])
def test_all_rows_ignored(fs, dtype, shape):
    x, labels = np.full(shape, NAN, dtype), np.full(shape[0], -1)
    for reduction, expected in (("mean", NAN), ("sum", 0), ("none", np.zeros(shape[0]))):
        options = {"ignore_index": -1, "reduction": reduction}
        with np.errstate(all="raise"):
            loss, gradient = fs.cross_entropy_value_and_grad(x, labels, **options)
            alone = fs.cross_entropy(x, labels, **options)
        np.testing.assert_array_equal(loss, expected)
        np.testing.assert_array_equal(alone, expected)
        assert (gradient == 0).all()


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize(("shape", "axis"), [((0, 5), 1), ((5, 0), 0), ((2, 0, 5), -1)])
def test_no_rows(fs, dtype, kind, shape, axis):
    x, rows = np.zeros(shape, dtype), tuple(np.delete(shape, axis))
    targets = np.zeros(rows, int) if kind == "labels" else np.zeros(shape)
    for reduction, expected in (("mean", NAN), ("sum", 0), ("none", np.zeros(rows))):
        with np.errstate(all="raise"):
            loss, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, reduction=reduction)
            alone = fs.cross_entropy(x, targets, axis, reduction=reduction)
        np.testing.assert_array_equal(loss, expected)
        np.testing.assert_array_equal(alone, expected)
        assert gradient.shape == shape and gradient.dtype == dtype


def test_one_class(fs, dtype, rng):
    x = (1e3 * rng.standard_normal((70, 1))).astype(dtype)
    for targets in (np.zeros(70, int), np.ones((70, 1))):
        for options in ({}, {"label_smoothing": 0.3}, {"weight": [2.0]}):
            loss, gradient = fs.cross_entropy_value_and_grad(x, targets, **options)
            # Of probabilities, the two parts of the gradient cancel but for their rounding.
            rounding = 0 if targets.ndim == 1 and not options else 2.0**-20 / 70
            assert loss == 0 and (abs(gradient.astype(np.float64)) <= rounding).all()


def test_no_label_belongs_to_no_class(fs):
    with pytest.raises(ValueError, match="0"):
        fs.cross_entropy(np.zeros((3, 0)), np.zeros(3, int))


def test_the_largest_logits_have_a_loss(fs):
    for kind in (np.float32, np.float64):
        big = np.finfo(kind).max
        x = np.array([[big, big / 2], [-big, -big], [big, big]], kind)
        with np.errstate(all="raise"):
            loss, gradient = fs.cross_entropy_value_and_grad(x, [1, 0, 1], reduction="none")
        np.testing.assert_allclose(loss, np.array([big / 2, LOG2, LOG2]), rtol=1e-6)
        np.testing.assert_array_equal(gradient, [[1, -1], [-0.5, 0.5], [0.5, -0.5]])


def test_a_loss_beyond_the_range_of_the_dtype_is_infinite_and_silent(fs):
    for kind in (np.float32, np.float64):
        big = np.finfo(kind).max
        with np.errstate(all="raise"):
            loss, gradient = fs.cross_entropy_value_and_grad(np.array([big, -big]), 1)
            assert loss == INF
        np.testing.assert_array_equal(gradient, [1, -1])


@pytest.mark.parametrize("rows", [1, 2, 50, 60_000])
def test_a_call_warns_once_by_the_errstate_of_the_caller(fs, dtype, rows):
    x, labels = np.full((rows, 2), -INF, dtype), np.zeros(rows, int)
    for call in (fs.cross_entropy, fs.cross_entropy_value_and_grad):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(x, labels)
            with np.errstate(invalid="ignore"):
                call(x, labels)
        assert [w.category for w in caught] == [RuntimeWarning]
        assert "invalid value" in str(caught[0].message)
        with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match="invalid value"):
            call(x, labels)
        heard = []
        with np.errstate(invalid="call", call=lambda kind, flag, heard=heard: heard.append(kind)):
            call(x, labels)
        assert heard == ["invalid value"]


def test_right_results_are_silent_at_every_length(fs, dtype, rng):
    with np.errstate(all="raise"):
        for n in (*range(1, 40), 65, 1_025):
            x = np.full((3, n), -6e4, dtype)
            x[:, 0] = [1, -6e4, 6e4]
            for targets in (np.zeros(3, int), np.full((3, n), 1 / n)):
                fs.cross_entropy_value_and_grad(x, targets, label_smoothing=0.1)
                fs.cross_entropy_value_and_grad(x, targets)


def test_an_infinite_loss_is_silent_though_its_gradient_is_not(fs, dtype):
    """With +inf elsewhere the log-probability of the label is -inf, and the gradient nan."""
    for row, label in (([INF, 0], 1), ([0, INF, INF, 5], 3)):
        x = np.array([row], dtype)
        with np.errstate(all="raise"):
            assert fs.cross_entropy(x, [label]) == INF
            with pytest.raises(FloatingPointError, match="invalid value"):
                fs.cross_entropy_value_and_grad(x, [label])


@pytest.mark.parametrize("sample_weight", [[1, -1], [np.inf, 1], [np.inf, -np.inf], [0, np.inf]])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_a_nan_that_weights_make_has_one_sign(fs, sample_weight, reduction, kind):
    """Processors give it either."""
    x = np.array([[0, 1, -np.inf], [1, 2, 3]], kind)
    with np.errstate(invalid="ignore"):
        loss, grad = fs.cross_entropy_value_and_grad(
            x, [0, 1], sample_weight=sample_weight, reduction=reduction
        )
    for result in (loss, grad):
        assert not np.signbit(result[np.isnan(result)]).any()
    assert np.isnan(loss).any() or np.isnan(grad).any() or reduction != "mean"


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("n", [3, 40, 3_000])
def test_a_row_of_probabilities_0_or_of_weight_0_counts_nothing(fs, dtype, bad, n):
    x, q = np.zeros((3, n), dtype), np.full((3, n), 1 / n)
    x[1] = bad
    q[1] = 0
    for targets, options in (
        (q, {}),
        (np.zeros(3, int), {"label_smoothing": 0.1, "sample_weight": [1, 0, 1]}),
    ):
        with np.errstate(all="raise"):
            loss, gradient = fs.cross_entropy_value_and_grad(
                x, targets, reduction="none", **options
            )
        assert loss[1] == 0 and (gradient[1] == 0).all()
