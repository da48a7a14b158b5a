"""The size of the last-level cache, which decides how long rows are read; told to the kernels once.

(a) No result depends on it. A row that stays in the cache beside its result is turned into terms,
    which are scaled in a second pass; a longer one is read twice, and its exponentials are computed
    twice, because that costs less than writing to memory twice. Results larger than the whole cache
    are written past it.
(b) Linux tells the size; elsewhere it is taken to be `DEFAULT`. `FASTSOFTMAX_CACHE` overrides both.
"""

from __future__ import annotations

import os

VARIABLE = "FASTSOFTMAX_CACHE"
DEFAULT = 1 << 24
LARGEST = 1 << 27  # plain rows in row_groups.pxd are bounded by a quarter of this

_SIZES = "/sys/devices/system/cpu/cpu0/cache/index{}/size"
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _found() -> int:
    """Bytes of the largest cache of the first processor."""
    for index in (3, 2):
        try:
            with open(_SIZES.format(index), encoding="ascii") as file:
                size = file.read().strip()
            return int(size[:-1]) * _UNITS[size[-1]]
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return DEFAULT


def size(wanted: str | None) -> int:
    """Bytes of the last-level cache: as the environment has it, or as the system tells."""
    if not wanted:
        return min(_found(), LARGEST)
    try:
        given = int(wanted)
    except ValueError:
        given = 0
    if given < 1:
        raise ImportError(f"{VARIABLE}={wanted!r} is not a number of bytes")
    return min(given, LARGEST)


cache = size(os.environ.get(VARIABLE))
