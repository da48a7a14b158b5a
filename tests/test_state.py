"""What a state says, takes, refuses, and gives for special values."""

import copy
import pickle
import threading

import numpy as np
import pytest
from formats import assert_same_bits

inf, nan = np.inf, np.nan
X = np.arange(24.0).reshape(2, 3, 4)


def filled(fs, *pieces, **options):
    state = fs.SoftmaxState(**options)
    for piece in pieces:
        state.update(piece)
    return state


# Special values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "row",
    [
        [inf, 0],
        [0, inf],
        [inf, inf],
        [inf, -inf],
        [-inf, -inf],
        [-inf, 0],
        [0, -inf],
        [nan, 0],
        [0, nan],
        [nan, inf],
        [inf, nan],
        [nan, -inf],
        [-inf, nan],
        [3e38, -3e38],
        [-3e38, 3e38],
        [3e38, 3e38],
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_special_values(fs, row, dtype, merged):
    x = np.array(row, dtype)
    pieces = x[:1], x[1:]
    state = filled(fs, *pieces)
    if merged:
        state = filled(fs, pieces[0]).merge(filled(fs, pieces[1]))
    with np.errstate(invalid="ignore"):
        assert_same_bits(state.logsumexp(), fs.logsumexp(x))
        for name in ("softmax", "log_softmax"):
            expected = getattr(fs, name)(x)
            assert_same_bits(getattr(state, name)(x), expected)
            for place, piece in enumerate(pieces):
                assert_same_bits(getattr(state, name)(piece), expected[place : place + 1])


@pytest.mark.parametrize("place", [0, 1_500, 2_999])
@pytest.mark.parametrize("value", [nan, inf])
def test_one_special_element_among_many(fs, place, value):
    x = np.zeros((3_000, 3), np.float32)
    x[place, 1] = value
    state = filled(fs, x[:2_048], x[2_048:], axis=0)
    with np.errstate(invalid="ignore"):
        assert_same_bits(state.logsumexp(), fs.logsumexp(x, axis=0))
        for name in ("softmax", "log_softmax"):
            assert_same_bits(getattr(state, name)(x), getattr(fs, name)(x, axis=0))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_nan_that_is_made_is_told_once_a_call(fs, name):
    state = filled(fs, [[inf, 1.0], [2.0, inf]], axis=1)
    with pytest.warns(RuntimeWarning, match="invalid value") as caught:
        getattr(state, name)([[inf, 1.0], [2.0, inf]])
    assert len(caught) == 1
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        getattr(state, name)([[1.0], [2.0]])
    state.logsumexp()
    state.update([[nan], [nan]])
    getattr(state, name)([[1.0], [2.0]])


def test_blocks_of_minus_infinity(fs):
    x = np.full(5_000, -inf)
    x[3_000:3_002] = 1e5, 3.0
    state = filled(fs, x[:2_048], x[2_048:])
    assert_same_bits(state.softmax(x), fs.softmax(x))
    assert_same_bits(state.log_softmax(x), fs.log_softmax(x))


# Empty pieces


def test_nothing_added(fs):
    state = fs.SoftmaxState()
    for unknown in (state, fs.SoftmaxState(0, shape=(2, 3)), fs.SoftmaxState(0, dtype=np.float32)):
        with pytest.raises(ValueError, match="not known before"):
            unknown.logsumexp()
    state = fs.SoftmaxState(0, shape=(2, 3), dtype=np.float32)
    assert_same_bits(state.logsumexp(), np.full((2, 3), -inf, np.float32))
    with pytest.raises(ValueError, match="never added"):
        state.softmax(np.zeros((1, 2, 3), np.float32))
    assert state.softmax(np.zeros((0, 2, 3), np.float32)).shape == (0, 2, 3)


def test_empty_pieces_change_nothing(fs):
    state = filled(fs, X, axis=1)
    expected = state.logsumexp()
    state.update(X[:, :0]).merge(fs.SoftmaxState(1)).merge(filled(fs, X[:, :0], axis=1))
    assert state.count == 3
    assert_same_bits(state.logsumexp(), expected)
    assert state.softmax(X[:, :0]).shape == (2, 0, 4)


def test_no_slices(fs):
    state = filled(fs, np.empty((0, 5)), axis=1)
    assert state.logsumexp().shape == (0,)
    assert state.log_softmax(np.empty((0, 2))).shape == (0, 2)
    assert state.count == 5


# Arguments


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3, np.int64(1)])
def test_every_axis(fs, axis):
    first, second = np.split(X, [1], axis)
    state = filled(fs, first, second, axis=axis)
    assert_same_bits(state.logsumexp(), fs.logsumexp(X, axis=axis))
    assert_same_bits(state.softmax(X), fs.softmax(X, axis=axis))
    assert state.shape == fs.logsumexp(X, axis=axis).shape


