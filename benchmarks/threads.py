"""Hold this process, and every library it will load, to one thread on one CPU; or let go of it.

(a) Thread pools read their size when they are made, most of them at import, so this runs first.
(b) Pinning comes on top: whatever a library decides, it gets one CPU, and the two halves of a
    pair of timings run on the same one.
(c) A process that is to use several threads is started with other settings and unpinned.
"""

import os

COUNT = "OMP_NUM_THREADS"
POOLS = (COUNT, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_THREAD_IN_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

_allowed: set[int] = set()


def settings(workers: int) -> dict[str, str]:
    """The environment of a process whose libraries use so many threads."""
    return {
        **dict.fromkeys(POOLS, str(workers)),
        "FASTSOFTMAX_WORKERS": "1",  # ours is told in the call
        "XLA_FLAGS": ONE_THREAD_IN_XLA if workers == 1 else "",
        "JAX_PLATFORMS": "cpu",
    }


def count() -> int:
    """How many threads a library of this process may use."""
    return int(os.environ.get(COUNT, "1"))


def available() -> int:
    """The CPUs that the process could use when it started."""
    return len(_allowed) or os.cpu_count() or 1


def enforce(cpu: int | None = None) -> int | None:
    """Limit the libraries and pin the process; returns the CPU, or None where pinning is unknown.

    The last CPU is taken unless one is named: interrupts tend to go to the first.
    """
    os.environ.update(settings(1))
    if not hasattr(os, "sched_setaffinity"):
        return None
    _allowed.update(os.sched_getaffinity(0))
    chosen = max(_allowed) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    return chosen


def unpin() -> None:
    """Give the process, and those it starts from now on, all its CPUs back."""
    if _allowed:
        os.sched_setaffinity(0, _allowed)
