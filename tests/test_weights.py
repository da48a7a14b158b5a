"""`logsumexp` with weights `b`, and its sign."""

import math

import numpy as np
import pytest
import scipy.special
import targets
from formats import assert_same_bits, of

INF, NAN = math.inf, math.nan


def _exactly(a, b, axis):
    """The logarithm of |sum|, the sign, and sum of magnitudes / |sum|, in longdouble.

    The last is what an error in the sum becomes in its logarithm.
    """
    a, b = np.broadcast_arrays(a.astype(np.longdouble), b.astype(np.longdouble))
    top = a.max(axis=axis, keepdims=True)
    terms = b * np.exp(a - top)
    total, magnitude = terms.sum(axis=axis), abs(terms).sum(axis=axis)
    value = np.log(abs(total)) + top.max(axis=axis)
    return value, np.sign(total), magnitude / abs(total)


def _assert_within_the_limit(log, a, b, axis, dtype, target):
    exact, sign, condition = _exactly(a, b, axis)
    form = of(dtype)
    ulp = 2.0 ** (1 - form.digits)
    scale = np.maximum(abs(a.astype(np.longdouble)).max(), abs(exact))
    limit = (form.ulp_limit + (target == "generic")) * ulp * (scale + condition)
    assert (abs(log.astype(np.longdouble) - exact) <= limit).all()
    return sign


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("signs", ["positive", "mixed", "negative"])
def test_the_error_is_relative_to_the_magnitudes_of_the_terms(fs, dtype, target, axis, signs, rng):
    a = (3 * rng.standard_normal((3, 40, 5))).astype(dtype)
    low, high = {"positive": (0.1, 2), "mixed": (-1, 2), "negative": (-2, -0.1)}[signs]
    b = rng.uniform(low, high, a.shape).astype(dtype)
    log, sign = fs.logsumexp(a, axis=axis, b=b, return_sign=True)
    assert_sign = _assert_within_the_limit(log, a, b, axis, dtype, target)
    np.testing.assert_array_equal(np.asarray(sign, float), assert_sign)
    assert log.dtype == sign.dtype == dtype
    plain = fs.logsumexp(a, axis=axis, b=b)
    negative = np.asarray(sign, float) < 0
    assert np.isnan(np.asarray(plain, float)[negative]).all()
    assert_same_bits(np.asarray(plain)[~negative], np.asarray(log)[~negative])


def test_weights_of_one_change_nothing_beyond_the_limit(fs, dtype, target, rng):
    a = rng.standard_normal((4, 100)).astype(dtype)
    ones = np.ones_like(a)
    _assert_within_the_limit(fs.logsumexp(a, axis=1, b=ones), a, ones, 1, dtype, target)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [((4, 1, 2, 1), (3, 1, 5)), ((3,), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (3,)),
     ((3,), ()), ((1,), (7,)), ((2, 3), (1,)), ((), ())],
)  # fmt: skip
def test_a_and_b_broadcast_both_ways(fs, a_shape, b_shape, rng):
    a, b = np.array(rng.standard_normal(a_shape)), np.array(rng.random(b_shape))
    shape = np.broadcast_shapes(a_shape, b_shape)
    for axis in (None, *range(len(shape)), -1 if shape else None):
        for keepdims in (False, True):
            result = fs.logsumexp(a, axis=axis, b=b, keepdims=keepdims)
            expected = scipy.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims)
            np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-14)
            if shape:
                assert np.shape(result) == np.shape(expected)


def test_shapes_that_do_not_broadcast_are_a_value_error(fs):
    for shape in ((2,), (4,), (3, 1, 2), (2, 2)):
        with pytest.raises(ValueError, match=r"shape|broadcast"):
            fs.logsumexp(np.zeros((2, 3)), b=np.ones(shape))


# a, b, logsumexp with return_sign, its sign
TABLE = [
    ([NAN, 0], [0, 1], 0, 1),
    ([INF, 0], [0, 1], 0, 1),
    ([INF, -INF], [0, 1], -INF, 0),
    ([5, 1], [0, 0], -INF, 0),
    ([NAN, INF], [0, 0], -INF, 0),
    ([800, 800], [1, -1], -INF, 0),
    ([1, 1], [1, -1], -INF, 0),
    ([3, 3, 3], [1, 1, -2], -INF, 0),
    ([-700, -700], [-1, 1], -INF, 0),
    ([0, 0], [-1, -1], math.log(2), -1),
    ([1, 1, 1], [1, -1, -1], 1, -1),
    ([INF, INF], [1, -1], NAN, NAN),
    ([INF, INF], [1, 1], INF, 1),
    ([INF, 0], [-1, 1], INF, -1),
    ([INF], [-1], INF, -1),
    ([INF], [1], INF, 1),
    ([-INF, -INF], [1, 1], -INF, 0),
    ([-INF, -INF], [1, -1], -INF, 0),
    ([-INF, 0], [3, 1], 0, 1),
    ([NAN, 0], [1, 1], NAN, NAN),
    ([0, 0], [NAN, 1], NAN, NAN),
    ([0, 0], [INF, 1], INF, 1),
    ([0, 0], [INF, -INF], NAN, NAN),
    ([0, 0], [-INF, 1], INF, -1),
]


