"""Share the parts of one call among threads.

(a) The calling thread and its helpers draw parts from one iterator, so that none waits while there
    is work. The calling thread never waits for a helper that has not begun: calls cannot block one
    another, however busy the helpers are.
(b) Helpers are threads of the standard library's executor, imported and created by the first call
    that is large enough. A process made by a fork has none of its parent's threads, and so gets an
    executor of its own. Where no thread can be had (a limit, or the interpreter's end), the calling
    thread does everything.
(c) The calling thread leaves after its helpers. On an error or Ctrl-C they get no more parts, and
    their kernels stop where they would listen for Ctrl-C themselves. So no array is touched after
    the call.
(d) An error in a helper is raised by the calling thread, and not kept: its traceback leads to the
    arrays, and to whoever keeps it. NumPy's warnings are off in helpers; what kernels return is
    reported by the calling thread, as without helpers.
(e) There are no more threads than processors, whatever the number of workers; that one decides on
    the number of parts.
"""

from __future__ import annotations

import os
from threading import Condition
from typing import TYPE_CHECKING, Any

import numpy as np

from ._cpu_count import cpu_count
from ._layout import ranges, share_count
from ._target import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import ThreadPoolExecutor

    Work = Callable[[Iterable[Any]], bool]

_executors: dict[int, ThreadPoolExecutor] = {}


def _executor() -> ThreadPoolExecutor:
    """The executor of this process."""
    executor = _executors.get(os.getpid())
    if executor is None:
        from concurrent.futures import ThreadPoolExecutor

        executor = ThreadPoolExecutor(max(cpu_count() - 1, 1), "fastsoftmax")
        executor = _executors.setdefault(os.getpid(), executor)
    return executor


def share(work: Work, parts: Iterable[Any], workers: int) -> bool:
    """Let several threads do work(parts), each with parts of its own; whether any said true."""
    helpers = min(workers, cpu_count()) - 1
    return _Shared(work, parts).run(helpers) if helpers > 0 else work(parts)


def share_blocks(
    compute: Callable[[int, int], bool | None], count: int, size: int, workers: int
) -> bool:
    """Let several threads do compute(first, stop) for ranges of blocks; whether any said true.

    The blocks are those of a slice of `size` elements.
    """
    parts = ranges(count, share_count(size, workers))

    def work(parts: Iterable[slice]) -> bool:
        answer = False
        for part in parts:
            answer |= bool(compute(part.start, min(part.stop, count)))
        return answer

    return share(work, parts, min(workers, len(parts)))


class _Shared:
    """The parts of a call, as an iterator for several threads."""

    def __init__(self, work: Work, parts: Iterable[Any]) -> None:
        self._work: Work | None = work
        self._parts = iter(parts)
        self._changed = Condition()
        self._running = 0
        self._closed = False
        self._answer = False
        self._error: BaseException | None = None
        self._stop = np.zeros(1, np.uint8)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._changed:
            if self._closed:
                raise StopIteration
            return next(self._parts)

    def run(self, helpers: int) -> bool:
        """Do the work in this thread, with helpers."""
        assert self._work is not None
        try:
            try:
                for _ in range(helpers):
                    _executor().submit(self._help)
            except RuntimeError:
                pass
            answer = self._work(self)
            self._wait()
        except BaseException:
            self._stop[0] = 1
            self._wait_whatever_happens()
            self._error = None
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return answer or self._answer

    def _wait(self) -> None:
        """Let no helper begin, and wait for those that have."""
        with self._changed:
            self._closed = True
            while self._running:
                self._changed.wait()
        # A helper that is called too late must not keep the arrays.
        self._work, self._parts = None, iter(())

    def _wait_whatever_happens(self) -> None:
        """Ctrl-C again changes nothing: the helpers have been told to stop."""
        while True:
            try:
                return self._wait()
            except BaseException:
                continue

    def _help(self) -> None:
        """What a helper does."""
        with self._changed:
            work = self._work
            if self._closed or work is None:
                return
            self._running += 1
        answer = False
        kernels.obey(self._stop)
        try:
            with np.errstate(all="ignore"):
                answer = work(self)
        except BaseException as error:
            with self._changed:
                self._closed = True
                self._error = error
        kernels.obey(None)
        with self._changed:
            self._answer |= answer
            self._running -= 1
            self._changed.notify()
