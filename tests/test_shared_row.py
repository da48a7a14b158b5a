"""One slice shared among workers: the bits of one worker, for ordinary slices and all others."""

import numpy as np
import pytest
from formats import assert_same_bits, of
from sharing import module

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LENGTHS = [1, 2, 1023, 1024, 1025, 2047, 2048, 3073, 40_000, 131_072, 300_001]


def ordinary(x):
    return x


def far_above(x):
    """So large that a shift is subtracted."""
    return x * 8 + x.dtype.type(3e6 if x.dtype == np.float32 else 1e15)


def far_below(x):
    return -far_above(x)


def of_all_sizes(x):
    return x * x.dtype.type(1e30)


def deep(x):
    """With results below the smallest normal number, and zeros."""
    return x * (30 if x.dtype == np.float32 else 250)


def one_deep(x):
    """One such result, at the end."""
    x[-1] = x.max() - (100 if x.dtype == np.float32 else 735)
    return x


def almost_one_hot(x):
    x[len(x) // 2] = 40 if x.dtype == np.float32 else 60
    return x


def constant(x):
    return np.full_like(x, 7)


def with_nan(x):
    x[len(x) // 3] = np.nan
    return x


def with_nan_far_above(x):
    return far_above(with_nan(x))


def with_infinity(x):
    x[-1] = np.inf
    return x


def with_infinity_and_nan(x):
    return with_infinity(with_nan(x))


def partly_minus_infinity(x):
    x[len(x) // 2 :] = -np.inf
    x[0] = 1
    return x


def minus_infinity(x):
    return np.full_like(x, -np.inf)


def largest_number(x):
    x[0] = of(x.dtype).largest
    return x


KINDS = [
    ordinary,
    far_above,
    far_below,
    of_all_sizes,
    deep,
    one_deep,
    almost_one_hot,
    constant,
    with_nan,
    with_nan_far_above,
    with_infinity,
    with_infinity_and_nan,
    partly_minus_infinity,
    minus_infinity,
    largest_number,
]


LARGE = 32 << 20  # bytes of a cache


@pytest.fixture
def workers(four_processors):
    return 3


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cached", [True, False])
def test_a_shared_row_has_the_bits_of_one_worker(
    fs, name, dtype, kind, cached, rng, workers, set_cache
):
    kernel = getattr(module(fs, "_target").kernels, name)
    call = module(fs, "_shared_row").call
    for n in LENGTHS:
        set_cache(LARGE)
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(kind(4 * rng.standard_normal(n).astype(dtype)))[None, :, None]
        before = x.copy()
        expected, actual = (np.full_like(x, 9) for _ in range(2))
        if name == "logsumexp":
            expected, actual = expected[:, 0].copy(), actual[:, 0].copy()
        made_nan = kernel(x, expected)
        set_cache(LARGE if cached else 1)
        assert call(kernel, x, actual, workers) == made_nan
        assert_same_bits(actual, expected)
        assert_same_bits(x, before)
        if name != "logsumexp":
            assert call(kernel, x, x, workers) == made_nan
            assert_same_bits(x, expected)


@DTYPES
def test_two_long_rows_are_no_single_one(fs, name, dtype, rng, workers):
    x = rng.standard_normal((2, 600_000)).astype(dtype)
    function = getattr(fs, name)
    for each, row in zip(function(x, axis=1, workers=workers), x, strict=True):
        assert_same_bits(each, function(row))


@DTYPES
def test_only_unusual_rows_are_left_to_one_worker(fs, dtype, rng, workers, set_cache, monkeypatch):
    kernels = module(fs, "_target").kernels
    set_cache(1)  # otherwise softmax in place is not shared
    call = module(fs, "_shared_row").call
    answers = []

    def noted(*arguments, decide=kernels.row_is_ordinary):
        answers.append(decide(*arguments))
        return answers[-1]

    monkeypatch.setattr(kernels, "row_is_ordinary", noted)

    def is_ordinary(name, kind, in_place):
        x = kind(4 * rng.standard_normal(40_000).astype(dtype))[None, :, None]
        out = x if in_place else np.empty_like(x)
        call(getattr(kernels, name), x, out, workers)
        return answers.pop()

    for kind in (ordinary, constant, far_above, far_below, one_deep, deep, almost_one_hot):
        assert is_ordinary("softmax", kind, False)
        is_deep = kind in (one_deep, deep, far_above, far_below)
        assert is_ordinary("softmax", kind, True) or is_deep
        if kind in (one_deep, deep):
            assert not is_ordinary("softmax", kind, True)
        assert is_ordinary("log_softmax", kind, True) or kind in (deep, almost_one_hot)
    for kind in (with_nan, with_nan_far_above, with_infinity, minus_infinity):
        for name in ("softmax", "log_softmax"):
            assert not is_ordinary(name, kind, False)


@DTYPES
def test_past_the_caches_bits_stay_the_same(fs, dtype, rng, workers, set_cache):
    kernels = module(fs, "_target").kernels
    x = rng.standard_normal(70_001).astype(dtype)[None, :, None]
    expected = np.empty_like(x)
    kernels.softmax(x, expected)
    set_cache(1)
    memory = np.full((x.size + 2,), 9, dtype)
    actual = memory[1:-1].reshape(x.shape)
    module(fs, "_shared_row").call(kernels.softmax, x, actual, workers)
    assert_same_bits(actual, expected)
    assert memory[0] == memory[-1] == 9


@DTYPES
def test_public_calls_share_a_single_slice(fs, name, dtype, rng, workers, monkeypatch):
    shared_row = module(fs, "_shared_row")
    calls = []
    call = shared_row.call

    def noted(*arguments):
        calls.append(arguments[-1])
        return call(*arguments)

    monkeypatch.setattr(shared_row, "call", noted)
    function = getattr(fs, name)
    x = rng.standard_normal(3_200_200).astype(dtype)
    every_other = np.repeat(x, 2)[::2]
    for array in (x, every_other, x.reshape(100, -1).T, x.astype(x.dtype.newbyteorder())):
        assert_same_bits(function(array, workers=3), function(array, workers=1))
    count = 2 if name == "logsumexp" else 4  # it packs by pieces: see test_packed_row.py
    assert calls == [3] * count
    wide = x.reshape(-1, 1, 1, 100)
    assert_same_bits(function(wide, axis=(0, 3), workers=3), function(wide, axis=(0, 3), workers=1))
    assert calls == [3] * (count + 1)
    if name != "logsumexp":
        expected = function(x, workers=1)
        assert function(x, out=x, workers=3) is x
        assert_same_bits(x, expected)


@DTYPES
def test_one_warning_is_given_for_a_shared_row(fs, dtype, workers):
    x = np.zeros(3_200_000, dtype)
    x[-1] = np.inf
    with pytest.warns(RuntimeWarning, match="invalid value") as caught:
        fs.softmax(x, workers=workers)
    assert len(caught) == 1


def test_rows_that_do_not_fit_are_refused(fs, rng):
    kernels = module(fs, "_target").kernels
    x = np.zeros((1, 5_000, 1))
    row, sums = kernels.begin_row(x, x, True)
    for first, stop in ((-1, 2), (3, 2), (0, 6)):
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.sum_row_blocks(row, sums, x, x, first, stop)
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.apply_row(row, sums, x, x, first, stop)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.sum_row_blocks(row, sums, x.astype(np.float16), x, 0, 1)
    with pytest.raises(ValueError, match="length"):
        kernels.sum_row_blocks(row, sums, np.zeros((1, 6_000, 1)), x, 0, 1)
    with pytest.raises(ValueError, match="dtype"):
        kernels.apply_row(row, sums, x, x.astype(np.float32), 0, 1)
    with pytest.raises(ValueError, match="one element"):
        kernels.logsumexp_of_row(row, np.zeros(2))
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.logsumexp_of_row(row, np.zeros(1, np.float16))
