"""One cell: everybody once, then the fastest peers in rounds beside ours.

(a) A first look at each peer finds those that can be the fastest; others would only cost time.
(b) A round times each call once, ours included, and so all of them on the same state of the
    machine; ratios are taken within a round. Rounds run alternately forwards and backwards.
(c) Short calls are repeated to fill a sample. The number of rounds follows from the cell's share of
    the time, and rounds end early once the quartiles of the ratio lie close together.
(d) A round during which the process was off its CPU does not count while there are enough others.
    Nobody watches that where the work is done in other processes.
(e) When its share is over, a cell still gets five rounds if they are short and three if they last
    less than a second; one is enough of longer ones. The report gives the number.
"""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from ..cell import Cell
from ..libraries import Unsupported
from .contestant import Contestant
from .floor import Level, levels
from .record import Floor, Ratio, Record

CONTENDER = 1.6  # times the fastest peer's time in the first look
MOST_CONTENDERS = 3
MOST_ROUNDS = 25
FEWEST = ((0.05, 5), (1.0, 3))  # of rounds that last less than so many seconds, at least so many
MAX_AWAY = 0.03  # of a round's wall time, spent off the CPU
ENOUGH_ROUNDS = 7
CLOSE = 0.02  # the quartiles' distance, relative to the median
SAMPLE = (2e-4, 2e-3)  # seconds
LOOKS = 3
LARGE = 1 << 22  # elements
LOOKED_AT_ONCE = 0.03  # seconds; a call that takes longer is looked at once only

Clock = Callable[[], float]
Round = dict[str, float]  # seconds per call
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


def _order(names: list[str], turn: int) -> Iterable[str]:
    return names if turn % 2 == 0 else reversed(names)


def _fewest(lasted: float) -> int:
    """The rounds that a cell gets at least, when one of them lasts so long."""
    return next((rounds for limit, rounds in FEWEST if lasted < limit), 1)


def _settled(rounds: list[Round], names: list[str]) -> bool:
    if len(rounds) < ENOUGH_ROUNDS or len(names) < 2:
        return False
    ours, other = names[:2]
    return Ratio.of(np.array([one[other] / one[ours] for one in rounds])).spread < CLOSE


def _rounds(
    timed: dict[str, _Timed], each: dict[str, float], ends: float, clock: Clock, on_cpu: Clock
) -> list[Round]:
    """Undisturbed rounds, or all where there are too few; ours first, then a peer to watch."""
    names = list(timed)
    wanted = max(0.0, ends - clock()) / (ENOUGH_ROUNDS * len(names))
    sample = min(max(wanted, SAMPLE[0]), SAMPLE[1])
    number = {name: max(1, round(sample / each[name])) for name in names}
    quiet: list[Round] = []
    everything: list[Round] = []
    while len(everything) < MOST_ROUNDS:
        started, used = clock(), on_cpu()
        one = {
            name: timed[name].seconds(number[name]) / number[name]
            for name in _order(names, len(everything))
        }
        used, lasted = on_cpu() - used, clock() - started
        everything.append(one)
        if used >= (1 - MAX_AWAY) * lasted:
            quiet.append(one)
        fewest = _fewest(lasted)
        counted = quiet if len(quiet) >= fewest else everything
        if _settled(quiet, names) or (clock() >= ends and len(counted) >= fewest):
            break
    return counted


def _floor(found: list[Level], taken: dict[str, np.ndarray], ours: np.ndarray) -> Floor | None:
    if not found:
        return None
    heights = {level.yardstick.name: level.times * taken[level.yardstick.name] for level in found}
    highest = max(heights, key=lambda name: float(np.median(heights[name])))
    return Floor(highest, Ratio.of(ours / heights[highest]))


def hold(
    cell: Cell,
    ours: Contestant,
    peers: list[Contestant],
    seconds: float,
    spared: SparePeer = lambda peer, cell: None,
    clock: Clock = time.perf_counter,
    on_cpu: Clock = time.process_time,
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
    watched = on_cpu if cell.workers == 1 else clock
    rounds = _rounds(timed, each, ends, clock, watched)
    for contestant in (ours, *(by_name[name] for name in chosen)):
        contestant.release()
    taken = {name: np.array([one[name] for one in rounds]) for name in timed}
    own = taken[ours.name]
    middle = float(np.median(own))
    return Record(
        cell,
        seconds=middle,
        rounds=len(own),
        paired={name: Ratio.of(taken[name] / own) for name in chosen},
        estimated={
            name: estimate / middle for name, estimate in estimates.items() if name not in chosen
        },
        spared=reasons,
        unsupported=unsupported,
        floor=_floor(found, taken, own),
    )
