"""Signatures, results, `out` and refused arguments of cross-entropy."""

import inspect

import layouts
import numpy as np
import pytest
from formats import assert_same_bits

BOTH = pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_value_and_grad"])
OPTIONS = {
    "weight": None,
    "sample_weight": None,
    "ignore_index": None,
    "label_smoothing": 0.0,
    "reduction": "mean",
}


@BOTH
def test_names_order_and_defaults_of_the_arguments(fs, name):
    parameters = inspect.signature(getattr(fs, name)).parameters
    by_position = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = {p.name: p.default for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert by_position == ["logits", "targets", "axis"]
    assert parameters["axis"].default == -1
    assert {key: by_name[key] for key in OPTIONS} == OPTIONS
    assert ("out" in by_name) == name.endswith("grad")
    assert name in fs.__all__
    for section in ("Parameters\n", "Returns\n", "Examples\n", ">>> "):
        assert section in inspect.getdoc(getattr(fs, name))


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 7, 3)])
def test_shapes_and_dtypes_of_the_results(fs, dtype, shape, rng):
    axis = 0 if len(shape) == 1 else 1
    rows = tuple(np.delete(shape, axis))
    x = rng.standard_normal(shape).astype(dtype)
    loss_dtype = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
    for targets in (rng.integers(shape[axis], size=rows), rng.random(shape)):
        for reduction in ("mean", "sum", "none"):
            loss, gradient = fs.cross_entropy_value_and_grad(x, targets, axis, reduction=reduction)
            assert loss.dtype == loss_dtype
            assert loss.shape == (rows if reduction == "none" else ())
            assert isinstance(loss, np.ndarray if loss.ndim else loss_dtype.type)
            assert gradient.dtype == dtype and gradient.shape == shape
            alone = fs.cross_entropy(x, targets, axis, reduction=reduction)
            assert type(alone) is type(loss)
            assert_same_bits(alone, loss)


def test_integer_logits_compute_in_float64(fs):
    x = np.array([[1, 2, 3]], np.int32)
    loss, gradient = fs.cross_entropy_value_and_grad(x, [0])
    expected = fs.cross_entropy_value_and_grad(x.astype(np.float64), [0])
    assert_same_bits(loss, expected[0])
    assert_same_bits(gradient, expected[1])


def test_logits_in_the_other_byte_order_give_a_native_gradient(fs, rng):
    x = rng.standard_normal((3, 4)).astype(">f4")
    loss, gradient = fs.cross_entropy_value_and_grad(x, [0, 1, 2])
    assert loss.dtype == gradient.dtype == np.float32 and gradient.dtype.isnative


def test_the_gradient_is_in_the_memory_order_of_the_logits(fs, rng):
    x = rng.standard_normal((30, 7))
    labels = rng.integers(7, size=30)
    assert fs.cross_entropy_value_and_grad(x, labels)[1].flags.c_contiguous
    assert fs.cross_entropy_value_and_grad(np.asfortranarray(x), labels)[1].flags.f_contiguous


@pytest.mark.parametrize("kind", ["f4", "f8", "f2"])
def test_probabilities_of_any_floating_dtype(fs, dtype, kind, rng):
    x, targets = rng.standard_normal((20, 9)).astype(dtype), rng.random((20, 9)).astype(kind)
    loss, gradient = fs.cross_entropy_value_and_grad(x, targets)
    expected = fs.cross_entropy_value_and_grad(x.astype("f8"), targets.astype("f8"))
    np.testing.assert_allclose(loss, expected[0], rtol=2e-6)
    rtol = {2: 2.0**-7, 4: 2e-6, 8: 1e-12}[dtype.itemsize]
    np.testing.assert_allclose(gradient.astype("f8"), expected[1], rtol=rtol, atol=rtol / 20)


def test_integer_weights_are_numbers(fs, rng):
    x, labels = rng.standard_normal((5, 3)), [0, 1, 2, 0, 1]
    expected = fs.cross_entropy(x, labels, weight=np.array([1.0, 2, 3]), sample_weight=[2.0] * 5)
    assert fs.cross_entropy(x, labels, weight=[1, 2, 3], sample_weight=[2] * 5) == expected


