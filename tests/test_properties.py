"""Properties of every result, over inputs and layouts that hypothesis chooses."""

import layouts
import numpy as np
import pytest
from formats import FLOATS, assert_same_bits, of
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = [f.dtype for f in FLOATS]
LAYOUTS = st.lists(st.sampled_from(layouts.ALL), max_size=3)


def _logits(dtype, limit=80.0, shape=None):
    limit = min(limit, of(dtype).largest)
    shape = shape or hnp.array_shapes(max_dims=4, max_side=9)
    small = hnp.arrays(np.float32, shape, elements=st.floats(-limit, limit, width=32))
    return small.map(lambda x: x.astype(dtype))


@st.composite
def _arrays(draw, limit=80.0):
    return draw(_logits(draw(st.sampled_from(DTYPES)), limit))


@st.composite
def _arrays_with_an_axis(draw, limit=80.0):
    """An array and None, an axis or some axes of it."""
    x = draw(_arrays(limit))
    some = st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda i: i % x.ndim).map(tuple)
    return x, draw(st.none() | st.integers(-x.ndim, x.ndim - 1) | some)


def _laid_out(x, chosen):
    """The values of x in a layout made of several, one applied to the result of the other."""
    for layout in chosen:
        # A copy to the other byte order, or back to this one, needs NumPy's own floats.
        if layouts.fits(layout, x):
            x = layout(x)
    return x


@given(_arrays_with_an_axis(), LAYOUTS)
def test_a_view_gives_the_bits_of_its_copy(fs, name, case, chosen):
    x, axis = case
    view = _laid_out(x, chosen)
    assert_same_bits(getattr(fs, name)(view, axis=axis), getattr(fs, name)(x, axis=axis))


@given(_arrays_with_an_axis(), LAYOUTS, st.data())
def test_a_slice_gives_the_bits_of_its_copy(fs, name, case, chosen, data):
    x, axis = case
    view = _laid_out(x, chosen)
    index = tuple(
        slice(None, None, data.draw(st.sampled_from([1, 2, 3, -1, -2]))) for _ in range(x.ndim)
    )
    view = view[index]
    copy = np.array(view, x.dtype, order="C")
    assert_same_bits(getattr(fs, name)(view, axis=axis), getattr(fs, name)(copy, axis=axis))


@given(_arrays_with_an_axis(), LAYOUTS)
def test_the_input_is_never_written(fs, name, case, chosen):
    x, axis = case
    view = _laid_out(x, chosen)
    getattr(fs, name)(view, axis=axis)
    assert_same_bits(np.array(view, x.dtype), x)


@given(st.sampled_from(DTYPES), st.integers(1, 60), st.data())
def test_any_overlap_of_input_and_out_gives_the_right_answer(fs, same_shape_name, dtype, n, data):
    memory = data.draw(_logits(dtype, shape=(200,)))
    slices = []
    for _ in range(2):
        step = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        low = data.draw(st.integers(0, 200 - abs(step) * n if abs(step) * n <= 200 else 0))
        span = memory[low : low + abs(step) * n]
        slices.append(span[:: abs(step)][:: 1 if step > 0 else -1])
    x, out = slices
    assume(x.size == out.size)
    function = getattr(fs, same_shape_name)
    expected = function(x.copy())
    assert function(x, out=out) is out
    assert_same_bits(out, expected)


@given(_arrays_with_an_axis(), LAYOUTS)
def test_out_in_any_layout_takes_the_bits_of_a_new_array(fs, name, case, chosen):
    x, axis = case
    expected = np.asarray(getattr(fs, name)(x, axis=axis))
    assume(expected.ndim > 0)
    out = _laid_out(np.zeros_like(expected), chosen)
    assume(out.flags.writeable)
    getattr(fs, name)(x, axis=axis, out=out)
    assert_same_bits(out, expected)


@given(_arrays_with_an_axis())
def test_softmax_sums_to_one(fs, case):
    """To the sum of the errors: each in ULP or of the smallest number, and the sum's own."""
    x, axis = case
    p = fs.softmax(x, axis=axis).astype(np.longdouble)
    form = of(x.dtype)
    smallest = 2.0 ** (form.lowest + 1 - form.digits)
    limit = (form.ulp_limit + 1) * 2.0 ** (1 - form.digits)
    limit += p.size * (smallest + np.finfo(np.longdouble).eps)
    assert (abs(p.sum(axis=axis) - 1) <= limit).all()


