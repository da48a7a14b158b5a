"""`out`: where the result goes, what may overlap, and what is refused with nothing written."""

import layouts
import numpy as np
import pytest
from formats import FLOATS, assert_same_bits


def _result_shape(name, shape, axis):
    return shape if name != "logsumexp" else np.broadcast_to(0.0, shape).sum(axis=axis).shape


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2)])
def test_out_is_returned_and_holds_the_result(fs, name, dtype, axis, rng):
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    function = getattr(fs, name)
    out = np.full(_result_shape(name, x.shape, axis), 7, dtype)
    assert function(x, axis=axis, out=out) is out
    assert_same_bits(out, function(x, axis=axis))


@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
def test_out_may_lie_anywhere(fs, name, dtype, layout, rng):
    if layout is layouts.read_only:
        pytest.skip("cannot be written, which another test asks for")
    x = rng.standard_normal((3, 20, 5)).astype(dtype)
    function = getattr(fs, name)
    for axis in (0, 1, 2, (0, 2)):
        expected = function(x, axis=axis)
        plain = np.zeros_like(expected)
        if not layouts.fits(layout, plain):
            pytest.skip("the dtype has only one byte order")
        out = layout(plain)
        assert function(x, axis=axis, out=out) is out
        assert_same_bits(out, expected)


def test_out_of_a_scalar_is_returned_as_it_is(fs, name):
    out = np.zeros(())
    assert getattr(fs, name)(2.0, out=out) is out
    assert out == {"softmax": 1, "log_softmax": 0, "logsumexp": 2}[name]


def test_out_of_a_full_reduction_is_an_array_of_no_dimension(fs, rng):
    x = rng.standard_normal(9)
    out = np.zeros(())
    assert fs.logsumexp(x, out=out) is out
    assert out == fs.logsumexp(x)


def test_out_with_keepdims(fs, rng):
    x = rng.standard_normal((3, 4))
    out = np.zeros((3, 1))
    assert fs.logsumexp(x, axis=1, keepdims=True, out=out) is out
    assert_same_bits(out[:, 0], fs.logsumexp(x, axis=1))
    with pytest.raises(ValueError, match="shape"):
        fs.logsumexp(x, axis=1, keepdims=True, out=np.zeros(3))


def test_out_is_a_pair_with_return_sign(fs, rng):
    x = rng.standard_normal((3, 4))
    log, sign = np.zeros(3), np.zeros(3)
    pair = fs.logsumexp(x, axis=1, b=[1, -2, 1, 1], return_sign=True, out=(log, sign))
    assert pair[0] is log and pair[1] is sign
    expected = fs.logsumexp(x, axis=1, b=[1, -2, 1, 1], return_sign=True)
    assert_same_bits(log, expected[0])
    assert_same_bits(sign, expected[1])


def test_a_pair_that_shares_memory_is_refused(fs, rng):
    x = rng.standard_normal((6, 5))
    memory = np.zeros(12)
    for pair in (
        (memory[:6], memory[:6]),
        (memory[:6], memory[5:11]),
        (memory[::2], memory[6::-1][:6]),
    ):
        with pytest.raises(ValueError, match=r"out\[0\] and out\[1\] share memory"):
            fs.logsumexp(x, axis=1, return_sign=True, out=pair)
    assert not memory.any()
    pair = memory[::2], memory[1::2]
    for found, expected in zip(
        fs.logsumexp(x, axis=1, return_sign=True, out=pair),
        fs.logsumexp(x, axis=1, return_sign=True),
        strict=True,
    ):
        assert found.tobytes() == expected.tobytes()


def test_a_pair_goes_with_return_sign_and_a_single_array_without(fs):
    x = np.zeros((3, 4))
    log, sign = np.full(3, 7.0), np.full(3, 7.0)
    with pytest.raises((TypeError, ValueError)):
        fs.logsumexp(x, axis=1, return_sign=True, out=log)
    with pytest.raises((TypeError, ValueError)):
        fs.logsumexp(x, axis=1, out=(log, sign))
    assert (log == 7).all() and (sign == 7).all()


