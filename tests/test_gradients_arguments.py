"""Signatures, shapes, dtypes and `out` of the products with the Jacobians."""

import inspect
import itertools

import backward
import layouts
import numpy as np
import pytest
import reference
import reference_backward
from formats import assert_same_bits

NAMES = pytest.mark.parametrize("name", backward.ALL)
POSITIONAL = {
    "softmax_vjp": ["g", "y", "axis"],
    "softmax_jvp": ["t", "y", "axis"],
    "log_softmax_vjp": ["g", "logp", "axis"],
    "log_softmax_jvp": ["t", "logp", "axis"],
    "logsumexp_vjp": ["g", "a", "lse", "axis", "b", "keepdims"],
    "logsumexp_jvp": ["t", "a", "lse", "axis", "b", "keepdims"],
}
OF_LOGSUMEXP = pytest.mark.parametrize("name", ["logsumexp_vjp", "logsumexp_jvp"])


@NAMES
def test_names_and_order_of_the_arguments(fs, name):
    parameters = inspect.signature(getattr(fs, name)).parameters
    by_position = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = {p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert by_position == POSITIONAL[name]
    assert {"out"} | ({"sign"} if "lse" in by_position else set()) <= by_name
    assert parameters["axis"].default is None
    assert name in fs.__all__
    for section in ("Parameters\n", "Returns\n", "Examples\n", ">>> "):
        assert section in inspect.getdoc(getattr(fs, name))


@NAMES
def test_all_axes_are_reduced_by_default(fs, name, rng):
    arrays = backward.arguments(name, rng, (4, 5), np.float64, None)
    assert_same_bits(getattr(fs, name)(*arrays), getattr(fs, name)(*arrays, axis=(0, 1)))


@NAMES
@pytest.mark.parametrize("axis", [2, -3, (0, 2)])
def test_an_axis_out_of_range_is_an_axis_error(fs, name, axis):
    arrays = backward.arguments(name, np.random.default_rng(0), (4, 5), np.float64, 1)
    with pytest.raises(np.exceptions.AxisError):
        getattr(fs, name)(*arrays, axis=axis)


@NAMES
@pytest.mark.parametrize(
    ("axis", "error"), [((0, 0), ValueError), (1.0, TypeError), ([1], TypeError), (True, TypeError)]
)
def test_a_wrong_axis_is_refused(fs, name, axis, error, rng):
    arrays = backward.arguments(name, rng, (4, 5), np.float64, 1)
    with pytest.raises(error):
        getattr(fs, name)(*arrays, axis=axis)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
@pytest.mark.parametrize("other", [(3, 5), (4, 3), (12,), (1, 4), (3, 1), (1, 3, 4), ()])
def test_shapes_that_do_not_match_are_named(fs, name, other):
    vector = "t" if name.endswith("jvp") else "g"
    point = "logp" if name.startswith("log") else "y"
    for shapes in (((3, 4), other), (other, (3, 4))):
        with pytest.raises(ValueError, match="shape") as caught:
            getattr(fs, name)(np.zeros(shapes[0]), np.zeros(shapes[1]), axis=-1)
        said = f"{vector} has shape {shapes[0]}, {point} has {shapes[1]}"
        assert str(caught.value).startswith(said)


@pytest.mark.parametrize("which", ["first", "lse"])
@pytest.mark.parametrize("other", [(4,), (3, 1), (1,), (2, 3), (5, 3, 4)])
@OF_LOGSUMEXP
def test_shapes_that_do_not_match_those_of_a_are_named(fs, name, which, other):
    """A vector has the shape of lse in vjp and of a in jvp; nothing is broadcast but b."""
    arrays = backward.arguments(name, np.random.default_rng(0), (3, 4), np.float64, 1)
    arrays[0 if which == "first" else 2] = np.zeros(other)
    with pytest.raises(ValueError, match="shape") as caught:
        getattr(fs, name)(*arrays, axis=1)
    assert str(other) in str(caught.value)
    wanted = (3, 4) if (which, name) == ("first", "logsumexp_jvp") else (3,)
    # The wanted shape, or that of a, from which it follows.
    assert str(wanted) in str(caught.value) or "(3, 4)" in str(caught.value)


@OF_LOGSUMEXP
def test_weights_and_signs_of_another_shape_are_a_value_error(fs, name, rng):
    arrays = backward.arguments(name, rng, (3, 4), np.float64, 1)
    for options in ({"b": np.ones(3)}, {"b": np.ones((2, 4))}, {"sign": np.ones(4)}):
        with pytest.raises(ValueError, match="shape"):
            getattr(fs, name)(*arrays, axis=1, **options)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), (0, 1, 2)])
