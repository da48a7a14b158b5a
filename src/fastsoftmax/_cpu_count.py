"""How many processors this process may use.

(a) That is what the scheduler lets it run on, or what a control group pays for if that is less: a
    container with a quota of 1.5 processors on a machine of 64 has two.
(b) The quota is read once, from Linux's files of version 2 and version 1; what cannot be read is no
    limit. The scheduler is asked every time, for a process may be moved.
"""

import os
from collections.abc import Iterator
from functools import cache
from math import ceil, inf
from os.path import join


def cpu_count() -> int:
    """The number of processors, at least 1."""
    return max(min(_scheduled(), quota()), 1)


def _scheduled() -> int:
    if hasattr(os, "process_cpu_count"):
        count: int | None = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return count or 1


@cache
def quota(root: str = "/") -> int:
    """What the control groups of this process allow, rounded up; a large number if all of it.

    `root` is the folder that stands for /.
    """
    return ceil(min(_limits(root), default=1 << 31))


def _limits(root: str) -> Iterator[float]:
    """The quotas in processors, of this process's groups and all groups around them."""
    for line in _text(join(root, "proc/self/cgroup")).splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        mounts = (controllers, "cpu") if controllers else ("", "unified")
        for mount in mounts:
            top = join(root, "sys/fs/cgroup", mount)
            for folder in _upwards(top, group):
                text = _text(join(folder, "cpu.max")) if not controllers else _version_1(folder)
                limit = _limit(text)
                if limit < inf:
                    yield limit


def _upwards(top: str, group: str) -> Iterator[str]:
    """The folder of a group, and those of the groups around it."""
    names = [name for name in group.split("/") if name not in ("", "..")]
    for depth in range(len(names), -1, -1):
        yield join(top, *names[:depth])


def _version_1(folder: str) -> str:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    return " ".join(_text(join(folder, name)) for name in names)


def _limit(text: str) -> float:
    """Quota over period; without a quota it is "max" or -1."""
    try:
        quota, period = (int(word) for word in text.split())
    except ValueError:
        return inf
    return quota / period if quota > 0 and period > 0 else inf


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""
