"""Masked arrays in the products with the Jacobians: what is masked takes no part."""

import backward
import numpy as np
import pytest
from formats import assert_same_bits, of

MASK = np.array([[False, True, False, False, True], [True, False, False, False, False]])
NAN, INF = np.nan, np.inf
PRODUCTS = list(backward.FULL_TO_FULL)


def _arguments(name, rng, dtype):
    return backward.arguments(name, rng, MASK.shape, dtype, -1)


def _without(arrays, row):
    """The arguments of one row with the masked elements left out."""
    return [a[row][~MASK[row]] for a in arrays]


def _near(result, expected, dtype):
    near = 4 * 2.0 ** (1 - of(dtype).digits) if dtype.char != "g" else 1e-15
    result, expected = (np.asarray(a).astype(np.float64) for a in (result, expected))
    np.testing.assert_allclose(result, expected, rtol=near, atol=near)


@pytest.mark.parametrize("which", ["first", "second", "both"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_an_element_masked_in_either_takes_no_part(fs, name, dtype, which, rng):
    """Whatever it holds, and the product there is masked; below the mask it is 0."""
    g, y = _arguments(name, rng, dtype)
    first, second = MASK.copy(), MASK.copy()
    if which == "both":
        first[0, 4] = second[0, 1] = second[1, 0] = False
    with np.errstate(invalid="ignore"):
        g[MASK & first], y[MASK & second] = NAN, INF
    arrays = [
        np.ma.array(g, mask=first) if which != "second" else g,
        np.ma.array(y, mask=second) if which != "first" else y,
    ]
    if which == "both":
        # What is masked in one of them alone is an ordinary number in the other.
        y[MASK & ~second], g[MASK & ~first] = 1, 1
    else:
        (y if which == "first" else g)[MASK] = 1
    with np.errstate(all="raise"):
        result = getattr(fs, name)(*arrays, axis=-1)
    assert isinstance(result, np.ma.MaskedArray) and result.dtype == dtype
    np.testing.assert_array_equal(result.mask, MASK)
    assert not np.asarray(result)[MASK].astype(float).any()
    for row in (0, 1):
        expected = getattr(fs, name)(*_without([g, y], row))
        _near(np.asarray(result)[row][~MASK[row]], expected, dtype)


@pytest.mark.parametrize("name", PRODUCTS)
def test_masks_are_honoured_where_no_kernel_computes(fs, name, rng):
    dtype = np.dtype(np.longdouble)
    g, y = _arguments(name, rng, dtype)
    before = [g.copy(), y.copy()]
    g[MASK], y[MASK] = NAN, INF
    with np.errstate(all="raise"):
        result = getattr(fs, name)(np.ma.array(g, mask=MASK), y, axis=-1)
    assert result.dtype == dtype
    assert not np.asarray(result)[MASK].any()
    for row in (0, 1):
        expected = getattr(fs, name)(*_without(before, row))
        _near(np.asarray(result)[row][~MASK[row]], expected, np.dtype(np.longdouble))


def test_columns_and_an_out_of_its_own(fs, rng):
    g, y = _arguments("softmax_vjp", rng, np.dtype(np.float64))
    masked = np.ma.array(g, mask=MASK)
    expected = np.asarray(fs.softmax_vjp(masked, y, axis=-1))
    columns = fs.softmax_vjp(masked.T, y.T, axis=0)
    assert_same_bits(np.asarray(columns).T, expected)
    out = np.zeros(g.shape)
    assert fs.softmax_vjp(masked, y, axis=-1, out=out) is out
    assert_same_bits(out, expected)


@pytest.mark.parametrize("with_b", [False, True])
def test_a_masked_exponent_has_no_gradient(fs, dtype, with_b, rng):
    g, a, lse = backward.arguments("logsumexp_vjp", rng, MASK.shape, dtype, -1)
    t = rng.standard_normal(MASK.shape).astype(dtype)
    b = rng.uniform(0.5, 2, MASK.shape).astype(dtype)
    options = {"axis": -1, "b": b} if with_b else {"axis": -1}
    kept = a.copy()
    a[MASK] = NAN
    masked = np.ma.array(a, mask=MASK)
    with np.errstate(all="raise"):
        pulled = fs.logsumexp_vjp(g, masked, lse, **options)
        pushed = fs.logsumexp_jvp(t, masked, lse, **options)
    np.testing.assert_array_equal(pulled.mask, MASK)
    assert not np.asarray(pulled)[MASK].astype(float).any()
    for row in (0, 1):
        inside = ~MASK[row]
        weights = {"b": b[row][inside]} if with_b else {}
        expected = fs.logsumexp_vjp(g[row], kept[row][inside], lse[row], **weights)
        _near(np.asarray(pulled)[row][inside], expected, dtype)
        expected = fs.logsumexp_jvp(t[row][inside], kept[row][inside], lse[row], **weights)
        _near(pushed[row], expected, dtype)


def test_a_masked_weight_is_zero(fs, dtype, rng):
    g, a, lse = backward.arguments("logsumexp_vjp", rng, MASK.shape, dtype, -1)
    b = rng.uniform(0.5, 2, MASK.shape).astype(dtype)
    masked = np.ma.array(b, mask=MASK)
    zeros = np.where(MASK, np.zeros((), dtype), b)
    result = fs.logsumexp_vjp(g, a, lse, axis=-1, b=masked)
    assert_same_bits(np.asarray(result), fs.logsumexp_vjp(g, a, lse, axis=-1, b=zeros))
    both = np.ma.array(a, mask=~MASK & (np.arange(5) == 2))
    result = fs.logsumexp_vjp(g, both, lse, axis=-1, b=masked)
    zeros = np.where(both.mask, np.zeros((), dtype), zeros)
    assert_same_bits(np.asarray(result), fs.logsumexp_vjp(g, a, lse, axis=-1, b=zeros))


def test_a_masked_row_has_gradient_zero_and_a_masked_direction_is_zero(fs, dtype, rng):
    g, a, lse = backward.arguments("logsumexp_vjp", rng, MASK.shape, dtype, -1)
    t = rng.standard_normal(MASK.shape).astype(dtype)
    row = np.array([True, False])
    expected = fs.logsumexp_vjp(g[1:], a[1:], lse[1:], axis=-1)
    g_filled, lse_filled = g.copy(), lse.copy()
    g_filled[0], lse_filled[0] = NAN, NAN
    for arguments in (
        (np.ma.array(g_filled, mask=row), a, lse),
        (g, a, np.ma.array(lse_filled, mask=row)),
    ):
        with np.errstate(all="raise"):
            result = np.asarray(fs.logsumexp_vjp(*arguments, axis=-1))
        assert not result[0].astype(float).any()
        assert_same_bits(result[1:], expected)
    zeros = np.where(MASK, np.zeros((), dtype), t)
    result = fs.logsumexp_jvp(np.ma.array(t, mask=MASK), a, lse, axis=-1)
    assert_same_bits(np.asarray(result), fs.logsumexp_jvp(zeros, a, lse, axis=-1))
