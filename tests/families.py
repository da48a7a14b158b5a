"""Families of rows that are hard in different ways, for the measurement of errors.

Each function takes a generator, a shape and a format and returns logits of that shape in float64;
`rows` rounds them to the dtype. All rows have a finite maximum.
"""

import functools
import math

import numpy as np
from formats import of

LENGTHS = (*range(1, 301), 1_000, 4_097, 100_003)
SHORT_LENGTHS = (*range(1, 34), 300)


def normal(rng, shape, form):
    return rng.standard_normal(shape)


def ten_normal(rng, shape, form):
    return 10 * rng.standard_normal(shape)


def uniform_40(rng, shape, form):
    return rng.uniform(-40, 40, shape)


def uniform_300(rng, shape, form):
    return rng.uniform(-300, 300, shape)


def offset_1e4(rng, shape, form):
    return 1e4 + 5 * rng.standard_normal(shape)


def offset_minus_1e4(rng, shape, form):
    return -1e4 + 5 * rng.standard_normal(shape)


def offset_1e6(rng, shape, form):
    return 1e6 + 20 * rng.standard_normal(shape)


def offset_of_any_size(rng, shape, form):
    """Offsets of every size and sign, with differences that the format can still hold there."""
    offset = 2.0 ** rng.uniform(10, 60, (shape[0], 1)) * rng.choice([-1, 1], (shape[0], 1))
    step = abs(offset) * 2.0 ** (1 - form.digits)
    return offset + np.maximum(step, 1 / 8) * rng.integers(-40, 40, shape)


def one_dominant(rng, shape, form):
    """One element so far above that log_softmax of it is near 0."""
    x = rng.standard_normal(shape)
    x[:, rng.integers(shape[1])] += rng.uniform(10, 80)
    return x


def all_equal(rng, shape, form):
    return np.broadcast_to(rng.uniform(-50, 50, (shape[0], 1)), shape)


def ascending(rng, shape, form):
    return np.sort(rng.uniform(-30, 10, shape), axis=-1)


def descending(rng, shape, form):
    return ascending(rng, shape, form)[:, ::-1]


def half_minus_infinity(rng, shape, form):
    x = rng.standard_normal(shape)
    x[:, rng.permutation(shape[1])[: shape[1] // 2]] = -np.inf
    return x


def subnormal_results(rng, shape, form):
    """All but the first element have results below, or just above, the smallest normal number."""
    tiny, smallest = form.lowest * math.log(2), (form.lowest - form.digits) * math.log(2)
    x = rng.uniform(smallest - 1, tiny + 2, shape)
    x[:, 0] = rng.uniform(-1, 1, shape[0])
    return x - x[:, :1] * rng.integers(0, 2, (shape[0], 1))


def halves_of_ln2(rng, shape, form):
    """Where the rounding to a multiple of ln 2 is nearly a tie."""
    return (rng.integers(-40, 40, shape) + 0.5) * math.log(2)


def any_finite_bits(rng, shape, form):
    """Every exponent is equally likely; most rows have one enormous maximum."""
    exponent = rng.uniform(-30, min(math.log2(form.largest), 1023) - 1, shape)
    return 2.0**exponent * rng.choice([-1, 1], shape)


ALL = (
    normal,
    ten_normal,
    uniform_40,
    uniform_300,
    offset_1e4,
    offset_minus_1e4,
    offset_1e6,
    offset_of_any_size,
    one_dominant,
    all_equal,
    ascending,
    descending,
    half_minus_infinity,
    subnormal_results,
    halves_of_ln2,
    any_finite_bits,
)


def fits(family, dtype) -> bool:
    """Whether the family stays within the dtype's range and says something about it."""
    form = of(dtype)
    if form.name == "float16":
        return family not in (offset_1e6, offset_of_any_size, uniform_300)
    return family is not uniform_300 or form.name == "float64"


@functools.cache
def rows(family, dtype, lengths=LENGTHS):
    """Blocks of rows, one block per length."""
    form = of(dtype)
    rng = np.random.default_rng(ALL.index(family))
    counts = [4 if n <= 1_000 else 1 for n in lengths]
    blocks = [family(rng, (count, n), form) for count, n in zip(counts, lengths, strict=True)]
    return [np.ascontiguousarray(block.astype(form.dtype)) for block in blocks]
