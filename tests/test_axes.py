"""Shapes, axes, empty arrays, memory order, and the errors of a wrong axis."""

import itertools

import numpy as np
import pytest
import scipy.special
from formats import assert_same_bits

EMPTY = "zero-size array to reduction operation maximum which has no identity"


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 4), (2, 1, 4, 3), (1, 1), (1,)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_every_axis_and_tuple_of_axes_agrees_with_scipy(fs, shape, keepdims, rng):
    x = rng.standard_normal(shape)
    axes = range(-len(shape), len(shape))
    choices = [None, *axes, *((a,) for a in axes)]
    for size in range(2, len(shape) + 1):
        choices += itertools.permutations(range(len(shape)), size)
    for axis in choices:
        log = fs.logsumexp(x, axis=axis, keepdims=keepdims)
        expected = scipy.special.logsumexp(x, axis=axis, keepdims=keepdims)
        assert np.shape(log) == np.shape(expected)
        np.testing.assert_allclose(log, expected, rtol=1e-13, atol=1e-15)
        for name in ("softmax", "log_softmax"):
            result = getattr(fs, name)(x, axis=axis)
            np.testing.assert_allclose(
                result, getattr(scipy.special, name)(x, axis=axis), rtol=1e-13, atol=1e-15
            )
            assert result.shape == shape


def test_sums_over_the_axis_are_one(fs, dtype, rng):
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    for axis in (None, 0, 1, 2, (0, 2), (0, 1, 2)):
        sums = fs.softmax(x, axis=axis).astype(np.float64).sum(axis=axis)
        np.testing.assert_allclose(sums, 1, rtol=0.02 if dtype.itemsize == 2 else 1e-6)


def test_no_axes_at_all_makes_every_element_a_slice(fs, dtype, rng):
    x = (9 * rng.standard_normal((30, 20))).astype(dtype)
    assert_same_bits(fs.softmax(x, axis=()), np.ones((30, 20), dtype))
    assert_same_bits(fs.log_softmax(x, axis=()), np.zeros((30, 20), dtype))
    assert_same_bits(fs.logsumexp(x, axis=()), x)
    assert fs.softmax(5.0, axis=()) == 1


@pytest.mark.parametrize("index", [np.int64(-1), np.int8(1), np.uint8(1), np.array(1)])
def test_an_axis_may_be_any_integer(fs, name, index, rng):
    x = rng.standard_normal((2, 3))
    function = getattr(fs, name)
    assert_same_bits(function(x, axis=index), function(x, axis=1))


def test_an_axis_may_be_an_object_with_an_index(fs, name, rng):
    class Last:
        def __index__(self):
            return -1

    x, function = rng.standard_normal((2, 3)), getattr(fs, name)
    assert_same_bits(function(x, axis=Last()), function(x, axis=-1))
    assert_same_bits(function(x, axis=(Last(), 0)), function(x, axis=(1, 0)))


@pytest.mark.parametrize("axis", [2, -3, (0, 2), (-3,), 100, -100])
def test_an_axis_out_of_range_is_an_axis_error(fs, name, axis):
    for x in (np.zeros((2, 3)), np.zeros((2, 3), order="F"), [[1, 2], [3, 4]]):
        with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
            getattr(fs, name)(x, axis=axis)


def test_a_vector_has_no_second_axis(fs, name, dtype):
    for axis in (1, -2):
        with pytest.raises(np.exceptions.AxisError):
            getattr(fs, name)(np.zeros(4, dtype), axis=axis)


def test_a_scalar_has_no_second_axis(fs, name):
    with pytest.raises(np.exceptions.AxisError):
        getattr(fs, name)(5.0, axis=1)


def test_a_scalar_takes_the_axes_that_scipy_takes(fs, name):
    for axis in (0, -1):
        assert getattr(fs, name)(5.0, axis=axis) == getattr(scipy.special, name)(5.0, axis=axis)


@pytest.mark.parametrize("axis", [(0, 0), (0, -2), (1, -1), (0, 1, 0)])
def test_an_axis_named_twice_is_a_value_error(fs, name, axis):
    with pytest.raises(ValueError, match="duplicate"):
        getattr(fs, name)(np.zeros((2, 3)), axis=axis)


@pytest.mark.parametrize(
    "axis",
    [1.0, 0.5, [0], [0, 1], True, False, np.True_, "0", (0.0,), (True, 0), (0, [1]), {0}, 1j],
    ids=repr,
)
def test_an_axis_of_another_kind_is_a_type_error(fs, name, axis):
    for x in (np.zeros((2, 3)), np.zeros(4, np.float32), [[1, 2], [3, 4]]):
        with pytest.raises(TypeError):
            getattr(fs, name)(x, axis=axis)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((0,), None), ((0,), 0), ((0,), -1), ((3, 0), 1), ((3, 0), None), ((0, 3), 0), ((0, 3), None),
     ((0, 0), 1), ((0, 0), 0), ((0, 2, 0), 2), ((2, 0, 3), (0, 1)), ((0, 0), (0, 1))],
)  # fmt: skip
def test_an_empty_reduced_axis_has_no_softmax(fs, same_shape_name, dtype, shape, axis):
    with pytest.raises(ValueError, match=EMPTY):
        getattr(fs, same_shape_name)(np.empty(shape, dtype), axis=axis)


