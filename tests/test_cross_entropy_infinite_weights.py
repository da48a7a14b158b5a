"""Weights that are not finite: a nan they make is told of, and one that came in is not."""

import warnings

import numpy as np
import pytest

INF, NAN = np.inf, np.nan


def _warned(fs, with_grad, logits, targets, **options):
    name = "cross_entropy_value_and_grad" if with_grad else "cross_entropy"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = getattr(fs, name)(logits, targets, **options)
    assert all("invalid value" in str(each.message) for each in caught)
    return len(caught), result


@pytest.mark.parametrize("with_grad", [False, True])
@pytest.mark.parametrize(
    ("logits", "weights", "times"),
    [
        ([[0, 0.0]], [INF], 1),  # infinity times a difference of 0
        ([[0, 0.0], [0, 0]], [1, INF], 1),
        ([[0, 0.0]], [NAN], 0),
        ([[INF, 0.0]], [NAN], 0),  # would make a nan by itself, but one came in
        ([[NAN, 0.0]], [INF], 0),
        ([[INF, 0.0]], [1], 1),
        ([[INF, 0.0], [0, 0]], [1, NAN], 1),  # another row's
    ],
)
def test_a_nan_is_told_of_once_if_none_came_in(fs, with_grad, logits, weights, times):
    options = {"sample_weight": np.array(weights, float), "reduction": "none"}
    warned, _ = _warned(fs, with_grad, np.array(logits), [0] * len(logits), **options)
    assert warned == times


def test_a_nan_in_the_gradient_alone_is_told_of(fs):
    warned, (loss, gradient) = _warned(
        fs, True, np.array([[0, 1.0]]), [0], sample_weight=[INF], reduction="none"
    )
    assert warned == 1
    assert loss[0] == INF
    assert np.isnan(gradient).any()
