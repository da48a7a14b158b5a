"""Exponentials below the kernels' floor beside vectors so large that it shows."""

import mpmath
import numpy as np
import pytest
import reference
import reference_backward
from formats import of
from test_accuracy import GENERIC_ALLOWANCE

FLOOR = {"float32": (130, 36), "float64": (1000, 365)}  # in natural units, and in bits of a vector
NAMES = ("log_softmax_vjp", "log_softmax_jvp", "logsumexp_vjp", "logsumexp_jvp")
SHAPES = ((1, 2), (40, 2), (5, 3), (40, 10), (3, 33), (20, 100), (4, 1_025), (1, 5_000))


@pytest.fixture(params=FLOOR)
def kind(request):
    """A dtype with a floor of its own."""
    return np.dtype(request.param)


def _logp(rng, shape, floor, above):
    """Log-probabilities about the floor, with one that is likely in each row if there is any."""
    logp = -rng.uniform(0 if above else 0.9 * floor, 1.6 * floor, shape)
    logp[rng.random(shape) < 0.2] = -np.inf
    if above:
        rows = np.arange(shape[0])
        logp[rows, rng.integers(shape[1], size=shape[0])] = -rng.uniform(0, 2, shape[0])
    return logp


def _vector(rng, shape, kind, bits, wild):
    """Numbers about the limit or up to the end of the range, small ones and zeros."""
    end = np.finfo(kind).maxexp - 15
    exponents = rng.uniform(-20, end, shape) if wild else rng.uniform(bits - 30, bits + 30, shape)
    exponents *= rng.choice([-1, 1], shape)
    vector = 2.0**exponents * rng.choice([-1, 0, 1], shape, p=[0.25, 0.5, 0.25])
    return vector.astype(kind)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", NAMES)
def test_products_are_accurate(fs, target, name, axis, kind, worst, rng):
    floor, bits = FLOOR[kind.name]
    limit = of(kind).ulp_limit + (GENERIC_ALLOWANCE if target == "generic" else 0)
    for shape in SHAPES:
        for above, wild in ((True, False), (True, True), (False, True)):
            logp = _logp(rng, shape, floor, above).astype(kind)
            vector = _vector(rng, shape, kind, bits, wild)
            if name.startswith("log_softmax"):
                arguments = (vector, logp)
            else:
                lse = 100 * rng.uniform(-5, 5, shape[0]).astype(kind)
                arguments = (vector, (logp + lse[:, None]).astype(kind), lse)
                if name == "logsumexp_vjp":
                    arguments = (vector[:, 0], *arguments[1:])
            exact, scale = getattr(reference_backward, name)(*arguments)
            moved = [a.T if a.ndim == 2 else a for a in arguments] if axis == 0 else arguments
            result = getattr(fs, name)(*moved, axis=axis)
            error = reference.ulp_error(result.T if axis == 0 else result, exact, kind, scale)
            error = error[np.abs(scale) < np.finfo(kind).max]
            worst(name, kind, target, error.max(initial=0), "beside the floor")
            assert error.max(initial=0) <= limit, (shape, above, wild)


@pytest.mark.parametrize("axis", [0, -1])
def test_gradients_of_cross_entropy_are_accurate(fs, target, axis, kind, worst, rng):
    floor, bits = FLOOR[kind.name]
    limit = of(kind).ulp_limit + (GENERIC_ALLOWANCE if target == "generic" else 0)
    for rows, n in ((1, 2), (20, 2), (20, 3), (3, 10), (20, 33)):
        for size in (bits + 1, bits + 24, bits + 64):
            x = -rng.uniform(0, 1.5 * floor, (rows, n))
            x[:, 0] = 0
            x = (x + rng.uniform(-50, 50, (rows, 1))).astype(kind)
            labels = rng.integers(n, size=rows)
            weight = (2.0 ** rng.uniform(size, size + 1, rows)).astype(kind)
            weight *= rng.choice([-1, 1], rows).astype(kind)
            losses, gradient = fs.cross_entropy_value_and_grad(
                x.T.copy() if axis == 0 else x,
                labels,
                axis=axis,
                sample_weight=weight,
                reduction="none",
            )
            exact = [_cross_entropy(*row) for row in zip(x, labels, weight, strict=True)]
            for got, index in ((losses, 0), (gradient.T if axis == 0 else gradient, 1)):
                wanted = np.array([row[index] for row in exact], object).reshape(got.shape)
                error = reference.ulp_error(got, wanted, kind, abs(wanted))
                worst("cross_entropy", kind, target, error.max(), "beside the floor")
                assert error.max() <= limit, (rows, n, size, index)


def test_a_sum_may_leave_the_range(fs, target):
    """Of tangents near the end of it, beside one that the floor would show."""
    big = 1.7e308
    logp = np.array([[-np.log(2), -np.log(2), -1500.0], [-0.5, -0.5, -1500.0]])
    exact, scale = reference_backward.log_softmax_jvp(np.full((2, 3), big), logp)
    result = fs.log_softmax_jvp(np.full((2, 3), big), logp, axis=-1)
    assert (abs(result - exact) <= 5 * np.finfo(float).eps * scale).all()


def test_a_nan_is_the_canonical_one(fs, target, kind):
    """Whatever nan was given."""
    logp = np.full((3, 40), -1, kind)
    logp[1, 5] = np.copysign(kind.type(np.nan), kind.type(-1))
    g = np.full((3, 40), 2.0 ** (FLOOR[kind.name][1] + 2), kind)
    for axis, turned in ((-1, lambda a: a), (0, lambda a: np.ascontiguousarray(a.T))):
        result = turned(fs.log_softmax_vjp(turned(g), turned(logp), axis=axis))
        expected = np.zeros((3, 40), bool)
        expected[1, 5] = True
        np.testing.assert_array_equal(np.isnan(result), expected)
        assert result[1, 5].tobytes() == kind.type(np.nan).tobytes()


def _cross_entropy(x, label, weight):
    """The loss of a row, and its gradient, with the digits that e^-2000 beside 1 takes."""
    with reference.workprec(4_000):
        terms = [mpmath.exp(mpmath.mpf(float(v))) for v in x]
        total, weight = sum(terms), mpmath.mpf(float(weight))
        others = total - terms[label]
        gradient = [weight * term / total for term in terms]
        gradient[label] = -weight * others / total
        return -weight * mpmath.log(terms[label] / total), gradient
