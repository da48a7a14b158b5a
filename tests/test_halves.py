"""float16 and bfloat16: the conversions, and that everything else is float32 rounded once.

The shapes pass from one chunk of `halves.pxd` to the next, along rows and columns. The longest row
is read without one.
"""

import layouts
import numpy as np
import pytest
from formats import FLOATS, assert_same_bits

HALVES = [f for f in FLOATS if f.dtype.itemsize == 2]
SHAPES = [
    ((7,), -1),
    ((3, 700), -1),
    ((130, 70), 1),
    ((1_000, 3), -1),
    ((2, 5_000), -1),
    ((140_001,), -1),
    ((300, 10), 0),
    ((1_100, 130), 0),
    ((3, 20, 130), 1),
    ((2, 70_000, 3), 1),
    ((4, 5, 6), (0, 2)),
]


@pytest.fixture(scope="session", params=[pytest.param(f, id=f.name) for f in HALVES])
def half(request):
    """Each format of 16 bits."""
    return request.param


def _every_number(half):
    return np.arange(2**16, dtype=np.uint16).view(half.dtype)


def _assert_equal_numbers(actual, expected):
    """The same bits, but for those of a nan."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    assert_same_bits(actual[~nan], expected[~nan])


def _converted(fs, x, dtype):
    result = np.empty(x.shape, dtype)
    fs._target.kernels.convert(x, result)
    return result


def test_every_half_becomes_the_float32_of_its_value(fs, half):
    x = _every_number(half)
    with np.errstate(invalid="ignore"):  # NumPy's cast tells of signalling nans on ARM
        expected = x.astype(np.float32)
    _assert_equal_numbers(_converted(fs, x, np.float32), expected)


def test_float32_is_rounded_to_the_nearest_half_and_ties_to_even(fs, half):
    """Around each half, and around the middle between it and the next."""
    with np.errstate(invalid="ignore", over="ignore"):
        exact = _every_number(half).astype(np.float32)
        exact = np.sort(exact[np.isfinite(exact)])
        last = np.float32(half.largest) + np.float32(half.largest) * np.float32(2.0**-half.digits)
        middle = ((exact[1:].astype(np.float64) + exact[:-1]) / 2).astype(np.float32)
        points = np.concatenate([exact, middle, [last, -last, np.inf, -np.inf, np.nan]])
        points = points.astype(np.float32)
        x = np.concatenate(
            [points, np.nextafter(points, np.float32(-np.inf)), np.nextafter(points, -points)]
        )
        expected = x.astype(half.dtype)
    _assert_equal_numbers(_converted(fs, x, half.dtype), expected)


def test_a_nan_stays_one_whatever_its_bits(fs, half):
    bits = [0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF]
    x = np.array(bits, np.uint32).view(np.float32)
    assert np.isnan(_converted(fs, x, half.dtype)).all()
    canonical = _converted(fs, np.array([np.nan], np.float32), half.dtype)
    assert_same_bits(canonical, np.array([np.nan]).astype(half.dtype))


@pytest.mark.parametrize("n", [*range(35), 1_000])
def test_a_conversion_writes_its_elements_and_no_other(fs, half, n):
    with np.errstate(over="ignore"):
        wide = np.arange(1, n + 3, dtype=np.float32)
        narrow = wide.astype(half.dtype)
    for source, memory in ((narrow, wide.copy()), (wide, narrow.copy())):
        expected = memory.copy()
        expected[1:-1] = source[:n].astype(memory.dtype)
        fs._target.kernels.convert(source[:n], memory[1:-1])
        assert_same_bits(memory, expected)


def test_a_conversion_refuses_what_it_cannot_do(fs, half):
    convert = fs._target.kernels.convert
    x, wide = np.zeros(4, half.dtype), np.zeros(4, np.float32)
    for pair in ((x, x.copy()), (wide, wide.copy()), (x, wide.astype(float)), (wide, x.view("u2"))):
        with pytest.raises(TypeError):
            convert(*pair)
    for pair in ((x, wide[:3]), (x[::2], wide[:2]), (wide[::2], x[:2])):
        with pytest.raises(ValueError, match="contiguous"):
            convert(*pair)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("result", [np.float16, np.float32, "same"])
def test_of_any_layout_and_result(fs, name, half, shape, axis, result, rng):
    function = getattr(fs, name)
    x = (5 * rng.standard_normal(shape)).astype(half.dtype)
    result = half.dtype if result == "same" else np.dtype(result)
    rounded = x.astype(result).astype(np.float32)
    with np.errstate(under="ignore"):
        expected = function(rounded, axis=axis).astype(result)
    for layout in (np.asarray, *layouts.ALL):
        if not layouts.fits(layout, x):
            continue
        for dtype in (result, result.type):
            assert_same_bits(function(layout(x), axis=axis, dtype=dtype), expected)
        out = np.empty(expected.shape, result)
        view = layout(out) if out.ndim and layouts.fits(layout, out) else out
        if view.flags.writeable:
            function(layout(x), axis=axis, dtype=result, out=view)
            assert_same_bits(view, expected)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_in_place_and_from_float32(fs, same_shape_name, half, shape, axis, rng):
    function = getattr(fs, same_shape_name)
    x = (5 * rng.standard_normal(shape)).astype(half.dtype)
    wide = x.astype(np.float32)
    expected = function(wide, axis=axis).astype(half.dtype)
    out = np.empty_like(x)
    function(wide, axis=axis, out=out)
    assert_same_bits(out, expected)
    assert function(x, axis=axis, out=x) is x
    assert_same_bits(x, expected)


def test_where_of_any_layout(fs, name, half, rng):
    function = getattr(fs, name)
    x = (5 * rng.standard_normal((40, 90))).astype(half.dtype)
    inside = rng.random(x.shape) < 0.7
    expected = function(x.astype(np.float32), axis=-1, where=inside).astype(half.dtype)
    for layout in layouts.ALL:
        if layouts.fits(layout, x):
            assert_same_bits(function(layout(x), axis=-1, where=inside), expected)


@pytest.mark.parametrize("place", [0, 300, 999])
def test_one_special_row_warns_wherever_it_is(fs, same_shape_name, half, place):
    function = getattr(fs, same_shape_name)
    x = np.ones((1_000, 10), half.dtype)
    x[place, 3] = np.inf
    for dtype in (None, np.float32):
        with pytest.warns(RuntimeWarning, match="invalid value") as caught:
            result = function(x, axis=-1, dtype=dtype)
        assert len(caught) == 1
        assert np.isnan(result[place]).any()
        assert np.isfinite(np.delete(result, place, axis=0)).all()


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("name", ["softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"])
def test_gradients(fs, half, name, shape, axis, rng):
    function = getattr(fs, name)
    forward = fs.softmax if name == "softmax_vjp" else fs.log_softmax
    g = rng.standard_normal(shape).astype(half.dtype)
    y = forward(rng.standard_normal(shape), axis=axis).astype(half.dtype)
    wide = y.astype(np.float32)
    expected = function(g.astype(np.float32), wide, axis=axis)
    for layout in (np.asarray, *layouts.ALL):
        if layouts.fits(layout, g):
            result = function(layout(g), layout(y), axis=axis)
            assert_same_bits(result, expected.astype(half.dtype))
    assert_same_bits(function(g, wide, axis=axis), expected)
    function(g, y, axis=axis, out=g)
    assert_same_bits(g, expected.astype(half.dtype))


@pytest.mark.parametrize("shape", [(7,), (1_000, 10), (3, 700), (2, 5_000), (140_001,)])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 3}], ids=str)
def test_cross_entropy(fs, half, shape, options, rng):
    x = (5 * rng.standard_normal(shape)).astype(half.dtype)
    labels = rng.integers(0, shape[-1], shape[:-1])
    wide = x.astype(np.float32)
    loss, grad = fs.cross_entropy_value_and_grad(wide, labels, axis=-1, **options)
    for layout in (np.asarray, *layouts.ALL):
        if layouts.fits(layout, x):
            view = layout(x)
            assert_same_bits(fs.cross_entropy(view, labels, axis=-1, **options), loss)
            found = fs.cross_entropy_value_and_grad(view, labels, axis=-1, **options)
            assert_same_bits(found[0], loss)
            assert_same_bits(found[1], grad.astype(half.dtype))
    fs.cross_entropy_value_and_grad(x, labels, axis=-1, out=x, **options)
    assert_same_bits(x, grad.astype(half.dtype))


def _long_rows(half, rng):
    """Rows without scratch: infinite, with a nan, far apart, beyond the range reduction."""
    x = (5 * rng.standard_normal(140_001)).astype(half.dtype)
    yield x
    for value in (np.inf, -np.inf, np.nan, half.largest, -half.largest, 90, 100):
        row = x.copy()
        row[70_000] = value
        yield row
    yield np.full_like(x, -np.inf)
    yield np.full_like(x, half.largest)
    # With results below the smallest normal number.
    yield np.linspace(-120, 0, x.size).astype(half.dtype)


@pytest.fixture(params=[1, 32 << 20], ids=["no cache", "a large cache"])
def cache(set_cache, request):
    """The kernels are told how large it is: small ones let rows of softmax be read twice."""
    set_cache(request.param)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("shape", [(40, 64), (1, 1_025), (2, 140_001)], ids=str)
def test_no_result_depends_on_the_cache(fs, name, half, shape, rng):
    x = (5 * rng.standard_normal(shape)).astype(half.dtype)
    expected = getattr(fs, name)(x.astype(np.float32), axis=-1).astype(half.dtype)
    assert_same_bits(getattr(fs, name)(x, axis=-1), expected)


@pytest.mark.usefixtures("cache")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_long_rows_of_any_values(fs, name, half, rng):
    function = getattr(fs, name)
    for x in _long_rows(half, rng):
        with np.errstate(under="ignore", over="ignore"):
            expected = function(x.astype(np.float32), axis=-1).astype(half.dtype)
        assert_same_bits(function(x, axis=-1), expected)
        if name != "logsumexp":
            assert_same_bits(function(x, axis=-1, out=x), expected)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", ["softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"])
def test_gradients_of_rows_of_any_values(fs, half, name, rng):
    function = getattr(fs, name)
    for y in _long_rows(half, rng):
        for shape in ((1, -1), (423, -1)):
            g = rng.standard_normal(y.size)[: y.size // 423 * 423].astype(half.dtype).reshape(shape)
            rows = y[: g.size].reshape(shape)
            with np.errstate(under="ignore", over="ignore", invalid="ignore"):
                expected = function(g.astype(np.float32), rows.astype(np.float32), axis=-1)
                expected = expected.astype(half.dtype)
            assert_same_bits(function(g, rows, axis=-1), expected)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_cross_entropy_of_long_rows_of_any_values(fs, half, rng):
    for x in _long_rows(half, rng):
        for label in (0, 70_000):
            with np.errstate(under="ignore", over="ignore"):
                loss, grad = fs.cross_entropy_value_and_grad(x.astype(np.float32), label)
                grad = grad.astype(half.dtype)
            assert_same_bits(np.asarray(fs.cross_entropy(x, label)), np.asarray(loss))
            found = fs.cross_entropy_value_and_grad(x, label)
            assert_same_bits(np.asarray(found[0]), np.asarray(loss))
            assert_same_bits(found[1], grad)
