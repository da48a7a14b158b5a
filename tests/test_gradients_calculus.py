"""The products against other ways to a derivative, and the identities of the Jacobians."""

import itertools

import backward
import numpy as np
import pytest

AXES = [None, 0, 1, -1, (0, 2), (1, 2), (2, 0, 1), ()]
SHAPE = (3, 4, 5)
FORWARD = ["softmax", "log_softmax", "logsumexp"]


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    threads = module.get_num_threads()
    module.set_num_threads(1)  # more only wait for each other at these sizes
    yield module
    module.set_num_threads(threads)


def _saved(fs, forward, x, axis, **options):
    """The arguments that follow g or t."""
    result = getattr(fs, forward)(x, axis=axis, **options)
    return (x, result) if forward == "logsumexp" else (result,)


def _torch_forward(torch, forward, x, axis, b=None):
    axes = tuple(range(x.ndim)) if axis is None else axis
    if axes == ():
        total = x if b is None else x + torch.log(abs(b))
    elif b is None:
        total = torch.logsumexp(x, axes, keepdim=True)
    else:
        total = torch.log(abs((b * torch.exp(x)).sum(axes, keepdim=True)))
    if forward == "logsumexp":
        return total
    return x - total if forward == "log_softmax" else torch.exp(x - total)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("forward", FORWARD)
def test_products_are_those_of_autograd(fs, torch, forward, axis, rng):
    x, t = rng.standard_normal((2, *SHAPE))
    tensor = torch.tensor(x, requires_grad=True)

    def function(a):
        return _torch_forward(torch, forward, a, axis)

    y = function(tensor)
    saved = _saved(fs, forward, x, axis)
    g = rng.standard_normal(tuple(y.shape))
    (expected,) = torch.autograd.grad(y, tensor, torch.tensor(g))
    result = getattr(fs, forward + "_vjp")(g.reshape(saved[-1].shape), *saved, axis=axis)
    np.testing.assert_allclose(result, expected.numpy(), rtol=1e-12, atol=1e-14)
    _, expected = torch.autograd.functional.jvp(function, torch.tensor(x), torch.tensor(t))
    result = getattr(fs, forward + "_jvp")(t, *saved, axis=axis)
    np.testing.assert_allclose(
        result, expected.numpy().reshape(saved[-1].shape), rtol=1e-12, atol=1e-14
    )


# Shapes of a and b: the same, one broadcast, both broadcast, more axes in b.
SHAPES = [
    ((3, 4, 5), (3, 4, 5)),
    ((3, 4, 5), (5,)),
    ((3, 4, 5), (4, 1)),
    ((3, 4, 5), ()),
    ((3, 1, 5), (3, 4, 5)),
    ((1, 5), (4, 1)),
    ((5,), (3, 4, 5)),
    ((), (3, 4)),
    ((1,), (3, 4)),
]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_weighted_products_are_those_of_autograd(fs, torch, shapes, keepdims, rng):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    a, b, t = np.asarray(a), np.asarray(b), rng.standard_normal(np.shape(a))
    ndim = len(np.broadcast_shapes(*shapes))
    axes = [None, *range(-ndim, ndim), *itertools.combinations(range(ndim), 2)]
    tensor, weights = torch.tensor(a, requires_grad=True), torch.tensor(b)
    for axis in axes:
        options = {"axis": axis, "b": b, "keepdims": keepdims}
        lse, sign = fs.logsumexp(a, return_sign=True, **options)

        def function(x, axis=axis):
            return _torch_forward(torch, "logsumexp", x + 0 * weights, axis, weights)

        y = function(tensor)
        g = np.asarray(rng.standard_normal(lse.shape))
        (expected,) = torch.autograd.grad(y, tensor, torch.tensor(g).reshape(y.shape))
        result = fs.logsumexp_vjp(g, a, lse, sign=sign, **options)
        assert result.shape == a.shape
        # Both lose what the terms' magnitudes are above their sum.
        terms = fs.logsumexp(a, axis, abs(b), keepdims)
        rtol = 1e-13 + 1e-14 * float(np.exp(terms - lse).max())
        np.testing.assert_allclose(result, expected.numpy(), rtol=rtol, atol=1e-12)
        _, expected = torch.autograd.functional.jvp(function, torch.tensor(a), torch.tensor(t))
        result = fs.logsumexp_jvp(t, a, lse, sign=sign, **options)
        assert result.shape == lse.shape
        np.testing.assert_allclose(
            result, expected.numpy().reshape(lse.shape), rtol=rtol, atol=1e-12
        )


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("forward", FORWARD)
def test_jvp_is_the_complex_step(fs, forward, axis, rng):
    x, t = rng.standard_normal((2, *SHAPE))
    step = 1e-100
    expected = getattr(fs, forward)(x + 1j * step * t, axis=axis).imag / step
    result = getattr(fs, forward + "_jvp")(t, *_saved(fs, forward, x, axis), axis=axis)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("forward", FORWARD)
