"""Masked arrays in cross-entropy: logits count as -inf, rows of masked labels are ignored."""

import numpy as np
import pytest
from formats import assert_same_bits

NAN, INF = np.nan, np.inf
ROWS, N = 6, 5
LABELS = np.array([0, 1, 2, 3, 4, 0])
REDUCTIONS = ("none", "mean", "sum")


@pytest.fixture
def logits(dtype, rng):
    return rng.standard_normal((ROWS, N)).astype(dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_masked_logits_are_minus_infinity(fs, dtype, logits, reduction):
    mask = np.zeros((ROWS, N), bool)
    mask[0, 1] = mask[2, 3] = mask[3, :3] = True
    lowest = np.where(mask, np.array(-INF, dtype), logits)
    expected = fs.cross_entropy_value_and_grad(lowest, LABELS, reduction=reduction)
    logits[mask] = NAN
    masked = np.ma.array(logits, mask=mask)
    with np.errstate(all="raise"):
        loss, grad = fs.cross_entropy_value_and_grad(masked, LABELS, reduction=reduction)
    assert_same_bits(loss, expected[0])
    assert isinstance(grad, np.ma.MaskedArray)
    np.testing.assert_array_equal(grad.mask, mask)
    assert_same_bits(np.asarray(grad), expected[1])
    assert_same_bits(fs.cross_entropy(masked, LABELS, reduction=reduction), expected[0])
    out = np.zeros_like(logits)
    assert fs.cross_entropy_value_and_grad(masked, LABELS, reduction=reduction, out=out)[1] is out
    assert_same_bits(out, expected[1])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("wrong", [-1, N, 99])
def test_rows_of_masked_labels_are_ignored_whatever_the_label(fs, logits, reduction, wrong):
    mask = np.array([False, True, False, False, True, False])
    ignored, filled = np.where(mask, -100, LABELS), np.where(mask, wrong, LABELS)
    logits[mask] = NAN
    options = {"reduction": reduction}
    expected = fs.cross_entropy_value_and_grad(logits, ignored, ignore_index=-100, **options)
    masked = np.ma.array(filled, mask=mask)
    loss, grad = fs.cross_entropy_value_and_grad(logits, masked, **options)
    assert_same_bits(loss, expected[0])
    assert_same_bits(grad, expected[1])
    # A label may be ignored beside those that are masked.
    both = np.ma.array(np.where(LABELS == 2, -7, filled), mask=mask)
    ignored[LABELS == 2] = -100
    expected = fs.cross_entropy(logits, ignored, ignore_index=-100, **options)
    assert_same_bits(fs.cross_entropy(logits, both, ignore_index=-7, **options), expected)


def test_a_label_out_of_range_beside_masked_ones_is_refused(fs, logits):
    labels = np.ma.array([9, 1, 2, 8, 4, 0], mask=[True] + [False] * 5)
    with pytest.raises(ValueError, match=r"label 8 of targets\[3\]"):
        fs.cross_entropy(logits, labels)


def test_masked_probabilities_and_weights_are_zero(fs, dtype, logits, rng):
    probabilities = rng.dirichlet(np.ones(N), ROWS).astype(dtype)
    mask = rng.random((ROWS, N)) < 0.3
    weight, sample_weight = rng.uniform(0.5, 2, N), rng.uniform(0.5, 2, ROWS)
    first, last = np.arange(N) == 1, np.arange(ROWS) == ROWS - 1
    expected = fs.cross_entropy_value_and_grad(
        logits,
        np.where(mask, np.zeros((), dtype), probabilities),
        weight=np.where(first, 0, weight),
        sample_weight=np.where(last, 0, sample_weight),
    )
    probabilities[mask], weight[first], sample_weight[last] = NAN, NAN, NAN
    result = fs.cross_entropy_value_and_grad(
        logits,
        np.ma.array(probabilities, mask=mask),
        weight=np.ma.array(weight, mask=first),
        sample_weight=np.ma.array(sample_weight, mask=last),
    )
    for got, due in zip(result, expected, strict=True):
        assert_same_bits(got, due)
