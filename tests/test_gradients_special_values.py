"""Saturated rows, infinities and nans in the products with the Jacobians, and their warnings."""

import math
import warnings

import backward
import numpy as np
import pytest
from formats import assert_same_bits, bits

INF, NAN = math.inf, math.nan
HALF = -math.log(2)

# name, arguments, result of one row
SILENT = [
    ("softmax_vjp", ([3, 1, 2], [1, 0, 0]), [0, 0, 0]),
    ("softmax_vjp", ([3, 1, 2], [0, 0, 1]), [0, 0, 0]),
    ("softmax_vjp", ([3, 1], [0.5, 0.5]), [0.5, -0.5]),
    ("softmax_vjp", ([3, 3, 3, 3], [0.25] * 4), [0, 0, 0, 0]),
    ("softmax_vjp", ([5], [1]), [0]),
    ("softmax_vjp", ([3, 1, 2], [0, 0, 0]), [0, 0, 0]),
    ("softmax_vjp", ([0, 0], [0.5, 0.5]), [0, 0]),
    ("softmax_vjp", ([NAN, 1], [0.5, 0.5]), [NAN, NAN]),
    ("softmax_vjp", ([1, 1], [NAN, 0.5]), [NAN, NAN]),
    ("softmax_vjp", ([NAN, INF], [0.5, 0.5]), [NAN, NAN]),
    ("log_softmax_vjp", ([1, 2], [-INF, 0]), [1, -1]),
    ("log_softmax_vjp", ([1, 2, 4], [0, -INF, -INF]), [-6, 2, 4]),
    ("log_softmax_vjp", ([5, 6], [-INF, -INF]), [5, 6]),
    ("log_softmax_vjp", ([5], [0]), [0]),
    ("log_softmax_vjp", ([0, 0], [HALF, HALF]), [0, 0]),
    ("log_softmax_vjp", ([NAN, 1], [HALF, HALF]), [NAN, NAN]),
    ("log_softmax_vjp", ([1, 1], [NAN, NAN]), [NAN, NAN]),
    ("log_softmax_jvp", ([1, 2], [-INF, 0]), [-1, 0]),
    ("log_softmax_jvp", ([1, 2, 4], [0, -INF, -INF]), [0, 1, 3]),
    ("log_softmax_jvp", ([5], [0]), [0]),
    ("log_softmax_jvp", ([NAN, 1], [HALF, HALF]), [NAN, NAN]),
    ("logsumexp_vjp", (3, [-INF, -INF], -INF), [0, 0]),
    ("logsumexp_vjp", (INF, [-INF, -INF], -INF), [0, 0]),
    ("logsumexp_vjp", (3, [-INF, 0], 0), [0, 3]),
    ("logsumexp_vjp", (3, [7], 7), [3]),
    ("logsumexp_vjp", (0, [1, 2], 2), [0, 0]),
    ("logsumexp_vjp", (INF, [7, 7], 7), [INF, INF]),
    ("logsumexp_vjp", (NAN, [7, 7], 7), [NAN, NAN]),
    ("logsumexp_vjp", (1, [NAN, 0], NAN), [NAN, NAN]),
    ("logsumexp_jvp", ([3, 4], [-INF, -INF], -INF), 0),
    ("logsumexp_jvp", ([INF, 4], [-INF, -INF], -INF), 0),
    ("logsumexp_jvp", ([3, 4], [-INF, 0], 0), 4),
    ("logsumexp_jvp", ([3], [7], 7), 3),
    ("logsumexp_jvp", ([INF, 1], [7, 7], 7), INF),
    ("logsumexp_jvp", ([NAN, 1], [7, 7], 7), NAN),
]
# The formula makes a nan of no nan.
WARNING = [
    ("softmax_vjp", ([INF, 0], [0.5, 0.5]), [NAN, -INF]),
    ("softmax_vjp", ([INF, -INF], [0.5, 0.5]), [NAN, NAN]),
    ("softmax_vjp", ([INF], [1]), [NAN]),
    ("log_softmax_vjp", ([INF, 0], [HALF, HALF]), [NAN, -INF]),
    ("log_softmax_vjp", ([INF, -INF], [HALF, HALF]), [NAN, NAN]),
    ("log_softmax_jvp", ([INF, 0], [HALF, HALF]), [NAN, -INF]),
    ("log_softmax_jvp", ([-INF, 0], [HALF, HALF]), [NAN, INF]),
    ("logsumexp_vjp", (1, [INF, 0], INF), [NAN, 0]),
    ("logsumexp_jvp", ([INF, -INF], [7, 7], 7), NAN),
    ("logsumexp_jvp", ([1, 1], [INF, 0], INF), NAN),
]

silent = pytest.mark.parametrize("case", SILENT, ids=str)
warning = pytest.mark.parametrize("case", WARNING, ids=str)


