"""Which peers need not be tried on a large array, since smaller ones have shown them to be slow.

Only the fastest peer counts in a cell. A call that would take a tenth of a second, by a library
that took more than two and a half times the fastest one's time on the array before, is spared; the
report says so.
"""

from ..cell import Cell
from .record import Record

LONG = 0.1  # seconds
BEHIND = 2.5
TELLING = 4096  # elements; below, the cost of a call hides the speed


class SlowPeers:
    """Remembers each peer's last speed on the same operation."""

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], tuple[float, float, str]] = {}

    @staticmethod
    def _key(peer: str, cell: Cell) -> tuple[object, ...]:
        last_axis = cell.axis in (-1, len(cell.shape) - 1)
        return peer, cell.op, cell.dtype, cell.out, cell.workers, last_axis

    def learn(self, record: Record) -> None:
        """Take a cell into account."""
        times = record.peer_seconds()
        if record.cell.size < TELLING or not times:
            return
        best = min(times.values())
        for peer, seconds in times.items():
            speed = seconds / record.cell.size
            self._last[self._key(peer, record.cell)] = (speed, seconds / best, record.cell.name)

    def reason(self, peer: str, cell: Cell) -> str | None:
        """Why the peer is spared this cell, or None if it is not."""
        known = self._last.get(self._key(peer, cell))
        if known is None:
            return None
        speed, behind, name = known
        if speed * cell.size <= LONG or behind <= BEHIND:
            return None
        return f"{behind:.1f} times the best peer's time on {name}"
