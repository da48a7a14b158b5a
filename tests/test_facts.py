"""Numbers and identities that textbooks and papers print."""

import math

import numpy as np
import pytest
import scipy.special

# Logits, softmax as printed, digits printed.
PRINTED = [
    (
        [1, 2, 3, 4, 1, 2, 3],
        [0.02364054, 0.06426166, 0.1746813, 0.474833, 0.02364054, 0.06426166, 0.1746813],
        5e-8,
    ),
    (
        [0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3],
        [0.125, 0.138, 0.153, 0.169, 0.125, 0.138, 0.153],
        5e-4,
    ),
    ([[1, 2], [3, 4]], [[0.0320586, 0.08714432], [0.23688282, 0.64391426]], 5e-8),
    ([0, 2, 4], [0.0159, 0.1173, 0.8668], 5e-5),
    ([1.4285, 0.3815], [0.7402, 0.2598], 5e-5),
]


@pytest.mark.parametrize(("x", "p", "digits"), PRINTED, ids=lambda v: str(v)[:24])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_printed_probabilities(fs, x, p, digits, kind):
    slack = 1e-7 if kind is np.float32 else 0
    np.testing.assert_allclose(fs.softmax(np.array(x, kind)), p, rtol=0, atol=digits + slack)
    np.testing.assert_allclose(
        np.exp(fs.log_softmax(np.array(x, kind))), p, rtol=0, atol=digits + slack
    )


def test_softmax_is_invariant_under_a_shift_but_not_under_a_scale(fs):
    x = np.array([1.0, 2, 3, 4, 1, 2, 3])
    np.testing.assert_allclose(fs.softmax(x + 10), fs.softmax(x), rtol=3e-15)
    assert abs(fs.softmax(x / 10) - fs.softmax(x)).max() > 0.3


def test_of_two_classes_is_the_logistic_function(fs):
    for x in np.linspace(-700, 700, 57):
        expected = scipy.special.expit(x)
        np.testing.assert_allclose(fs.softmax([x, 0.0])[0], expected, rtol=3e-15)
        np.testing.assert_allclose(
            fs.log_softmax([x, 0.0])[0], scipy.special.log_expit(x), rtol=3e-15
        )


def test_logsumexp_of_two_is_logaddexp(fs, rng):
    for a, b in 50 * rng.standard_normal((50, 2)):
        np.testing.assert_allclose(fs.logsumexp([a, b]), np.logaddexp(a, b), rtol=3e-15, atol=1e-15)


def test_the_gradient_of_logsumexp_is_softmax(fs, rng):
    """By central differences, and by the derivative along the imaginary axis."""
    x = rng.standard_normal(9)
    p, h = fs.softmax(x), 1e-5
    for k, unit in enumerate(np.eye(9)):
        slope = (fs.logsumexp(x + h * unit) - fs.logsumexp(x - h * unit)) / (2 * h)
        np.testing.assert_allclose(slope, p[k], rtol=1e-8)
        np.testing.assert_allclose(fs.logsumexp(x + 1e-30j * unit).imag / 1e-30, p[k], rtol=1e-13)


def test_the_limits_of_temperature(fs):
    x = np.array([1.0, 3.0, 2.0])
    np.testing.assert_array_equal(fs.softmax(x / 1e-3), [0, 1, 0])
    np.testing.assert_allclose(fs.softmax(x / 1e12), 1 / 3, rtol=1e-11)


def test_equal_logits_are_uniform(fs, dtype):
    for n in (1, 2, 4, 8, 64, 1_024):
        np.testing.assert_array_equal(fs.softmax(np.full(n, 3, dtype)), dtype.type(1 / n))
    np.testing.assert_allclose(fs.logsumexp(np.zeros(10)), math.log(10), rtol=1e-15)


def test_entropy_of_ten_equal_classes(fs):
    x = np.full(10, -7.25)
    entropy = -(fs.softmax(x) * fs.log_softmax(x)).sum()
    np.testing.assert_allclose(entropy, math.log(10), rtol=1e-14)