def _b_of(name):
    return pytest.mark.parametrize(name, TABLE, ids=lambda row: f"{row[0]} {row[1]}")


@_b_of("row")
@pytest.mark.parametrize("place", ["alone", "row of a batch", "column of a batch", "long"])
def test_special_values_with_weights(fs, dtype, row, place):
    a, b = np.array(row[0], dtype), np.array(row[1], dtype)
    options = {"return_sign": True}
    if place == "row of a batch":
        a, b = np.stack([np.zeros_like(a), a]), np.stack([np.ones_like(b), b])
        options["axis"] = 1
    elif place == "column of a batch":
        a, b = np.stack([np.zeros_like(a), a], 1), np.stack([np.ones_like(b), b], 1)
        options["axis"] = 0
    elif place == "long":
        a = np.concatenate([np.full(300, -INF), a, np.full(300, NAN)]).astype(dtype)
        b = np.concatenate([np.ones(300), b, np.zeros(300)]).astype(dtype)
    with np.errstate(invalid="ignore"):
        log, sign = fs.logsumexp(a, b=b, **options)
        plain = fs.logsumexp(a, b=b, **{**options, "return_sign": False})
    if "batch" in place:
        assert sign[0] == 1
        log, sign, plain = log[1], sign[1], plain[1]
    np.testing.assert_allclose(float(log), row[2], rtol=2.0 ** -(of(dtype).digits - 3))
    np.testing.assert_equal(float(sign), row[3])
    np.testing.assert_allclose(
        float(plain), NAN if row[3] == -1 else row[2], rtol=2.0 ** -(of(dtype).digits - 3)
    )


@pytest.mark.parametrize("b", [[1e300, 1e-300], [1e-300, 1e300], [-1e-300, 5e-324, 1e300]], ids=str)
def test_weights_lie_anywhere_in_the_range_of_float64(fs, b):
    log, sign = fs.logsumexp(np.zeros(len(b)), b=b, return_sign=True)
    np.testing.assert_allclose(log, 300 * math.log(10), rtol=1e-15)
    assert sign == 1


def test_a_negative_total_is_a_silent_nan(fs, dtype):
    with np.errstate(all="raise"):
        for n in (2, 40, 3_000):
            assert np.isnan(float(fs.logsumexp(np.zeros(n, dtype), b=-np.ones(n, dtype))))


def test_removed_elements_are_silent(fs, dtype):
    a, b = np.array([INF, NAN, 1, -INF], dtype), np.array([0, 0, 1, 0], dtype)
    with np.errstate(all="raise"):
        assert fs.logsumexp(a, b=b) == 1


def test_all_minus_infinity_has_sign_zero_without_weights(fs, dtype):
    for n in (1, 2, 17, 300):
        log, sign = fs.logsumexp(np.full(n, -INF, dtype), return_sign=True)
        assert np.isneginf(float(log)) and sign == 0


@pytest.mark.parametrize(
    ("value", "sign"), [(INF, 1), (0, 1), (-1000, 1), (NAN, NAN), (-INF, 0)], ids=str
)
def test_the_sign_without_weights(fs, dtype, value, sign):
    x = np.array([value, -INF], dtype)
    got = fs.logsumexp(x, return_sign=True)[1]
    np.testing.assert_equal(float(got), sign)
    assert got.dtype == dtype


def test_exact_cancellation_of_long_rows(fs, rng):
    for n in (2, 10, 64, 500):
        a = rng.standard_normal(n)
        pairs = np.concatenate([a, a])
        b = np.concatenate([np.ones(n), -np.ones(n)])
        single = fs.logsumexp(np.stack([a, a], 1), axis=1, b=[1, -1], return_sign=True)
        assert np.isneginf(single[0]).all() and (single[1] == 0).all()
        equal = fs.logsumexp(np.full_like(pairs, 3.0), b=b, return_sign=True)
        assert equal == (-INF, 0)


ONE = [1.0, 2.0]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (np.array(ONE, "f4"), 2.0, "f4"),
        (np.array(ONE, "f4"), 2, "f4"),
        (np.array(ONE, "f4"), True, "f4"),
        (np.array(ONE, "f2"), 2.0, "f2"),
        (np.array(ONE, "f4"), np.float64(2), "f8"),
        (np.array(ONE, "f4"), np.array(2.0), "f8"),
        (np.array(ONE, "f4"), np.array(ONE, "f2"), "f4"),
        (np.array(ONE, "f2"), np.array(ONE, "f4"), "f4"),
        (np.array(ONE, "f4"), np.array([1, 2], "i1"), "f4"),
        (np.array(ONE, "f4"), np.array([1, 2], "i8"), "f8"),
        (np.array([1, 2], "i1"), np.array(ONE, "f2"), "f2"),
        (np.array([1, 2], "i1"), np.array([1, 2], "i1"), "f8"),
        (np.array([1, 2], "i8"), np.array([1, 2], "u8"), "f8"),
        (np.array([True, False]), np.array([True, True]), "f8"),
        (np.array([1, 2], "i8"), 2, "f8"),
        (1.0, np.array(ONE, "f4"), "f4"),
        (1, np.array(ONE, "f4"), "f4"),
        (1.0, 2, "f8"),
        (np.array(ONE, "f4"), np.array(ONE, "g"), "g"),
        (np.array(ONE, "f4"), np.array(ONE, "F"), "F"),
        (np.array(ONE, "f8"), np.array(ONE, "F"), "D"),
        (np.array(ONE, "f4"), 1j, "F"),
        (np.array(ONE, "f4"), ONE, "f8"),
    ],
)
def test_the_dtype_of_a_with_b_is_that_of_promotion(fs, a, b, expected):
    assert fs.logsumexp(a, b=b).dtype == expected
    if isinstance(a, np.ndarray):
        assert fs.logsumexp(np.stack([a, a]), axis=-1, b=b).dtype == expected