@pytest.mark.parametrize(
    ("shape", "axis"), [((0, 3), 1), ((3, 0), 0), ((2, 0, 4), 2), ((2, 0, 4), (0, 2)), ((0,), ())]
)
def test_another_empty_axis_gives_an_empty_result(fs, name, dtype, shape, axis):
    result = getattr(fs, name)(np.empty(shape, dtype), axis=axis)
    expected = shape if name != "logsumexp" else np.empty(shape).sum(axis=axis).shape
    assert result.shape == expected
    assert result.dtype == dtype
    assert type(result) is np.ndarray


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [((0,), None, ()), ((0,), 0, ()), ((3, 0), 1, (3,)), ((3, 0), None, ()), ((0, 3), 0, (3,)),
     ((0, 0), 1, (0,)), ((2, 0, 3), (0, 1), (3,)), ((2, 0, 3), (1, 2), (2,)), ((0, 3), (0, 1), ())],
)  # fmt: skip
def test_logsumexp_of_nothing_is_minus_infinity(fs, dtype, shape, axis, expected):
    x = np.empty(shape, dtype)
    minus_infinity = np.full(expected, -np.inf, dtype)
    assert_same_bits(fs.logsumexp(x, axis=axis), minus_infinity)
    log, sign = fs.logsumexp(x, axis=axis, return_sign=True)
    assert_same_bits(log, minus_infinity)
    assert_same_bits(sign, np.full(expected, -1, dtype))
    kept = fs.logsumexp(x, axis=axis, keepdims=True)
    assert kept.shape == np.empty(shape).sum(axis=axis, keepdims=True).shape


def test_memory_order_is_kept(fs, same_shape_name, dtype, rng):
    function = getattr(fs, same_shape_name)
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    for axis in (None, 0, 1, 2, (0, 2)):
        assert function(x, axis=axis).flags.c_contiguous
        assert function(np.asfortranarray(x), axis=axis).flags.f_contiguous
        assert not function(np.asfortranarray(x), axis=axis).flags.c_contiguous
        assert function(x[:, ::2], axis=axis).flags.c_contiguous
        assert function(x.transpose(1, 0, 2), axis=axis).transpose(1, 0, 2).flags.c_contiguous


def test_results_are_new_ordinary_writable_arrays(fs, name, dtype, rng):
    x = rng.standard_normal((3, 4)).astype(dtype)
    x.flags.writeable = False
    for axis in (0, 1, (0,)):
        result = getattr(fs, name)(x, axis=axis)
        assert type(result) is np.ndarray
        assert result.flags.writeable and result.flags.aligned
        assert result.dtype.isnative
        assert not np.shares_memory(result, x)


def test_results_of_other_byte_orders_are_native(fs, name):
    for kind in ("f2", "f4", "f8", "i4"):
        for order in "<>":
            result = getattr(fs, name)(np.ones((2, 3), order + kind), axis=-1)
            assert result.dtype.isnative


def test_many_dimensions(fs, name, rng):
    x = rng.standard_normal((2,) * 10)
    function = getattr(fs, name)
    axes = (1, 4, 8)
    kept = tuple(i for i in range(10) if i not in axes)
    rows = x.transpose(kept + axes).reshape(128, 8)
    expected = function(rows, axis=-1)
    result = function(x, axis=axes)
    if name != "logsumexp":
        result = result.transpose(kept + axes)
    assert_same_bits(result.reshape(expected.shape), expected)


@pytest.mark.parametrize("dims", [32, 64])
def test_as_many_dimensions_as_numpy_has(fs, name, dims):
    x = np.arange(3.0).reshape((1,) * (dims - 1) + (3,))
    result = getattr(fs, name)(x, axis=-1)
    assert result.ndim == dims - (name == "logsumexp")
    assert_same_bits(result.ravel(), np.atleast_1d(getattr(fs, name)(np.arange(3.0))))


@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_of_an_array_in_fortran_order_is_in_fortran_order(fs, keepdims):
    a = np.asfortranarray(np.random.default_rng(3).standard_normal((3, 4, 5)))
    for axis in (0, 1, 2):
        result = fs.logsumexp(a, axis, keepdims=keepdims)
        assert result.flags.f_contiguous
        expected = fs.logsumexp(np.ascontiguousarray(a), axis, keepdims=keepdims)
        assert expected.flags.c_contiguous
        np.testing.assert_array_equal(result, expected)
        t = fs.logsumexp_jvp(a, a, result, axis, keepdims=keepdims)
        assert t.flags.f_contiguous
