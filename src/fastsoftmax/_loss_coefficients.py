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
(b) Coefficients are made for a piece of the rows at a time, and dense ones for some of the classes
    at a time, so that no array in float64 is as long as a row. They are rounded to the kernel's
    dtype before they are summed: the elements of a row's gradient then sum to 0.
(c) A row without any coefficient is left out like an ignored one: nothing it holds counts.
(d) A coefficient of 0 stays 0 when the normalizer is 0, too.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._layout import BOX, row_pieces
from ._loss_targets import IGNORED
from ._packing import room
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._arguments import Array, DType

    Part = tuple[Any, ...]


# How many rows a piece has at most.
ROWS = 1 << 12

# The scratch block of the dense coefficients; what uses the scratch beside numbers from 0.
DENSE = -1

# How many classes a block in float64 has at most.
COLUMNS = 1 << 13


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


def _sum_in_order(pieces: Iterable[Array]) -> float:
    """The sum in the order of the rows, however they are cut into pieces."""
    state = np.zeros(2)
    for piece in pieces:
        kernels.sum_losses(piece, state)
    return float(state[0] + state[1])


def _fill_dense(dense: Array, of_columns: Callable[[slice], Array]) -> Array:
    """Store coefficients (rows, n), some columns at a time, and return the sums of the rows."""
    sums = np.empty(len(dense))
    for start in range(0, dense.shape[1], COLUMNS):
        columns = slice(start, start + COLUMNS)
        dense[:, columns] = of_columns(columns)
    kernels.sum_rows(dense, sums)
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
        self._n = n
        self._dtype = dtype
        self._weight, self._sample_weight, smoothing, is_mean = options
        # With one class there is nothing to spread.
        self._smoothing = smoothing if n > 1 else 0.0
        self.normalizer = 1.0
        if is_mean:
            self.normalizer = self._sum_of_weights(rows)
        self.has_dense_rows = bool(self._smoothing) and self._sample_weight is not None
        self._shared: tuple[Array, Array] | None = None
        if self._smoothing and self._sample_weight is None:
            dense = np.empty((1, n), dtype)
            sums = _fill_dense(dense, lambda columns: _over(self._spread(columns), self.normalizer))
            self._shared = dense, sums

    def _class_weights(self, labels: Array) -> Array:
        """The weights of the rows' classes; some weight where there is no class."""
        if self._weight is None:
            return np.ones(len(labels))
        return self._weight.take(labels, mode="clip").astype(np.float64)

    def _sum_of_weights(self, rows: tuple[int, ...]) -> float:
        """The weights of all rows that are not ignored."""
        if self._weight is None and self._sample_weight is None:
            starts = range(0, len(self._labels), BOX)
            pieces = (self._labels[start : start + BOX] for start in starts)
            return float(sum(np.count_nonzero(piece != IGNORED) for piece in pieces))
        return _sum_in_order(self._normalizing_weights(*each) for each in row_pieces(rows, ROWS))

    def _normalizing_weights(self, start: int, stop: int, part: Part) -> Array:
        """What the rows of a piece add to the normalizer."""
        labels = self._labels[start:stop]
        weights = self._class_weights(labels)
        if self._sample_weight is not None:
            weights *= _flat(self._sample_weight, part)
        weights[labels == IGNORED] = 0
        return weights

    def _spread(self, columns: slice) -> Array:
        """What label smoothing gives some of the classes, in a row of scale 1."""
        if self._weight is None:
            return np.full(len(range(*columns.indices(self._n))), self._smoothing / self._n)
        return self._smoothing / self._n * self._weight[columns].astype(np.float64)

    def piece(self, start: int, stop: int, part: Part, scratch: dict[int, Array]) -> Piece:
        """The coefficients of the rows from start to stop, which `part` indexes."""
        labels = self._labels[start:stop]
        if self._weight is None and self._sample_weight is None and self._shared is None:
            at_target = np.full(len(labels), 1 / (self.normalizer or 1))
            return Piece(labels, None, at_target, at_target)
        at_target = (1 - self._smoothing) * self._class_weights(labels)
        if self._sample_weight is None:
            at_target = _over(at_target, self.normalizer)
            if self._shared is None:
                return Piece(labels, None, at_target, at_target)
            dense, sums = self._shared
            return Piece(labels, dense, at_target, at_target + sums)
        scale = _over(_flat(self._sample_weight, part), self.normalizer)
        at_target *= scale
        if not self._smoothing:
            return Piece(labels, None, at_target, at_target)
        dense = room(scratch, DENSE, (stop - start, self._n), self._dtype)
        sums = _fill_dense(dense, lambda columns: np.outer(scale, self._spread(columns)))
        return _leave_out_empty(Piece(labels, dense, at_target, at_target + sums))


class OfProbabilities:
    """The coefficients for probabilities, an array (..., n) with the rows in front."""

    has_dense_rows = True

    def __init__(self, probabilities: Array, dtype: DType, options: Options) -> None:
        self._probabilities = probabilities
        self._dtype = dtype
        self._weight, self._sample_weight, self._smoothing, is_mean = options
        rows = probabilities.shape[:-1]
        self.normalizer = 1.0
        if is_mean:
            self.normalizer = float(prod(rows))
            weight = self._sample_weight
            if weight is not None:
                pieces = row_pieces(rows, ROWS)
                self.normalizer = _sum_in_order(_flat(weight, part) for _, _, part in pieces)

    def _terms(self, probabilities: Array, columns: slice) -> Array:
        """Coefficients of some classes in rows of scale 1."""
        n = probabilities.shape[-1]
        block = probabilities[..., columns].astype(np.float64, order="C")
        if self._smoothing:
            block *= 1 - self._smoothing
            block += self._smoothing / n
        if self._weight is not None:
            block *= self._weight[columns]
        return block.reshape(-1, block.shape[-1])

    def piece(self, start: int, stop: int, part: Part, scratch: dict[int, Array]) -> Piece:
        """The coefficients of the rows from start to stop, which `part` indexes."""
        probabilities = self._probabilities[part]
        rows, n = stop - start, probabilities.shape[-1]
        if self._sample_weight is None:
            scale = _over(np.ones((rows, 1)), self.normalizer)
        else:
            scale = _over(_flat(self._sample_weight, part), self.normalizer)[:, np.newaxis]

        def of_columns(columns: slice) -> Array:
            block = self._terms(probabilities, columns)
            block *= scale
            np.copyto(block, 0, where=scale == 0)
            return block

        dense = room(scratch, DENSE, (rows, n), self._dtype)
        sums = _fill_dense(dense, of_columns)
        return _leave_out_empty(Piece(None, dense, np.zeros(rows), sums))
