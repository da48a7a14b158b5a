"""What many cells say together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .cells import family
from .record import Record

Property = Callable[[Record], str]

GROUPINGS: dict[str, Property] = {
    "dtype": lambda record: record.cell.dtype,
    "operation": lambda record: record.cell.op,
    "family": lambda record: family(record.cell),
    "output": lambda record: "given" if record.cell.out else "fresh",
    "workers": lambda record: str(record.cell.workers),
}


@dataclass(frozen=True)
class Group:
    """The geometric mean of the ratios to the best peer, and how many cells a peer wins."""

    name: str
    cells: int
    mean: float
    smallest: float
    peer_faster: int


def compared(records: Iterable[Record]) -> list[Record]:
    """The cells that a peer could do at all."""
    return [record for record in records if record.ratio is not None]


def _median(record: Record) -> float:
    assert record.ratio is not None
    return record.ratio.median


def group(name: str, records: Iterable[Record]) -> Group | None:
    """The group of these cells, or None if no peer was compared."""
    known = compared(records)
    if not known:
        return None
    ratios = np.array([_median(record) for record in known])
    return Group(
        name,
        len(known),
        float(np.exp(np.log(ratios).mean())),
        float(ratios.min()),
        int((ratios < 1).sum()),
    )


def groups(records: Iterable[Record], of: Property) -> list[Group]:
    """A group for each value of the property, in the order of the cells."""
    known = compared(records)
    names = dict.fromkeys(of(record) for record in known)
    found = (group(name, [r for r in known if of(r) == name]) for name in names)
    return [one for one in found if one is not None]


def worst(records: Iterable[Record], count: int | None = None) -> list[Record]:
    """The cells with the smallest ratio to the best peer."""
    return sorted(compared(records), key=_median)[:count]


def peer_faster(records: Iterable[Record]) -> list[Record]:
    """The cells where a peer is faster, the worst first."""
    return [record for record in worst(records) if record.peer_faster]
