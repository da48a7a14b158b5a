"""Hold this process, and every library it will load, to one thread on one CPU.

(a) Thread pools read their size when they are made, most of them at import, so this runs first.
(b) Pinning comes on top: whatever a library decides, it gets one CPU, and the two halves of a
    pair of timings run on the same one.
"""

import os

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "FASTSOFTMAX_WORKERS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def enforce(cpu: int | None = None) -> int | None:
    """Limit the libraries and pin the process; returns the CPU, or None where pinning is unknown.

    The last CPU is taken unless one is named: interrupts tend to go to the first.
    """
    os.environ.update(SETTINGS)
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = max(os.sched_getaffinity(0)) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    return chosen
