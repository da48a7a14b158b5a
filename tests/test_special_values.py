"""One table of special values, for every dtype and target, alone and in every place a row can be.

(a) The expected values are written down, not computed. LARGE stands for the largest finite number
    of the dtype.
(b) A slice that makes a nan of no nan warns; the rest is silent, which the conversion of warnings
    to errors checks.
"""

import contextlib
import math

import numpy as np
import pytest
from formats import assert_same_bits, bits, of

INF, NAN, LARGE = math.inf, math.nan, "largest"
LOG2 = math.log(2)

COLUMN = {"softmax": 1, "log_softmax": 2, "logsumexp": 3}

# input, softmax, log_softmax, logsumexp
TABLE = [
    ([INF, 0], [NAN, NAN], [NAN, -INF], INF),
    ([0, INF], [NAN, NAN], [-INF, NAN], INF),
    ([INF, INF], [NAN, NAN], [NAN, NAN], INF),
    ([INF, -INF], [NAN, NAN], [NAN, -INF], INF),
    ([-INF, -INF], [NAN, NAN], [NAN, NAN], -INF),
    ([-INF, 0], [0, 1], [-INF, 0], 0),
    ([NAN, 0], [NAN, NAN], [NAN, NAN], NAN),
    ([0, NAN], [NAN, NAN], [NAN, NAN], NAN),
    ([NAN, INF], [NAN, NAN], [NAN, NAN], NAN),
    ([INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
    ([-INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
    ([NAN, -INF], [NAN, NAN], [NAN, NAN], NAN),
    ([NAN, NAN], [NAN, NAN], [NAN, NAN], NAN),
    ([LARGE, "-largest"], [1, 0], [0, -INF], LARGE),
    (["-largest", LARGE], [0, 1], [-INF, 0], LARGE),
    ([LARGE, LARGE], [0.5, 0.5], [-LOG2, -LOG2], LARGE),
    (["-largest", "-largest"], [0.5, 0.5], [-LOG2, -LOG2], "-largest"),
    ([0, 0], [0.5, 0.5], [-LOG2, -LOG2], LOG2),
    ([-0.0, -0.0], [0.5, 0.5], [-LOG2, -LOG2], LOG2),
    ([INF], [NAN], [NAN], INF),
    ([-INF], [NAN], [NAN], -INF),
    ([NAN], [NAN], [NAN], NAN),
    ([LARGE], [1], [0], LARGE),
    ([-0.0], [1], [0], 0),
    ([0], [1], [0], 0),
]


def _array(values, dtype):
    form = of(dtype)
    named = {LARGE: form.largest, "-largest": -form.largest}
    return np.array([named.get(v, v) for v in np.atleast_1d(np.array(values, object))], form.dtype)


def _expected(row, name, dtype):
    value = _array(row[COLUMN[name]], dtype)
    return value[0] if name == "logsumexp" else value


def _warns(row, name):
    """Whether this input makes a nan where no nan came in."""
    results = np.atleast_1d(np.array(row[COLUMN[name]], object))
    return any(v is NAN for v in results) and not any(v is NAN for v in row[0])


def _warning_if(made):
    if made:
        return pytest.warns(RuntimeWarning, match="invalid value")
    return contextlib.nullcontext()


def _assert_values(actual, expected):
    """Equal up to 1 ULP in -log 2 and its like; zeros positive and nans canonical, to the bit."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    near = abs(bits(actual).astype(np.int64) - bits(expected).astype(np.int64)) <= 1
    special = np.isnan(expected) | np.isinf(expected) | (expected == 0)
    assert np.where(special, bits(actual) == bits(expected), near).all(), (actual, expected)


table = pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))


@table
def test_alone(fs, name, dtype, row):
    with _warning_if(_warns(row, name)):
        result = getattr(fs, name)(_array(row[0], dtype))
    _assert_values(result, _expected(row, name, dtype))


@table
def test_with_an_axis_given(fs, name, dtype, row):
    with _warning_if(_warns(row, name)):
        result = getattr(fs, name)(_array(row[0], dtype)[None, :], axis=1)
    _assert_values(result[0], _expected(row, name, dtype))


@table
def test_among_ordinary_rows_which_keep_their_bits(fs, name, dtype, row, rng):
    special = _array(row[0], dtype)
    ordinary = rng.standard_normal((37, special.size)).astype(dtype)
    batch = np.insert(ordinary, 20, special, axis=0)
    with _warning_if(_warns(row, name)):
        result = getattr(fs, name)(batch, axis=-1)
    _assert_values(result[20], _expected(row, name, dtype))
    others = getattr(fs, name)(ordinary, axis=-1)
    assert_same_bits(np.delete(result, 20, axis=0), others)


@table
def test_among_ordinary_columns_which_keep_their_bits(fs, name, dtype, row, rng):
    special = _array(row[0], dtype)
    ordinary = rng.standard_normal((special.size, 70)).astype(dtype)
    batch = np.insert(ordinary, 33, special, axis=1)
    with _warning_if(_warns(row, name)):
        result = getattr(fs, name)(batch, axis=0)
    _assert_values(result[..., 33], _expected(row, name, dtype))
    others = getattr(fs, name)(ordinary, axis=0)
    assert_same_bits(np.delete(result, 33, axis=-1), others)


@table
def test_within_a_long_row_of_minus_infinity(fs, name, dtype, row):
    special, expected = _array(row[0], dtype), _expected(row, name, dtype)
    for length in (3, 8, 16, 17, 64, 65, 300, 1_025, 5_000):
        for start in {0, (length - special.size) // 2, length - special.size}:
            place = slice(start, start + special.size)
            x = np.full(length, -INF, dtype)
            x[place] = special
            with _warning_if(_warns(row, name)):
                result = getattr(fs, name)(x)
            if name == "logsumexp":
                _assert_values(result, expected)
            else:
                long = np.full(length, _beside(row, name), dtype)
                long[place] = expected
                _assert_values(result, long)


def _beside(row, name):
    """What an element of -inf becomes in the same slice."""
    if name == "softmax":
        return NAN if all(v is NAN for v in row[1]) else 0.0
    # The logarithm beside an infinity is -inf, beside a nan or nothing else it is a nan.
    lost = any(v is NAN for v in row[0]) or all(v == -INF for v in row[0])
    return NAN if lost else -INF


def test_a_nan_anywhere_fills_its_slice(fs, name, dtype):
    for length in (1, 2, 7, 16, 17, 63, 64, 65, 130, 1_023, 1_024, 1_025, 2_050):
        for position in {0, length // 3, length // 2, length - 1}:
            x = np.zeros((3, length), dtype)
            x[1, position] = NAN
            result = getattr(fs, name)(x, axis=-1).astype(np.float64)
            assert np.isnan(result[1]).all()
            assert not np.isnan(result[[0, 2]]).any()


@pytest.mark.parametrize("payload", ["quiet", "negative", "payload", "signalling"])
def test_a_nan_of_any_kind_comes_back_canonical(fs, name, dtype, payload):
    form = of(dtype)
    canonical = int(bits(np.array(NAN, dtype)))
    sign = 1 << (8 * form.dtype.itemsize - 1)
    quiet = 1 << (form.digits - 2)
    pattern = {
        "quiet": canonical,
        "negative": canonical | sign,
        "payload": canonical | 5,
        "signalling": (canonical & ~quiet) | 1,
    }[payload]
    x = np.zeros(5, form.bits)
    x[2] = pattern
    result = getattr(fs, name)(x.view(dtype))
    assert (bits(result) == canonical).all()


def test_nans_of_both_signs_in_one_slice_come_back_canonical(fs, name, dtype):
    x = np.zeros(40, dtype)
    x[3], x[30] = NAN, -np.array(NAN, dtype)
    canonical = bits(np.array(NAN, dtype))
    for order in (x, x[::-1], np.stack([x, x]), np.stack([x, x], axis=1)):
        result = getattr(fs, name)(order, axis=0 if order.shape[0] == 40 else -1)
        assert (bits(result) == canonical).all()


@pytest.mark.parametrize("length", [1, 2, 5, 16, 100, 3_000])
def test_zeros_are_positive(fs, dtype, length):
    x = np.full((4, length), -np.array(of(dtype).largest, dtype))
    x[:, 0] = 0
    x[1] = -x[1]
    p, logp = fs.softmax(x, axis=-1), fs.log_softmax(x, axis=-1)
    for result in (p, logp):
        assert not np.signbit(result[result == 0].astype(np.float64)).any()
    assert logp[0, 0] == 0


def test_scalars_give_numpy_scalars(fs):
    for value in (3.0, 3, True, np.float64(3), np.array(3.0), np.array(3)):
        for result, expected in ((fs.softmax(value), 1.0), (fs.log_softmax(value), 0.0)):
            assert type(result) is np.float64
            assert result == expected
        assert type(fs.logsumexp(value)) is np.float64
        assert fs.logsumexp(value) == float(value)
    log, sign = fs.logsumexp(3.0, return_sign=True)
    assert (type(log), type(sign)) == (np.float64, np.float64)


def test_scalars_keep_their_dtype(fs, name, dtype):
    for value in (dtype.type(2), np.array(2, dtype)):
        result = getattr(fs, name)(value)
        assert isinstance(result, dtype.type)


def test_reduction_of_everything_gives_a_numpy_scalar(fs, dtype):
    for shape in ((3,), (2, 3), (1, 1, 1)):
        assert isinstance(fs.logsumexp(np.ones(shape, dtype)), dtype.type)
