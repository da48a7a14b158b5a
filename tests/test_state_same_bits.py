"""A state that got its pieces at the ends of blocks gives the bits of one call."""

import pickle

import families
import numpy as np
import pytest
import targets
from formats import FLOATS, assert_same_bits, of

BLOCK = 1024
FUNCTIONS = ("softmax", "log_softmax", "logsumexp")
COMPUTED = ("float32", "float64")


@pytest.fixture(scope="module", params=[f.dtype for f in FLOATS if f.name in COMPUTED], ids=str)
def computed_dtype(request):
    """The dtypes that are not computed in another."""
    return request.param


def cut(x, axis, ends):
    """Pieces of x that end at these places, and with x."""
    return np.split(x, [end for end in ends if end < x.shape[axis]], axis)


def joined(state, name, pieces, axis):
    if name == "logsumexp":
        return state.logsumexp()
    return np.concatenate([getattr(state, name)(piece) for piece in pieces], axis)


def assert_like_one_call(fs, x, axis, pieces):
    state = fs.SoftmaxState(axis)
    for piece in pieces:
        state.update(piece)
    for name in FUNCTIONS:
        assert_same_bits(joined(state, name, pieces, axis), getattr(fs, name)(x, axis=axis))


@pytest.mark.parametrize("scale", [1, 30, 300])
@pytest.mark.parametrize("n", [1, 17, 1_000, BLOCK, BLOCK + 1, 4 * BLOCK, 10_000])
def test_rows(fs, computed_dtype, n, scale, rng):
    """From 30 on, some results are below the smallest normal number of float32; at 300, of both."""
    x = (scale * rng.standard_normal((3, n))).astype(computed_dtype).clip(-2_000, 200)
    assert_like_one_call(fs, x, 1, cut(x, 1, (BLOCK, 3 * BLOCK, 4 * BLOCK)))


@pytest.mark.parametrize("scale", [1, 30, 300])
@pytest.mark.parametrize(("outer", "inner"), [(1, 2), (3, 5), (1, 16), (2, 37), (1, 70)])
def test_columns(fs, computed_dtype, outer, inner, scale, rng):
    x = (
        (scale * rng.standard_normal((outer, 3_000, inner)))
        .astype(computed_dtype)
        .clip(-2_000, 200)
    )
    assert_like_one_call(fs, x, 1, cut(x, 1, (2 * BLOCK,)))


def test_a_row_longer_than_the_cache(fs, computed_dtype, rng):
    x = (20 * rng.standard_normal(300_001)).astype(computed_dtype)
    assert_like_one_call(fs, x, 0, cut(x, 0, range(BLOCK, x.size, 37 * BLOCK)))


@pytest.mark.parametrize("family", families.ALL, ids=lambda family: family.__name__)
def test_hard_rows(fs, computed_dtype, family):
    if not families.fits(family, computed_dtype):
        pytest.skip("beyond the range of the dtype")
    form = of(computed_dtype)
    x = family(np.random.default_rng(3), (4, 5_000), form).astype(computed_dtype)
    limit = 2.0**17 if computed_dtype == np.float32 else 2.0**44
    if fs._target.name == "generic":
        limit = 220 if computed_dtype == np.float32 else 4_096
    x = x[abs(x.max(axis=1)) <= limit]
    assert_like_one_call(fs, x, 1, cut(x, 1, (BLOCK, 4 * BLOCK)))


@pytest.mark.parametrize("order", [1, -1])
def test_results_below_the_smallest_normal_number(fs, computed_dtype, order, rng):
    lowest = of(computed_dtype).lowest * np.log(2)
    x = rng.uniform(1.02 * lowest, 0.97 * lowest, (2, 6 * BLOCK)).astype(computed_dtype)
    x[:, ::BLOCK] = np.arange(6) - 3  # the maximum moves from block to block
    x = x[:, ::order]
    assert (abs(fs.softmax(x, axis=1)) < of(computed_dtype).tiny).sum() > 100
    assert_like_one_call(fs, x, 1, cut(x, 1, (2 * BLOCK, 3 * BLOCK)))