def test_dtype_given_overrides_promotion(fs):
    a, b = np.array([1, 2], np.float16), np.array([1, 2], np.float64)
    assert fs.logsumexp(a, b=b, dtype=np.float32).dtype == np.float32


def test_neither_a_nor_b_is_written(fs, dtype, rng):
    a, b = rng.standard_normal((3, 5)).astype(dtype), rng.standard_normal(5).astype(dtype)
    b[2], copies = 0, (a.copy(), b.copy())
    a.flags.writeable = b.flags.writeable = False
    fs.logsumexp(a, axis=1, b=b)
    fs.logsumexp(a, axis=0, b=a, return_sign=True)
    assert_same_bits(a, copies[0])


@pytest.mark.parametrize("b", ["1", np.array(["1", "2"]), np.array([1, 2], object)])
def test_weights_that_are_no_numbers_are_a_type_error(fs, b):
    with pytest.raises(TypeError):
        fs.logsumexp([1.0, 2.0], b=b)


def test_nothing_weighted_is_minus_infinity(fs):
    assert np.isneginf(fs.logsumexp([], b=[]))
    assert np.isneginf(fs.logsumexp(np.zeros((2, 0)), axis=1, b=np.ones((2, 1)))).all()
    assert fs.logsumexp(np.zeros((0, 2)), axis=1, b=[1, 2]).shape == (0,)


def test_weights_in_other_places_of_memory(fs, dtype, rng):
    a = rng.standard_normal((6, 50)).astype(dtype)
    b = rng.random((6, 50)).astype(dtype)
    for axis in (None, 0, 1):
        expected = fs.logsumexp(a, axis=axis, b=b)
        for other in (np.asfortranarray(b), np.repeat(b, 2, 1)[:, ::2], b[::-1].copy()[::-1]):
            assert_same_bits(fs.logsumexp(a, axis=axis, b=other), expected)
            assert_same_bits(fs.logsumexp(a[:, ::-1][:, ::-1], axis=axis, b=other), expected)
        if axis is not None:
            assert_same_bits(fs.logsumexp(a.T, axis=1 - axis, b=b.T), expected)


def test_targets_with_fused_multiply_add_agree(rng):
    with_fma = [t for t in targets.runnable() if t in targets.WITH_FMA]
    if len(with_fma) < 2:
        pytest.skip(f"only {with_fma} of the targets with fused multiply-add runs here")
    for kind in (np.float32, np.float64):
        a = (30 * rng.standard_normal((50, 333))).astype(kind)
        b = (rng.standard_normal(a.shape) * 2.0 ** rng.integers(-60, 60, a.shape)).astype(kind)
        results = [
            targets.activate(t).logsumexp(a, axis=1, b=b, return_sign=True) for t in with_fma
        ]
        for result in results[1:]:
            for got, expected in zip(result, results[0], strict=True):
                assert_same_bits(got, expected)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1_000])
def test_exp_and_log1p_of_arrays(fs, target, n, rng):
    kernels = fs._target.kernels
    allowed = 1.5 if target != "generic" else 2.5
    x = rng.uniform(-1, 1, n)
    exact = np.exp(x.astype(np.longdouble))
    error = abs(kernels.exp(x).astype(np.longdouble) - exact) / np.spacing(exact.astype(float))
    assert error.max() <= allowed
    x = 2.0 ** rng.uniform(-60, 1_000, n)
    exact = np.log1p(x.astype(np.longdouble))
    error = abs(kernels.log1p(x).astype(np.longdouble) - exact) / np.spacing(exact.astype(float))
    assert error.max() <= allowed
    with pytest.raises(ValueError, match="float64"):
        kernels.exp(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="contiguous"):
        kernels.log1p(np.zeros(8)[::2])


def test_exponents_whose_sum_would_overflow(fs):
    """The dominant term is found among numbers near the largest of float64."""
    a = np.array([[1.5e308, 1.6e308, -1.7e308], [-1.6e308, -1.5e308, -1.7e308]])
    log, sign = fs.logsumexp(a, axis=1, b=[2, -3, 1], return_sign=True)
    np.testing.assert_array_equal(log, [1.6e308, -1.5e308])
    np.testing.assert_array_equal(sign, [-1, -1])