@pytest.mark.parametrize("wide", FLOATS, ids=lambda f: "into_" + f.name)
def test_out_of_another_floating_dtype_takes_the_cast_result(fs, name, dtype, wide, rng):
    half = {dtype.name, wide.name} == {"float16", "bfloat16"}
    if half:
        pytest.skip("no same-kind cast leads from one half precision to the other")
    x = rng.standard_normal((3, 40)).astype(dtype)
    out = np.zeros(_result_shape(name, x.shape, 1), wide.dtype)
    function = getattr(fs, name)
    assert function(x, axis=1, out=out) is out
    narrow = min(dtype, wide.dtype, key=lambda d: d.itemsize)
    np.testing.assert_allclose(
        out.astype(float),
        function(x, axis=1).astype(wide.dtype).astype(float),
        rtol=2.0 ** {2: -7, 4: -22, 8: -50}[narrow.itemsize],
    )


@pytest.mark.parametrize("kind", [np.int64, np.bool_, np.uint8, "M8[s]"])
def test_out_of_another_kind_is_a_type_error_and_stays_unwritten(fs, name, kind):
    x = np.ones((3, 4))
    out = np.zeros(_result_shape(name, x.shape, 1), kind)
    before = out.copy()
    with pytest.raises(TypeError):
        getattr(fs, name)(x, axis=1, out=out)
    assert (out == before).all()


def test_out_does_not_drop_an_imaginary_part(fs, name):
    x = np.array([[1 + 1j, 2], [0, 1j]])
    out = np.full(_result_shape(name, x.shape, 1), 7.0)
    with pytest.raises(TypeError):
        getattr(fs, name)(x, axis=1, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize(
    "shape", [(3, 5), (4, 3), (12,), (1, 3, 4), (3, 1), (1,), (), (2,), (3, 4, 1)]
)
def test_out_of_another_shape_is_a_value_error_and_stays_unwritten(fs, name, shape):
    out = np.full(shape, 7.0)
    with pytest.raises(ValueError, match="shape"):
        getattr(fs, name)(np.ones((3, 4)), axis=1, out=out)
    assert (out == 7).all()


def test_out_that_cannot_be_written_is_a_value_error(fs, name):
    out = np.full(_result_shape(name, (3, 4), 1), 7.0)
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"read-only|writ"):
        getattr(fs, name)(np.ones((3, 4)), axis=1, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("out", [[0.0, 0.0], 1.0, "out", (1, 2)], ids=repr)
def test_out_that_is_no_array_is_a_type_error(fs, name, out):
    with pytest.raises(TypeError):
        getattr(fs, name)(np.ones(2), out=out)


@pytest.mark.parametrize(
    "options",
    [
        {"axis": 2},
        {"axis": (0, 0)},
        {"axis": 1.5},
        {"where": [1, 0, 1, 1]},
        {"where": [True, False]},
    ],
    ids=str,
)
def test_out_stays_unwritten_when_another_argument_is_wrong(fs, name, options):
    out = np.full((3, 4), 7.0)
    with pytest.raises((TypeError, ValueError)):
        getattr(fs, name)(np.ones((3, 4)), out=out, **options)
    assert (out == 7).all()


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), (1, 2)])
@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda f: f.__name__)
def test_in_place(fs, same_shape_name, dtype, axis, layout, rng):
    x = rng.standard_normal((3, 40, 5)).astype(dtype)
    if layout is layouts.read_only or not layouts.fits(layout, x):
        pytest.skip("cannot be written in this layout")
    function = getattr(fs, same_shape_name)
    expected = function(x, axis=axis)
    view = layout(x)
    assert function(view, axis=axis, out=view) is view
    assert_same_bits(view, expected)


OVERLAPS = {
    "shifted up": (slice(5, 305), slice(0, 300)),
    "shifted down": (slice(0, 300), slice(5, 305)),
    "shifted by one": (slice(1, 301), slice(0, 300)),
    "reversed": (slice(299, None, -1), slice(0, 300)),
    "interleaved": (slice(0, 600, 2), slice(0, 300)),
    "same start, other step": (slice(0, 300), slice(0, 600, 2)),
}


@pytest.mark.parametrize("overlap", OVERLAPS.values(), ids=OVERLAPS)
@pytest.mark.parametrize("shape", [(300,), (30, 10), (2, 150), (5, 6, 10)])
def test_a_partial_overlap_gives_the_right_answer(fs, same_shape_name, dtype, overlap, shape, rng):
    function = getattr(fs, same_shape_name)
    for axis in (None, 0, -1):
        memory = rng.standard_normal(600).astype(dtype)
        x, out = memory[overlap[0]].reshape(shape), memory[overlap[1]].reshape(shape)
        assert np.shares_memory(x, out)
        expected = function(x.copy(), axis=axis)
        function(x, axis=axis, out=out)
        assert_same_bits(out, expected)


