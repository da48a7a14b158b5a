"""Properties of cross-entropy over logits, targets and options that hypothesis chooses."""

import layouts
import numpy as np
import reference
import reference_losses
from formats import FLOATS, assert_same_bits, of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_accuracy import GENERIC_ALLOWANCE

DTYPES = [f.dtype for f in FLOATS]
LAYOUTS = st.lists(st.sampled_from(layouts.ALL), max_size=2)
REDUCTIONS = st.sampled_from(["none", "mean", "sum"])


def _floats(shape, low, high):
    elements = st.floats(low, high, width=32)
    return hnp.arrays(np.float32, shape, elements=elements)


@st.composite
def _calls(draw):
    """Logits, targets, axis and options."""
    shape = draw(hnp.array_shapes(max_dims=4, max_side=7))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    n, rows = shape[axis], tuple(np.delete(shape, axis).tolist())
    x = draw(_floats(shape, -60, 60)).astype(draw(st.sampled_from(DTYPES)))
    options = {"reduction": draw(REDUCTIONS)}
    if draw(st.booleans()):
        options["weight"] = draw(_floats(n, 0, 4)).astype(np.float64)
    if draw(st.booleans()):
        options["sample_weight"] = draw(_floats(rows, 0.125, 4)).astype(np.float64)
    if draw(st.booleans()):
        options["label_smoothing"] = draw(st.sampled_from([0, 0.25, 1, 0.1]))
    if draw(st.booleans()):
        return x, draw(_floats(shape, 0, 1)).astype(x.dtype), axis, options
    targets = draw(
        hnp.arrays(draw(st.sampled_from(["i1", "u2", "i8"])), rows, elements=st.integers(0, n - 1))
    )
    if draw(st.booleans()):
        options["ignore_index"] = draw(st.integers(0, n - 1))
    return x, targets, axis, options


def _rows(array, axis):
    moved = np.moveaxis(array, axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def _laid_out(x, chosen):
    for layout in chosen:
        if np.ndim(x) and layouts.fits(layout, x):
            x = layout(x)
    return x


def _coefficients(x, targets, axis, options):
    flat = {k: np.ravel(v) if k == "sample_weight" else v for k, v in options.items()}
    of_rows = np.ravel(targets) if targets.ndim < x.ndim else _rows(targets, axis)
    with np.errstate(all="ignore"):
        return reference_losses.coefficients(of_rows, x.shape[axis], **flat)


@given(_calls())
def test_every_result_is_within_the_promised_ulp(fs, target, call):
    x, targets, axis, options = call
    rows, k = _rows(x, axis), _coefficients(*call)
    if not np.isfinite(k).all():
        # The mean of no weight at all.
        assert np.isnan(fs.cross_entropy(x, targets, axis, **options))
        return
    loss, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, **options)
    exact, scale = reference_losses.losses(rows, k)
    if options["reduction"] != "none":
        exact, scale = exact.sum(keepdims=True), scale.sum(keepdims=True)
    allowance = GENERIC_ALLOWANCE if target == "generic" else 0
    error = reference.ulp_error(np.ravel(loss), exact, loss.dtype, scale)
    assert error.max() <= of(loss.dtype).ulp_limit + allowance
    exact, scale = reference_losses.gradient(rows, k)
    error = reference.ulp_error(_rows(gradient, axis), exact, x.dtype, scale)
    assert error.max() <= of(x.dtype).ulp_limit + allowance


@given(_calls(), st.data())
def test_views_give_the_bits_of_their_copies(fs, call, data):
    x, targets, axis, options = call
    with np.errstate(all="ignore"):
        loss, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, **options)
        views = [_laid_out(a, data.draw(LAYOUTS)) for a in (x, targets)]
        arrays = {
            k: _laid_out(v, data.draw(LAYOUTS)) if np.ndim(v) else v for k, v in options.items()
        }
        out = _laid_out(np.zeros_like(x), data.draw(LAYOUTS))
        out = out if out.flags.writeable else None
        result = fs.cross_entropy_value_and_grad(*views, axis, out=out, **arrays)
        assert_same_bits(result[0], loss)
        assert_same_bits(result[1], gradient)
        assert_same_bits(fs.cross_entropy(*views, axis, **arrays), loss)


@given(_calls())
def test_the_gradient_of_a_row_sums_to_zero(fs, call):
    x, targets, axis, options = call
    x = x.astype(np.float64)
    with np.errstate(all="ignore"):
        _, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, **options)
    k = _coefficients(x, targets, axis, options)
    if np.isfinite(k).all():
        magnitude = abs(k).sum(axis=-1)
        assert (abs(_rows(gradient, axis).sum(axis=-1)) <= 1e-14 * magnitude).all()


@given(_calls(), st.data())
def test_the_gradient_is_the_central_difference(fs, call, data):
    x, targets, axis, options = call
    # Logits whose probabilities a difference can still see.
    x = x.astype(np.float64) / 10
    if options["reduction"] == "none":
        options["reduction"] = "sum"
    with np.errstate(all="ignore"):
        _, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, **options)
        direction = data.draw(_floats(x.shape, -1, 1)).astype(np.float64)
        above, below = (
            fs.cross_entropy(x + step * direction, targets, axis, **options)
            for step in (1e-5, -1e-5)
        )
    if np.isfinite(gradient).all() and np.isfinite(above):
        limit = 1e-9 * (1 + x.size + abs(above) * 100)
        assert abs((above - below) / 2e-5 - (gradient * direction).sum()) <= limit