def test_sample_weights_count_rows(fs, rng):
    """A row of weight 3 is three such rows, in the mean too, with either kind of targets."""
    x, times = rng.standard_normal((6, 4)), np.array([1, 3, 2, 0, 1, 5])
    for targets in (rng.integers(4, size=6), rng.random((6, 4))):
        for options in ({}, {"weight": [1, 2, 0.5, 3]}, {"label_smoothing": 0.2}):
            repeated = np.repeat(x, times, axis=0), np.repeat(targets, times, axis=0)
            for reduction in ("sum", "mean"):
                expected = fs.cross_entropy(*repeated, reduction=reduction, **options)
                loss = fs.cross_entropy(
                    x, targets, sample_weight=times, reduction=reduction, **options
                )
                np.testing.assert_allclose(loss, expected, rtol=1e-13)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("rows", [1, 63, 65, 200])
def test_a_plain_call_gives_the_bits_of_one_with_options(fs, dtype, rows, reduction, rng):
    """It takes a short cut; class weights of 1 change nothing and do not."""
    x = rng.standard_normal((rows, 10)).astype(dtype)
    labels = rng.integers(0, 10, rows)
    loss, grad = fs.cross_entropy_value_and_grad(x, labels, weight=np.ones(10), reduction=reduction)
    out = np.full_like(x, 7)
    for given in (None, out):
        result = fs.cross_entropy_value_and_grad(x, labels, reduction=reduction, out=given)
        assert_same_bits(result[0], loss)
        assert_same_bits(result[1], grad)
    assert_same_bits(fs.cross_entropy(x, labels, reduction=reduction), loss)


def test_a_label_out_of_range_in_the_last_row_leaves_out_alone(fs, dtype, rng):
    x = rng.standard_normal((500, 10)).astype(dtype)
    labels = np.zeros(500, int)
    labels[-1] = 10
    out = np.full_like(x, 7)
    with pytest.raises(ValueError, match="10"):
        fs.cross_entropy_value_and_grad(x, labels, out=out)
    assert (out == 7).all()


def test_out_may_lie_where_the_labels_are(fs, rng):
    x = rng.standard_normal((100, 4))
    labels = rng.integers(0, 4, 100)
    expected = fs.cross_entropy_value_and_grad(x, labels)[1]
    memory = np.zeros(400, np.int64)
    memory[:100] = labels
    out = memory.view(np.float64).reshape(100, 4)
    assert_same_bits(fs.cross_entropy_value_and_grad(x, memory[:100], out=out)[1], expected)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5,), (2, 5), (40, 5), (3, 20_000), (9_000, 5)])
def test_out_is_returned_and_may_be_the_logits(fs, dtype, shape, reduction, rng):
    x, labels = rng.standard_normal(shape).astype(dtype), rng.integers(5, size=shape[:-1])
    loss, gradient = fs.cross_entropy_value_and_grad(x, labels, reduction=reduction)
    for out in (np.full_like(x, 7), x):
        result = fs.cross_entropy_value_and_grad(x, labels, reduction=reduction, out=out)
        assert result[1] is out
        assert_same_bits(result[0], loss)
        assert_same_bits(out, gradient)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
def test_out_may_lie_anywhere_and_work_in_place(fs, dtype, layout, axis, rng):
    x = rng.standard_normal((20, 30, 5)).astype(dtype)
    if layout is layouts.read_only or not layouts.fits(layout, x):
        pytest.skip("cannot be written in this layout")
    labels = rng.integers(5, size=np.delete(x.shape, axis))
    loss, gradient = fs.cross_entropy_value_and_grad(x, labels, axis)
    out = layout(np.zeros_like(x))
    assert fs.cross_entropy_value_and_grad(x, labels, axis, out=out)[1] is out
    assert_same_bits(out, gradient)
    view = layout(x)
    result = fs.cross_entropy_value_and_grad(view, labels, axis, out=view)
    assert_same_bits(result[0], loss)
    assert_same_bits(view, gradient)


