"""Timing in pairs: ours, other, ours, other, ...

A shared machine changes its speed from one second to the next, and both halves of a pair see the
same speed. So the ratio of each pair is taken first and the median of the ratios after, never the
ratio of two separate medians.

Other work on the machine takes the CPU away for milliseconds at a time. The processor time that
passes beside the wall time tells, and a pair that was disturbed so is measured again.
"""

import time
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
    tries: int  # as many pairs as are due, before disturbed ones must do


FULL = Effort(rounds=21, sample=2e-3, budget=3.0, tries=4)
QUICK = Effort(rounds=7, sample=5e-4, budget=0.2, tries=1)
MIN_ROUNDS = 5
MAX_AWAY = 0.03  # of the wall time, spent off the CPU


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


@dataclass(frozen=True)
class _Pair:
    ours: float
    other: float
    hertz: float | None
    disturbed: bool


def _pair(ours: tuple[Timer, int], other: tuple[Timer, int]) -> _Pair:
    wall, on_cpu = time.perf_counter(), time.process_time()
    seconds = [timer.timeit(number) / number for timer, number in (ours, other)]
    on_cpu, wall = time.process_time() - on_cpu, time.perf_counter() - wall
    return _Pair(*seconds, frequency(), disturbed=on_cpu < (1 - MAX_AWAY) * wall)


def _undisturbed(
    ours: tuple[Timer, int], other: tuple[Timer, int], rounds: int, tries: int
) -> list[_Pair]:
    """So many undisturbed pairs; where they cannot be had, those and disturbed ones together."""
    taken: list[_Pair] = []
    quiet: list[_Pair] = []
    while len(quiet) < rounds and len(taken) < tries * rounds:
        taken.append(_pair(ours, other))
        if not taken[-1].disturbed:
            quiet.append(taken[-1])
    return quiet if len(quiet) >= MIN_ROUNDS else taken


def pairs(ours: Call, other: Call, effort: Effort) -> Pairs:
    """Time two calls alternately."""
    our_timer, other_timer = ours.timer(), other.timer()
    our_number, our_estimate = _repetitions(our_timer, effort.sample)
    other_number, other_estimate = _repetitions(other_timer, effort.sample)
    pair_lasts = our_number * our_estimate + other_number * other_estimate
    rounds = min(effort.rounds, max(MIN_ROUNDS, int(effort.budget / pair_lasts)))

    taken = _undisturbed((our_timer, our_number), (other_timer, other_number), rounds, effort.tries)
    hertz = [pair.hertz for pair in taken]
    return Pairs(
        np.array([pair.ours for pair in taken]),
        np.array([pair.other for pair in taken]),
        None if None in hertz else np.array(hertz),
    )
