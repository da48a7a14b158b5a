"""Rows of logits to begin with: simple ones, the families of the tests, and special values."""

import families
import numpy as np
from formats import FLOATS, of

# Mostly short, where the kernels have most cases; some beside the powers of two, blocks and boxes.
LENGTHS = (
    *(range(1, 21)),
    *(range(2, 34)),
    *(40, 47, 48, 49, 63, 64, 65, 66, 80, 96, 100, 127, 128, 129),
    *(200, 255, 256, 257, 300, 511, 513, 1_000, 1_023, 1_024, 1_025, 1_100, 2_047, 2_049, 3_000),
    *(4_097, 10_000),
)
LONG = (513, 1_000, 1_025, 2_049, 3_000, 4_097, 6_145, 10_000)
INTEGERS = tuple(np.dtype(kind) for kind in "?bBhHiIqQ")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-40, 1e-310, 1.0, 1e4, -1e4)


def draw_float(choices):
    """A dtype of the kernels, float64 being the simplest."""
    return choices.pick([FLOATS[2], FLOATS[1], FLOATS[1], FLOATS[0], *FLOATS[3:]]).dtype


def draw_partner(choices, dtype):
    """A dtype that promotes with another one: the two halves have no common dtype."""
    partner = draw_float(choices)
    return partner if partner.itemsize > 2 or dtype.itemsize > 2 else dtype


def draw_shape(choices):
    """How many rows there are to choose from, and of which length."""
    n = choices.pick(LONG if choices.once_in(8) else LENGTHS)
    return 1 + choices.draw(max(min(16, 20_000 // n), 1)), n


def draw_rows(choices, shape, dtype, chosen=families.ALL):
    """Rows of a float dtype with finite maxima."""
    fitting = [family for family in chosen if families.fits(family, dtype)]
    family, seed = choices.draw(len(fitting) + 1), choices.draw(1 << 20)
    if family == 0:
        x = (np.arange(shape[0])[:, None] * 3 + np.arange(shape[1]) * 7) % 5 - 2.0
    else:
        x = fitting[family - 1](np.random.default_rng(seed), shape, of(dtype))
        if not choices.draw(4):
            x = np.where(np.isfinite(x), np.rint(np.clip(x, -1e9, 1e9)), x)
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(np.asarray(x).astype(dtype))


def draw_integers(choices, shape, dtype):
    """Rows of integers or bool, of ordinary size or of any."""
    rng = np.random.default_rng(choices.draw(1 << 20))
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    low, high = max(info.min, -50), min(info.max, 50)
    if choices.once_in(4):
        low, high = info.min, info.max
    return rng.integers(low, high, shape, dtype, endpoint=True)


def sprinkle(choices, x):
    """Overwrite some elements with infinities, nans, zeros and subnormal numbers."""
    rng = np.random.default_rng(choices.draw(1 << 20))
    for row in range(0, len(x), 1 + choices.draw(3)):
        places = rng.integers(0, x.shape[1], 1 + choices.draw(3))
        with np.errstate(all="ignore"):
            x[row, places] = np.array(rng.choice(SPECIAL, len(places))).astype(x.dtype)
        if not choices.draw(8):
            x[row] = np.array(choices.pick([-np.inf, np.inf, np.nan]), x.dtype)
    return x


def draw_mask(choices, shape):
    """Which elements take part; some rows have none."""
    rng = np.random.default_rng(choices.draw(1 << 20))
    mask = rng.random(shape) < choices.pick([0.9, 0.5, 0.1])
    if choices.draw(2):
        mask[:: 1 + choices.draw(4)] = choices.draw(2)
    return mask