def test_out_may_be_the_probabilities(fs, dtype, rng):
    for shape in ((30, 9), (9_000, 9), (3, 40_000)):
        x, targets = rng.standard_normal((2, *shape)).astype(dtype)
        loss, gradient = fs.cross_entropy_value_and_grad(x, targets)
        result = fs.cross_entropy_value_and_grad(x, targets, out=targets)
        assert_same_bits(result[0], loss)
        assert_same_bits(targets, gradient)


@pytest.mark.parametrize("shift", [1, -1, 9, 5_000, -5_000])
def test_a_partial_overlap_gives_the_right_answer(fs, dtype, shift, rng):
    memory = rng.standard_normal(60_000).astype(dtype)
    labels = rng.integers(9, size=5_000)
    for axis in (0, 1):
        x = memory[7_000:52_000].reshape((5_000, 9) if axis else (9, 5_000))
        loss, gradient = fs.cross_entropy_value_and_grad(x.copy(), labels, axis)
        out = memory[7_000 + shift : 52_000 + shift].reshape(x.shape)
        result = fs.cross_entropy_value_and_grad(x, labels, axis, out=out)
        assert_same_bits(result[0], loss)
        assert_same_bits(out, gradient)


def test_out_may_share_memory_with_labels_or_weights(fs, rng):
    """They are read before the gradient is written."""
    x, memory = rng.standard_normal((40, 9)), np.zeros(360)
    labels, weight = memory.view(np.int64)[100:140], memory[140:149]
    sample_weight = memory[149:189]
    labels[...], weight[...] = rng.integers(9, size=40), rng.random(9)
    sample_weight[...] = rng.random(40)
    options = {"weight": weight.copy(), "sample_weight": sample_weight.copy()}
    expected = fs.cross_entropy_value_and_grad(x, labels.copy(), **options)
    options = {"weight": weight, "sample_weight": sample_weight}
    result = fs.cross_entropy_value_and_grad(x, labels, **options, out=memory.reshape(40, 9))
    assert_same_bits(result[0], expected[0])
    assert_same_bits(result[1], expected[1])


def test_nothing_outside_out_is_written_and_no_argument_is(fs, dtype, rng):
    for n in (*range(1, 40), 129):
        x, labels = rng.standard_normal((3, n)).astype(dtype), rng.integers(n, size=3)
        before, memory = x.copy(), np.full(3 * n + 80, 7, dtype)
        fs.cross_entropy_value_and_grad(x, labels, out=memory[40:-40].reshape(3, n))
        assert (memory[:40] == 7).all() and (memory[-40:] == 7).all()
        assert_same_bits(x, before)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_gradient_may_have_another_dtype(fs, dtype, kind, rng):
    """Halves and numbers that kernels compute in are not taken for each other."""
    if dtype.name == "bfloat16" and kind == np.float16:
        pytest.skip("no cast of the same kind")
    for n in (3, 40, 3_000):
        x, labels = rng.standard_normal((6, n)).astype(dtype), rng.integers(n, size=6)
        loss, gradient = fs.cross_entropy_value_and_grad(x, labels)
        memory = np.full(6 * n + 80, 7, kind)
        out = memory[40:-40].reshape(6, n)
        assert_same_bits(fs.cross_entropy_value_and_grad(x, labels, out=out)[0], loss)
        error = abs(out.astype(float) - gradient.astype(float)).max()
        assert error <= 2.0 ** -(7 if dtype.name == "bfloat16" else 10) * abs(gradient).max()
        assert (memory[:40] == 7).all() and (memory[-40:] == 7).all()


X = np.zeros((2, 3, 4))
LABELS = np.zeros((2, 3), int)
Q = np.full((2, 3, 4), 0.25)


def _with(position, label, kind=int):
    labels = np.zeros((2, 3), kind)
    labels[position] = label
    return labels


