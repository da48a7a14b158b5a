"""What was measured in one cell."""

from dataclasses import dataclass, field

import numpy as np

from .cell import Cell
from .goals import CYCLES, FASTER_THAN, MICROSECONDS, OF_ONE_ADD, OF_ONE_EXP
from .measure import Pairs


@dataclass(frozen=True)
class Comparison:
    """The paired ratio to something else: its median and quartiles."""

    ratio: float
    low: float
    high: float
    seconds: float
    ulp: float | None = None

    @classmethod
    def of(cls, pairs: Pairs, ulp: float | None = None) -> "Comparison":
        low, ratio, high = np.quantile(pairs.ratios, (0.25, 0.5, 0.75))
        return cls(float(ratio), float(low), float(high), float(np.median(pairs.other)), ulp)


@dataclass
class Record:
    """Our time and error in a cell, and how the others compare."""

    cell: Cell
    seconds: float
    cycles: float | None  # a call's
    ulp: float | None
    copy: Comparison
    one_exp: Comparison | None
    one_add: Comparison | None
    peers: dict[str, Comparison] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)  # the reason, peer by peer

    @property
    def nanoseconds_per_element(self) -> float:
        return self.seconds / self.cell.size * 1e9

    @property
    def cycles_per_element(self) -> float | None:
        return None if self.cycles is None else self.cycles / self.cell.size

    def quantity(self, name: str) -> float | None:
        """A goal's quantity, or None where it was not measured."""
        if name == CYCLES:
            return self.cycles_per_element
        if name == OF_ONE_EXP:
            return None if self.one_exp is None else 1 / self.one_exp.ratio
        if name == OF_ONE_ADD:
            return None if self.one_add is None else 1 / self.one_add.ratio
        if name == MICROSECONDS:
            return self.seconds * 1e6
        peer = self.peers.get(name.removeprefix(FASTER_THAN))
        return None if peer is None else peer.ratio
