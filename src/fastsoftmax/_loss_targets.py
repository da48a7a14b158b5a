"""The targets of cross-entropy: class indices, checked and copied, or probabilities.

(a) Which of the two is meant follows from the shape: probabilities have that of the logits,
    indices that without the axis of classes. The dtype has to agree, so that a missing axis is an
    error and not a loss.
(b) Labels are copied first and checked in the copy, piece by piece: nobody can change what was
    checked, and a row costs 8 bytes.
(c) In the copy, -1 stands for a row that is left out: its label is `ignore_index` or masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import settle_array
from ._layout import BOX, row_pieces
from ._loss_options import fill_masked

if TYPE_CHECKING:
    from ._arguments import Array, Mask

IGNORED = -1
_WORD = 1 << 64  # how many values an integer of 64 bits has


def settle_targets(
    targets: Any, shape: tuple[int, ...], axis: int, ignore_index: int | None
) -> tuple[Array, bool]:
    """The labels, flat and checked, and True; or the probabilities, and False."""
    array, valid = settle_array(targets, "targets")
    rows = shape[:axis] + shape[axis + 1 :]
    kind = array.dtype.kind
    if array.shape == shape:
        if kind not in "fV":
            raise TypeError(
                f"targets of the logits' shape {shape} are probabilities and must be "
                f"floating-point, not {array.dtype}"
            )
        if ignore_index is not None:
            raise ValueError("ignore_index has no meaning for targets that are probabilities")
        return array if valid is None else fill_masked(array, valid, 0), False
    if array.shape != rows:
        raise ValueError(
            f"targets have shape {array.shape}; for logits of shape {shape}, class indices have "
            f"{rows} and probabilities {shape}"
        )
    if array.size == 0 and array is not targets and not isinstance(targets, np.ndarray):
        # An empty list becomes an array of float64.
        array = array.astype(np.int64)
    elif kind not in "iu":
        raise TypeError(
            f"targets of shape {rows} are class indices and must be integers, not {array.dtype}"
        )
    return _copy_labels(array, valid, shape[axis], ignore_index), True


def _as_signed(ignore_index: int | None, unsigned: bool) -> int | None:
    """What labels that are to be ignored are in a copy of 64 bits; None if no label can be."""
    if ignore_index is None:
        return None
    lowest = 0 if unsigned else -_WORD // 2
    if not lowest <= ignore_index < lowest + _WORD:
        return None
    return ignore_index if ignore_index < _WORD // 2 else ignore_index - _WORD


def _copy_labels(targets: Array, valid: Mask | None, n: int, ignore_index: int | None) -> Array:
    """A flat int64 copy of the labels, in index order."""
    labels = np.empty(targets.shape, np.int64)
    ignored = _as_signed(ignore_index, targets.dtype.kind == "u")
    for start, _, part in row_pieces(targets.shape, BOX):
        piece = labels[part]
        np.copyto(piece, targets[part], casting="unsafe")
        out_of_range = piece.view(np.uint64) >= n
        if ignored is not None:
            left_out = piece == ignored
            out_of_range &= ~left_out
            piece[left_out] = IGNORED
        if valid is not None:
            out_of_range &= valid[part]
            piece[~valid[part]] = IGNORED
        if np.count_nonzero(out_of_range):  # faster than any()
            _refuse(targets, piece, start, int(out_of_range.argmax()), n)
    return labels.reshape(-1)


def _refuse(targets: Array, piece: Array, start: int, first: int, n: int) -> None:
    """Name the first label out of range."""
    label = int(piece.flat[first])
    if label < 0 and targets.dtype.kind == "u":
        label += _WORD
    position = ", ".join(str(i) for i in np.unravel_index(start + first, targets.shape))
    where = f"targets[{position}]" if position else "targets"
    raise ValueError(f"label {label} of {where} is no class index: it must lie in [0, {n})")
