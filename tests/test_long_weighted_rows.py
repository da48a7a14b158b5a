"""Weighted logsumexp, and its gradients, of rows that are gone through piece by piece."""

import math

import numpy as np
import pytest
from formats import assert_same_bits

INF, NAN = math.inf, math.nan
N = 150_000
PLACES = (0, 65_535, 65_536, 131_072, N - 1)  # in several pieces, and at their ends


def _exactly(a, b):
    """log|sum| and its sign in longdouble, and by how much an error of the sum is larger in it."""
    a, b = a.astype(np.longdouble), b.astype(np.longdouble)
    top = a.max()
    terms = b * np.exp(a - top)
    total = terms.sum()
    return np.log(abs(total)) + top, np.sign(total), abs(terms).sum() / abs(total)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("weight", [1.0, -1e300, 1e-300])
def test_the_dominant_term_may_be_anywhere(fs, place, weight, rng):
    a, b = rng.standard_normal(N), rng.standard_normal(N)
    a[place], b[place] = 50 - math.log(abs(weight)), weight
    log, sign = fs.logsumexp(a, b=b, return_sign=True)
    exact, exact_sign, condition = _exactly(a, b)
    assert sign == exact_sign
    assert abs(log - exact) <= 4 * np.spacing(float(abs(a).max() + condition))


def test_many_terms_of_one_size(fs, rng):
    for b in (np.ones(N), rng.standard_normal(N), np.where(np.arange(N) % 2, 1.0, -1.5)):
        a = 1e-3 * rng.standard_normal(N)
        log, sign = fs.logsumexp(a, b=b, return_sign=True)
        exact, exact_sign, condition = _exactly(a, b)
        assert sign == exact_sign
        assert abs(log - exact) <= 4 * np.spacing(float(abs(exact) + condition))