def test_no_axis_flattens(fs):
    state = filled(fs, X[0], X[1])
    assert state.count == 24 and state.shape == ()
    assert_same_bits(state.logsumexp(), fs.logsumexp(X))
    assert type(state.logsumexp()) is np.float64
    assert_same_bits(state.softmax(X[1]), fs.softmax(X)[1])
    assert_same_bits(state.softmax(X.T), fs.softmax(X).T)


def test_scalars_lists_and_integers(fs):
    state = fs.SoftmaxState().update(1).update([2, 3]).update(np.uint8(4))
    assert state.dtype == np.float64 and state.count == 4
    assert_same_bits(state.logsumexp(), fs.logsumexp([1, 2, 3, 4]))
    assert state.softmax(4).shape == ()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"axis": 1.0}, TypeError, "axis must be an integer"),
        ({"axis": True}, TypeError, "axis must be an integer"),
        ({"axis": (0, 1)}, TypeError, "not a tuple"),
        ({"axis": 3}, np.exceptions.AxisError, "axis 3"),
        ({"axis": 1, "shape": (5,)}, ValueError, r"\(5,\)"),
        ({"shape": (5,)}, ValueError, "need an axis"),
        ({"axis": 2, "shape": (5,)}, np.exceptions.AxisError, "axis 2"),
        ({"dtype": np.longdouble}, TypeError, "no kernel"),
        ({"dtype": complex}, TypeError, "no kernel"),
        ({"dtype": int}, TypeError, "dtype must be"),
        ({"axis": 1, "dtype": np.float32, "shape": (2, 4)}, None, None),
    ],
)
def test_options(fs, options, error, match):
    if error is None:
        assert fs.SoftmaxState(**options).update(X).dtype == np.float32
        return
    with pytest.raises(error, match=match):
        fs.SoftmaxState(**options).update(X)


@pytest.mark.parametrize("method", ["update", "softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (X[:, :, :3], ValueError, r"x has slices of shape \(2, 3\), the state of \(2, 4\)"),
        (X[0], ValueError, r"x has slices of shape \(3,\)"),
        (X.astype(np.float32), TypeError, "x has dtype float32, the state has float64"),
        (X.astype(complex), TypeError, "no kernel for complex128"),
        (X.astype(str), TypeError, "x must hold real or complex numbers"),
        (np.ma.array(X, mask=X > 3), TypeError, "masked"),
        (1.0, np.exceptions.AxisError, "axis 1"),
    ],
)
def test_pieces_that_do_not_fit(fs, method, x, error, match):
    state = filled(fs, X, axis=1)
    expected = state.logsumexp()
    with pytest.raises(error, match=match):
        getattr(state, method)(x)
    assert state.count == 3
    assert_same_bits(state.logsumexp(), expected)


@pytest.mark.parametrize("method", ["softmax", "log_softmax"])
@pytest.mark.parametrize("stranger", [23.5, inf, nan])
def test_elements_that_were_never_added(fs, method, stranger):
    state = filled(fs, X)
    with pytest.raises(ValueError, match="never added"):
        getattr(state, method)([0.0, stranger])