def test_a_logarithm_below_the_smallest_normal_number(fs, computed_dtype, rng):
    lowest = of(computed_dtype).lowest * np.log(2)
    x = rng.uniform(lowest - 12, lowest - 9, 3 * BLOCK).astype(computed_dtype)
    x[5] = 0
    assert 0 < fs.logsumexp(x) < of(computed_dtype).tiny
    assert_like_one_call(fs, x, 0, cut(x, 0, (BLOCK, 2 * BLOCK)))


def test_merging_block_after_block(fs, computed_dtype, rng):
    x = (30 * rng.standard_normal((2, 7_000))).astype(computed_dtype)
    state = fs.SoftmaxState(1)
    pieces = cut(x, 1, range(BLOCK, 7_000, BLOCK))
    for piece in pieces:
        state.merge(pickle.loads(pickle.dumps(fs.SoftmaxState(1).update(piece))))
    for name in FUNCTIONS:
        assert_same_bits(joined(state, name, pieces, 1), getattr(fs, name)(x, axis=1))


@pytest.mark.parametrize("n", [700, 3_000])
def test_every_layout_of_a_piece(fs, computed_dtype, n, rng):
    x = (30 * rng.standard_normal((3, n, 4))).astype(computed_dtype)
    swapped = computed_dtype.newbyteorder()
    layouts = [x, np.asfortranarray(x), x.transpose(2, 1, 0).copy().T, x.astype(swapped)]
    layouts += [np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1], x[:, ::-1].copy()[:, ::-1]]
    for layout in layouts:
        state = fs.SoftmaxState(1).update(layout)
        for name in FUNCTIONS:
            expected = getattr(fs, name)(x, axis=1)
            actual = joined(state, name, [layout], 1)
            assert_same_bits(actual, expected)
            if name != "logsumexp":
                assert actual.flags.f_contiguous == layout.flags.f_contiguous


def test_every_dtype(fs, dtype, rng):
    x = (3 * rng.standard_normal((2, 3_000))).astype(dtype)
    pieces = cut(x, 1, (2 * BLOCK,))
    assert_like_one_call(fs, x, 1, pieces)
    state = fs.SoftmaxState(1, dtype=np.float32)
    for piece in pieces:
        state.update(piece)
    expected = fs.log_softmax(x, axis=1, dtype=np.float32)
    assert_same_bits(joined(state, "log_softmax", pieces, 1), expected)


def test_pieces_are_rounded_to_the_dtype_asked_for(fs, dtype, rng):
    x = 3 * rng.standard_normal((2, 3_000))
    state = fs.SoftmaxState(1, dtype=dtype)
    pieces = cut(x, 1, (2 * BLOCK,))
    for piece in pieces:
        state.update(piece)
    rounded = x.astype(dtype)
    for name in FUNCTIONS:
        assert_same_bits(joined(state, name, pieces, 1), getattr(fs, name)(rounded, axis=1))


def test_a_large_piece_that_has_to_be_packed(fs, rng):
    x = rng.standard_normal((50, 5_000, 60)).astype(np.float16)
    state = fs.SoftmaxState(1).update(x)
    assert_same_bits(state.logsumexp(), fs.logsumexp(x, axis=1))
    assert_same_bits(state.log_softmax(x), fs.log_softmax(x, axis=1))


def test_targets_with_fused_multiply_add_agree(computed_dtype, rng):
    with_fma = [t for t in targets.runnable() if t in targets.WITH_FMA]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs only {targets.runnable()}")
    x = (1e5 * rng.standard_normal((3, 5_000))).astype(computed_dtype)
    results = []
    for target in with_fma:
        state = targets.activate(target).SoftmaxState(1).update(x[:, :700]).update(x[:, 700:])
        results.append((state.logsumexp(), state.softmax(x), state.log_softmax(x)))
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert_same_bits(second, first)
