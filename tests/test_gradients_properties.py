"""Properties of the products with the Jacobians, over inputs that hypothesis chooses."""

import backward
import layouts
import numpy as np
import pytest
import reference
import reference_backward
from formats import FLOATS, assert_same_bits, of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_accuracy import GENERIC_ALLOWANCE

DTYPES = [f.dtype for f in FLOATS]
LAYOUTS = st.lists(st.sampled_from(layouts.ALL), max_size=2)
NAMES = pytest.mark.parametrize("name", backward.ALL)


@st.composite
def _shapes_with_axes(draw):
    shape = draw(hnp.array_shapes(max_dims=4, max_side=8))
    ndim = len(shape)
    some = st.lists(st.integers(-ndim, ndim - 1), unique_by=lambda i: i % ndim).map(tuple)
    return shape, draw(st.none() | st.integers(-ndim, ndim - 1) | some)


def _values(shape, dtype, limit):
    elements = st.floats(-limit, limit, width=32)
    return hnp.arrays(np.float32, shape, elements=elements).map(lambda x: x.astype(dtype))


@st.composite
def _calls(draw, name):
    """Arguments for a call, and its axis."""
    (shape, axis), dtype = draw(_shapes_with_axes()), draw(st.sampled_from(DTYPES))
    x = draw(_values(shape, dtype, 60.0)).astype(np.float64)
    reduced = () if axis == () else axis
    saved = [a.astype(dtype) for a in backward.forward(name, x, reduced)]
    is_full = backward.ROLES[name][0][0] == backward.FULL
    first = shape if is_full else backward.reduced_shape(shape, axis)
    # No sum of them leaves the range of float16.
    vector = np.asarray(draw(_values(first, dtype, 10.0 if dtype == np.float16 else 1e3)))
    return [vector, *map(np.asarray, saved)], axis


def _laid_out(x, chosen):
    for layout in chosen:
        if x.ndim and layouts.fits(layout, x):
            x = layout(x)
    return x


def _last(array, role, ndim, axis):
    """The reduced axes of a full array as one last axis."""
    if role == backward.ROWS:
        return array
    axes = range(ndim) if axis is None else np.atleast_1d(np.array(axis, int)) % ndim
    axes = sorted(int(i) for i in axes)
    kept = [i for i in range(ndim) if i not in axes]
    return array.transpose(kept + axes).reshape([array.shape[i] for i in kept] + [-1])


@NAMES
@given(data=st.data())
def test_every_result_is_within_the_promised_ulp(fs, target, name, data):
    arrays, axis = data.draw(_calls(name))
    roles, role = backward.ROLES[name]
    ndim = max(a.ndim for a in arrays)
    result = np.asarray(getattr(fs, name)(*arrays, axis=axis))
    rows = [_last(a, r, ndim, axis) for a, r in zip(arrays, roles, strict=True)]
    exact, scale = getattr(reference_backward, name)(*rows)
    error = reference.ulp_error(_last(result, role, ndim, axis), exact, result.dtype, scale)
    limit = of(result.dtype).ulp_limit + (GENERIC_ALLOWANCE if target == "generic" else 0)
    assert error.max() <= limit


@NAMES
@given(data=st.data())
def test_views_give_the_bits_of_their_copies(fs, name, data):
    arrays, axis = data.draw(_calls(name))
    views = [_laid_out(a, data.draw(LAYOUTS)) for a in arrays]
    expected = np.asarray(getattr(fs, name)(*arrays, axis=axis))
    assert_same_bits(getattr(fs, name)(*views, axis=axis), expected)
    out = _laid_out(np.zeros_like(expected), data.draw(LAYOUTS))
    if out.flags.writeable:
        assert getattr(fs, name)(*views, axis=axis, out=out) is out
        assert_same_bits(out, expected)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
@given(data=st.data())
def test_any_overlap_of_arguments_and_out_gives_the_right_answer(fs, name, data):
    dtype = data.draw(st.sampled_from(DTYPES))
    memory = data.draw(_values((200,), dtype, 3.0))
    n = data.draw(st.integers(1, 60))
    parts = []
    for _ in range(3):
        step = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        low = data.draw(st.integers(0, 200 - 3 * n if step == 3 else 200 - 2 * n))
        part = memory[low : low + abs(step) * n : abs(step)]
        parts.append(part if step > 0 else part[::-1])
    g, saved, out = parts
    expected = getattr(fs, name)(g.copy(), saved.copy())
    assert getattr(fs, name)(g, saved, out=out) is out
    assert_same_bits(out, expected)


@given(data=st.data())
def test_weights_that_broadcast_are_their_full_copies(fs, data):
    """A product with b broadcast is that with its copy; where a is broadcast, its sum."""
    (shapes, common) = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3))
    axis = data.draw(st.none() | st.integers(-len(common), len(common) - 1)) if common else None
    a, b = (np.asarray(data.draw(_values(shape, np.float64, 5.0))) for shape in shapes)
    t = np.asarray(data.draw(_values(shapes[0], np.float64, 5.0)))
    lse, sign = fs.logsumexp(a, axis, b, return_sign=True)
    g = np.asarray(data.draw(_values(np.shape(lse), np.float64, 5.0)))
    wide = [np.broadcast_to(v, common).copy() for v in (a, b, t)]
    result = fs.logsumexp_vjp(g, a, lse, axis, b, sign=sign)
    full = fs.logsumexp_vjp(g, wide[0], lse, axis, wide[1], sign=sign)
    assert result.shape == a.shape
    extra = full.ndim - a.ndim
    summed = full.sum(axis=tuple(range(extra)))
    ones = tuple(i for i, n in enumerate(a.shape) if n == 1)
    summed = summed.sum(axis=ones, keepdims=True)
    magnitude = abs(full).sum(axis=tuple(range(extra))).sum(axis=ones, keepdims=True)
    assert (abs(result - summed) <= 1e-14 * magnitude).all()
    pushed = fs.logsumexp_jvp(t, a, lse, axis, b, sign=sign)
    expected = fs.logsumexp_jvp(wide[2], wide[0], lse, axis, wide[1], sign=sign)
    assert_same_bits(np.asarray(pushed), np.asarray(expected))