def test_keepdims_speaks_of_the_reduced_arrays(fs, axis, rng):
    shape = (3, 4, 5)
    g, a, lse = backward.arguments("logsumexp_vjp", rng, shape, np.float64, axis)
    t = rng.standard_normal(shape)
    kept = np.zeros(shape).sum(axis=axis, keepdims=True).shape
    pulled = fs.logsumexp_vjp(g.reshape(kept), a, lse.reshape(kept), axis, keepdims=True)
    assert_same_bits(pulled, fs.logsumexp_vjp(g, a, lse, axis))
    pushed = fs.logsumexp_jvp(t, a, lse.reshape(kept), axis, keepdims=True)
    assert pushed.shape == kept
    assert_same_bits(pushed.reshape(lse.shape), np.asarray(fs.logsumexp_jvp(t, a, lse, axis)))
    if axis is not None:
        with pytest.raises(ValueError, match="shape"):
            fs.logsumexp_vjp(g.reshape(kept), a, lse.reshape(kept), axis)
        with pytest.raises(ValueError, match="shape"):
            fs.logsumexp_vjp(g, a, lse, axis, keepdims=True)


@NAMES
def test_dtype_is_that_of_the_pair(fs, name, rng):
    for kinds in (
        ("f2", "f4"),
        ("f4", "f2"),
        ("f4", "f8"),
        ("f8", "f2"),
        ("i8", "f4"),
        ("?", "f8"),
    ):
        arrays = backward.arguments(name, rng, (3, 7), np.float64, 1)
        arrays = [arrays[0].astype(kinds[0]), *[a.astype(kinds[1]) for a in arrays[1:]]]
        common = np.result_type(*kinds)
        common = np.dtype(np.float64) if common.kind != "f" else common
        expected = getattr(fs, name)(*[a.astype(common) for a in arrays], axis=1)
        assert_same_bits(getattr(fs, name)(*arrays, axis=1), expected)
        assert expected.dtype == common


@NAMES
def test_a_dtype_is_kept_in_native_byte_order(fs, name, dtype, rng):
    arrays = backward.arguments(name, rng, (3, 7), dtype, 1)
    assert getattr(fs, name)(*arrays, axis=1).dtype == dtype
    if dtype.name != "bfloat16":
        result = getattr(fs, name)(*[layouts.other_byte_order(a) for a in arrays], axis=1)
        assert result.dtype == dtype and result.dtype.isnative


