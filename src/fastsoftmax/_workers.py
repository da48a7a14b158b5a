"""How many workers a call has: the settings, as `scipy.fft` has them.

(a) A call's own `workers` comes first, then what `set_workers` says in this thread, then the
    environment variable, then 1.
(b) `set_workers` is in force in the thread, or the task of asyncio, that enters it.
(c) The variable is read at import, and one that makes no sense is an ImportError, as for
    `FASTSOFTMAX_TARGET`.
(d) Processors are counted, and files read for it, only when a negative number asks for that.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import SupportsIndex

VARIABLE = "FASTSOFTMAX_WORKERS"

# Bytes, in the dtype that kernels compute in, up to which a call is for the calling thread alone.
# So much takes it some 450 microseconds. Of 4 MB two workers took longer than one: to call a
# helper, to wait until it begins and to learn of its end takes 30 to 40, and several times that
# where its processor slept (docs/behaviour.md has the parts).
ALONE = 6 << 20


def _count(workers: SupportsIndex) -> int:
    """The number that is meant, counted from all processors down if it is negative."""
    number = index(workers)
    if number > 0:
        return number
    if number == 0:
        raise ValueError("workers must not be zero")
    from ._cpu_count import cpu_count

    count = cpu_count()
    if number < -count:
        raise ValueError(f"workers={number} is out of range: it must not be less than {-count}")
    return count + 1 + number


def _read(text: str | None) -> int:
    """What the environment variable says."""
    if not text:
        return 1
    try:
        return _count(int(text))
    except ValueError as error:
        raise ImportError(f"{VARIABLE}={text!r} is no number of workers: {error}") from None


_of_process = _read(os.environ.get(VARIABLE))
_of_context: ContextVar[int] = ContextVar("workers", default=_of_process)


@contextmanager
def set_workers(workers: SupportsIndex) -> Iterator[None]:
    """Set the number of workers of calls that do not say theirs.

    It is in force in this thread until the context ends.

    Parameters
    ----------
    workers : int
        How many threads a call may use. A negative number counts from all processors that this
        process may use: -1 means all, -2 all but one.

    Raises
    ------
    TypeError
        `workers` is no integer.
    ValueError
        `workers` is 0, or less than minus the number of processors.

    See Also
    --------
    get_workers : The number in force.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import set_workers, softmax
    >>> x = np.zeros((1000, 500), np.float32)
    >>> with set_workers(2):
    ...     y = softmax(x, axis=-1)
    >>> bool((y == softmax(x, axis=-1)).all())
    True
    """
    token = _of_context.set(_count(workers))
    try:
        yield
    finally:
        _of_context.reset(token)


def get_workers() -> int:
    """The number of workers of calls that do not say theirs.

    Returns
    -------
    int
        What `set_workers` set in this thread; else the environment variable
        ``FASTSOFTMAX_WORKERS`` as it was at import; else 1.

    Examples
    --------
    >>> from fastsoftmax import get_workers, set_workers
    >>> get_workers()
    1
    >>> with set_workers(4):
    ...     get_workers()
    4
    """
    return _of_context.get()


def settle_workers(workers: SupportsIndex | None) -> int:
    """The number of workers of a call."""
    return get_workers() if workers is None else _count(workers)