# targets, options, error, words of its message
REFUSED = {
    "label too large": (_with((1, 2), 4), {}, ValueError, ["4", "1", "2"]),
    "label negative": (_with((1, 0), -1), {}, ValueError, ["-1", "1", "0"]),
    "label -100": (_with((0, 1), -100), {}, ValueError, ["-100"]),
    "label beyond int64": (_with((0, 2), 2**63 + 9, "u8"), {}, ValueError, [str(2**63 + 9)]),
    "other label ignored": (_with((0, 2), 77), {"ignore_index": 7}, ValueError, ["77"]),
    "first of several": (np.arange(40, 46).reshape(2, 3), {}, ValueError, ["40"]),
    "float labels": (LABELS.astype(float), {}, (TypeError, ValueError), []),
    "boolean labels": (LABELS.astype(bool), {}, (TypeError, ValueError), []),
    "labels of strings": (LABELS.astype(str), {}, TypeError, []),
    "complex probabilities": (Q + 0j, {}, TypeError, []),
    "labels of another shape": (np.zeros((3, 2), int), {}, ValueError, ["(3, 2)", "(2, 3"]),
    "labels with an axis more": (np.zeros((2, 3, 1), int), {}, ValueError, ["(2, 3, 1)"]),
    "one label": (0, {}, ValueError, ["()", "(2, 3"]),
    "probabilities of another shape": (Q[..., :3], {}, ValueError, ["(2, 3, 3)", "(2, 3, 4)"]),
    "probabilities to broadcast": (Q[:1], {}, ValueError, ["(1, 3, 4)", "(2, 3, 4)"]),
    "ignored probabilities": (Q, {"ignore_index": 1}, ValueError, ["ignore_index"]),
    "float ignore_index": (LABELS, {"ignore_index": 1.0}, TypeError, ["ignore_index"]),
    "negative weight": (LABELS, {"weight": [1, 1, -1, 1]}, ValueError, ["weight"]),
    "nan weight": (LABELS, {"weight": [1, 1, np.nan, 1]}, ValueError, ["weight"]),
    "infinite weight": (LABELS, {"weight": [1, 1, 1, np.inf]}, ValueError, ["weight"]),
    "too few weights": (LABELS, {"weight": [1, 1, 1]}, ValueError, ["weight", "(3,)"]),
    "weights of two axes": (LABELS, {"weight": np.ones((1, 4))}, ValueError, ["weight", "(1, 4)"]),
    "one weight": (LABELS, {"weight": 1.0}, ValueError, ["weight"]),
    "complex weight": (LABELS, {"weight": np.ones(4, complex)}, TypeError, ["weight"]),
    "sample weights of another shape": (
        LABELS,
        {"sample_weight": np.ones((3, 2))},
        ValueError,
        ["sample_weight", "(3, 2)"],
    ),
    "smoothing below 0": (LABELS, {"label_smoothing": -0.1}, ValueError, ["label_smoothing"]),
    "smoothing above 1": (LABELS, {"label_smoothing": 1.1}, ValueError, ["label_smoothing"]),
    "smoothing nan": (LABELS, {"label_smoothing": np.nan}, ValueError, ["label_smoothing"]),
    "smoothing a string": (
        LABELS,
        {"label_smoothing": "0.1"},
        (TypeError, ValueError),
        ["label_smoothing"],
    ),
    "unknown reduction": (LABELS, {"reduction": "average"}, ValueError, ["reduction", "average"]),
    "no reduction": (LABELS, {"reduction": None}, (TypeError, ValueError), ["reduction"]),
    "axis out of range": (LABELS, {"axis": 3}, np.exceptions.AxisError, ["3"]),
    "float axis": (LABELS, {"axis": 1.0}, TypeError, ["axis"]),
    "no axis": (LABELS, {"axis": None}, TypeError, ["axis"]),
    "unknown option": (LABELS, {"size_average": True}, TypeError, []),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_wrong_argument_is_refused_and_nothing_written(fs, case):
    targets, options, error, words = case
    out, x = np.full(X.shape, 7.0), X.copy()
    with pytest.raises(error) as caught:
        fs.cross_entropy(X, targets, **options)
    for word in words:
        assert word in str(caught.value)
    with pytest.raises(error):
        fs.cross_entropy_value_and_grad(X, targets, out=out, **options)
    with pytest.raises(error):
        fs.cross_entropy_value_and_grad(x, targets, out=x, **options)
    assert (out == 7).all() and (x == 0).all()


@pytest.mark.parametrize("rows", [1, 2, 100, 50_000])
def test_a_label_out_of_range_is_named_with_its_position(fs, dtype, rows):
    """The last of many rows, so that those before it would have been written."""
    x, labels = np.zeros((rows, 5), dtype), np.zeros(rows, int)
    labels[-1] = 12_345
    before = x.copy()
    for call in (
        lambda: fs.cross_entropy(x, labels),
        lambda: fs.cross_entropy_value_and_grad(x, labels, out=x),
    ):
        with pytest.raises(ValueError, match=rf"(?s)12345.*\b{rows - 1}\b"):
            call()
    assert_same_bits(x, before)


@pytest.mark.parametrize("label", [-1, 5, 2**31, -(2**63), 2**63 - 1])
def test_a_label_of_one_row_out_of_range_is_named(fs, label):
    for x in (np.zeros(5, np.float32), np.zeros((1, 5), np.float32)):
        targets = label if x.ndim == 1 else [label]
        for call in (fs.cross_entropy, fs.cross_entropy_value_and_grad):
            with pytest.raises(ValueError, match=str(label)):
                call(x, targets)


def test_labels_of_a_narrow_dtype_do_not_wrap(fs):
    """An index of 300 classes that int8 cannot hold, and an ignored one that uint8 cannot."""
    x = np.zeros((2, 300))
    with pytest.raises(ValueError, match="-56"):
        fs.cross_entropy(x, np.array([3, -56], np.int8))
    labels = np.array([3, 156], np.uint8)
    assert fs.cross_entropy(x, labels, ignore_index=-100) == fs.cross_entropy(x, [3, 156])


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.full((2, 3), 7.0), ValueError),
        (np.full((4, 3, 2), 7.0), ValueError),
        (np.full((2, 3, 4), 7), TypeError),
        ([7.0], TypeError),
    ],
    ids=["rows", "transposed", "integers", "list"],
)
def test_a_wrong_out_is_refused(fs, out, error):
    with pytest.raises(error):
        fs.cross_entropy_value_and_grad(X, LABELS, out=out)
    assert (np.asarray(out) == 7).all()


