"""One long slice that no kernel takes as it is: the bits of a copy, and no temporary of it."""

import numpy as np
import pytest
from formats import FLOATS, assert_same_bits
from sharing import forced, module
from test_memory_use import _peak as peak
from test_shared_row import DTYPES, KINDS

LENGTHS = [65_537, 140_001]
# What becomes of a contiguous slice, and of an array for its results.
INPUTS = {
    "gaps": lambda x: np.repeat(x, 2)[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "cube": lambda x: x.reshape(1, -1, 1).astype(x.dtype.newbyteorder()),
    "plain": lambda x: x,
}
OUTPUTS = {
    "gaps": lambda n, dtype: np.zeros(2 * n, dtype)[::2],
    "swapped": lambda n, dtype: np.zeros(n, np.dtype(dtype).newbyteorder()),
    "plain": np.zeros,
    "none": lambda n, dtype: None,
}
PLACES = [
    ("gaps", "none"),
    ("backwards", "gaps"),
    ("swapped", "plain"),
    ("cube", "swapped"),
    ("plain", "gaps"),
]


@pytest.fixture
def slices(kind, dtype, rng):
    """Slices of this kind, as a kernel takes them."""
    with np.errstate(over="ignore"):
        return [kind(4 * rng.standard_normal(n).astype(dtype)) for n in LENGTHS]


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layout", "result"), PLACES)
def test_bits_are_those_of_a_copy(fs, name, dtype, slices, layout, result):
    function = getattr(fs, name)
    for x in slices:
        with np.errstate(invalid="ignore"):
            expected = function(x, axis=0)
            given = INPUTS[layout](x)
            n = 1 if name == "logsumexp" else len(x)
            out = OUTPUTS[result](n, dtype)
            if out is not None:
                out = out.reshape(given.shape if n > 1 else ())
            before = given.copy()
            actual = function(given, axis=None, out=out)
        assert out is None or actual is out
        assert_same_bits(np.reshape(actual, np.shape(expected)), expected)
        assert_same_bits(given, before)


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_bits_are_those_of_a_copy_whoever_works(fs, name, dtype, slices):
    function = getattr(fs, name)
    for x in slices:
        given = INPUTS["gaps"](x)
        out = OUTPUTS["gaps"](1 if name == "logsumexp" else x.size, dtype)
        with np.errstate(invalid="ignore"), forced(fs, 1_000) as calls:
            expected = function(x)
            assert not calls
            actual = function(given, workers=3)
            assert_same_bits(actual, expected)
            del calls[:]
            function(given, out=out if out.size > 1 else out.reshape(()), workers=3)
            assert calls
        assert_same_bits(out.reshape(np.shape(expected)), expected)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float16, np.float32])
def test_a_wider_dtype_is_that_of_a_wider_copy(fs, name, kind, rng):
    x = np.clip(20 * rng.standard_normal(140_001), -120, 120).astype(kind)
    function = getattr(fs, name)
    assert_same_bits(function(x, dtype=np.float64), function(x.astype(np.float64)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("half", [f.dtype for f in FLOATS if f.dtype.itemsize == 2], ids=str)
@pytest.mark.parametrize("place", ["none", "gaps"])
def test_halves_give_results_with_all_digits_of_float32(fs, name, kind, half, place, rng):
    """Also of unusual slices, whose halves are packed as they are."""
    with np.errstate(invalid="ignore", over="ignore"):
        x = kind(4 * rng.standard_normal(140_001).astype(half))
        function = getattr(fs, name)
        expected = function(x.astype(np.float32))
        out = OUTPUTS[place](1 if name == "logsumexp" else x.size, np.float32)
        if out is not None and name == "logsumexp":
            out = out.reshape(())
        actual = function(INPUTS["gaps"](x), dtype=np.float32, out=out)
    assert_same_bits(actual, expected)


def test_a_narrower_dtype_is_that_of_a_rounded_copy(fs, name, rng):
    x = 20 * rng.standard_normal(140_001)
    function = getattr(fs, name)
    for narrow in (np.float16, np.float32):
        expected = function(x.astype(narrow))
        assert_same_bits(function(x, dtype=narrow), expected)
        assert_same_bits(function(np.repeat(x, 2)[::2], dtype=narrow), expected)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_results_over_numbers_of_another_dtype(fs, same_shape_name, kind, rng):
    """Where an array is both, as different dtypes, each number is read before it is written."""
    x = np.clip(20 * rng.standard_normal(140_001), -120, 120).astype(kind)
    function = getattr(fs, same_shape_name)
    expected = function(x.astype(np.float64))
    for order in ("=", ">"):
        given = x.copy()
        out = given.view(np.dtype(np.float64).newbyteorder(order))
        function(given, out=out)
        assert_same_bits(out, expected)
    given = x.astype(x.dtype.newbyteorder())
    out = given.view(np.float64)
    function(given, out=out)
    assert_same_bits(out, expected)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8, ">f4"])
@pytest.mark.parametrize("place", ["plain", "gaps"])
def test_a_slice_needs_no_temporary(fs, name, kind, place):
    x = np.zeros(4_000_000, kind)
    out = OUTPUTS[place](1 if name == "logsumexp" else x.size, np.float32)
    if name == "logsumexp":
        out = out.reshape(())
    assert peak(lambda: getattr(fs, name)(x, dtype=np.float32, out=out)) < 2_000_000


def test_an_unusual_slice_needs_none_for_logsumexp(fs):
    x = np.full(4_000_000, -80, np.float32)
    x[17] = 1
    assert peak(lambda: fs.logsumexp(x, dtype=np.float64)) < 2_000_000


def test_only_unusual_slices_go_another_way(fs, name, rng, monkeypatch):
    packed_row = module(fs, "_packed_row")
    answers = []

    def noted(*arguments, decide=packed_row._by_pieces):
        answers.append(decide(*arguments))
        return answers[-1]

    monkeypatch.setattr(packed_row, "_by_pieces", noted)
    for x, is_usual in (
        (rng.standard_normal(70_000), True),
        (np.append(rng.standard_normal(70_000), np.nan), False),
    ):
        given = np.repeat(x, 2)[::2]
        n = 1 if name == "logsumexp" else x.size
        out = OUTPUTS["gaps"](n, x.dtype)
        getattr(fs, name)(given, out=out.reshape(given.shape if n > 1 else ()))
        assert answers.pop() == is_usual
        assert not answers


def test_rows_that_do_not_fit_are_refused(fs):
    kernels = module(fs, "_target").kernels
    row, sums = kernels.begin_packed_row(5_000, True, False)
    assert sums.shape[0] == 5
    with pytest.raises(ValueError, match="a row has a length"):
        kernels.begin_packed_row(-1, True, False)
    for bad_row, bad_sums in (
        (row[:-1].copy(), sums),
        (row.astype(np.float32), sums),
        (row[::-1], sums),
        (row, sums.astype(np.float32)),
        (row, sums.ravel()),
        (row, sums[:, :-1].copy()),
        (row, sums[:, ::-1]),
    ):
        for decide in (kernels.row_needs_shift, kernels.row_is_ordinary):
            with pytest.raises(ValueError, match="float64 and contiguous"):
                decide(bad_row, bad_sums, False)
