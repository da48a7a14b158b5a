"""The sum of all rows' losses, in the order of the rows, whichever worker is done first."""

from __future__ import annotations

from contextlib import nullcontext
from math import isfinite, isnan, nan
from typing import TYPE_CHECKING

import numpy as np

from ._target import kernels

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ._arguments import Array


class LossSum:
    """Losses of pieces of the rows are added as soon as those before them have been."""

    def __init__(self, workers: int) -> None:
        self._lock: AbstractContextManager[object] = nullcontext()
        if workers > 1:
            from threading import Lock

            self._lock = Lock()
        self._state = np.zeros(2)
        self._next_row = 0
        self._waiting: dict[int, Array] = {}

    def add(self, start: int, losses: Array) -> None:
        """Add the losses of the rows from `start` on; the array may be used again."""
        with self._lock:
            if start != self._next_row:
                self._waiting[start] = losses.copy()
                return
            due: Array | None = losses
            while due is not None:
                kernels.sum_losses(due, self._state)
                self._next_row += len(due)
                due = self._waiting.pop(self._next_row, None)

    @property
    def value(self) -> float:
        """The sum of all."""
        # Beside an infinite sum its rounding error is nan. Of infinities of both signs processors
        # make nans of either sign.
        high, low = self._state.tolist()
        if isnan(high):
            return nan
        return float(high + low if isfinite(high) else high)
