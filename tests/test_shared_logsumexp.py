"""The products with the Jacobian of logsumexp over one shared slice: the bits of one worker."""

import numpy as np
import pytest
from formats import assert_same_bits
from sharing import module

pytestmark = pytest.mark.usefixtures("four_processors")

LENGTHS = [1, 2, 1_023, 1_024, 1_025, 3_073, 40_000, 131_072, 300_001]
WORKERS = 3
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def usual(vector, a, lse):
    pass


def nan_among_exponents(vector, a, lse):
    a[len(a) // 2] = np.nan


def nan_in_vector(vector, a, lse):
    vector[-1] = np.nan


def infinity_in_vector(vector, a, lse):
    vector[0] = np.inf


def infinities_of_both_signs(vector, a, lse):
    vector[0], vector[-1] = np.inf, -np.inf


def infinite_exponent(vector, a, lse):
    a[-1] = np.inf


def minus_infinities(vector, a, lse):
    a[1:] = -np.inf


def no_exponent(vector, a, lse):
    a[:] = -np.inf
    lse[:] = -np.inf


def level_of_minus_infinity(vector, a, lse):
    lse[:] = -np.inf


def level_of_nan(vector, a, lse):
    lse[:] = np.nan


def level_far_below(vector, a, lse):
    lse -= 100


def level_little_below(vector, a, lse):
    lse -= 20


def level_far_above(vector, a, lse):
    lse += 300


def tiny(vector, a, lse):
    vector *= vector.dtype.type(1e-37)


def zero(vector, a, lse):
    vector[:] = 0


def large(vector, a, lse):
    vector *= vector.dtype.type(1e37)


def huge(vector, a, lse):
    vector[:] = np.finfo(vector.dtype).max / 2


def exponents_far_apart(vector, a, lse):
    a[: len(a) // 2] -= 2_000


def large_exponents(vector, a, lse):
    a += 30_000
    lse += 30_000


KINDS = [
    usual,
    nan_among_exponents,
    nan_in_vector,
    infinity_in_vector,
    infinities_of_both_signs,
    infinite_exponent,
    minus_infinities,
    no_exponent,
    level_of_minus_infinity,
    level_of_nan,
    level_far_below,
    level_little_below,
    level_far_above,
    tiny,
    zero,
    large,
    huge,
    exponents_far_apart,
    large_exponents,
]


def _row(fs, name, n, dtype, rng):
    """The vector, the exponents and their logsumexp."""
    a = 4 * rng.standard_normal(n).astype(dtype)
    vector = rng.standard_normal(1 if name == "logsumexp_vjp" else n).astype(dtype)
    return vector, a, np.asarray(fs.logsumexp(a)).reshape(1)


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_the_vjp_of_a_shared_row_has_the_bits_of_one_worker(fs, dtype, kind, rng):
    kernel = module(fs, "_target").kernels.logsumexp_vjp
    call = module(fs, "_shared_logsumexp").call
    for n in LENGTHS:
        row = _row(fs, "logsumexp_vjp", n, dtype, rng)
        kind(*row)
        g, a, lse = row[0].reshape(1, 1), row[1].reshape(1, -1, 1), row[2].reshape(1, 1)
        expected, actual = np.full_like(a, 9), np.full_like(a, 9)
        made_nan = kernel(g, a, lse, expected)
        given = g.copy(), a.copy(), lse.copy()
        assert call(kernel, (*given, actual), WORKERS) == made_nan
        assert_same_bits(actual, expected)
        assert_same_bits(given[1], a)
        assert call(kernel, (*given, given[1]), WORKERS) == made_nan
        assert_same_bits(given[1], expected)


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_the_jvp_of_a_shared_row_has_the_bits_of_one_worker(fs, dtype, kind, rng):
    kernel = module(fs, "_target").kernels.logsumexp_jvp
    call = module(fs, "_shared_logsumexp").call
    for n in LENGTHS:
        row = _row(fs, "logsumexp_jvp", n, dtype, rng)
        kind(*row)
        t, a, lse = row[0].reshape(1, -1, 1), row[1].reshape(1, -1, 1), row[2].reshape(1, 1)
        expected, actual = np.full_like(lse, 9), np.full_like(lse, 9)
        made_nan = kernel(t, a, lse, expected)
        given = t.copy(), a.copy(), lse.copy()
        assert call(kernel, (*given, actual), WORKERS) == made_nan
        assert_same_bits(actual, expected)
        for before, after in zip((t, a, lse), given, strict=True):
            assert_same_bits(after, before)


@pytest.mark.parametrize("name", ["logsumexp_vjp", "logsumexp_jvp"])
def test_only_unusual_rows_are_left_to_one_worker(fs, name, rng, monkeypatch):
    kernels, call = module(fs, "_target").kernels, module(fs, "_shared_logsumexp").call
    kernel = getattr(kernels, name)
    alone = []

    def noted(*blocks):
        alone.append(blocks)
        return kernel(*blocks)

    monkeypatch.setattr(kernels, name, noted)
    for kind in (usual, zero, exponents_far_apart, level_far_above, infinity_in_vector):
        row = _row(fs, name, 40_000, np.float64, rng)
        kind(*row)
        a, lse = row[1].reshape(1, -1, 1), row[2].reshape(1, 1)
        if name == "logsumexp_vjp":
            call(noted, (row[0].reshape(1, 1), a, lse, np.empty_like(a)), WORKERS)
        else:
            call(noted, (row[0].reshape(1, -1, 1), a, lse, np.empty_like(lse)), WORKERS)
        assert bool(alone) == (kind is infinity_in_vector)
        alone.clear()


@pytest.mark.parametrize("name", ["logsumexp_vjp", "logsumexp_jvp"])
@DTYPES
def test_public_calls_share_a_single_slice(fs, name, dtype, rng, monkeypatch):
    calls = []
    shared = module(fs, "_shared_logsumexp")

    def noted(*arguments, call=shared.call):
        calls.append(arguments)
        return call(*arguments)

    monkeypatch.setattr(shared, "call", noted)
    vector, a, lse = _row(fs, name, 3_500_000, dtype, rng)
    function = getattr(fs, name)
    vector = vector[0] if name == "logsumexp_vjp" else vector
    expected = function(vector, a, lse[0])
    assert not calls
    assert_same_bits(function(vector, a, lse[0], workers=WORKERS), expected)
    assert len(calls) == 1
    a = a.astype(np.float16)
    vector = vector.astype(np.float16)
    lse = lse.astype(np.float16)
    assert_same_bits(function(vector, a, lse[0], workers=WORKERS), function(vector, a, lse[0]))


def test_kernels_refuse_what_is_no_row(fs):
    kernels = module(fs, "_target").kernels
    a, one, sums = np.zeros((1, 3_000, 1)), np.zeros((1, 1)), np.zeros((3, 2))
    for first, stop in ((-1, 1), (2, 1), (0, 4)):
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.largest_of_blocks(a, first, stop)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.largest_of_blocks(a.astype(int), 0, 1)
    with pytest.raises(ValueError, match=r"block \(1, n, 1\)"):
        kernels.largest_of_blocks(a.reshape(2, 1_500, 1), 0, 1)
    with pytest.raises(TypeError, match="of its dtype"):
        kernels.weigh_row_blocks(one, a, one.astype(np.float32), a, 0.0, 0, 1)
    with pytest.raises(ValueError, match="or is one number"):
        kernels.weigh_row_blocks(one, a, one, a[:, :2_000], 0.0, 0, 1)
    with pytest.raises(ValueError, match="one g and one lse"):
        kernels.weigh_row_blocks(a, a, one, a, 0.0, 0, 1)
    with pytest.raises(ValueError, match="there is one lse"):
        kernels.sum_tangent_blocks(one, a, one, sums, 0.0, 0, 1)
    for wrong in (np.zeros((2, 2)), sums.astype(np.float32), np.zeros((3, 4))[:, ::2]):
        with pytest.raises(ValueError, match="numbers of the row"):
            kernels.sum_tangent_blocks(a, a, one, wrong, 0.0, 0, 1)
    with pytest.raises(ValueError, match="one result"):
        kernels.add_tangent_blocks(a, one, sums, 0.0, a)