def test_jvp_is_the_central_difference(fs, forward, rng):
    x, t = rng.standard_normal((2, 20))
    step, function = 1e-5, getattr(fs, forward)
    expected = (function(x + step * t) - function(x - step * t)) / (2 * step)
    result = getattr(fs, forward + "_jvp")(t, *_saved(fs, forward, x, None))
    np.testing.assert_allclose(result, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("forward", FORWARD)
def test_vjp_and_jvp_are_adjoint(fs, forward, axis, rng):
    for scale in (1, 30):
        x, t = scale * rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)
        saved = _saved(fs, forward, x, axis)
        g = np.asarray(rng.standard_normal(saved[-1].shape))
        pushed = getattr(fs, forward + "_jvp")(t, *saved, axis=axis)
        pulled = getattr(fs, forward + "_vjp")(g, *saved, axis=axis)
        # No element of these Jacobians is above 1.
        magnitude = abs(g).sum() * abs(t).sum()
        assert abs((g * pushed).sum() - (pulled * t).sum()) <= 1e-15 * magnitude


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_weighted_vjp_and_jvp_are_adjoint(fs, shapes, rng):
    a, b = (np.asarray(rng.standard_normal(shape)) for shape in shapes)
    t = np.asarray(rng.standard_normal(a.shape))
    for axis in (None, 0, -1):
        lse, sign = fs.logsumexp(a, axis=axis, b=b, return_sign=True)
        g = np.asarray(rng.standard_normal(np.shape(lse)))
        pushed = fs.logsumexp_jvp(t, a, lse, axis, b, sign=sign)
        pulled = fs.logsumexp_vjp(g, a, lse, axis, b, sign=sign)
        magnitude = abs(g * pushed).sum() + abs(pulled * t).sum()
        assert abs((g * pushed).sum() - (pulled * t).sum()) <= 1e-12 * magnitude


@pytest.mark.parametrize("forward", ["softmax", "log_softmax"])
def test_rows_of_the_jacobian_sum_to_zero(fs, forward, dtype, rng):
    """A shift of all logits changes nothing: the product with ones is 0, and so is g^T J 1."""
    x = (3 * rng.standard_normal((40, 17))).astype(dtype)
    saved = _saved(fs, forward, x, -1)
    eps = 2.0 ** {"float16": -9, "bfloat16": -6}.get(dtype.name, -20 if dtype == "f4" else -48)
    pushed = getattr(fs, forward + "_jvp")(np.ones_like(x), *saved, axis=-1).astype(float)
    assert abs(pushed).max() <= eps
    g = rng.standard_normal(x.shape).astype(dtype)
    pulled = getattr(fs, forward + "_vjp")(g, *saved, axis=-1).astype(float)
    assert (abs(pulled.sum(axis=-1)) <= 4 * eps * abs(g.astype(float)).sum(axis=-1)).all()


def test_the_jacobian_of_softmax_is_symmetric(fs, rng):
    y = fs.softmax(rng.standard_normal(12))
    units = np.eye(12)
    jacobian = fs.softmax_vjp(units, np.tile(y, (12, 1)), axis=-1)
    np.testing.assert_allclose(jacobian, jacobian.T, rtol=1e-15, atol=1e-17)
    np.testing.assert_allclose(jacobian, np.diag(y) - np.outer(y, y), rtol=1e-14, atol=1e-17)


def test_the_gradient_of_logsumexp_is_softmax(fs, dtype, rng):
    a = (4 * rng.standard_normal((6, 30))).astype(dtype)
    lse = fs.logsumexp(a.astype(np.float64), axis=-1)
    p = fs.logsumexp_vjp(np.ones(6), a.astype(np.float64), lse, axis=-1)
    np.testing.assert_allclose(p, fs.softmax(a.astype(np.float64), axis=-1), rtol=1e-14)
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-14)


def test_softmax_jvp_is_softmax_vjp(fs, dtype, rng):
    for axis in (None, 0, 1, (0, 1)):
        g, y = backward.arguments("softmax_vjp", rng, (5, 33), dtype, axis)
        np.testing.assert_array_equal(
            fs.softmax_jvp(g, y, axis=axis), fs.softmax_vjp(g, y, axis=axis)
        )
