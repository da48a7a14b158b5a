"""Loss and gradient of a row have the same bits in any batch, place and layout, on any target."""

import itertools

import layouts
import numpy as np
import pytest
import targets
from formats import assert_same_bits

KINDS = pytest.mark.parametrize("kind", ["labels", "probabilities", "options"])


def _case(kind, rng, shape, dtype, axis=-1):
    """Logits, targets, options, and the arrays of these that have one element or row per row."""
    x = (4 * rng.standard_normal(shape)).astype(dtype)
    n, rows = shape[axis], np.delete(shape, axis)
    if kind == "probabilities":
        return x, rng.random(shape).astype(dtype), {}
    labels = rng.integers(n, size=rows)
    if kind == "labels":
        return x, labels, {}
    options = {"weight": rng.uniform(0.1, 2, n), "sample_weight": rng.standard_normal(rows)}
    return x, labels, options | {"label_smoothing": 0.2, "ignore_index": 0}


def _both(fs, x, targets, axis=-1, reduction="none", **options):
    return fs.cross_entropy_value_and_grad(x, targets, axis, reduction=reduction, **options)


def _one(options, i):
    return {k: v[i] if k == "sample_weight" else v for k, v in options.items()}


def _assert_same(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        assert_same_bits(a, e)


@KINDS
def test_alone_or_in_a_batch_of_rows(fs, dtype, kind, rng):
    for n in (*range(1, 20), 31, 32, 33, 64, 65, 100, 1_024, 1_025, 4_097):
        for count in (1, 2, 16, 17):
            x, labels, options = _case(kind, rng, (count, n), dtype)
            loss, gradient = _both(fs, x, labels, **options)
            for i in range(count):
                alone = _both(fs, x[i].copy(), labels[i], **_one(options, i))
                _assert_same(alone, (loss[i], gradient[i]))


def test_unusual_rows_among_others(fs, dtype, rng):
    """One of them may send its neighbours another way, too."""
    for n in (1, 2, 3, 10, 33, 64):
        for value in (np.inf, -np.inf, np.nan, 60_000.0, 100.0, -100.0, 0.0):
            for weight in (1.0, 0.0, -1e-9, 1e-40):
                x, labels, _ = _case("labels", rng, (37, n), dtype)
                x[20, 0] = value
                x[20, 1:] = np.where(value == -np.inf, value, x[20, 1:])
                weights = rng.standard_normal(37)
                weights[19:22] = weight
                labels[5] = -100
                options = {"sample_weight": weights, "ignore_index": -100}
                with np.errstate(invalid="ignore"):
                    loss, gradient = _both(fs, x, labels, **options)
                    for i in range(37):
                        alone = _both(fs, x[i].copy(), labels[i], **_one(options, i))
                        _assert_same(alone, (loss[i], gradient[i]))
                    place = x.copy()
                    _assert_same(_both(fs, place, labels, out=place, **options), (loss, gradient))


@KINDS
def test_beside_the_ends_of_chunks_of_rows(fs, dtype, kind, rng):
    """However many rows are taken at once, no loss of a row and no gradient knows of it."""
    for shape in ((9_000, 3), (300, 1_100), (3, 70_000), (1, 200_001)):
        x, labels, options = _case(kind, rng, shape, dtype)
        loss, gradient = _both(fs, x, labels, **options)
        for i in {0, 1, shape[0] // 2, shape[0] - 1, 4_095, 4_096} & set(range(shape[0])):
            _assert_same(_both(fs, x[i], labels[i], **_one(options, i)), (loss[i], gradient[i]))
        part = slice(shape[0] // 3, None)
        _assert_same(
            _both(fs, x[part], labels[part], **_one(options, part)), (loss[part], gradient[part])
        )


@KINDS
def test_classes_along_any_axis(fs, dtype, kind, rng):
    for n in (1, 2, 3, 10, 17, 65, 300):
        x, labels, options = _case(kind, rng, (4, 5, n), dtype)
        loss, gradient = _both(fs, x, labels, **options)
        for axis in (0, 1, -2):
            moved = np.ascontiguousarray(np.moveaxis(x, -1, axis))
            if kind == "probabilities":
                labels_moved = np.ascontiguousarray(np.moveaxis(labels, -1, axis))
            else:
                labels_moved = labels
            result = _both(fs, moved, labels_moved, axis, **options)
            _assert_same(result, (loss, np.moveaxis(gradient, -1, axis)))


COLUMNS = [
    *[(2, n, inner) for n in (1, 2, 10, 70) for inner in (1, 3, 4, 7, 8, 15, 17, 33)],
    *[(1, n, inner) for n in (300, 1_000, 1_024, 1_025) for inner in (5, 9, 100)],
    (3, 5, 2_100),
    (1, 64, 5_000),
    (700, 9, 4),
    (1, 70_001, 9),
]


@KINDS
@pytest.mark.parametrize("shape", COLUMNS, ids=str)
def test_columns_of_any_length_and_number(fs, dtype, kind, shape, rng):
    x, labels, options = _case(kind, rng, shape, dtype, 1)
    of_rows = labels if kind != "probabilities" else np.moveaxis(labels, 1, -1)
    expected = _both(fs, np.ascontiguousarray(np.moveaxis(x, 1, -1)), of_rows, **options)
    loss, gradient = _both(fs, x, labels, 1, **options)
    _assert_same((loss, np.moveaxis(gradient, 1, -1)), expected)
    assert_same_bits(fs.cross_entropy(x, labels, 1, reduction="none", **options), loss)
    _assert_same(_both(fs, x, labels, 1, out=x, **options), (loss, gradient))


@pytest.mark.parametrize("weight", [1.0, -(2.0**-130), 2.0**-1010])
def test_long_rows_with_tiny_weights(fs, dtype, weight, rng):
    """Rows of no cache, whose weight over their sum would leave the normal numbers."""
    n = 140_003
    x = (4 * rng.standard_normal((n, 2))).astype(dtype)
    labels = np.array([0, n - 1])
    weights = np.full(2, weight)
    expected = _both(fs, x, labels, 0, sample_weight=weights)
    memory = np.full(2 * n + 80, 7, dtype)
    rows, out = np.ascontiguousarray(x.T), memory[40:-40].reshape(2, n)
    loss, gradient = fs.cross_entropy_value_and_grad(
        rows, labels, sample_weight=weights, reduction="none", out=out
    )
    _assert_same((loss, gradient.T), expected)
    assert (memory[:40] == 7).all() and (memory[-40:] == 7).all()


def test_unusual_columns_among_others(fs, dtype, rng):
    for n in (2, 10, 300, 1_100):
        for value in (np.inf, -np.inf, np.nan, 60_000.0, 100.0, -100.0):
            for weight in (1.0, 0.0, -1e-9, 1e-40):
                x, labels, _ = _case("labels", rng, (37, n), dtype)
                x[20, 0] = value
                x[20, 1:] = np.where(value == -np.inf, value, x[20, 1:])
                weights = rng.standard_normal(37)
                weights[19:22] = weight
                labels[5] = -100
                options = {"sample_weight": weights, "ignore_index": -100}
                columns = np.ascontiguousarray(x.T)
                with np.errstate(invalid="ignore"):
                    loss, gradient = _both(fs, x, labels, **options)
                    _assert_same(_both(fs, columns, labels, 0, **options), (loss, gradient.T))
                    place = _both(fs, columns, labels, 0, out=columns, **options)
                    _assert_same(place, (loss, gradient.T))


@KINDS
@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
def test_each_argument_in_any_layout(fs, dtype, kind, layout, rng):
    shapes = (((9,), 0), ((130, 7), 1), ((130, 7), 0), ((5, 9, 40), 1))
    for (shape, axis), reduction in itertools.product(shapes, ("none", "mean", "sum")):
        x, labels, options = _case(kind, rng, shape, dtype, axis)
        if not layouts.fits(layout, x):
            pytest.skip("the dtype has only one byte order")
        expected = _both(fs, x, labels, axis, reduction, **options)
        views = [layout(a) if np.ndim(a) else a for a in (x, labels)]
        arrays = {k: layout(v) if np.ndim(v) else v for k, v in options.items()}
        for call in ((views[0], labels, options), (x, views[1], options), (*views, arrays)):
            result = _both(fs, call[0], call[1], axis, reduction, **call[2])
            _assert_same(result, expected)
            alone = fs.cross_entropy(call[0], call[1], axis, reduction=reduction, **call[2])
            assert_same_bits(alone, expected[0])


def test_broadcast_logits_and_their_copies(fs, dtype, rng):
    row, labels = rng.standard_normal(33).astype(dtype), rng.integers(33, size=40)
    view = np.broadcast_to(row, (40, 33))
    _assert_same(_both(fs, view, labels), _both(fs, view.copy(), labels))
    same = np.broadcast_to(labels[0], (40,))
    _assert_same(_both(fs, view, same), _both(fs, view, same.copy()))


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u8"])
def test_labels_of_any_integer_dtype(fs, kind, rng):
    for shape in ((40, 9), (2, 9), (9_000, 9)):
        x, labels, _ = _case("labels", rng, shape, np.float32)
        for reduction in ("none", "mean", "sum"):
            expected = _both(fs, x, labels, reduction=reduction)
            _assert_same(_both(fs, x, labels.astype(kind), reduction=reduction), expected)


def test_a_label_of_one_row_as_any_integer(fs, rng):
    x = rng.standard_normal(9).astype(np.float32)
    expected = fs.cross_entropy_value_and_grad(x, 4)
    for label in (np.int64(4), np.uint8(4), np.array(4), np.array(4, ">i2")):
        _assert_same(fs.cross_entropy_value_and_grad(x, label), expected)
        assert_same_bits(fs.cross_entropy(x, label), expected[0])


def test_lists_and_arrays_agree(fs, rng):
    x, labels, _ = _case("labels", rng, (4, 5), np.float64)
    _assert_same(_both(fs, x.tolist(), labels.tolist()), _both(fs, x, labels))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_options_that_change_nothing_change_no_bit(fs, dtype, reduction, rng):
    """Small plain calls may take a shorter way; it gives the same bits."""
    for shape in ((10,), (1, 10), (7, 33), (5_000, 10), (3, 20_000)):
        x, labels, _ = _case("labels", rng, shape, dtype)
        plain = _both(fs, x, labels, reduction=reduction)
        rows = labels.shape
        for options in (
            {"axis": x.ndim - 1},
            {"weight": np.ones(shape[-1])},
            {"sample_weight": np.ones(rows)},
            {"ignore_index": -100},
            {"label_smoothing": 0},
            {"out": np.empty_like(x)},
        ):
            _assert_same(_both(fs, x, labels, reduction=reduction, **options), plain)
        assert_same_bits(fs.cross_entropy(x, labels, reduction=reduction), plain[0])


def test_ignored_rows_are_rows_left_out(fs, dtype, rng):
    for reduction in ("mean", "sum"):
        x, labels, _ = _case("labels", rng, (50, 9), dtype)
        labels[::3] = -100
        kept = labels != -100
        loss, gradient = _both(fs, x, labels, reduction=reduction, ignore_index=-100)
        some = _both(fs, x[kept], labels[kept], reduction=reduction)
        np.testing.assert_allclose(loss, some[0], rtol=1e-6)
        assert_same_bits(gradient[kept], some[1])
        assert (gradient[~kept] == 0).all()


@KINDS
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_targets_with_fused_multiply_add_agree(dtype, kind, reduction, rng):
    with_fma = [t for t in targets.runnable() if t in targets.WITH_FMA]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs only {targets.runnable()}")
    shapes = [(3, n) for n in (*range(1, 40), 64, 65, 300, 1_025, 40_001)] + [(5_000, 7)]
    cases = [_case(kind, rng, shape, dtype) for shape in shapes]
    results = []
    for t in with_fma:
        package = targets.activate(t)
        results.append([_both(package, x, y, reduction=reduction, **o) for x, y, o in cases])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            _assert_same(second, first)
