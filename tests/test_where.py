"""`where`: elements outside it take no part, whatever they hold."""

import numpy as np
import pytest
import reference
from formats import assert_same_bits, of


def _outside(name):
    return {"softmax": 0.0, "log_softmax": -np.inf}[name]


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("content", [0.0, 1e4, np.nan, np.inf, -np.inf])
def test_elements_outside_take_no_part_whatever_they_hold(fs, name, dtype, axis, content, rng):
    x = rng.standard_normal((4, 5, 6)).astype(dtype)
    inside = rng.random(x.shape) < 0.7
    inside[0, 0, 0] = True
    function = getattr(fs, name)
    replaced = np.where(inside, x, np.array(content, dtype))
    before = replaced.copy()
    result = function(replaced, axis=axis, where=inside)
    assert_same_bits(result, function(x, axis=axis, where=inside))
    assert_same_bits(replaced, before)
    if name != "logsumexp":
        assert (result[~inside] == _outside(name)).all()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 16, 33, 64, 100, 1_000])
def test_elements_inside_are_the_function_of_themselves(fs, name, dtype, target, n, rng):
    x = (5 * rng.standard_normal((8, n))).astype(dtype)
    inside = rng.random(x.shape) < 0.6
    inside[:, 0] = True
    result = getattr(fs, name)(x, axis=-1, where=inside)
    limit = of(dtype).ulp_limit + (target == "generic")
    for row, taken, value in zip(x, inside, result, strict=True):
        alone = row[taken]
        exact = getattr(reference, name)(alone[None])
        scale = reference.logsumexp_scale(alone[None], exact) if name == "logsumexp" else exact
        got = np.atleast_1d(value if name == "logsumexp" else value[taken])
        assert reference.ulp_error(got, exact.ravel(), dtype, scale.ravel()).max() <= limit


def test_a_slice_with_nothing_inside_is_silent(fs, dtype):
    x = np.array([[1, 2, 3], [np.nan, np.inf, 0]], dtype)
    with np.errstate(all="raise"):
        for where in (False, np.zeros((2, 3), bool), np.zeros(3, bool)):
            assert_same_bits(fs.softmax(x, axis=-1, where=where), np.zeros((2, 3), dtype))
            minus_infinity = np.full((2, 3), -np.inf, dtype)
            assert_same_bits(fs.log_softmax(x, axis=-1, where=where), minus_infinity)
            log, sign = fs.logsumexp(x, axis=-1, where=where, return_sign=True)
            assert_same_bits(log, np.full(2, -np.inf, dtype))
            assert_same_bits(sign, np.zeros(2, dtype))
            assert_same_bits(fs.logsumexp(x, axis=-1, where=where), log)


def test_a_slice_with_nothing_inside_beside_others(fs, dtype):
    x = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    where = np.array([[True], [False]])
    p = fs.softmax(x, axis=-1, where=where)
    assert_same_bits(p[0], fs.softmax(x[0]))
    assert_same_bits(p[1], np.zeros(3, dtype))


def test_minus_infinity_inside_is_still_a_nan_with_a_warning(fs, same_shape_name, dtype):
    x = np.array([-np.inf, -np.inf, 0], dtype)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        result = getattr(fs, same_shape_name)(x, where=[True, True, False])
    assert np.isnan(result[:2].astype(float)).all()
    assert result[2] == _outside(same_shape_name)


def test_infinity_inside_is_still_a_nan_with_a_warning(fs, dtype):
    x = np.array([np.inf, 1, 5], dtype)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        result = fs.softmax(x, where=[True, True, False]).astype(float)
    assert np.isnan(result[:2]).all()
    assert result[2] == 0


def test_a_nan_inside_fills_the_elements_inside_silently(fs, same_shape_name, dtype):
    x = np.array([np.nan, 1, 5], dtype)
    result = getattr(fs, same_shape_name)(x, where=[True, True, False]).astype(float)
    assert np.isnan(result[:2]).all()
    assert result[2] == _outside(same_shape_name)


def test_where_broadcasts_against_x(fs, name, rng):
    x = rng.standard_normal((4, 5, 6))
    function = getattr(fs, name)
    for shape in ((6,), (1, 6), (5, 1), (4, 1, 1), (1,), ()):
        where = np.array(rng.random(shape) < 0.6)
        full = np.broadcast_to(where, x.shape)
        for axis in (None, 0, 1, 2, (0, 2)):
            assert_same_bits(
                function(x, axis=axis, where=where), function(x, axis=axis, where=full.copy())
            )


def test_where_may_be_a_list_or_lie_anywhere(fs, name, rng):
    x = rng.standard_normal((4, 6))
    where = rng.random((4, 6)) < 0.6
    where[:, 0] = True
    function = getattr(fs, name)
    expected = function(x, axis=-1, where=where)
    spread = np.repeat(where, 2, axis=1)[:, ::2]
    for other in (where.tolist(), np.asfortranarray(where), spread, where[::-1][::-1]):
        assert_same_bits(function(x, axis=-1, where=other), expected)
    assert_same_bits(function(x.T, axis=0, where=where.T), expected.T)


def test_where_is_not_written(fs, name, rng):
    x, where = rng.standard_normal((4, 6)), rng.random((4, 6)) < 0.6
    before = where.copy()
    where.flags.writeable = False
    getattr(fs, name)(x, axis=-1, where=where)
    assert (where == before).all()


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.uint8, object])
def test_where_must_be_boolean(fs, name, kind):
    with pytest.raises(TypeError):
        getattr(fs, name)(np.zeros((2, 3)), axis=-1, where=np.ones((2, 3), kind))


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 3), (2, 2)])
def test_where_of_a_shape_that_does_not_fit_is_a_value_error(fs, name, shape):
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        getattr(fs, name)(np.zeros((2, 3)), axis=-1, where=np.ones(shape, bool))


def test_where_in_place(fs, same_shape_name, rng):
    x = rng.standard_normal((4, 6))
    where = rng.random((4, 6)) < 0.6
    where[:, 0] = True
    function = getattr(fs, same_shape_name)
    expected = function(x, axis=-1, where=where)
    assert function(x, axis=-1, where=where, out=x) is x
    assert_same_bits(x, expected)


def test_where_and_b_both_remove(fs, rng):
    a = rng.standard_normal((3, 5))
    b, where = np.array([1, 0, 2, 1, 1]), np.array([True, True, True, False, True])
    a[:, 1], a[:, 3] = np.nan, np.inf
    log, sign = fs.logsumexp(a, axis=-1, b=b, where=where, return_sign=True)
    expected = np.log(np.exp(a[:, 0]) + 2 * np.exp(a[:, 2]) + np.exp(a[:, 4]))
    np.testing.assert_allclose(log, expected, rtol=1e-14, atol=4e-16)
    assert (sign == 1).all()


@pytest.mark.parametrize("kind", [np.longdouble, np.complex128])
def test_where_on_the_numpy_path(fs, name, kind):
    x = np.array([1, 2, np.nan, 3], kind)
    where = np.array([True, True, False, True])
    function = getattr(fs, name)
    result = function(x, where=where)
    if name == "logsumexp":
        np.testing.assert_allclose(result, function(x[where]), rtol=1e-15)
    else:
        np.testing.assert_allclose(result[where], function(x[where]), rtol=1e-15)
        assert result[2] == _outside(name)