@given(_arrays_with_an_axis(limit=float(np.float32(3e38))))
def test_results_lie_in_their_range(fs, case):
    x, axis = case
    assume(np.isfinite(x.astype(float)).all())
    p, logp = fs.softmax(x, axis=axis), fs.log_softmax(x, axis=axis)
    assert (p >= 0).all() and (p <= 1).all()
    assert (logp <= 0).all()
    assert (fs.logsumexp(x, axis=axis) >= x.max(axis=axis)).all()


@given(_arrays_with_an_axis())
def test_the_three_functions_agree(fs, case):
    """Each pair differs by no more than their errors and one rounding of the argument of exp."""
    x, axis = case
    x = x.astype(np.float64)
    p, logp = fs.softmax(x, axis=axis), fs.log_softmax(x, axis=axis)
    log = np.expand_dims(fs.logsumexp(x, axis=axis), axis) if isinstance(axis, int) else None
    np.testing.assert_allclose(np.exp(logp), p, rtol=1e-13)
    if log is not None:
        np.testing.assert_allclose(x - log, logp, rtol=1e-13, atol=1e-13)


@given(
    hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-30, 30).map(float)),
    st.integers(-(2**40), 2**40),
)
@example(np.arange(7.0), 10_000)
@example(np.zeros(1), 2**40)
def test_a_shift_changes_only_logsumexp_and_it_by_the_shift(fs, x, shift):
    """The shifted inputs are exact, so both results are near the same truth."""
    limit = 2 * 6 * 2.0**-52
    np.testing.assert_allclose(fs.softmax(x + shift), fs.softmax(x), rtol=limit)
    np.testing.assert_allclose(fs.log_softmax(x + shift), fs.log_softmax(x), rtol=limit)
    near = limit * max(abs(shift) + 30, 1)
    np.testing.assert_allclose(fs.logsumexp(x + shift), fs.logsumexp(x) + shift, atol=near, rtol=0)


@given(_arrays(), st.integers(0, 1 << 20))
def test_equal_elements_have_equal_results(fs, same_shape_name, x, seed):
    flat = x.ravel()
    order = np.random.default_rng(seed).permutation(flat.size)
    result = getattr(fs, same_shape_name)(np.concatenate([flat, flat[order]]))
    assert_same_bits(result[flat.size :], result[: flat.size][order])


@given(_arrays_with_an_axis(), st.data())
def test_minus_infinity_elements_take_no_part(fs, name, case, data):
    """They are where=False, but for what softmax and log_softmax put there, which is the same."""
    x, axis = case
    outside = data.draw(hnp.arrays(np.bool_, x.shape))
    x = np.where(outside, np.array(-np.inf, x.dtype), x)
    function = getattr(fs, name)
    with np.errstate(invalid="ignore"):
        plain = np.asarray(function(x, axis=axis))
    masked = np.asarray(function(x, axis=axis, where=~outside))
    some = ~np.isnan(plain.astype(float))
    assert_same_bits(plain[some], masked[some])


@pytest.mark.parametrize("wide", [np.float32, np.float64])
@given(_arrays_with_an_axis(), LAYOUTS)
def test_dtype_gives_the_bits_of_a_cast(fs, name, wide, case, chosen):
    x, axis = case
    view = _laid_out(x, chosen)
    result = getattr(fs, name)(view, axis=axis, dtype=wide)
    assert_same_bits(result, getattr(fs, name)(x.astype(wide), axis=axis))


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(max_dims=3, max_side=6),
        elements=st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1e308, -1e308, 5e-324]),
    ),
    st.data(),
)
def test_mixed_special_values_obey_the_rule_of_nans(fs, x, data):
    """A slice of softmax is all nan if a nan or +inf is in it, or only -inf; else it has none."""
    axis = data.draw(st.integers(0, x.ndim - 1))
    with np.errstate(invalid="ignore"):
        p, logp = fs.softmax(x, axis=axis), fs.log_softmax(x, axis=axis)
    log = fs.logsumexp(x, axis=axis)
    has_nan = np.isnan(x).any(axis=axis)
    bad = has_nan | np.isposinf(x).any(axis=axis) | np.isneginf(x).all(axis=axis)
    np.testing.assert_array_equal(np.isnan(p).any(axis=axis), bad)
    np.testing.assert_array_equal(np.isnan(p).all(axis=axis), bad)
    np.testing.assert_array_equal(np.isnan(logp).any(axis=axis), bad)
    np.testing.assert_array_equal(np.isnan(log), has_nan)
