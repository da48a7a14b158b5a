"""longdouble and complex: SciPy's formulas, correct and not fast."""

import cmath

import numpy as np
import pytest
import scipy.special

KINDS = [np.longdouble, np.complex64, np.complex128, np.clongdouble]


def _numbers(rng, shape, kind):
    x = 5 * rng.standard_normal(shape)
    if np.issubdtype(kind, np.complexfloating):
        x = x + 1j * rng.uniform(-6, 6, shape)
    return x.astype(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), ()])
def test_values_are_those_of_scipy(fs, name, kind, axis, rng):
    x = _numbers(rng, (3, 4, 5), kind)
    result = getattr(fs, name)(x, axis=axis)
    expected = getattr(scipy.special, name)(x, axis=axis)
    assert result.dtype == kind
    assert np.shape(result) == np.shape(expected)
    # SciPy knows pi, and so the phase of a long complex number, to float64's precision.
    limit = np.float64 if kind is np.clongdouble else kind
    tolerance = 50 * float(np.finfo(limit).eps)
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_weights_and_signs_are_those_of_scipy(fs, kind, rng):
    a, b = _numbers(rng, (3, 6), kind), _numbers(rng, (6,), kind)
    log, sign = fs.logsumexp(a, axis=1, b=b, return_sign=True)
    expected = scipy.special.logsumexp(a, axis=1, b=b, return_sign=True)
    tolerance = 200 * float(np.finfo(kind).eps)
    np.testing.assert_allclose(log, expected[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(sign, expected[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("a", "b", "log", "sign"),
    [
        ([1, 1, 1], [1, -1, -1], 1, -1),
        ([2, 2, 2, 2], [1, -1, -1, -1], 2 + np.log(2), -1),
        ([0, 0, 0], [-2, 1, 3], np.log(2), 1),
        ([1, 1], [1, -1], -np.inf, 0),
        ([5, 5], [0, 0], -np.inf, 0),
    ],
)
def test_terms_that_outweigh_the_largest(fs, a, b, log, sign):
    """The dominant element comes first, and the others together are larger, of the other sign."""
    a = np.array(a, np.longdouble)
    got = fs.logsumexp(a, b=b, return_sign=True)
    np.testing.assert_allclose(np.array(got, float), [log, sign], rtol=1e-15)
    plain = fs.logsumexp(a, b=b)
    np.testing.assert_allclose(float(plain), np.nan if sign < 0 else log, rtol=1e-15)


def test_phases_lie_above_minus_pi_and_up_to_pi(fs, rng):
    x = rng.uniform(1, 40, (200, 5)) + 1j * rng.uniform(-40, 40, (200, 5))
    phase = fs.logsumexp(x, axis=1).imag
    assert (phase > -np.pi).all() and (phase <= np.pi).all()
    for row, log in zip(x[:20], fs.logsumexp(x, axis=1), strict=False):
        assert cmath.isclose(log, cmath.log(np.exp(row).sum()), rel_tol=1e-12)
    assert fs.logsumexp([1j * np.pi, 1j * np.pi]).imag == np.pi


def test_a_shift_does_not_overflow(fs):
    top = np.finfo(np.longdouble).max / 4
    np.testing.assert_array_equal(fs.softmax(np.array([top, top])), [0.5, 0.5])
    np.testing.assert_allclose(fs.softmax(np.array([2000 + 1j, 2000 + 1j])), [0.5, 0.5], rtol=1e-13)


def test_longdouble_keeps_its_own_precision(fs):
    x = np.array([1, 2, 4], np.longdouble) / 3
    exact = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(fs.softmax(x), exact, rtol=4 * float(np.finfo(np.longdouble).eps))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_scalars_and_layouts(fs, name, kind, rng):
    x = _numbers(rng, (6, 8), kind)
    function = getattr(fs, name)
    assert isinstance(function(x[0, 0]), kind)
    for view in (x.T, x[::2, ::-1], np.asfortranarray(x), x.astype(x.dtype.newbyteorder())):
        expected = function(np.array(view, kind, order="C"), axis=0)
        # A logarithm near 0 is what a cancellation leaves, of numbers up to 40.
        near = 0 if name == "softmax" else 40 * float(np.finfo(kind).eps)
        np.testing.assert_allclose(function(view, axis=0), expected, rtol=1e-6, atol=near)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_out_and_dtype(fs, name, kind, rng):
    x = _numbers(rng, (3, 4), kind)
    function = getattr(fs, name)
    expected = function(x, axis=1)
    out = np.zeros_like(expected)
    assert function(x, axis=1, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert function(np.ones((3, 4)), axis=1, dtype=kind).dtype == kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_in_place(fs, same_shape_name, kind, rng):
    x = _numbers(rng, (3, 4), kind)
    expected = getattr(fs, same_shape_name)(x, axis=1)
    assert getattr(fs, same_shape_name)(x, axis=1, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_the_same_errors_as_elsewhere(fs, same_shape_name):
    function = getattr(fs, same_shape_name)
    for kind in KINDS:
        with pytest.raises(np.exceptions.AxisError):
            function(np.zeros(3, kind), axis=1)
        with pytest.raises(ValueError, match="zero-size array"):
            function(np.zeros((3, 0), kind), axis=1)
        with pytest.raises(ValueError, match="duplicate"):
            function(np.zeros((3, 2), kind), axis=(0, 0))
        with pytest.raises(TypeError):
            function(np.zeros((3, 2), kind), axis=True)


@pytest.mark.parametrize("kind", [np.longdouble, np.complex128])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([np.inf, 1], [0, 1]),
        ([np.nan, 1], [0, 1]),
        ([np.inf, np.inf, 0], [0, 2, 1]),
        ([-np.inf, 0], [np.inf, 1]),
        ([-np.inf, np.inf], [3, 0]),
        ([np.inf, -np.inf], [1, 0]),
        ([0, 1], [np.inf, 0]),
        ([np.inf, 0], [-1, 0]),
    ],
)
def test_infinite_terms_and_weights_are_those_of_float64(fs, kind, a, b):
    with np.errstate(invalid="ignore"):
        expected = fs.logsumexp(a, b=b, return_sign=True)
        found = fs.logsumexp(np.array(a, kind), b=b, return_sign=True)
    for each, value in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each.real, value)
