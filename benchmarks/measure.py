"""Timing in pairs: ours, other, ours, other, ...

A shared machine changes its speed from one second to the next, and both halves of a pair see the
same speed. So the ratio of each pair is taken first and the median of the ratios after, never the
ratio of two separate medians.
"""

from dataclasses import dataclass
from timeit import Timer

import numpy as np

from .call import Call
from .clock import frequency


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int  # pairs
    sample: float  # seconds that one half of a pair should last, by repeating short calls
    budget: float  # seconds for all pairs; long calls get fewer of them, at least `MIN_ROUNDS`


FULL = Effort(rounds=21, sample=2e-3, budget=3.0)
QUICK = Effort(rounds=7, sample=5e-4, budget=0.5)
MIN_ROUNDS = 5


@dataclass(frozen=True)
class Pairs:
    """Seconds per call of both, pair by pair, and the clock frequency beside each pair."""

    ours: np.ndarray
    other: np.ndarray
    hertz: np.ndarray | None

    @property
    def ratios(self) -> np.ndarray:
        """How many times faster ours was."""
        return self.other / self.ours


def _repetitions(timer: Timer, sample: float) -> tuple[int, float]:
    """How often to repeat a call to fill a sample, and how long one call takes."""
    timer.timeit(1)  # caches, lazy set-up
    number = 1
    while (elapsed := timer.timeit(number)) < sample / 8:
        number *= 4
    each = elapsed / number
    return max(1, round(sample / each)), each


def pairs(ours: Call, other: Call, effort: Effort) -> Pairs:
    """Time two calls alternately."""
    our_timer, other_timer = ours.timer(), other.timer()
    our_number, our_estimate = _repetitions(our_timer, effort.sample)
    other_number, other_estimate = _repetitions(other_timer, effort.sample)
    pair_lasts = our_number * our_estimate + other_number * other_estimate
    rounds = min(effort.rounds, max(MIN_ROUNDS, int(effort.budget / pair_lasts)))

    ours_seconds, other_seconds, hertz = [], [], []
    for _ in range(rounds):
        ours_seconds.append(our_timer.timeit(our_number) / our_number)
        other_seconds.append(other_timer.timeit(other_number) / other_number)
        hertz.append(frequency())
    return Pairs(
        np.array(ours_seconds),
        np.array(other_seconds),
        None if None in hertz else np.array(hertz),
    )
