"""Measure one cell against everything there is."""

import numpy as np

from . import yardsticks
from .accuracy import judge
from .arrays import inputs_of
from .cell import Cell
from .libraries import Library
from .measure import Effort, Pairs, pairs
from .record import Comparison, Record

PLAINLY_WRONG = 1000  # ULP; no rounding explains as much in any of our results


def measure(cell: Cell, ours: Library, peers: list[Library], effort: Effort) -> Record:
    """Time and judge the cell. A peer that cannot do it is recorded with its reason."""
    inputs = inputs_of(cell)
    judged = judge(cell, inputs)
    our_call = ours.call(cell, inputs)
    our_ulp = judged.max_ulp(ours.result(cell, our_call)) if judged else None
    if our_ulp is not None and our_ulp > PLAINLY_WRONG:
        raise ArithmeticError(f"{cell.name} is off by {our_ulp:g} ULP; its time means nothing")
    taken: list[Pairs] = []

    def against(other) -> Pairs:
        taken.append(pairs(our_call, other, effort))
        return taken[-1]

    compared: dict[str, Comparison] = {}
    unsupported: dict[str, str] = {}
    for peer in peers:
        try:
            call = peer.call(cell, inputs)
            result = peer.result(cell, call)
        except Exception as error:  # whatever a foreign library raises means it cannot do this
            unsupported[peer.name] = first_line(error)
            continue
        ulp = judged.max_ulp(result) if judged else None
        compared[peer.name] = Comparison.of(against(call), ulp)
    copy = Comparison.of(against(yardsticks.copy(cell, inputs)))
    tiny = cell.size <= yardsticks.TINY
    one_exp = Comparison.of(against(yardsticks.one_exp(inputs))) if tiny else None
    add = yardsticks.one_add(cell, inputs)
    one_add = None if add is None else Comparison.of(against(add))

    ours_seconds = np.concatenate([pair.ours for pair in taken])
    clocked = [pair.ours * pair.hertz for pair in taken if pair.hertz is not None]
    return Record(
        cell,
        seconds=float(np.median(ours_seconds)),
        cycles=float(np.median(np.concatenate(clocked))) if clocked else None,
        ulp=our_ulp,
        copy=copy,
        one_exp=one_exp,
        one_add=one_add,
        peers=compared,
        unsupported=unsupported,
    )


def first_line(error: Exception) -> str:
    """What an exception says, in short."""
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__