@pytest.mark.parametrize(
    ("elements", "value", "sign"),
    [
        ([(0, NAN, 1)], NAN, NAN),
        ([(0, 1, NAN)], NAN, NAN),
        ([(0, INF, 1)], INF, 1),
        ([(0, INF, -1)], INF, -1),
        ([(0, 1, -INF)], INF, -1),
        ([(0, -INF, INF)], NAN, NAN),
        ([(0, INF, 1), (1, INF, 2)], INF, 1),
        ([(0, INF, 1), (1, INF, -1)], NAN, NAN),
        ([(0, INF, 1), (1, 1, -INF)], NAN, NAN),
        ([(0, INF, 1), (1, NAN, 0)], INF, 1),
        ([(0, NAN, 0), (1, INF, 0)], None, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("places", [PLACES[:2], PLACES[1:3], (PLACES[4], PLACES[0])], ids=str)
def test_special_values_meet_across_pieces(fs, elements, value, sign, places):
    a, b = np.zeros(N), np.ones(N)
    for which, x, weight in elements:
        a[places[which]], b[places[which]] = x, weight
    with np.errstate(invalid="ignore"):
        log, given_sign = fs.logsumexp(a, b=b, return_sign=True)
    expected = math.log(N - 2) if value is None else value
    np.testing.assert_allclose(log, expected, rtol=1e-15)
    np.testing.assert_equal(float(given_sign), sign)


def test_the_warning_counts_the_whole_row(fs):
    a, b = np.zeros(N), np.ones(N)
    a[PLACES[0]], a[PLACES[4]], b[PLACES[4]] = INF, INF, -1
    with pytest.warns(RuntimeWarning, match="invalid value"):
        fs.logsumexp(a, b=b)
    a[PLACES[2]] = NAN  # then the nan came in
    with np.errstate(all="raise"):
        assert np.isnan(fs.logsumexp(a, b=b))


def test_a_mask_of_a_long_row(fs, rng):
    a, b, where = rng.standard_normal(N), rng.random(N), rng.random(N) < 0.5
    expected = fs.logsumexp(a, b=np.where(where, b, 0))
    assert_same_bits(fs.logsumexp(a, b=b, where=where), expected)
    a[~where] = NAN
    assert_same_bits(fs.logsumexp(a, b=b, where=where), expected)


def test_where_the_row_lies_changes_nothing(fs, rng):
    a, b = rng.standard_normal((2, 3, N))
    expected = fs.logsumexp(a, axis=1, b=b, return_sign=True)
    for i in range(3):
        for got, whole in zip(fs.logsumexp(a[i], b=b[i], return_sign=True), expected, strict=True):
            assert_same_bits(got, whole[i])
    columns = fs.logsumexp(np.asfortranarray(a), axis=1, b=np.asfortranarray(b), return_sign=True)
    for got, whole in zip(columns, expected, strict=True):
        assert_same_bits(got, whole)


LONG = 2_200_000  # more than a piece of the gradients
ENDS = (1, 1 << 21, LONG - 1)


def _halves(function, *arrays):
    """What the function gives for two parts of its arrays, whose border is not that of pieces."""
    cut = LONG // 3
    parts = [function(*(x[part] for x in arrays)) for part in (slice(cut), slice(cut, None))]
    return np.concatenate(parts)


@pytest.mark.parametrize("kind", ["usual", "far apart", "infinite", "nan"])
def test_each_gradient_is_what_it_is_in_a_shorter_row(fs, kind, rng):
    a, b = rng.standard_normal((2, LONG))
    b[:: LONG // 7] = 0
    a[LONG // 7] = NAN  # of weight 0
    g, lse = 0.7, 14.0
    if kind == "far apart":
        g, b = 1e-200, b * 1e210
    elif kind != "usual":
        for place in ENDS:
            a[place], b[place] = (INF, -2.0) if kind == "infinite" else (NAN, 1.0)
    with np.errstate(invalid="ignore", over="ignore"):
        whole = fs.logsumexp_vjp(g, a, lse, b=b)
        parts = _halves(lambda a, b: fs.logsumexp_vjp(g, a, lse, b=b), a, b)
    assert_same_bits(whole, parts)


@pytest.mark.parametrize("scale", [1.0, 1e200])
def test_the_product_with_a_long_tangent(fs, scale, rng):
    t, a, b = rng.standard_normal((3, LONG))
    b[:: LONG // 7] = 0
    a[LONG // 7], t[2 * (LONG // 7)] = NAN, INF  # of weight 0
    lse = 14.0
    product = fs.logsumexp_jvp(t / scale, a, lse, b=b * scale)
    inside = b != 0
    terms = np.exp(a[inside].astype(np.longdouble) - lse) * b[inside] * t[inside]
    assert abs(product - terms.sum()) <= 3 * np.spacing(float(abs(terms).sum()))


@pytest.mark.parametrize("place", ENDS)
def test_gradients_warn_of_a_nan_that_a_long_row_made(fs, place):
    a, b, t = np.zeros(LONG), np.ones(LONG), np.ones(LONG)
    a[place], b[place] = -INF, INF
    with pytest.warns(RuntimeWarning, match="invalid value"):
        result = fs.logsumexp_vjp(1.0, a, 14.0, b=b)
    assert np.flatnonzero(np.isnan(result)).tolist() == [place]
    a[place], b[place], t[place], t[LONG // 2] = 0, 1, INF, -INF
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(fs.logsumexp_jvp(t, a, 14.0, b=b))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [-800, 800])
def test_the_dominant_term_may_be_in_any_piece(fs, dtype, step, rng):
    """So far from the others that relative to one of those it is infinite."""
    a = rng.standard_normal((3, 200_000)).astype(dtype)
    a[:, 70_000:] += step
    a[1, -1] += 2 * abs(step)
    ones, twos = np.ones(200_000, dtype), np.full(200_000, 2, dtype)
    expected = fs.logsumexp(a, axis=1, dtype=np.float64)
    for b, more in ((ones, 0), (twos, np.log(2))):
        found = fs.logsumexp(a, axis=1, b=b, dtype=np.float64)
        np.testing.assert_allclose(found, expected + more, rtol=1e-15)
