"""Wherever pieces are cut and however states merge: the accuracy of one call."""

import pickle

import families
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import reference
import targets
from formats import FLOATS, of


@pytest.fixture(scope="module", params=[f.dtype for f in FLOATS], ids=lambda dtype: dtype.name)
def any_dtype(request):
    """Each dtype the kernels know."""
    return request.param


def assert_accurate(fs, state, x, more=0.0):
    limit = of(x.dtype).ulp_limit + (1 if fs._target.name == "generic" else 0) + more
    exact = reference.logsumexp(x)
    scale = reference.logsumexp_scale(x, exact)
    assert reference.ulp_error(state.logsumexp(), exact, x.dtype, scale).max() <= limit
    for name in ("softmax", "log_softmax"):
        exact = getattr(reference, name)(x)
        result = getattr(state, name)(x)
        error = reference.ulp_error(result, exact, x.dtype)
        assert error.max() <= limit, name
        small = abs(exact) < of(x.dtype).tiny
        assert error[small].max(initial=0) <= 1, name


def tree(states):
    """The states merged pairwise, and the results again."""
    while len(states) > 1:
        pairs = zip(states[::2], states[1::2], strict=False)
        rest = states[len(states) // 2 * 2 :]
        states = [first.copy().merge(second) for first, second in pairs] + rest
    return states[0]


@pytest.mark.parametrize("family", families.ALL, ids=lambda family: family.__name__)
@pytest.mark.parametrize("steps", [[1] * 40, [3, 100, 1_024, 500], [2_000]], ids=len)
def test_cuts_anywhere(fs, any_dtype, family, steps):
    if not families.fits(family, any_dtype):
        pytest.skip("beyond the range of the dtype")
    x = family(np.random.default_rng(5), (4, 3_000), of(any_dtype)).astype(any_dtype)
    pieces = np.split(x, np.cumsum(steps), axis=1)
    state = fs.SoftmaxState(1)
    for piece in pieces:
        state.update(piece)
    assert state.count == 3_000
    assert_accurate(fs, state, x)
    assert_accurate(fs, tree([fs.SoftmaxState(1).update(piece) for piece in pieces]), x)


@hypothesis.given(st.data())
def test_any_cut_of_any_row(fs, any_dtype, data):
    family = data.draw(st.sampled_from([f for f in families.ALL if families.fits(f, any_dtype)]))
    n = data.draw(st.integers(1, 3_000))
    seed = data.draw(st.integers(0, 1_000))
    x = family(np.random.default_rng(seed), (2, n), of(any_dtype)).astype(any_dtype)
    hypothesis.assume(np.isfinite(x.max(axis=1)).all())
    ends = data.draw(st.lists(st.integers(0, n), max_size=6))
    pieces = np.split(x, sorted(ends), axis=1)
    states = [fs.SoftmaxState(1).update(piece) for piece in pieces]
    order = data.draw(st.permutations(range(len(states))))
    state = fs.SoftmaxState(1)
    for place in order:
        state.merge(states[place])
    assert_accurate(fs, state, x)


@pytest.mark.parametrize("step", [1, 50, 1_024])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("offset", [-1, 1])
def test_huge_logits_that_rise_or_fall(fs, step, direction, offset):
    """The maximum moves with every piece, beyond where K has room; the sum is not rounded again."""
    for dtype, start in ((np.float32, 2.0**17), (np.float64, 2.0**44)):
        spacing = float(np.spacing(dtype(1.5 * start)))
        x = (offset * 1.5 * start + spacing * np.arange(20_000.0)[::direction]).astype(dtype)
        state = fs.SoftmaxState()
        for first in range(0, x.size, step):
            state.update(x[first : first + step])
        assert_accurate(fs, state, x[None])


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("sign", [1, -1])
def test_rows_across_the_limit_of_the_shift(fs, direction, sign):
    """Some pieces have a maximum that K has room for, and others have not."""
    limits = {np.float32: (220.0, 2.0**17), np.float64: (4_096.0, 2.0**44)}
    for dtype, several in limits.items():
        for limit in several:
            spacing = max(float(np.spacing(dtype(limit))), 1 / 64)
            x = (sign * limit + spacing * np.arange(-2_000, 2_000)[::direction]).astype(dtype)
            state = fs.SoftmaxState()
            for first in range(0, x.size, 100):
                state.update(x[first : first + 100])
            assert_accurate(fs, state, x[None])


@pytest.mark.parametrize("largest", [1e3, 1e5, 1e10, 1e30])
def test_maxima_that_differ_greatly(fs, largest):
    for dtype in (np.float32, np.float64):
        for row in ([largest, 0, -largest], [-largest, 0, largest], [0, largest, largest]):
            x = np.array([row], dtype)
            state = fs.SoftmaxState(1)
            for place in range(3):
                state.update(x[:, place : place + 1])
            assert_accurate(fs, state, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_state_goes_from_target_to_target(dtype, rng):
    """Plain C++ has less room for K, so it takes over states that it would not have made."""
    for offset in (0, 1e3, 3e5):
        x = (offset + 30 * rng.standard_normal((2, 3_000))).astype(dtype)
        for first in targets.runnable():
            state = targets.activate(first).SoftmaxState(1).update(x[:, :1_500])
            sent = pickle.dumps(state)
            for second in targets.runnable():
                fs = targets.activate(second)
                state = pickle.loads(sent).update(x[:, 1_500:])
                assert type(state) is fs.SoftmaxState
                assert_accurate(fs, state, x, more=1 if "generic" in (first, second) else 0)
