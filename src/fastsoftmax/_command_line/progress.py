"""How far a long command has come.

(a) On a terminal, tqdm's bar where tqdm is installed.
(b) Elsewhere, in a log file for one, a line of text for every further tenth, and none within a
    second of the last: a short command says nothing, a long one at most ten lines.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], object]]:
    """Show how far a `with` block has come; the block tells the bytes of each step it has done."""
    bar = _bar(title, total) if sys.stderr.isatty() else None
    if bar is None:
        yield _Lines(title, total).update
    else:
        with bar:
            yield bar.update


def _bar(title: str, total: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(desc=title, total=total, unit="B", unit_scale=True, leave=False, file=sys.stderr)


class _Lines:
    """Progress as lines of plain text."""

    QUIET_SECONDS = 1.0

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._tenths = 0
        self._last = time.monotonic()

    def update(self, count: int) -> None:
        self._done += count
        tenths = 10 * self._done // max(self._total, 1)
        now = time.monotonic()
        if tenths > self._tenths and now - self._last >= self.QUIET_SECONDS:
            self._tenths, self._last = tenths, now
            print(f"{self._title}: {10 * tenths} %", file=sys.stderr, flush=True)
