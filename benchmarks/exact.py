"""Softmax in long double, in the parts that every reference is made of.

Where long double is no wider than float64 (MSVC, some arm64), errors of float64 results are not
reported.
"""

from typing import NamedTuple

import numpy as np


class Parts(NamedTuple):
    """Of each slice; the sum of the exponentials is ``1 + rest``."""

    shifted: np.ndarray  # the logits with their maximum taken off
    peak: np.ndarray  # the maximum, with the axis kept
    terms: np.ndarray  # the exponentials, but 0 in the maximum's own place
    rest: np.ndarray  # their sum, with the axis kept


def parts(x: np.ndarray, axis: int | None) -> Parts:
    """Take the logits apart.

    The peak's own term is left out and not subtracted: near 1, that would cost all the digits.
    """
    wide = x.astype(np.longdouble)
    peak = wide.max(axis=axis, keepdims=True)
    shifted = wide - peak
    terms = np.exp(shifted)
    place = np.expand_dims(np.argmax(x, axis=axis), () if axis is None else axis)
    if axis is None:
        terms.flat[place] = 0
    else:
        np.put_along_axis(terms, place, 0, axis=axis)
    return Parts(shifted, peak, terms, terms.sum(axis=axis, keepdims=True))


def softmax(x: np.ndarray, axis: int | None) -> np.ndarray:
    shifted, _, _, rest = parts(x, axis)
    return np.exp(shifted) / (1 + rest)


def log_softmax(x: np.ndarray, axis: int | None) -> np.ndarray:
    shifted, _, _, rest = parts(x, axis)
    return shifted - np.log1p(rest)


def logsumexp(x: np.ndarray, axis: int | None) -> np.ndarray:
    _, peak, _, rest = parts(x, axis)
    return (peak + np.log1p(rest)).squeeze(axis)
