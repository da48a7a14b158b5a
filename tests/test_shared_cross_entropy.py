"""Cross-entropy of one slice shared among workers: the bits of one worker, usual or not."""

import numpy as np
import pytest
from formats import assert_same_bits
from sharing import module

pytestmark = pytest.mark.usefixtures("four_processors")

LENGTHS = [1, 1_024, 1_025, 2_048, 3_073, 40_000, 131_073, 300_001]
WORKERS = 3
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Row:
    """Logits, a label and its coefficients, to be made unusual."""

    def __init__(self, n, dtype, rng):
        self.x = 4 * rng.standard_normal(n).astype(dtype)
        self.label = int(rng.integers(n))
        self.at_target = self.total = 1.0


def usual(row):
    pass


def target_is_the_largest(row):
    row.label = int(row.x.argmax())


def tied_targets(row):
    row.x[[0, -1]] = row.x.max()
    row.label = 0


def almost_one_hot(row):
    row.x[row.label] += row.x.dtype.type(40)


def one_hot(row):
    row.x[row.label] += row.x.dtype.type(1_000)


def far_from_the_target(row):
    row.x[row.label] -= row.x.dtype.type(60)


def subnormal_gradients(row):
    row.x[::7] -= row.x.dtype.type(95 if row.x.itemsize == 4 else 715)


