"""The kernels over contiguous blocks (outer, n, inner), and the short cut for small plain calls.

(a) The files in `bindings/`, parts of this one, only look at arrays: they check them, take their addresses and pick float32
    or float64. The algorithms are in `rows.pxd`, `columns.pxd` and their neighbours, over the vocabulary of
    `vector_math.pxd`. float16 and bfloat16 are float32, converted where they are read and written (`simd/stored.hpp`).
(b) Everything is compiled once per target; nothing here knows which.
(c) Columns may be a range of the columns of a block, its rows as far apart as in the block: a part for one worker.
(d) A kernel may be given the same array as input and output. The arguments are the package's own, so errors here are
    guards, not messages for users.
"""

cimport numpy as cnp

from fastsoftmax.kernels.signals cimport hear_signals

from fastsoftmax import _workers

cnp.import_array()

cdef Py_ssize_t alone = _workers.ALONE

cdef extern from "kernels/stop.hpp":
    void obey_flag(const unsigned char* flag) noexcept nogil

cdef Py_ssize_t cache = 33554432  # bytes of the last-level cache


def set_alone(Py_ssize_t size):
    """Tell up to how many bytes, in the dtype that is computed in, a call is for one thread."""
    global alone
    alone = size


def set_cache(Py_ssize_t size):
    """Tell how many bytes the last-level cache has; no result depends on it."""
    global cache
    cache = size


def obey(cnp.ndarray flag):
    """Stop kernels in this thread as soon as flag[0] is not 0, in place of listening for Ctrl-C; None ends that."""
    if flag is not None and (cnp.PyArray_TYPE(flag) != cnp.NPY_UINT8 or cnp.PyArray_SIZE(flag) < 1):
        raise ValueError("a flag is one uint8")
    if flag is None:
        obey_flag(NULL)
    else:
        obey_flag(<const unsigned char*>cnp.PyArray_DATA(flag))


def hear():
    """Raise KeyboardInterrupt, or what a signal's handler raises, where a kernel would be stopped."""
    hear_signals()


include "bindings/arrays.pxi"
include "bindings/forward.pxi"
include "bindings/conversions.pxi"
include "bindings/gradients.pxi"
include "bindings/cross_entropy.pxi"
include "bindings/plain_calls.pxi"
include "bindings/small_forward.pxi"
include "bindings/small_gradients.pxi"
include "bindings/small_cross_entropy.pxi"
include "bindings/public.pxi"
include "bindings/states.pxi"
include "bindings/elementary.pxi"
include "bindings/shared_row.pxi"
include "bindings/shared_gradient.pxi"
include "bindings/shared_logsumexp.pxi"
include "bindings/shared_cross_entropy.pxi"
