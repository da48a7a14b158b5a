"""One cell: everybody once, then the fastest peers in rounds beside ours.

(a) A first look at each peer finds those that can be the fastest; others would only cost time.
(b) A round times each call once, ours included, and so all of them on the same state of the
    machine; ratios are taken within a round. Rounds run alternately forwards and backwards.
(c) Short calls are repeated to fill a sample. The number of rounds follows from the cell's share of
    the time, and rounds end early once the quartiles of the ratio lie close together.
(d) A cell has three rounds even if they exceed its share, but one alone if that takes double the
    share; the report gives the number.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Protocol

import numpy as np

from ..cell import Cell
from ..libraries import Unsupported
from .contestant import Contestant
from .floor import Level, levels
from .record import Floor, Ratio, Record

CONTENDER = 1.6  # times the fastest peer's time in the first look
MOST_CONTENDERS = 3
ROUNDS = (3, 25)
ENOUGH_ROUNDS = 7
CLOSE = 0.02  # the quartiles' distance, relative to the median
SAMPLE = (2e-4, 2e-3)  # seconds
LOOKS = 3
LARGE = 1 << 22  # elements
LOOKED_AT_ONCE = 0.03  # seconds; a call that takes longer is looked at once only

Clock = Callable[[], float]
SparePeer = Callable[[str, Cell], str | None]


class _Timed(Protocol):
    def seconds(self, number: int) -> float: ...


def _first_look(timed: _Timed, sample: float = SAMPLE[0]) -> float:
    """Roughly what one call takes."""
    number = 1
    while (elapsed := timed.seconds(number)) < sample:
        number = max(2 * number, min(16 * number, int(number * sample / max(elapsed, 1e-9))))
    if elapsed > LOOKED_AT_ONCE:
        return elapsed / number
    return min(elapsed, *(timed.seconds(number) for _ in range(LOOKS - 1))) / number


def _contenders(estimates: dict[str, float]) -> list[str]:
    ranked = sorted(estimates, key=lambda name: estimates[name])[:MOST_CONTENDERS]
    return [name for name in ranked if estimates[name] <= CONTENDER * estimates[ranked[0]]]


def _rounds(
    timed: dict[str, _Timed], each: dict[str, float], share: float, ends: float, clock: Clock
) -> dict[str, list[float]]:
    """Seconds per call, round by round; the first is ours, the second the peer to watch."""
    names = list(timed)
    wanted = max(0.0, ends - clock()) / (ENOUGH_ROUNDS * len(names))
    sample = min(max(wanted, SAMPLE[0]), SAMPLE[1])
    number = {name: max(1, round(sample / each[name])) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(ROUNDS[1]):
        over = clock() - ends
        if (over >= (0 if turn >= ROUNDS[0] else share) and turn) or _settled(taken, names, turn):
            break
        for name in names if turn % 2 == 0 else reversed(names):
            taken[name].append(timed[name].seconds(number[name]) / number[name])
    return taken


def _settled(taken: dict[str, list[float]], names: list[str], turn: int) -> bool:
    if turn < ENOUGH_ROUNDS or len(names) < 2:
        return False
    ours, other = (np.array(taken[name]) for name in names[:2])
    return Ratio.of(other / ours).spread < CLOSE


def _floor(found: list[Level], taken: dict[str, list[float]], ours: np.ndarray) -> Floor | None:
    if not found:
        return None
    heights = {
        level.yardstick.name: level.times * np.array(taken[level.yardstick.name]) for level in found
    }
    highest = max(heights, key=lambda name: float(np.median(heights[name])))
    return Floor(highest, Ratio.of(ours / heights[highest]))


def hold(
    cell: Cell,
    ours: Contestant,
    peers: list[Contestant],
    seconds: float,
    spared: SparePeer = lambda peer, cell: None,
    clock: Clock = time.perf_counter,
) -> Record:
    """Measure a cell in about so many seconds."""
    ends = clock() + seconds
    ours.prepare(cell)
    reasons = {peer.name: reason for peer in peers if (reason := spared(peer.name, cell))}
    unsupported: dict[str, str] = {}
    estimates: dict[str, float] = {}
    by_name = {peer.name: peer for peer in peers}
    for peer in peers:
        if peer.name in reasons:
            continue
        try:
            peer.prepare(cell)
        except Unsupported as error:
            unsupported[peer.name] = str(error)
        else:
            estimates[peer.name] = _first_look(peer)
    chosen = _contenders(estimates)
    for name in estimates:
        if name not in chosen:
            by_name[name].release()

    found = levels(cell)
    timed: dict[str, _Timed] = {ours.name: ours} | {name: by_name[name] for name in chosen}
    timed |= {level.yardstick.name: level.yardstick for level in found}
    each = dict(estimates)
    for name, call in timed.items():
        if name not in each:
            # A large array fills a sample by itself, and looking at it first could take seconds.
            own_is_long = name == ours.name and cell.size >= LARGE
            each[name] = SAMPLE[1] if own_is_long else _first_look(call)
    taken = _rounds(timed, each, seconds, ends, clock)
    for contestant in (ours, *(by_name[name] for name in chosen)):
        contestant.release()
    own = np.array(taken[ours.name])
    middle = median(taken[ours.name])
    return Record(
        cell,
        seconds=middle,
        rounds=len(own),
        paired={name: Ratio.of(np.array(taken[name]) / own) for name in chosen},
        estimated={
            name: estimate / middle for name, estimate in estimates.items() if name not in chosen
        },
        spared=reasons,
        unsupported=unsupported,
        floor=_floor(found, taken, own),
    )
