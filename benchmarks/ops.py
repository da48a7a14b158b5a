"""The operations: their inputs, and what exact arithmetic makes of them.

(a) A reference returns the exact value and the magnitude whose ULP the error is counted in. For
    most results that is the value itself; where a sum cancels, it is what the documentation bounds.
(b) References run in longdouble. Where that is no wider than float64 (MSVC, some arm64), errors of
    float64 results are not reported.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Inputs = dict[str, np.ndarray]
Reference = Callable[[Inputs, int | None], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Op:
    """An operation on arrays of one shape."""

    inputs: Callable[[np.ndarray, int | None], Inputs]  # made from logits
    reference: Reference
    reduces: bool = False  # the result lacks the axis

    def result_shape(self, shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
        if not self.reduces:
            return shape
        if axis is None:
            return ()
        kept = list(shape)
        del kept[axis]
        return tuple(kept)


def _logits_alone(logits: np.ndarray, axis: int | None) -> Inputs:
    return {"x": logits}


def _shifted(x: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wide logits with their maximum taken off; the maximum; the sum of the other exponentials."""
    wide = x.astype(np.longdouble)
    peak = wide.max(axis=axis, keepdims=True)
    shifted = wide - peak
    terms = np.exp(shifted)
    # The peak's own term is left out and not subtracted: near 1, that would cost all the digits.
    peaks_place = np.expand_dims(np.argmax(x, axis=axis), () if axis is None else axis)
    if axis is None:
        terms.flat[peaks_place] = 0
    else:
        np.put_along_axis(terms, peaks_place, 0, axis=axis)
    return shifted, peak, terms.sum(axis=axis, keepdims=True)


def _softmax(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    shifted, _, rest = _shifted(inputs["x"], axis)
    exact = np.exp(shifted) / (1 + rest)
    return exact, exact


def _log_softmax(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    shifted, _, rest = _shifted(inputs["x"], axis)
    exact = shifted - np.log1p(rest)
    return exact, exact


def _logsumexp(inputs: Inputs, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    _, peak, rest = _shifted(inputs["x"], axis)
    exact = (peak + np.log1p(rest)).squeeze(axis)
    return exact, np.maximum(np.abs(exact), np.abs(peak.squeeze(axis)))


OPS = {
    "softmax": Op(_logits_alone, _softmax),
    "log_softmax": Op(_logits_alone, _log_softmax),
    "logsumexp": Op(_logits_alone, _logsumexp, reduces=True),
}
