"""What was measured in a cell of the grid."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..cell import Cell


@dataclass(frozen=True)
class Ratio:
    """The median of paired ratios, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: np.ndarray[Any, Any]) -> "Ratio":
        low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        return cls(float(median), float(low), float(high))

    @property
    def spread(self) -> float:
        """The distance of the quartiles, relative to the median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True)
class Floor:
    """How many times the floor a call takes, and which level it is."""

    level: str
    times: Ratio


@dataclass
class Record:
    """Our time, the peers that were paired with it, and those that did not come near."""

    cell: Cell
    seconds: float
    rounds: int
    paired: dict[str, Ratio]  # times faster than the peer
    estimated: dict[str, float]  # the same by single calls, of peers far behind the best
    spared: dict[str, str]  # peers that a smaller array had shown to be slow
    unsupported: dict[str, str] = field(default_factory=dict)
    floor: Floor | None = None

    @property
    def best(self) -> str | None:
        """The fastest peer."""
        return min(self.paired, key=lambda name: self.paired[name].median, default=None)

    @property
    def ratio(self) -> Ratio | None:
        """How many times faster than the fastest peer."""
        return None if self.best is None else self.paired[self.best]

    @property
    def peer_faster(self) -> bool:
        return self.ratio is not None and self.ratio.median < 1

    def peer_seconds(self) -> dict[str, float]:
        """What each peer took that was timed at all."""
        times = {name: ratio.median for name, ratio in self.paired.items()} | self.estimated
        return {name: ratio * self.seconds for name, ratio in times.items()}


def to_json(record: Record) -> dict[str, Any]:
    return asdict(record)


def from_json(data: dict[str, Any]) -> Record:
    cell = Cell(**(data["cell"] | {"shape": tuple(data["cell"]["shape"])}))
    paired = {name: Ratio(**ratio) for name, ratio in data["paired"].items()}
    floor = data["floor"]
    return Record(
        **(
            data
            | {
                "cell": cell,
                "paired": paired,
                "floor": floor and Floor(floor["level"], Ratio(**floor["times"])),
            }
        )
    )
