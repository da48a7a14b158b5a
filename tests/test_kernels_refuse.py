"""Kernels check what they are given: a mistake in Python around them must not reach memory."""

import numpy as np
import pytest

BLOCK = np.zeros((2, 5, 3))
ROWS = np.zeros((2, 3))
VECTOR = np.zeros(6)
LABELS = np.zeros(6, np.int64)


@pytest.fixture
def kernels(fs):
    return fs._target.kernels


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_forward(kernels, name):
    call = getattr(kernels, name)
    swapped = BLOCK.astype(BLOCK.dtype.newbyteorder())
    for x, out, error, text in (
        (BLOCK, BLOCK.astype(np.float32), TypeError, "one dtype"),
        (BLOCK.astype(int), BLOCK.astype(int), TypeError, "halves, float32 or float64"),
        (BLOCK[0], BLOCK[0], ValueError, "outer, n, inner"),
        (BLOCK, BLOCK[:, :2].copy(), ValueError, "do not fit"),
        (BLOCK[::-1], BLOCK.copy(), ValueError, "aligned C-contiguous"),
        (BLOCK[:, ::-1], BLOCK.copy(), ValueError, "aligned C-contiguous"),
        (swapped, BLOCK.copy(), ValueError, "aligned C-contiguous"),
    ):
        with pytest.raises(error, match=text):
            call(x, out)


@pytest.mark.parametrize("name", ["softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"])
def test_gradients(kernels, name):
    call = getattr(kernels, name)
    out = BLOCK.copy()
    with pytest.raises(TypeError, match="float32 or float64"):
        call(BLOCK.astype(int), BLOCK.astype(int), out.astype(int))
    with pytest.raises(ValueError, match="do not fit"):
        call(BLOCK[:, :2].copy(), BLOCK, out)
    with pytest.raises(ValueError, match="do not fit"):
        call(BLOCK, BLOCK, out[:1])


def test_cross_entropy(kernels):
    def call(logits=BLOCK, labels=LABELS, dense=None, at_target=VECTOR, total=VECTOR, losses=None):
        kernels.cross_entropy(
            logits, labels, dense, at_target, total, np.empty(6) if losses is None else losses, None
        )

    call()
    for options, error, text in (
        ({"logits": BLOCK.astype(int)}, TypeError, "halves, float32 or float64"),
        ({"total": VECTOR[:5]}, ValueError, "coefficient of each row"),
        ({"at_target": VECTOR.astype(np.float32)}, ValueError, "coefficient of each row"),
        ({"losses": np.zeros(12)[::2]}, ValueError, "coefficient of each row"),
        ({"labels": LABELS + 5}, ValueError, "out of range"),
        ({"labels": LABELS - 2}, ValueError, "out of range"),
        ({"labels": None}, ValueError, "are due"),
        ({"dense": np.zeros((6, 4))}, ValueError, "dense coefficients are"),
        ({"dense": np.zeros((6, 5), np.float32)}, ValueError, "dense coefficients are"),
    ):
        with pytest.raises(error, match=text):
            call(**options)


def test_sums_and_terms(kernels):
    with pytest.raises(ValueError, match="contiguous, of float32 or float64"):
        kernels.sum_rows(ROWS.astype(int), np.zeros(2))
    with pytest.raises(ValueError, match="contiguous, of float32 or float64"):
        kernels.sum_rows(ROWS[:, ::2], np.zeros(2))
    with pytest.raises(ValueError, match="coefficient of each row"):
        kernels.sum_rows(ROWS, np.zeros(3))
    with pytest.raises(ValueError, match="two contiguous arrays of one size"):
        kernels.terms(VECTOR, VECTOR.astype(np.float32))


def test_states(kernels):
    states = kernels.empty_states(2, 3)
    with pytest.raises(ValueError, match="contiguous"):
        kernels.add_to_states(states.astype(np.float32), BLOCK, False)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.add_to_states(states, BLOCK.astype(int), False)
    with pytest.raises(ValueError, match="piece and states do not fit"):
        kernels.add_to_states(states, BLOCK[:1], False)
    with pytest.raises(ValueError, match="states do not fit"):
        kernels.add_states(states, states[:1], False)
    with pytest.raises(ValueError, match="do not fit"):
        kernels.softmax_by_states(states, BLOCK, BLOCK[:1].copy())
    with pytest.raises(ValueError, match="output do not fit"):
        kernels.logsumexp_by_states(states, np.zeros((2, 2)))