def _arrays(case, dtype):
    return [np.array(a, dtype) for a in case[1]]


def _assert_equal(result, expected):
    """Zeros of both signs are equal: the formulas make both."""
    result = np.asarray(result).astype(np.float64)
    np.testing.assert_allclose(result, np.array(expected, float), rtol=2e-2, atol=1e-2)
    exact = np.array([v == round(v) if math.isfinite(v) else True for v in np.ravel(expected)])
    np.testing.assert_array_equal(result.ravel()[exact], np.ravel(expected)[exact])


@silent
def test_values(fs, dtype, case):
    with np.errstate(all="raise"):
        result = getattr(fs, case[0])(*_arrays(case, dtype))
    _assert_equal(result, case[2])


@warning
def test_values_that_warn(fs, dtype, case):
    with pytest.warns(RuntimeWarning, match="invalid value") as caught:
        result = getattr(fs, case[0])(*_arrays(case, dtype))
    assert len(caught) == 1
    _assert_equal(result, case[2])


@pytest.mark.parametrize("case", SILENT + WARNING, ids=str)
def test_among_ordinary_rows_and_columns_which_keep_their_bits(fs, dtype, case, rng):
    special = _arrays(case, dtype)
    n = max(a.size for a in special)
    ordinary = backward.arguments(case[0], rng, (37, n), dtype, -1)
    function = getattr(fs, case[0])
    expected = function(*ordinary, axis=-1)
    batch = [np.insert(o, 20, s, axis=0) for o, s in zip(ordinary, special, strict=True)]
    columns = [np.ascontiguousarray(a.T) for a in batch]
    for result in (_quietly(function, batch, -1), _quietly(function, columns, 0).T):
        _assert_equal(result[20], case[2])
        assert_same_bits(np.delete(result, 20, axis=0), expected)


def _quietly(function, arrays, axis):
    with np.errstate(invalid="ignore"):
        return function(*arrays, axis=axis)