def test_a_transpose_of_itself_gives_the_right_answer(fs, same_shape_name, dtype, rng):
    function = getattr(fs, same_shape_name)
    for axis in (None, 0, 1):
        for n in (3, 40, 200):
            x = rng.standard_normal((n, n)).astype(dtype)
            expected = function(x.copy(), axis=axis)
            function(x, axis=axis, out=x.T)
            assert_same_bits(x.T, expected)


def test_logsumexp_into_a_part_of_its_input(fs, dtype, rng):
    for axis in (0, 1):
        for place in ((0, slice(None)), (slice(None), 0), (slice(None), 39), (20, slice(None))):
            x = rng.standard_normal((40, 40)).astype(dtype)
            expected = fs.logsumexp(x.copy(), axis=axis)
            fs.logsumexp(x, axis=axis, out=x[place])
            assert_same_bits(x[place], expected)


def test_an_overlap_with_another_dtype_gives_the_right_answer(fs, same_shape_name, rng):
    memory = rng.standard_normal(100)
    x = memory.view(np.float32)[:100].reshape(10, 10)
    x[...] = rng.standard_normal((10, 10))
    out = memory.reshape(10, 10)
    function = getattr(fs, same_shape_name)
    expected = function(x.copy(), axis=-1, out=np.zeros((10, 10)))
    function(x, axis=-1, out=out)
    assert_same_bits(out, expected)


def test_an_overlap_with_where_or_b_gives_the_right_answer(fs, rng):
    memory = np.zeros(20)
    where = memory.view(np.bool_)[:20].reshape(4, 5)
    where[...] = rng.random((4, 5)) < 0.7
    where[:, 0] = True
    x = rng.standard_normal((4, 5))
    expected = fs.softmax(x, axis=-1, where=where.copy())
    out = memory.reshape(4, 5)
    fs.softmax(x, axis=-1, where=where, out=out)
    assert_same_bits(out, expected)
    b = rng.random((4, 5))
    expected = fs.logsumexp(x, axis=-1, b=b.copy())
    fs.logsumexp(x, axis=-1, b=b, out=b[:, 2])
    assert_same_bits(b[:, 2], expected)


def test_nothing_outside_out_is_written(fs, name, dtype, rng):
    """A vector store that is wider than the end of a row would reach the next element."""
    function = getattr(fs, name)
    for n in (*range(1, 70), 129, 1_025):
        x = rng.standard_normal((3, n)).astype(dtype)
        for axis in (0, 1):
            shape = _result_shape(name, x.shape, axis)
            size = int(np.prod(shape))
            memory = np.full(size + 80, 7, dtype)
            function(x, axis=axis, out=memory[40 : 40 + size].reshape(shape))
            assert (memory[:40] == 7).all() and (memory[40 + size :] == 7).all()


def test_out_and_dtype_together(fs, name, rng):
    x = rng.standard_normal((3, 40)).astype(np.float16)
    function = getattr(fs, name)
    out = np.zeros(_result_shape(name, x.shape, 1), np.float64)
    assert function(x, axis=1, dtype=np.float32, out=out) is out
    assert_same_bits(out, function(x, axis=1, dtype=np.float32).astype(np.float64))


def test_out_of_an_empty_result(fs, name):
    out = np.zeros(_result_shape(name, (0, 3), 1))
    assert getattr(fs, name)(np.zeros((0, 3)), axis=1, out=out) is out


def test_out_of_nothing_reduced_is_minus_infinity(fs):
    out = np.zeros(3)
    assert fs.logsumexp(np.zeros((3, 0)), axis=1, out=out) is out
    assert np.isneginf(out).all()


@pytest.mark.parametrize("overlaps", [False, True])
def test_slices_too_long_for_any_box(fs, same_shape_name, overlaps, rng):
    """What is packed or copied whole is so in pieces, each of which counts."""
    n = (1 << 21) + 70_001
    memory = rng.standard_normal(2 * n).astype(np.float32)
    x = memory[::2]
    expected = getattr(fs, same_shape_name)(x.copy())
    out = memory[1 : n + 1] if overlaps else np.zeros(2 * n, np.float64)[::2]
    getattr(fs, same_shape_name)(x, out=out)
    np.testing.assert_array_equal(out, expected)
