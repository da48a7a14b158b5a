"""Which dtype a result has, `dtype=`, and the dtypes that are refused."""

import numpy as np
import pytest
from formats import FLOATS, assert_same_bits

INTEGERS = [np.bool_, *np.typecodes["AllInteger"]]
KEPT = [*np.typecodes["Float"], *np.typecodes["Complex"]]


@pytest.mark.parametrize("kind", KEPT, ids=lambda k: np.dtype(k).name)
def test_floating_dtypes_are_kept(fs, name, kind):
    x = np.array([[1, 2, 3], [4, 5, 7]], kind)
    for axis in (None, 0, 1):
        assert getattr(fs, name)(x, axis=axis).dtype == kind


def test_kernel_dtypes_are_kept_for_every_axis(fs, name, dtype):
    x = np.ones((2, 3, 4), dtype)
    for axis in (None, 0, 1, 2, (0, 2)):
        assert getattr(fs, name)(x, axis=axis).dtype == dtype


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda k: np.dtype(k).name)
def test_integers_and_bool_compute_in_float64(fs, name, kind):
    x = np.array([[3, 1, 2], [0, 100, 1]]).astype(kind)
    for axis in (None, 0, 1):
        result = getattr(fs, name)(x, axis=axis)
        assert result.dtype == np.float64
        assert_same_bits(result, getattr(fs, name)(x.astype(np.float64), axis=axis))


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64, np.uint64])
def test_extreme_integers_are_not_wrapped(fs, name, kind):
    info = np.iinfo(kind)
    x = np.array([info.min, info.max, info.max - 1], kind)
    assert_same_bits(getattr(fs, name)(x), getattr(fs, name)(x.astype(np.float64)))


@pytest.mark.parametrize("given", [[1, 2, 3], [1.5, 2, 3], [True, False], (1, 2.0), [[1], [2]]])
def test_python_numbers_compute_in_float64(fs, name, given):
    assert getattr(fs, name)(given).dtype == np.float64


@pytest.mark.parametrize("wide", FLOATS, ids=lambda f: "to_" + f.name)
def test_dtype_computes_and_returns_in_it(fs, name, dtype, wide, rng):
    x = rng.standard_normal((3, 40)).astype(dtype)
    for axis in (None, 0, 1):
        result = getattr(fs, name)(x, axis=axis, dtype=wide.dtype)
        assert_same_bits(result, getattr(fs, name)(x.astype(wide.dtype), axis=axis))


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda k: np.dtype(k).name)
def test_dtype_computes_integers_in_it(fs, name, kind):
    x = np.array([[3, 1, 2], [0, 100, 1]]).astype(kind)
    result = getattr(fs, name)(x, axis=-1, dtype=np.float32)
    assert_same_bits(result, getattr(fs, name)(x.astype(np.float32), axis=-1))


@pytest.mark.parametrize("spelling", ["float32", "f4", np.float32, np.dtype(np.float32), "single"])
def test_dtype_may_be_spelled_as_numpy_spells_it(fs, name, spelling):
    result = getattr(fs, name)(np.zeros((2, 3), np.float16), axis=-1, dtype=spelling)
    assert result.dtype == np.float32


@pytest.mark.parametrize("spelling", ["float16", "f2", np.float16, "half"])
def test_a_narrower_dtype_may_be_spelled_so_too(fs, name, spelling):
    for options in ({}, {"b": np.ones((2, 3))}):
        if name == "logsumexp" or not options:
            result = getattr(fs, name)(np.zeros((2, 3)), axis=-1, dtype=spelling, **options)
            assert result.dtype == np.float16


def test_dtype_of_a_list(fs, name):
    assert getattr(fs, name)([1, 2, 3], dtype=np.float32).dtype == np.float32


def test_dtype_of_large_arrays_and_other_layouts(fs, name, rng):
    x = rng.standard_normal((300, 700)).astype(np.float16)
    function = getattr(fs, name)
    for layout in (x, x.T, x[:, ::3], np.asfortranarray(x)):
        for axis in (None, 0, 1):
            result = function(layout, axis=axis, dtype=np.float32)
            assert_same_bits(result, function(layout.astype(np.float32), axis=axis))


@pytest.mark.parametrize("wrong", [np.int64, bool, "U5", object, "M8[s]", "not a dtype"])
def test_dtype_must_be_a_floating_dtype(fs, name, wrong):
    with pytest.raises(TypeError):
        getattr(fs, name)(np.zeros((2, 3)), axis=-1, dtype=wrong)


def test_dtype_does_not_drop_an_imaginary_part(fs, name):
    with pytest.raises(TypeError):
        getattr(fs, name)(np.array([1 + 1j, 2]), dtype=np.float64)


@pytest.mark.parametrize(
    "x",
    [
        np.array([1, 2.5], object),
        np.array([None, 1]),
        np.array(["1", "2"]),
        np.array([b"1", b"2"]),
        np.array([(1, 2.0)], "i4,f8"),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1, 2], "m8[s]"),
        np.array([], object),
        np.array([], "U1"),
        "text",
        ["a", "b"],
        None,
        {1.0, 2.0},
        {"a": 1.0},
    ],
    ids=lambda x: repr(x).replace("\n", " "),
)
def test_what_is_no_number_is_a_type_error(fs, name, x):
    for options in ({}, {"dtype": np.float64}, {"axis": 0}):
        with pytest.raises(TypeError):
            getattr(fs, name)(x, **options)


def test_half_precision_results_are_those_of_float32_rounded_once(fs, name, dtype, rng):
    if dtype.itemsize != 2:
        pytest.skip("not a half precision")
    function = getattr(fs, name)
    x = (3 * rng.standard_normal((20, 333))).astype(dtype)
    for axis in (None, 0, 1):
        wide = function(x.astype(np.float32), axis=axis)
        assert_same_bits(function(x, axis=axis), wide.astype(dtype))


@pytest.mark.parametrize("given", ["f4", "f8", ">f8", "i4"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_a_narrower_dtype_is_what_the_input_is_rounded_to(fs, name, dtype, given, axis, rng):
    """As in NumPy's ufuncs, and whether the array has to be packed or not."""
    x = (40 * rng.standard_normal((9, 130))).astype(given)
    expected = getattr(fs, name)(x.astype(dtype), axis=axis)
    for array in (x, x.T.copy().T, np.repeat(x, 2, axis=1)[:, ::2]):
        assert_same_bits(getattr(fs, name)(array, axis=axis, dtype=dtype), expected)
    inside = rng.random(x.shape) < 0.8
    expected = getattr(fs, name)(x.astype(dtype), axis=axis, where=inside)
    assert_same_bits(getattr(fs, name)(x, axis=axis, dtype=dtype, where=inside), expected)