def test_out_that_cannot_be_written_is_a_value_error(fs):
    out = np.full(X.shape, 7.0)
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"read-only|writ"):
        fs.cross_entropy_value_and_grad(X, LABELS, out=out)
    assert (out == 7).all()


def test_logits_that_are_no_real_numbers_are_refused(fs):
    for logits in (np.array([["a", "b"]]), np.array([[None, 1]]), np.ones((1, 2), complex)):
        with pytest.raises(TypeError):
            fs.cross_entropy(logits, [0])
    with pytest.raises((ValueError, TypeError)):
        fs.cross_entropy(1.0, 0)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "strided"])
def test_no_rows_at_all(fs, kind):
    """There is nothing to pack for the kernel, whatever the array is like."""
    logits = np.zeros((0, 3)) if kind == "strided" else np.zeros((0, 3), kind)
    out = np.zeros((0, 6))[:, ::2] if kind == "strided" else np.zeros((0, 3), kind)
    for targets in (np.zeros(0, int), np.zeros((0, 3))):
        for reduction, loss in (("none", np.zeros(0)), ("sum", 0.0), ("mean", np.nan)):
            result = fs.cross_entropy_value_and_grad(logits, targets, reduction=reduction, out=out)
            np.testing.assert_array_equal(result[0], loss)
            assert result[1] is out
