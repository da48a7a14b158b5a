"""One kind of warning, once per call, when a nan is made of no nan, under the caller's errstate."""

import concurrent.futures
import warnings

import numpy as np
import pytest

# For each function, a slice without a nan whose result has one.
MAKES_NAN = {"softmax": [np.inf, 0.0], "log_softmax": [-np.inf, -np.inf]}
PLACES = ["row", "rows", "column", "large", "view", "options"]


def _call(fs, name, dtype, place):
    pair, function = np.array(MAKES_NAN[name], dtype), getattr(fs, name)
    if place == "row":
        return function(pair)
    if place == "rows":
        return function(np.tile(pair, (50, 1)), axis=-1)
    if place == "column":
        return function(np.tile(pair[:, None], (1, 50)), axis=0)
    if place == "large":
        return function(np.tile(pair, (200_000, 1)), axis=-1)
    if place == "view":
        return function(np.tile(pair, (50, 2))[::2, ::2].T[::-1], axis=-1)
    return function(pair, where=[True, True], dtype=np.float64, out=np.empty(2))


def _recorded(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return caught


@pytest.mark.parametrize("place", PLACES)
def test_a_call_warns_once(fs, same_shape_name, dtype, place):
    caught = _recorded(lambda: _call(fs, same_shape_name, dtype, place))
    assert [w.category for w in caught] == [RuntimeWarning]
    assert "invalid value" in str(caught[0].message)


@pytest.mark.parametrize("place", PLACES)
def test_errstate_raise_raises(fs, same_shape_name, dtype, place):
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match="invalid value"):
        _call(fs, same_shape_name, dtype, place)


@pytest.mark.parametrize("place", PLACES)
def test_errstate_ignore_is_silent(fs, same_shape_name, dtype, place):
    with np.errstate(invalid="ignore"):
        assert not _recorded(lambda: _call(fs, same_shape_name, dtype, place))


@pytest.mark.parametrize("place", PLACES)
def test_errstate_call_is_called_once(fs, same_shape_name, dtype, place):
    heard = []
    with np.errstate(invalid="call", call=lambda kind, flag: heard.append(kind)):
        _call(fs, same_shape_name, dtype, place)
    assert heard == ["invalid value"]


def test_the_result_comes_with_the_warning(fs, same_shape_name, dtype):
    with pytest.warns(RuntimeWarning, match="invalid value"):
        result = _call(fs, same_shape_name, dtype, "rows")
    assert np.isnan(result.astype(np.float64)).any()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble])
def test_infinities_that_cancel_in_logsumexp_warn_once(fs, kind):
    a = np.array([np.inf, np.inf], kind)
    b = np.array([1, -1], kind)
    caught = _recorded(lambda: fs.logsumexp(a, b=b))
    assert [w.category for w in caught] == [RuntimeWarning]
    assert "invalid value" in str(caught[0].message)


@pytest.mark.parametrize("kind", [np.longdouble])
def test_the_numpy_path_warns_alike(fs, same_shape_name, kind):
    caught = _recorded(lambda: _call(fs, same_shape_name, kind, "rows"))
    assert [w.category for w in caught] == [RuntimeWarning]
    assert "invalid value" in str(caught[0].message)


QUIET = [
    pytest.param([np.nan, 1.0], id="nan came in"),
    pytest.param([np.nan, np.inf], id="nan and infinity came in"),
    pytest.param([0.0, -1e4], id="underflow to 0"),
    pytest.param([0.0, -95.0], id="subnormal in float32"),
    pytest.param([0.0, -15.0], id="subnormal in float16"),
    pytest.param([0.0, -740.0], id="subnormal in float64"),
    pytest.param([-np.inf, 0.0], id="minus infinity"),
    pytest.param([6e4, -6e4], id="far apart"),
    pytest.param([-0.0, 0.0], id="zeros"),
]


@pytest.mark.parametrize("pair", QUIET)
def test_right_results_are_silent_even_under_errstate_raise(fs, name, dtype, pair):
    function = getattr(fs, name)
    x = np.array(pair, dtype)
    tall = np.tile(x[:, None], (1, 70))
    with np.errstate(all="raise"):
        function(x)
        function(tall, axis=0)
        function(np.tile(x, (70, 1)), axis=-1)
        function(np.tile(x, 5_000))
        function(x[::-1], where=[True, True])
        function(x, dtype=np.float64)


def test_empty_lanes_are_silent(fs, name, dtype):
    """No vector is full at these lengths; what its empty lanes hold must not be heard of."""
    function = getattr(fs, name)
    with np.errstate(all="raise"):
        for n in range(1, 70):
            for fill in (0, 1000, -1000, -np.inf):
                x = np.full((3, n), fill, dtype)
                x[:, 0] = 1
                function(x, axis=-1)
                function(x[0])
                function(np.ascontiguousarray(x.T), axis=0)


def test_extreme_finite_values_are_silent(fs, name, dtype):
    largest = {2: 6e4, 4: 3.4e38, 8: 1.7e308}[dtype.itemsize]
    with np.errstate(all="raise"):
        for pair in ([largest, -largest], [largest, largest], [-largest, -largest]):
            getattr(fs, name)(np.array(pair, dtype))
            getattr(fs, name)(np.tile(np.array(pair, dtype), (40, 20)), axis=0)


def test_integers_and_complex_numbers_are_silent(fs, name):
    with np.errstate(all="raise"):
        getattr(fs, name)(np.array([1000, -1000, 0]))
        getattr(fs, name)(np.array([1 + 1j, -3.0]))
        getattr(fs, name)(np.array([1, 2, 3], np.longdouble))


def test_calls_in_threads_warn_by_the_errstate_of_their_own_thread(fs, same_shape_name):
    def raises(_):
        with np.errstate(invalid="raise"):
            try:
                _call(fs, same_shape_name, np.float32, "rows")
            except FloatingPointError:
                return True
        return False

    def silent(_):
        with np.errstate(invalid="ignore"):
            _call(fs, same_shape_name, np.float32, "rows")
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        both = [*pool.map(raises, range(20)), *pool.map(silent, range(20))]
    assert all(both)
