"""Names and order of the arguments, in the words SciPy uses."""

import inspect

import numpy as np
import pytest

POSITIONAL = {
    "softmax": ["x", "axis"],
    "log_softmax": ["x", "axis"],
    "logsumexp": ["a", "axis", "b", "keepdims", "return_sign"],
}
X = np.arange(6.0).reshape(2, 3)


def test_what_may_be_given_by_position(fs, name):
    parameters = inspect.signature(getattr(fs, name)).parameters.values()
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_position == POSITIONAL[name]


def test_what_is_given_by_name_alone(fs, name):
    parameters = inspect.signature(getattr(fs, name)).parameters.values()
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert by_name == ["where", "out", "dtype", "workers"]


def test_the_last_argument_of_every_function_is_the_number_of_workers(fs):
    for public in set(fs.__all__) - {"SoftmaxState", "get_workers", "set_workers"}:
        *_, last = inspect.signature(getattr(fs, public)).parameters.values()
        assert (last.name, last.kind, last.default) == ("workers", last.KEYWORD_ONLY, None)


def test_defaults_are_those_of_scipy(fs, name):
    parameters = inspect.signature(getattr(fs, name)).parameters
    expected = {"axis": None, "where": None, "out": None, "dtype": None}
    if name == "logsumexp":
        expected |= {"b": None, "keepdims": False, "return_sign": False}
    assert {key: parameters[key].default for key in expected} == expected


def test_the_first_argument_has_a_name(fs, name):
    np.testing.assert_array_equal(
        getattr(fs, name)(**{POSITIONAL[name][0]: X}), getattr(fs, name)(X)
    )


def test_positions_and_names_agree(fs):
    np.testing.assert_array_equal(fs.softmax(X, 1), fs.softmax(X, axis=1))
    by_position = fs.logsumexp(X, 1, [1, 2, 3], True, True)
    by_name = fs.logsumexp(X, axis=1, b=[1, 2, 3], keepdims=True, return_sign=True)
    np.testing.assert_array_equal(by_position, by_name)
    assert by_position[0].shape == (2, 1)


def test_a_wrong_call_is_a_type_error(fs, name):
    function = getattr(fs, name)
    with pytest.raises(TypeError):
        function()
    with pytest.raises(TypeError):
        function(X, axes=1)
    with pytest.raises(TypeError):
        function(X, 1, None, False, False, None)


def test_public_names_are_documented_with_an_example(fs, name):
    text = inspect.getdoc(getattr(fs, name))
    for section in ("Parameters\n", "Returns\n", "Examples\n", ">>> "):
        assert section in text


def test_public_names_are_listed(fs):
    assert set(POSITIONAL) <= set(fs.__all__)
    assert all(hasattr(fs, public) for public in fs.__all__)
