"""Calls from many threads at once, and calls that are interrupted."""

import concurrent.futures
import gc
import signal
import threading
import time

import numpy as np
import pytest
from formats import assert_same_bits


def test_many_threads_at_once_give_the_bits_of_one(fs, name, dtype, rng):
    function = getattr(fs, name)
    shapes = ((9,), (200, 30), (30, 200), (1, 9_000))
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    arrays += [a.T for a in arrays]
    expected = [function(a, axis=-1) for a in arrays]
    start = threading.Barrier(8)

    def work(_):
        start.wait()
        return [function(a, axis=-1) for _ in range(10) for a in arrays]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for results in pool.map(work, range(8)):
            for result, single in zip(results, expected * 10, strict=True):
                assert_same_bits(result, single)


class Interrupted(BaseException):
    """What the signal's handler raises."""


@pytest.fixture
def alarm():
    """Raise Interrupted in this thread after some seconds; gives the moment it was due.

    Python drops what a handler raises within a callback of the garbage collector, and Hypothesis
    has one: nothing is collected meanwhile.
    """
    if not hasattr(signal, "setitimer"):
        pytest.skip("needs setitimer")

    def handler(number, frame):
        raise Interrupted

    def after(seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return time.monotonic() + seconds

    before = signal.signal(signal.SIGALRM, handler)
    gc.disable()
    yield after
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    gc.enable()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_long_call_hears_an_interrupt(fs, dtype, axis, alarm):
    """A broadcast array takes seconds and no memory. A busy machine has a second to answer."""
    shape = (1_000, 4_000_000)[:: 1 if axis == 0 else -1]
    x = np.broadcast_to(np.zeros((), dtype), shape)
    due = alarm(0.1)
    with pytest.raises(Interrupted):
        fs.logsumexp(x, axis=axis)
    assert time.monotonic() - due < 1


def test_a_call_after_an_interrupt_is_whole(fs, alarm, rng):
    x = rng.standard_normal((40, 50))
    expected = fs.softmax(x, axis=-1)
    alarm(0.05)
    with pytest.raises(Interrupted):
        fs.logsumexp(np.broadcast_to(0.0, (4_000_000, 1_000)), axis=1)
    assert_same_bits(fs.softmax(x, axis=-1), expected)
