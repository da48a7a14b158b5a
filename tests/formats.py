"""The binary floating-point formats that the kernels know, and the errors promised in each."""

import functools
from typing import NamedTuple

import numpy as np

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


class Format(NamedTuple):
    """`digits` is the number of significant bits, `lowest` the smallest normal exponent."""

    dtype: np.dtype
    digits: int
    lowest: int
    largest: float
    ulp_limit: float

    @property
    def name(self):
        return self.dtype.name

    @property
    def bits(self):
        """The unsigned integer dtype as wide as the format."""
        return np.dtype(f"u{self.dtype.itemsize}")

    @property
    def tiny(self):
        """The smallest normal number."""
        return 2.0**self.lowest


FLOATS = [
    Format(np.dtype(np.float16), 11, -14, 65504.0, 1),
    Format(np.dtype(np.float32), 24, -126, float(np.finfo(np.float32).max), 3),
    Format(np.dtype(np.float64), 53, -1022, float(np.finfo(np.float64).max), 5),
]
if ml_dtypes is not None:
    largest = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
    FLOATS.append(Format(np.dtype(ml_dtypes.bfloat16), 8, -126, largest, 1))


@functools.cache
def of(dtype) -> Format:
    """The format of a dtype, in any byte order."""
    name = np.dtype(dtype).name
    return next(f for f in FLOATS if f.name == name)


def bits(array):
    """The array's values as native unsigned integers, so that equal means the same bits."""
    array = np.asarray(array)
    native = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False)
    return native.view(of(array.dtype).bits).reshape(array.shape)


def assert_same_bits(actual, expected):
    """Same shape, same dtype (byte order aside), same bits, signs of zeros and nans included."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype.name == expected.dtype.name
    assert actual.shape == expected.shape
    different = bits(actual) != bits(expected)
    assert not different.any(), (
        f"{different.sum()} of {different.size} differ, first at "
        f"{tuple(np.argwhere(different)[0].tolist())}: "
        f"{actual[different][:1]} for {expected[different][:1]}"
    )