def test_states_that_do_not_merge(fs):
    state = filled(fs, X, axis=1)
    with pytest.raises(TypeError, match="other must be a SoftmaxState, not ndarray"):
        state.merge(X)
    with pytest.raises(TypeError, match="other has dtype float32"):
        state.merge(filled(fs, X.astype(np.float32), axis=1))
    with pytest.raises(ValueError, match=r"other has slices of shape \(3, 4\)"):
        state.merge(filled(fs, X, axis=0))
    with pytest.raises(ValueError, match="need an axis"):
        fs.SoftmaxState().merge(state)
    assert state.count == 3


def test_merging(fs):
    state = filled(fs, X[:, :1], axis=1)
    other = filled(fs, X[:, 1:].transpose(1, 0, 2), axis=0)  # another axis, the same slices
    assert state.merge(other) is state
    assert state.count == 3 and other.count == 2
    assert_same_bits(state.logsumexp(), fs.logsumexp(X, axis=1))
    assert_same_bits(fs.SoftmaxState(1).merge(state).softmax(X), fs.softmax(X, axis=1))
    expected = fs.logsumexp(np.concatenate([X, X], axis=1), axis=1)
    np.testing.assert_allclose(state.merge(state).logsumexp(), expected, rtol=1e-15)
    assert state.count == 6


def test_merging_what_nothing_was_added_to(fs):
    x = np.float32([[0, 1], [2, 4]])
    state = fs.SoftmaxState(0).update(x)
    before = state.logsumexp()
    for options in ({}, {"shape": (2,)}, {"shape": (3,)}, {"dtype": np.float64}):
        assert state.merge(fs.SoftmaxState(0, **options)) is state
        assert (state.count, state.dtype, state.shape) == (2, np.float32, (2,))
    assert_same_bits(state.logsumexp(), before)


# The object


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_stand_alone(fs, duplicate):
    state = filled(fs, X, axis=1)
    other = duplicate(state)
    expected = state.logsumexp()
    other.update(X)
    assert (state.count, other.count) == (3, 6)
    assert_same_bits(state.logsumexp(), expected)
    assert repr(other) == repr(state).replace("count=3", "count=6")


def test_representation(fs):
    assert repr(fs.SoftmaxState()) == "SoftmaxState(axis=None, shape=None, dtype=None, count=0)"
    state = filled(fs, np.zeros((2, 5), np.float32), axis=-1)
    assert repr(state) == "SoftmaxState(axis=-1, shape=(2,), dtype='float32', count=5)"


def test_inputs_are_not_written(fs):
    x = np.random.default_rng(0).standard_normal(3_000)
    before = x.copy()
    x.flags.writeable = False
    state = filled(fs, x)
    state.softmax(x)
    state.log_softmax(x)
    assert_same_bits(x, before)


def test_an_interrupted_update_changes_nothing(fs, monkeypatch):
    state = filled(fs, X, axis=1)
    expected = state.logsumexp()

    def interrupted(states, *arguments):
        states[...] = 0
        raise KeyboardInterrupt

    monkeypatch.setattr(fs._state, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        state.update(X)
    assert state.count == 3
    assert_same_bits(state.logsumexp(), expected)


def test_a_state_for_each_thread(fs):
    x = np.random.default_rng(0).standard_normal((4, 200_000))
    states = [fs.SoftmaxState() for _ in x]
    threads = [
        threading.Thread(target=state.update, args=(row,))
        for state, row in zip(states, x, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for state, row in zip(states, x, strict=True):
        assert_same_bits(state.logsumexp(), fs.logsumexp(row))


def test_the_memory_of_a_state_does_not_grow(fs):
    sizes = [len(pickle.dumps(filled(fs, np.zeros((n, 100)), axis=0))) for n in (1, 10_000)]
    assert sizes[1] - sizes[0] < 10 and sizes[0] < 100 * 72 + 1_000


def test_the_logarithm_of_1_is_a_positive_zero(fs, dtype):
    for row in ([-0.0], [-np.inf, -0.0], [-0.0, -np.inf, -np.inf]):
        x = np.array(row, dtype)
        for state in (filled(fs, x), filled(fs, x[:1]).merge(filled(fs, x[1:]))):
            assert_same_bits(state.log_softmax(x), fs.log_softmax(x))
