"""The options of cross-entropy, each understood or refused before anything is written."""

from __future__ import annotations

from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import check_shape, settle_array, settle_axes

if TYPE_CHECKING:
    from ._arguments import Array, Mask

REDUCTIONS = ("none", "mean", "sum")


def settle_reduction(reduction: Any) -> str:
    """One of `REDUCTIONS`."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    return reduction


def settle_class_axis(axis: Any, shape: tuple[int, ...]) -> int:
    """The axis of the classes, of which there is at least one."""
    if axis is None or isinstance(axis, tuple):
        raise TypeError(f"axis must be an integer, not {axis!r}")
    axes = settle_axes(axis, len(shape))
    if not axes:
        raise ValueError("logits must have an axis of classes, and are a scalar")
    if shape[axes[0]] == 0:
        raise ValueError(f"logits of shape {shape} have no classes along axis {axes[0]}")
    return axes[0]


def settle_label_smoothing(label_smoothing: Any) -> float:
    """A number from 0 to 1."""
    if not isinstance(label_smoothing, Real):
        raise TypeError(f"label_smoothing must be a real number, not {label_smoothing!r}")
    smoothing = float(label_smoothing)
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"label_smoothing must lie in [0, 1], not be {label_smoothing}")
    return smoothing


def settle_ignore_index(ignore_index: Any) -> int | None:
    """An integer of any size, or None."""
    if ignore_index is None:
        return None
    if not isinstance(ignore_index, bool | np.bool_):
        try:
            return index(ignore_index)
        except TypeError:
            pass
    raise TypeError(f"ignore_index must be an integer or None, not {ignore_index!r}")


def settle_without_mask(x: Any, name: str, fill: float) -> Array:
    """The plain array of real numbers in x, `fill` where it is masked."""
    array, valid = settle_array(x, name)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    return array if valid is None else fill_masked(array, valid, fill)


def fill_masked(array: Array, valid: Mask, fill: float) -> Array:
    """A copy of the array with `fill` where it is not valid."""
    return np.where(valid, array, array.dtype.type(fill))


def settle_class_weight(weight: Any, n: int) -> Array | None:
    """The classes' weights, finite and not negative; None if all are 1."""
    if weight is None:
        return None
    weights = settle_without_mask(weight, "weight", 0)
    check_shape("weight", weights.shape, "a row of logits", (n,))
    right = np.isfinite(weights)
    right &= weights >= 0
    if not right.all():
        first = int(right.argmin())
        raise ValueError(f"weight[{first}] is {weights[first]}; it must be finite and not negative")
    return weights


def settle_sample_weight(sample_weight: Any, rows: tuple[int, ...]) -> Array | None:
    """The rows' weights, of any sign; None if all are 1."""
    if sample_weight is None:
        return None
    weights = settle_without_mask(sample_weight, "sample_weight", 0)
    check_shape("sample_weight", weights.shape, "logits without the axis of classes", rows)
    return weights