@NAMES
@pytest.mark.parametrize("kind", [np.longdouble, np.complex64, np.complex128])
def test_wider_dtypes_follow_the_formula(fs, name, kind, rng):
    real = backward.arguments(name, rng, (4, 6), np.longdouble, 1)
    arrays = [a.astype(kind) for a in real]
    if np.dtype(kind).kind == "c":
        arrays[0] = arrays[0] * (1 + 2j)
    g, saved = arrays[0].astype(np.clongdouble), [a.real for a in arrays[1:]]
    formula = getattr(reference_backward, name).__wrapped__
    expected, _ = formula(g, *[a.astype(np.longdouble) for a in saved])
    result = getattr(fs, name)(*arrays, axis=1)
    assert result.dtype == kind
    rtol = 1e-5 if kind == np.complex64 else 1e-13
    np.testing.assert_allclose(result.astype(np.clongdouble), expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_a_complex_sign_divides(fs, kind, rng):
    """With it the logarithm is that of the sum, and its gradient softmax."""
    a, t = (rng.standard_normal((2, 3, 5)) + 1j * rng.standard_normal((2, 3, 5))).astype(kind)
    lse, sign = fs.logsumexp(a, axis=1, return_sign=True)
    probabilities = fs.softmax(a, axis=1)
    options = {"axis": 1, "sign": sign}
    near = {"rtol": 20 * float(np.finfo(kind).eps), "atol": 20 * float(np.finfo(kind).eps)}
    ones = np.ones(3, kind)
    np.testing.assert_allclose(fs.logsumexp_vjp(ones, a, lse, **options), probabilities, **near)
    np.testing.assert_allclose(
        fs.logsumexp_jvp(t, a, lse, **options), (probabilities * t).sum(axis=1), **near
    )


@NAMES
def test_lists_and_scalars_are_arrays(fs, name, rng):
    arrays = backward.arguments(name, rng, (3, 7), np.float64, 1)
    result = getattr(fs, name)(*[a.tolist() for a in arrays], axis=1)
    assert type(result) is np.ndarray
    assert_same_bits(result, getattr(fs, name)(*arrays, axis=1))
    scalar = getattr(fs, name)(*([2.0] * len(arrays)))
    assert type(scalar) is np.float64
    with pytest.raises(TypeError):
        getattr(fs, name)(*["one"] * len(arrays))


def test_a_scalar_vector_is_weak(fs):
    a = np.array([1, 2], np.float32)
    result = fs.logsumexp_vjp(1.0, a, fs.logsumexp(a))
    assert result.dtype == np.float32
    assert_same_bits(result, fs.logsumexp_vjp(np.float32(1), a, fs.logsumexp(a)))


def test_a_full_reduction_gives_a_numpy_scalar(fs, dtype, rng):
    arrays = backward.arguments("logsumexp_jvp", rng, (3, 7), dtype, None)
    assert isinstance(fs.logsumexp_jvp(*arrays), dtype.type)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
def test_no_axis_reduced_leaves_each_element_by_itself(fs, name, rng):
    g, saved = rng.standard_normal((2, 3, 4))
    exact, scale = getattr(reference_backward, name)(g[..., None], saved[..., None])
    result = getattr(fs, name)(g, saved, axis=())
    error = reference.ulp_error(result, exact[..., 0], np.float64, scale[..., 0])
    assert error.max() <= 6


@NAMES
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_an_empty_batch_gives_an_empty_result(fs, name, shape):
    arrays = backward.arguments(name, np.random.default_rng(0), shape, np.float32, -1)
    result = getattr(fs, name)(*arrays, axis=-1)
    assert result.shape == backward.result_shape(name, shape, -1) and result.dtype == np.float32


def test_products_of_the_sum_over_nothing(fs):
    nothing, lse = np.zeros((3, 0)), np.full(3, -np.inf)
    assert fs.logsumexp_vjp(np.ones(3), nothing, lse, axis=1).shape == (3, 0)
    np.testing.assert_array_equal(fs.logsumexp_jvp(nothing, nothing, lse, axis=1), np.zeros(3))


@NAMES
def test_the_arguments_are_never_written(fs, name, dtype, rng):
    for axis in (None, 0, 1):
        arrays = backward.arguments(name, rng, (5, 6), dtype, axis)
        before = [a.copy() for a in arrays]
        getattr(fs, name)(*arrays, axis=axis)
        for array, copy in zip(arrays, before, strict=True):
            assert_same_bits(array, copy)


@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
def test_out_may_lie_anywhere(fs, dtype, layout, rng):
    if layout is layouts.read_only:
        pytest.skip("cannot be written, which another test asks for")
    for name, axis in itertools.product(backward.ALL, (0, 1, 2, (0, 2))):
        arrays = backward.arguments(name, rng, (3, 20, 5), dtype, axis)
        expected = getattr(fs, name)(*arrays, axis=axis)
        if not layouts.fits(layout, expected):
            pytest.skip("the dtype has only one byte order")
        out = layout(np.zeros_like(expected))
        assert getattr(fs, name)(*arrays, axis=axis, out=out) is out
        assert_same_bits(out, expected)


@NAMES
def test_out_may_be_any_argument_of_its_shape(fs, name, dtype, rng):
    for shape, axis in (
        ((40, 7), 1),
        ((7, 40), 0),
        ((3, 4, 5), (0, 2)),
        ((300, 400), 1),
        ((9,), None),
    ):
        arrays = backward.arguments(name, rng, shape, dtype, axis)
        expected = np.asarray(getattr(fs, name)(*arrays, axis=axis))
        for i, array in enumerate(arrays):
            if array.shape == expected.shape:
                copies = [a.copy() for a in arrays]
                assert getattr(fs, name)(*copies, axis=axis, out=copies[i]) is copies[i]
                assert_same_bits(copies[i], expected)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
def test_out_may_be_a_view_of_an_argument(fs, name, dtype, rng):
    """The same memory in another order, or a part of it: packed, or copied before it is lost."""
    for axis in (None, 0, 1):
        arrays = backward.arguments(name, rng, (30, 30), dtype, axis)
        expected = getattr(fs, name)(*arrays, axis=axis)
        for i in (0, 1):
            for view in (np.transpose, np.flipud, np.fliplr):
                copies = [a.copy() for a in arrays]
                out = view(copies[i])
                getattr(fs, name)(*copies, axis=axis, out=out)
                assert_same_bits(out, expected)


@pytest.mark.parametrize("name", backward.FULL_TO_FULL)
@pytest.mark.parametrize("shift", [1, -1, 5, 64])
def test_a_partial_overlap_gives_the_right_answer(fs, name, dtype, shift, rng):
    for which in (0, 1):
        for axis in (None, 0, 1):
            arrays = backward.arguments(name, rng, (12, 25), dtype, axis)
            expected = getattr(fs, name)(*arrays, axis=axis)
            memory = np.zeros(500, dtype)
            inside = memory[100:400].reshape(12, 25)
            inside[...] = arrays[which]
            arrays[which] = inside
            out = memory[100 + shift : 400 + shift].reshape(12, 25)
            getattr(fs, name)(*arrays, axis=axis, out=out)
            assert_same_bits(out, expected)


def test_one_array_may_be_every_argument(fs, dtype, rng):
    y = backward.arguments("softmax_vjp", rng, (6, 20), dtype, 1)[1]
    expected = fs.softmax_vjp(y.copy(), y.copy(), axis=1)
    assert_same_bits(fs.softmax_vjp(y, y, axis=1), expected)
    assert_same_bits(fs.softmax_vjp(y, y, axis=1, out=y), expected)


@NAMES
def test_nothing_outside_out_is_written(fs, name, dtype, rng):
    for n in (*range(1, 40), 129):
        arrays = backward.arguments(name, rng, (3, n), dtype, 1)
        shape = backward.result_shape(name, (3, n), 1)
        size = int(np.prod(shape))
        memory = np.full(size + 80, 7, dtype)
        getattr(fs, name)(*arrays, axis=1, out=memory[40 : 40 + size].reshape(shape))
        assert (memory[:40] == 7).all() and (memory[40 + size :] == 7).all()


@NAMES
def test_a_wrong_out_stays_unwritten(fs, name, rng):
    arrays = backward.arguments(name, rng, (3, 4), np.float64, 1)
    shape = backward.result_shape(name, (3, 4), 1)
    read_only = np.full(shape, 7.0)
    read_only.flags.writeable = False
    wrong = [
        (np.full((4, 3), 7.0), ValueError),
        (np.full((*shape, 1), 7.0), ValueError),
        (np.full(shape, 7), TypeError),
        (read_only, ValueError),
    ]
    for out, error in wrong:
        with pytest.raises(error):
            getattr(fs, name)(*arrays, axis=1, out=out)
        assert (out == 7).all()
    with pytest.raises(TypeError):
        getattr(fs, name)(*arrays, axis=1, out=[0.0])
    out = np.full(shape, 7.0)
    with pytest.raises(ValueError, match="shape"):
        getattr(fs, name)(np.zeros((3, 5)), *arrays[1:], axis=1, out=out)
    assert (out == 7).all()


@NAMES
def test_out_of_another_floating_dtype_takes_the_cast_result(fs, name, rng):
    for given, kind in (("f4", "f8"), ("f8", "f4"), ("f2", "f4"), ("f4", "f2")):
        arrays = backward.arguments(name, rng, (3, 40), given, 1)
        expected = getattr(fs, name)(*arrays, axis=1)
        out = np.zeros(expected.shape, kind)
        assert getattr(fs, name)(*arrays, axis=1, out=out) is out
        tolerance = 4 * float(max(np.finfo(given).eps, np.finfo(kind).eps))
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble, np.complex128])
def test_a_gradient_is_summed_over_the_axes_of_b_in_a_wider_dtype(fs, kind, rng):
    """Float32 in float64, longdouble and complex in their own."""
    rows = 3_000
    a, g = rng.standard_normal(4).astype(kind), rng.standard_normal(rows).astype(kind)
    b = rng.uniform(0.5, 1, (rows, 4)).astype(kind)
    lse = np.log((b * np.exp(a)).sum(axis=1))
    result = fs.logsumexp_vjp(g, a, lse, axis=1, b=b)
    assert result.dtype == kind and result.shape == a.shape
    wide = np.clongdouble if np.issubdtype(kind, np.complexfloating) else np.longdouble
    terms = g.astype(wide)[:, None] * b * np.exp(a.astype(wide) - lse.astype(wide)[:, None])
    limit = 4 * np.finfo(kind).eps * abs(terms).sum(axis=0)
    if kind is np.float32:
        # One rounding of the sum, and those of the terms in float64.
        limit = np.finfo(kind).eps * abs(terms.sum(axis=0)) + 1e-12
    assert (abs(result - terms.sum(axis=0)) <= limit).all()
    assert fs.logsumexp_vjp(g[:0], a, lse[:0], axis=1, b=b[:0]).tolist() == [0] * 4


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("shift", [1, -1, 5, 64])
def test_a_partial_overlap_with_logsumexp_vjp_gives_the_right_answer(
    fs, dtype, shift, with_weights, rng
):
    a = rng.standard_normal((12, 25)).astype(dtype)
    b = rng.uniform(0.5, 2, (12, 25)).astype(dtype) if with_weights else None
    lse = fs.logsumexp(a, axis=1, b=b)
    g = rng.standard_normal(12).astype(dtype)
    expected = fs.logsumexp_vjp(g, a, lse, axis=1, b=b)
    for which in range(3 + with_weights):
        arrays = [g, a, lse, b]
        memory = np.zeros(500, dtype)
        inside = memory[100 : 100 + arrays[which].size].reshape(arrays[which].shape)
        inside[...] = arrays[which]
        arrays[which] = inside
        out = memory[100 + shift : 400 + shift].reshape(12, 25)
        fs.logsumexp_vjp(*arrays[:3], axis=1, b=arrays[3], out=out)
        assert_same_bits(out, expected)


@pytest.mark.parametrize("n", [2, 40])
def test_a_nan_that_came_with_a_tangent_is_silent(fs, dtype, n):
    t, a, b = np.ones(n, dtype), np.zeros(n, dtype), np.full(n, 2, dtype)
    t[1] = np.nan
    for weights in (None, b):
        with np.errstate(all="raise"):
            found = fs.logsumexp_jvp(t, a, np.array(0, dtype), b=weights)
        assert np.isnan(float(found))