@pytest.mark.parametrize("length", [2, 16, 17, 64, 100, 1_025, 40_000])
def test_a_saturated_row_gives_zeros(fs, dtype, length, rng):
    g = rng.standard_normal(length).astype(dtype)
    for hot in {0, length // 2, length - 1}:
        y = np.zeros(length, dtype)
        y[hot] = 1
        assert (fs.softmax_vjp(g, y) == 0).all()
        assert (fs.softmax_jvp(g, y) == 0).all()
        with np.errstate(divide="ignore"):
            logp = np.log(y.astype(np.float64)).astype(dtype)
        others = np.arange(length) != hot
        assert_same_bits(fs.log_softmax_vjp(g, logp)[others], g[others])
        assert fs.log_softmax_jvp(g, logp)[hot] == 0


@pytest.mark.parametrize("name", backward.ALL)
def test_a_nan_anywhere_fills_its_slice_alone(fs, name, dtype, rng):
    for length in (1, 7, 16, 17, 65, 1_025):
        arrays = backward.arguments(name, rng, (3, length), dtype, -1, scale=1)
        arrays[0][(1, -1) if arrays[0].ndim == 2 else 1] = NAN
        result = getattr(fs, name)(*arrays, axis=-1).astype(np.float64)
        assert np.isnan(result[1]).all()
        assert not np.isnan(result[[0, 2]]).any()


@pytest.mark.parametrize("name", backward.ALL)
def test_every_nan_comes_back_canonical(fs, name, dtype, rng):
    """Instruction sets make nans of different signs."""
    canonical = bits(np.array(NAN, dtype))
    for value in (NAN, -NAN, INF):
        if value == INF and name == "logsumexp_jvp":
            continue  # Its sum is infinite, but no nan.
        arrays = backward.arguments(name, rng, (2, 20), dtype, -1, scale=1)
        arrays[0][1] = np.array(value, dtype)
        if value == INF and name == "logsumexp_vjp":
            arrays[1][1, 3], arrays[2][1] = INF, INF
        with np.errstate(invalid="ignore"):
            result = getattr(fs, name)(*arrays, axis=-1)
        nans = np.isnan(result.astype(np.float64))
        assert nans.any()
        assert (bits(result)[nans] == canonical).all()


@pytest.mark.parametrize("name", backward.ALL)
def test_a_nan_among_what_a_gradient_is_taken_at_comes_back_canonical(fs, name, dtype, rng):
    canonical = bits(np.array(NAN, dtype))
    for payload in (bits(np.array(-NAN, dtype)), canonical | 1):
        rows, columns = [(20,), (40, 7), (5, 100), (3, 1_500)], [(7, 40), (300, 3)]
        for shape, axis in [(s, -1) for s in rows] + [(s, 0) for s in columns]:
            arrays = backward.arguments(name, rng, shape, dtype, axis, scale=1)
            bits(arrays[1])[(2,) * len(shape)] = payload
            result = np.asarray(getattr(fs, name)(*arrays, axis=axis))
            nans = np.isnan(result.astype(np.float64))
            assert nans.any()
            assert (bits(result)[nans] == canonical).all()


def test_exponentials_beyond_the_range(fs):
    """Beside one that is infinite others are what they are, and a small g brings one back."""
    a = np.array([1_000, 0, 2_000, -INF, -3_000])
    np.testing.assert_allclose(fs.logsumexp_vjp(1.0, a, 0.0), [INF, 1, INF, 0, 0])
    np.testing.assert_allclose(fs.logsumexp_vjp(-1.0, a, 0.0), [-INF, -1, -INF, 0, 0])
    small = fs.logsumexp_vjp(1e-300, a, 0.0)
    np.testing.assert_allclose(small, [1.970071114017047e134, 1e-300, INF, 0, 0], rtol=1e-15)
    assert (fs.logsumexp_vjp(0.0, a[:2] - 250, 0.0) == 0).all()
    single = fs.logsumexp_vjp(np.float32(1), np.array([110, 0, 50], np.float32), np.float32(0))
    np.testing.assert_allclose(single, [INF, 1, 5.184705528587072e21], rtol=2e-7)


def test_a_removed_element_has_no_gradient_whatever_it_holds(fs, dtype):
    """As forward, a weight of 0 takes the element out."""
    b = np.array([1, 0, 1], dtype)
    for value in (INF, NAN, -INF, 1e4):
        a = np.array([HALF, value, HALF], dtype)
        zero = np.zeros((), dtype)
        with np.errstate(all="raise"):
            result = fs.logsumexp_vjp(np.array(3, dtype), a, zero, b=b)
            pushed = fs.logsumexp_jvp(np.array([1, 1, 1], dtype), a, zero, b=b)
        assert result[1] == 0
        _assert_equal(result, [1.5, 0, 1.5])
        np.testing.assert_allclose(float(pushed), 1, rtol=2e-2)


def test_a_cancelled_sum_has_gradient_zero(fs):
    a, b = np.array([2.0, 2.0]), np.array([1.0, -1.0])
    lse, sign = fs.logsumexp(a, b=b, return_sign=True)
    assert lse == -INF and sign == 0
    assert (fs.logsumexp_vjp(1.0, a, lse, b=b, sign=sign) == 0).all()
    assert fs.logsumexp_jvp(a, a, lse, b=b, sign=sign) == 0


PLACES = {
    "row": lambda a: ([np.array(v) for v in a], None),
    "rows": lambda a: ([np.array([v] * 50) for v in a], -1),
    "column": lambda a: ([np.array([v] * 50).T.copy() for v in a], 0),
    "large": lambda a: ([np.array([v] * 60_000) for v in a], -1),
    "view": lambda a: ([np.array([v] * 50)[::-2] for v in a], -1),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_call_warns_once_by_the_errstate_of_the_caller(fs, dtype, place):
    for name in backward.ALL:
        _assert_warns_once(fs, name, dtype, place)


def _assert_warns_once(fs, name, dtype, place):
    named = "softmax_vjp" if name == "softmax_jvp" else name
    case = next(case for case in WARNING if case[0] == named)
    arrays, axis = PLACES[place](_arrays(case, dtype))
    call = getattr(fs, name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arrays, axis=axis)
        with np.errstate(invalid="ignore"):
            call(*arrays, axis=axis)
    assert [w.category for w in caught] == [RuntimeWarning]
    assert "invalid value" in str(caught[0].message)
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match="invalid value"):
        call(*arrays, axis=axis)
    heard = []
    with np.errstate(invalid="call", call=lambda kind, flag: heard.append(kind)):
        call(*arrays, axis=axis)
    assert heard == ["invalid value"]


@pytest.mark.parametrize("name", backward.ALL)
def test_right_results_are_silent_at_every_length(fs, name, dtype, rng):
    """What empty lanes hold, subnormal terms and results that underflow are not heard of."""
    with np.errstate(all="raise"):
        for n in (*range(1, 40), 65, 1_025):
            scale = 4 if dtype.itemsize == 2 else 60
            with np.errstate(all="ignore"):
                arrays = backward.arguments(name, rng, (3, n), dtype, -1, scale)
                tall = [np.ascontiguousarray(a.T) for a in arrays]
            getattr(fs, name)(*arrays, axis=-1)
            getattr(fs, name)(*tall, axis=0)


def test_an_overflow_to_infinity_is_silent(fs, dtype):
    """A cast to a half precision, too, may overflow without a word."""
    big = np.array(np.finfo(np.float32).max if dtype.itemsize == 4 else 6e4, dtype)
    with np.errstate(all="raise"):
        result = fs.log_softmax_vjp(np.full(64, big), np.zeros(64, dtype))
    assert (result.astype(np.float64) < -1e5).all()


def test_a_nan_beside_weights_or_signs_is_the_canonical_one(fs, dtype):
    """Processors choose another sign for the nan they make, and a product keeps its operand's."""
    nan = np.array(NAN, dtype)
    one, two = np.array(1, dtype), np.array([0, 1], dtype)
    weights = [np.array(b, dtype) for b in ([INF, 1], [-NAN, 1], [1, -NAN], [-INF, INF])]
    with np.errstate(all="ignore"):
        for b in weights:
            for a in (np.array([-INF, 1], dtype), two, np.array([-NAN, 0], dtype)):
                for g in (one, -nan, one * np.array(INF, dtype)):
                    products = [
                        fs.logsumexp_vjp(g, a, one, b=b),
                        fs.logsumexp_vjp(g, a[:1], one, b=b),
                        fs.logsumexp_jvp(a, two, one, b=b),
                        fs.logsumexp_jvp(a, two, one, sign=-one),
                        fs.logsumexp_jvp(a, two, one, sign=-nan),
                        fs.logsumexp_vjp(g, a, one, sign=-nan),
                    ]
                    for product in map(np.asarray, products):
                        assert (bits(product)[np.isnan(product)] == bits(nan)).all(), (g, a, b)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
@pytest.mark.parametrize("kind", [np.longdouble, np.complex128])
def test_a_nan_that_is_made_where_no_kernel_computes_is_told(fs, name, kind):
    """But not one that came in."""
    point = np.full(2, 0.5 if name.startswith("softmax") else np.log(0.5), kind)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(getattr(fs, name)(np.array([INF, -INF], kind), point)).all()
    assert np.isnan(getattr(fs, name)(np.array([NAN, 1], kind), point)).all()


def test_infinities_that_meet_in_a_sum_over_the_axes_of_b_are_told(fs, dtype):
    """But not a nan that came in."""
    a, lse, b = np.zeros(1, dtype), np.array(0, dtype), np.array([1, -1], dtype)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(fs.logsumexp_vjp(np.array(INF, dtype), a, lse, b=b)).all()
    assert np.isnan(fs.logsumexp_vjp(np.array(NAN, dtype), a, lse, b=b)).all()


@pytest.mark.parametrize("kind", ["as it is", "other byte order", "strided", "wider", "in place"])
def test_a_gradient_with_weights_warns_wherever_it_is_put(fs, dtype, kind):
    """inf * 0 is a nan that was made, also where the result shares scratch memory with `a`."""
    a, b = np.array([[0, -INF, 1]], dtype), np.array([[2, 1, -1]], dtype)
    out = np.zeros_like(a)
    if kind == "other byte order" and dtype.name != "bfloat16":
        out = out.astype(dtype.newbyteorder())
    elif kind == "strided":
        out = np.zeros((1, 6), dtype)[:, ::2]
    elif kind == "wider":
        out = out.astype(np.float64)
    elif kind == "in place":
        out = a
    g, lse = np.array([INF], dtype), np.array([1], dtype)
    with pytest.warns(RuntimeWarning, match="invalid value") as caught:
        fs.logsumexp_vjp(g, a, lse, axis=1, b=b, out=out)
    assert len(caught) == 1
    np.testing.assert_array_equal(out.astype(float), [[INF, NAN, -INF]])
    a, out = np.array([[0, NAN, 1]], dtype), np.zeros((1, 6), dtype)[:, ::2]
    with np.errstate(all="raise"):
        fs.logsumexp_vjp(g, a, lse, axis=1, b=b, out=out)
    assert np.isnan(float(out[0, 1]))


@pytest.mark.parametrize("n", [2, 3, 10, 40, 300])
def test_nothing_of_an_infinite_exponential_is_a_nan_that_is_told(fs, dtype, n):
    """Logarithms no probability has: 0 times infinity, of which processors make different nans."""
    huge = np.full(n, 60_000 if dtype.itemsize == 2 else 1e30, dtype)
    balanced = np.where(np.arange(n) % 2, 1, -1).astype(dtype)
    balanced[0] -= balanced.sum()
    zero = np.array(0, dtype)
    cases = {
        "log_softmax_vjp": (balanced, huge),
        "logsumexp_vjp": (zero, huge, zero),
    }
    for name, arrays in cases.items():
        for rows in (1, 20):
            batch = [np.repeat(a[np.newaxis], rows, axis=0) for a in arrays]
            with pytest.warns(RuntimeWarning, match="invalid value"):
                result = getattr(fs, name)(*batch, axis=-1)
            assert (bits(result) == bits(np.array(NAN, dtype))).all()