def with_nan(row):
    row.x[len(row.x) // 2] = np.nan


def with_infinity(row):
    row.x[-1] = np.inf


def with_minus_infinities(row):
    row.x[1::2] = -np.inf


def target_of_minus_infinity(row):
    row.x[row.label] = -np.inf


def nothing_finite(row):
    row.x[:] = -np.inf


def large_logits(row):
    row.x += row.x.dtype.type(1e5 if row.x.itemsize == 4 else 1e300)


def weighted(row):
    row.at_target = row.total = 0.37


def negative(row):
    row.at_target = row.total = -2.5


def zero(row):
    row.at_target = row.total = 0.0


def tiny(row):
    row.at_target = row.total = 1e-30 if row.x.itemsize == 4 else 1e-100


def large(row):
    row.at_target = row.total = 1e20


def infinite(row):
    row.at_target = row.total = np.inf


def ignored(row):
    row.label = -1


KINDS = [
    usual,
    target_is_the_largest,
    tied_targets,
    almost_one_hot,
    one_hot,
    far_from_the_target,
    subnormal_gradients,
    with_nan,
    with_infinity,
    with_minus_infinities,
    target_of_minus_infinity,
    nothing_finite,
    large_logits,
    weighted,
    negative,
    zero,
    tiny,
    large,
    infinite,
    ignored,
]


def _arguments(fs, row):
    """The logits as a block, and what the kernel takes beside them."""
    piece = module(fs, "_loss_coefficients").Piece(
        np.array([row.label], np.int64), None, np.array([row.at_target]), np.array([row.total])
    )
    return row.x.reshape(1, -1, 1), piece


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_row_has_the_bits_of_one_worker(fs, dtype, kind, rng):
    kernel = module(fs, "_target").kernels.cross_entropy
    call = module(fs, "_shared_cross_entropy").call
    for n in LENGTHS:
        row = Row(n, dtype, rng)
        kind(row)
        x, piece = _arguments(fs, row)
        for with_grad, in_place in ((False, False), (True, False), (True, True)):
            losses, blocks = [], []
            for compute, more in ((kernel, ()), (call, (WORKERS,))):
                given = x.copy()
                grad = given if in_place else np.full_like(x, 9) if with_grad else None
                losses.append(np.full(1, 9.0))
                if compute is kernel:
                    made_nan = kernel(given, *piece, losses[0], grad)
                else:
                    assert call(given, piece, losses[1], grad, *more) == made_nan
                    if not in_place:
                        assert_same_bits(given, x)
                blocks.append(grad)
            assert_same_bits(losses[1], losses[0])
            if with_grad:
                assert_same_bits(blocks[1], blocks[0])


def test_only_unusual_rows_are_left_to_one_worker(fs, rng, monkeypatch):
    kernels, call = module(fs, "_target").kernels, module(fs, "_shared_cross_entropy").call
    alone = []

    def noted(*blocks, kernel=kernels.cross_entropy):
        alone.append(blocks)
        return kernel(*blocks)

    monkeypatch.setattr(kernels, "cross_entropy", noted)
    shared = [usual, target_is_the_largest, tied_targets, far_from_the_target, weighted, negative]
    left = [with_nan, with_infinity, large_logits, tiny, zero, ignored, subnormal_gradients]
    for kind in shared + left:
        row = Row(40_000, np.float64, rng)
        kind(row)
        x, piece = _arguments(fs, row)
        call(x, piece, np.empty(1), np.empty_like(x), WORKERS)
        assert bool(alone) == (kind in left), kind
        alone.clear()


@DTYPES
def test_public_calls_share_a_single_slice(fs, dtype, rng, monkeypatch):
    calls = []
    shared = module(fs, "_shared_cross_entropy")

    def noted(*arguments, call=shared.call):
        calls.append(arguments)
        return call(*arguments)

    monkeypatch.setattr(shared, "call", noted)
    x = 4 * rng.standard_normal(3_500_000).astype(dtype)
    label = 1_234_567
    options = ({}, {"label_smoothing": 0.1}, {"ignore_index": label}, {"reduction": "sum"})
    for given in (*options, {"sample_weight": -2.0}):
        expected = fs.cross_entropy_value_and_grad(x, label, **given)
        assert not calls
        actual = fs.cross_entropy_value_and_grad(x, label, **given, workers=WORKERS)
        loss = fs.cross_entropy(x, label, **given, workers=WORKERS)
        assert len(calls) == 2
        calls.clear()
        assert_same_bits(np.asarray(actual[0]), np.asarray(expected[0]))
        assert_same_bits(np.asarray(loss), np.asarray(expected[0]))
        assert_same_bits(actual[1], expected[1])
    halves = x.astype(np.float16)
    expected = fs.cross_entropy_value_and_grad(halves, label)
    actual = fs.cross_entropy_value_and_grad(halves, label, workers=WORKERS)
    assert_same_bits(np.asarray(actual[0]), np.asarray(expected[0]))
    assert_same_bits(actual[1], expected[1])


def test_kernels_refuse_what_is_no_row(fs):
    kernels = module(fs, "_target").kernels
    x = np.zeros((1, 3_000, 1))
    row, sums = kernels.begin_loss(x)
    for first, stop in ((-1, 1), (2, 1), (0, 4)):
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.sum_loss_blocks(sums, x, first, stop)
        with pytest.raises(ValueError, match="no such blocks"):
            kernels.write_loss_blocks(row, x, x, first, stop)
    for wrong in (sums[:2].copy(), sums.astype(np.float32), np.zeros((3, 12))[:, ::2]):
        with pytest.raises(ValueError, match="numbers of the row"):
            kernels.sum_loss_blocks(wrong, x, 0, 1)
    with pytest.raises(ValueError, match="several blocks"):
        kernels.sum_loss_blocks(sums[:1], x[:, :1_024], 0, 1)
    for label in (-1, 3_000):
        with pytest.raises(ValueError, match="out of range"):
            kernels.finish_loss(row, sums, x, label, 1.0, 1.0, None)
        with pytest.raises(ValueError, match="out of range"):
            kernels.finish_loss_gradient(row, x, label)
    with pytest.raises(ValueError, match="of a loss"):
        kernels.finish_loss(row[:3], sums, x, 0, 1.0, 1.0, None)
    with pytest.raises(TypeError, match="of its dtype"):
        kernels.write_loss_blocks(row, x, x.astype(np.float32), 0, 1)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="can be written"):
        kernels.finish_loss_gradient(row, x, 0)
