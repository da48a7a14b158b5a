"""All options of cross-entropy as coefficients of its kernel.

A row's loss is total * L + sum(dense * (max - x)) + at_target * (max - x[label]), L being the
logarithm of sum(exp(x - max)), and its gradient total * p - dense - at_target * [class is label].
With index targets

    at_target = (1 - smoothing) * weight[label] * scale
    dense     = smoothing / n * weight * scale
    total     = at_target + sum(dense)
    scale     = sample_weight / normalizer

and with probabilities at_target is 0 and

    dense     = ((1 - smoothing) * probability + smoothing / n) * weight * scale

(a) The normalizer is 1 but for the mean: there it is the sum of weight[label] * sample_weight over
    the rows that are not ignored, and for probabilities the sum of sample_weight alone.
(b) Coefficients are made for a piece of the rows at a time. Dense ones are rounded to the kernel's
    dtype before they are summed, so that the elements of a row's gradient sum to 0.
(c) A row without any coefficient is left out like an ignored one: nothing it holds counts.
(d) A coefficient of 0 stays 0 when the normalizer is 0, too.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._layout import row_pieces
from ._target import kernels
from ._targets import IGNORED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._arguments import Array, DType

    Part = tuple[Any, ...]


# How many rows a piece has at most.
ROWS = 1 << 12


class Piece(NamedTuple):
    """What the kernel takes beside the logits of some rows."""

    labels: Array | None
    dense: Array | None
    at_target: Array
    total: Array


class Options(NamedTuple):
    """The options that become coefficients."""

    weight: Array | None
    sample_weight: Array | None
    smoothing: float
    is_mean: bool


def _over(values: Array, normalizer: float) -> Array:
    """values / normalizer, and 0 where a value is 0."""
    if normalizer == 1:
        return values
    quotients: Array = values / normalizer
    quotients[values == 0] = 0
    return quotients


def _flat(sample_weight: Array, part: Part) -> Array:
    """The weights of a piece's rows, flat and in float64."""
    return sample_weight[part].astype(np.float64).reshape(-1)


def _sum_of_weights(pieces: Iterable[Array]) -> float:
    """The sum in the order of the rows, however they are cut into pieces."""
    state = np.zeros(2)
    for piece in pieces:
        kernels.sum_losses(piece, state)
    return float(state[0] + state[1])


def _row_sums(dense: Array) -> Array:
    sums: Array = dense.astype(np.float64, copy=False).sum(axis=1)
    return sums


def _leave_out_empty(piece: Piece) -> Piece:
    """Mark the rows that have neither a dense coefficient nor one at the target."""
    labels, dense, at_target, total = piece
    empty = (total == 0) & (at_target == 0)
    if dense is None or not empty.any():
        return piece
    empty &= ~dense.any(axis=1)
    labels = np.where(empty, IGNORED, 0 if labels is None else labels)
    return Piece(labels, dense, at_target, total)


class OfLabels:
    """The coefficients for index targets."""

    def __init__(
        self, labels: Array, rows: tuple[int, ...], n: int, dtype: DType, options: Options
    ) -> None:
        self._labels = labels
        self._dtype = dtype
        self._weight = options.weight
        self._sample_weight = options.sample_weight
        self.normalizer = 1.0
        if options.is_mean:
            self.normalizer = _sum_of_weights(
                self._weights(*piece) for piece in row_pieces(rows, ROWS)
            )

        smoothing = options.smoothing
        weight = np.ones(n if smoothing else 1) if options.weight is None else options.weight
        if options.sample_weight is None:
            weight = _over(weight, self.normalizer)
        self._at_target = (1 - smoothing) * weight
        self._dense: Array | None = None
        if smoothing and weight.any():
            self._dense = (smoothing / n * weight)[np.newaxis]
            if options.sample_weight is None:
                self._dense = self._dense.astype(dtype)
        self.has_dense_rows = self._dense is not None and options.sample_weight is not None

    def _weights(self, start: int, stop: int, part: Part) -> Array:
        """What the rows of a piece add to the normalizer."""
        labels = self._labels[start:stop]
        weights = np.ones(1) if self._weight is None else self._weight
        weights = weights.take(labels, mode="clip")
        if self._sample_weight is not None:
            weights *= _flat(self._sample_weight, part)
        weights[labels == IGNORED] = 0
        return weights

    def piece(self, start: int, stop: int, part: Part) -> Piece:
        """The coefficients of the rows from start to stop, which `part` indexes."""
        labels = self._labels[start:stop]
        at_target = self._at_target.take(labels, mode="clip")
        dense = self._dense
        if self._sample_weight is None:
            total = at_target if dense is None else at_target + _row_sums(dense)
            return Piece(labels, dense, at_target, total)
        scale = _over(_flat(self._sample_weight, part), self.normalizer)
        at_target *= scale
        if dense is None:
            return Piece(labels, None, at_target, at_target)
        dense = (dense * scale[:, np.newaxis]).astype(self._dtype, copy=False)
        return _leave_out_empty(Piece(labels, dense, at_target, at_target + _row_sums(dense)))


class OfProbabilities:
    """The coefficients for probabilities, which are an array (..., n) with the rows in front."""

    has_dense_rows = True

    def __init__(self, probabilities: Array, dtype: DType, options: Options) -> None:
        self._probabilities = probabilities
        self._dtype = dtype
        self._options = options
        rows = probabilities.shape[:-1]
        self.normalizer = 1.0
        if options.is_mean:
            weight = options.sample_weight
            self.normalizer = float(prod(rows))
            if weight is not None:
                self.normalizer = _sum_of_weights(
                    _flat(weight, part) for _, _, part in row_pieces(rows, ROWS)
                )

    def piece(self, start: int, stop: int, part: Part) -> Piece:
        """The coefficients of the rows from start to stop, which `part` indexes."""
        weight, sample_weight, smoothing, _ = self._options
        n = self._probabilities.shape[-1]
        block = self._probabilities[part].astype(np.float64, order="C").reshape(-1, n)
        if smoothing:
            block *= 1 - smoothing
            block += smoothing / n
        if weight is not None:
            block *= weight
        if sample_weight is None:
            block /= self.normalizer
        else:
            scale = _over(_flat(sample_weight, part), self.normalizer)[:, np.newaxis]
            block *= scale
            np.copyto(block, 0, where=scale == 0)
        dense = block.astype(self._dtype, copy=False)
        at_target = np.zeros(stop - start)
        return _leave_out_empty(Piece(None, dense, at_target, _row_sums(dense)))
