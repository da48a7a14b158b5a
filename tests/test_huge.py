"""More than 2^31 elements along the reduced axis and along the others, right to the last element.

Run by `pytest --run-huge tests/test_huge.py`, with 10 GB of memory to spare. A test fills an array
with few values and sets others at its ends and where a 32-bit index would turn negative or around.
Results in place keep it at one array.
"""

import math

import numpy as np
import pytest

pytestmark = pytest.mark.huge

HUGE = 2**31 + 1_027
PIECE = 1 << 26


def marked(n):
    """Places where an index of 32 bits goes wrong, and the ends."""
    return [0, 1, 2**16, 2**30, 2**31 - 1, 2**31, 2**31 + 1, n - 2, n - 1]


def filled(shape, dtype, values):
    """An array with these values, which broadcast; no temporary is made for it."""
    x = np.empty(shape, dtype)
    x[...] = np.asarray(values, dtype)
    return x


def assert_all_equal(x, expected, places):
    """All of a vector is one number but at the places, which are set to it."""
    x[places] = expected
    for start in range(0, len(x), PIECE):
        piece = x[start : start + PIECE]
        assert piece.min() == expected == piece.max(), start


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_a_reduced_axis_in_place(fs, function):
    x, places = np.zeros(HUGE, np.float32), marked(HUGE)
    x[places] = marks = np.arange(12, 12 + len(places), dtype=np.float32)
    total = math.fsum([HUGE - len(places), *np.exp(marks.astype(np.float64))])
    logarithm = fs.logsumexp(x)
    assert abs(logarithm - math.log(total)) <= 3 * np.spacing(logarithm)
    assert getattr(fs, function)(x, out=x) is x
    expected = marks.astype(np.float64) - math.log(total)
    zero = -math.log(total)
    if function == "softmax":
        expected, zero = np.exp(expected), math.exp(zero)
    np.testing.assert_allclose(x[places], expected, rtol=1e-6)
    assert math.isclose(x[2], zero, rel_tol=1e-6)
    assert_all_equal(x, x[2], places)


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_another_axis_in_place(fs, function):
    """Both the columns and the distance of their elements are beyond 32 bits."""
    x = filled((2, HUGE), np.float16, [[0], [1]])
    places = marked(HUGE)
    x[1, places] = marks = np.arange(2, 2 + len(places), dtype=np.float16)
    few = np.stack([np.zeros_like(marks), marks])
    expected, ordinary = getattr(fs, function)(few, 0), getattr(fs, function)(x[:, 2:3], 0)
    getattr(fs, function)(x, axis=0, out=x)
    np.testing.assert_array_equal(x[:, places], expected)
    for row, value in zip(x, ordinary, strict=True):
        assert_all_equal(row, value[0], places)


def test_many_rows_in_place(fs):
    rows = HUGE // 2 + 1
    x = filled((rows, 2), np.float16, [0, 1])
    places = [0, 1, 2**29, 2**30 - 1, 2**30, rows - 2, rows - 1]
    x[places, 1] = marks = np.arange(2, 2 + len(places), dtype=np.float16)
    few = np.stack([np.zeros_like(marks), marks], axis=1)
    expected, ordinary = fs.softmax(few, 1), fs.softmax(x[2:3], 1)
    fs.softmax(x, axis=1, out=x)
    np.testing.assert_array_equal(x[places], expected)
    for column in range(2):
        assert_all_equal(x[:, column], ordinary[0, column], places)


def test_logsumexp_of_a_broadcast_view(fs):
    x = np.broadcast_to(np.array([1, 2, 3], np.float16), (HUGE, 3))
    result = fs.logsumexp(x, axis=1)
    assert_all_equal(result, fs.logsumexp(x[0]), [])


def test_logsumexp_along_a_broadcast_axis(fs):
    result = fs.logsumexp(np.broadcast_to(np.float32(1), (HUGE,)))
    assert abs(result - (1 + math.log(HUGE))) <= 3 * np.spacing(result)


def test_softmax_vjp_in_place(fs):
    rows = HUGE // 2 + 1
    g, y = filled((rows, 2), np.float16, [1, 2]), np.empty((rows, 2), np.float16)
    y[...] = np.float16(0.5)
    places = [0, 1, 2**29, 2**30 - 1, 2**30, rows - 2, rows - 1]
    g[places, 1] = marks = np.arange(3, 3 + len(places), dtype=np.float16)
    few = np.stack([np.ones_like(marks), marks], axis=1)
    expected, ordinary = fs.softmax_vjp(few, y[: len(marks)], 1), fs.softmax_vjp(g[2:3], y[2:3], 1)
    fs.softmax_vjp(g, y, axis=1, out=g)
    np.testing.assert_array_equal(g[places], expected)
    for column in range(2):
        assert_all_equal(g[:, column], ordinary[0, column], places)


def test_cross_entropy_in_place(fs):
    classes = 1_024
    rows = HUGE // classes + 2
    x = filled((rows, classes), np.float16, 0)
    labels = np.full(rows, classes - 1)
    places = [0, 1, 2**20, rows // 2, rows - 2, rows - 1]
    x[places, -1] = marks = np.arange(2, 2 + len(places), dtype=np.float16)
    few = np.zeros((len(marks), classes), np.float16)
    few[:, -1] = marks
    _, expected = fs.cross_entropy_value_and_grad(few, labels[: len(marks)], reduction="none")
    _, ordinary = fs.cross_entropy_value_and_grad(x[2:3], labels[2:3], reduction="none")
    loss, grad = fs.cross_entropy_value_and_grad(x, labels, reduction="sum", out=x)
    losses = fs.cross_entropy(few, labels[: len(marks)], reduction="none").astype(np.float64)
    exact = losses.sum() + (rows - len(marks)) * math.log(classes)
    assert math.isclose(loss, exact, rel_tol=1e-6)
    np.testing.assert_array_equal(grad[places], expected)
    grad[places] = ordinary
    for start in range(0, rows, PIECE // classes):
        assert (grad[start : start + PIECE // classes] == ordinary).all(), start
