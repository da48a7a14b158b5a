"""Rows whose bits will never change, whoever makes them, and on whatever machine.

(a) Random words are SplitMix64's, a few lines of integer arithmetic; NumPy's distributions may
    change between releases, and its exp and log between processors.
(b) A value is an integer of no more bits than the format has digits, times a power of two. So
    every conversion on the way is exact, and float16 and bfloat16 get values of their own.
(c) A family is hard in one way. The rows of a block are of one family, so that kernels that look at
    several rows at once meet them among their like; other places are the business of `places`.
"""

import numpy as np

_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def _mixed(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Stream:
    """Random words, the same for the same names."""

    def __init__(self, *names):
        self._state = 0
        for byte in "/".join(map(str, names)).encode():
            self._state = ((self._state ^ byte) * 0x100000001B3 + _STEP) & _MASK

    def words(self, shape):
        """64 random bits for each element."""
        count = int(np.prod(shape, dtype=np.int64))
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP)
        words = _mixed(steps + np.uint64(self._state))
        self._state = (self._state + count * _STEP + 1) & _MASK
        return words.reshape(shape)

    def below(self, stop, shape):
        """Integers from 0 to below `stop`; not quite evenly, which nothing here depends on."""
        return (self.words(shape) >> np.uint64(11)).astype(np.int64) % stop

    def signed(self, bits, shape):
        """Integers of this many bits and a sign."""
        return self.below(1 << (bits + 1), shape) - (1 << bits)


def _scaled(integers, exponent, form):
    """integers * 2**exponent in the format, exactly."""
    scale = np.ldexp(1.0, exponent)
    with np.errstate(all="ignore"):
        return (integers.astype(np.float64) * scale).astype(form.dtype)


def uniform(stream, shape, form, exponent=3):
    """From -2**exponent to below 2**exponent."""
    digits = form.digits - 1
    return _scaled(stream.signed(digits, shape), exponent - digits, form)


def fractions(stream, shape, form):
    """From 0 to below 1."""
    digits = form.digits - 1
    return _scaled(stream.below(1 << digits, shape), -digits, form)


def wide(stream, shape, form):
    return uniform(stream, shape, form, 6)


def very_wide(stream, shape, form):
    """Far enough apart for results of 0, in float32 at least."""
    return uniform(stream, shape, form, 9)


def offset(stream, shape, form):
    """Offsets of many sizes, with differences the format can still hold there."""
    rows = (shape[0], 1)
    sign = 2 * stream.below(2, rows) - 1
    exponent = stream.below(12, rows) - 8
    integers = sign * ((1 << (form.digits - 1)) + stream.below(64, shape))
    with np.errstate(all="ignore"):
        return (integers.astype(np.float64) * np.ldexp(1.0, exponent)).astype(form.dtype)


def dominant(stream, shape, form):
    """One element so far above that the logarithm of its share is near 0."""
    x = uniform(stream, shape, form)
    digits = form.digits - 1
    top = (1 << (digits - 1)) + stream.below(1 << (digits - 1), shape[:1])
    place = stream.below(shape[1], shape[:1])
    x[np.arange(shape[0]), place] = _scaled(top, 6 - digits, form)
    return x


def ties(stream, shape, form):
    """Few different values, zeros of both signs among them."""
    x = _scaled(stream.below(4, shape) - 2, 0, form)
    x[stream.below(4, shape) == 0] = -0.0
    return x


def equal(stream, shape, form):
    return np.repeat(uniform(stream, (shape[0], 1), form, 5), shape[1], axis=1)


def ramp(stream, shape, form):
    """Ascending rows, and descending ones: the maximum moves all the time, or never."""
    x = np.sort(uniform(stream, shape, form, 5), axis=1)
    x[1::2] = x[1::2, ::-1]
    return x


def tiny_results(stream, shape, form):
    """Most results lie below the smallest normal number, or just above."""
    nearest, width = {"float16": (8, 9), "float64": (700, 46)}.get(form.name, (86, 18))
    fraction = form.digits - 1 - (nearest + width).bit_length()
    x = _scaled(-(stream.below(width << fraction, shape) + (nearest << fraction)), -fraction, form)
    place = stream.below(shape[1], shape[:1])
    x[np.arange(shape[0]), place] = uniform(stream, shape[:1], form, -1)
    return x


def any_bits(stream, shape, form):
    """Any finite number, every exponent equally likely."""
    bits = form.dtype.itemsize * 8
    words = (stream.words(shape) >> np.uint64(64 - bits)).astype(form.bits)
    exponent = form.bits.type(((1 << (bits - form.digits)) - 1) << (form.digits - 1))
    not_finite = (words & exponent) == exponent
    words[not_finite] ^= form.bits.type(1 << (form.digits - 1))
    return words.view(form.dtype)


def specials(stream, shape, form):
    """Infinities, nans of any payload, zeros, and the ends of the range, one or two kinds a row."""
    bits = form.dtype.itemsize * 8
    sign, one = 1 << (bits - 1), 1 << (form.digits - 1)
    infinite = sign - one
    patterns = (infinite, infinite | sign, infinite + 1, infinite | sign | 5, sign - 1, 0, sign)
    patterns += (infinite - 1, sign | (infinite - 1), one, 1, sign | 1, sign | one)
    menu = np.array(patterns, np.uint64).astype(form.bits)
    two = menu[stream.below(len(menu), (shape[0], 2))]
    x = uniform(stream, shape, form).view(form.bits)
    choice = stream.below(16, shape)
    for kind in range(2):
        np.copyto(x, two[:, kind : kind + 1], where=choice == kind)
    return x.view(form.dtype)


FAMILIES = (
    uniform,
    wide,
    very_wide,
    offset,
    dominant,
    ties,
    equal,
    ramp,
    tiny_results,
    any_bits,
    specials,
)
# Of these the saved result of a forward call is not computed, but as wild as the logits.
WILD = (any_bits, specials)
