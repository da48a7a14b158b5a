"""Gradients and cross-entropy from many threads, beside a thread that writes, and interrupted."""

import concurrent.futures
import threading
import time

import backward
import numpy as np
import pytest
from formats import assert_same_bits
from test_threads_and_interrupts import Interrupted, alarm

__all__ = ["alarm"]


def test_many_threads_at_once_give_the_bits_of_one(fs, dtype, rng):
    x = rng.standard_normal((300, 40)).astype(dtype)
    labels, q = rng.integers(40, size=300), rng.random((300, 40)).astype(dtype)
    cases = [
        (getattr(fs, name), backward.arguments(name, rng, (300, 40), dtype, 1))
        for name in backward.ALL
    ]
    cases += [(fs.cross_entropy_value_and_grad, (x, t)) for t in (labels, q)]

    def results(_=None):
        return [function(*arrays, axis=1) for function, arrays in cases]

    expected, start = results(), threading.Barrier(8)

    def work(_):
        start.wait()
        return [results() for _ in range(5)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for repeats in pool.map(work, range(8)):
            for repeat in repeats:
                for result, single in zip(repeat, expected, strict=True):
                    for a, e in zip(_pair(result), _pair(single), strict=True):
                        assert_same_bits(a, e)


def _pair(result):
    return result if isinstance(result, tuple) else (result,)


def test_labels_that_change_during_a_call_are_never_used_unchecked(fs):
    """An index checked in one copy and used from another would reach beyond the logits."""
    x, labels = np.zeros((20_000, 4), np.float32), np.zeros(20_000, np.int64)
    stop = threading.Event()

    def change():
        while not stop.is_set():
            labels[:] = 2**40
            labels[:] = 1

    thread, refused, right = threading.Thread(target=change), 0, 0
    thread.start()
    try:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            try:
                loss, gradient = fs.cross_entropy_value_and_grad(x, labels, reduction="none")
            except ValueError:
                refused += 1
                continue
            right += 1
            np.testing.assert_allclose(loss, np.log(4), rtol=1e-6)
            assert ((gradient < 0).sum(axis=1) == 1).all()
    finally:
        stop.set()
        thread.join()
    assert refused + right > 0


@pytest.mark.parametrize("what", ["logsumexp_jvp", "cross_entropy", "probabilities"])
def test_a_long_call_hears_an_interrupt(fs, dtype, what, alarm):
    """Broadcast arrays take seconds and no memory. A busy machine has a second to answer."""
    shape = (1_000_000, 8_000)
    x, rows = np.broadcast_to(np.zeros((), dtype), shape), np.zeros(shape[:1], dtype)
    labels = np.zeros(shape[:1], np.uint8)
    calls = {
        "logsumexp_jvp": lambda: fs.logsumexp_jvp(x, x, rows, axis=1),
        "cross_entropy": lambda: fs.cross_entropy(x, labels),
        "probabilities": lambda: fs.cross_entropy(x, x, label_smoothing=0.1),
    }
    due = alarm(0.1)
    with pytest.raises(Interrupted):
        calls[what]()
    assert time.monotonic() - due < 1
