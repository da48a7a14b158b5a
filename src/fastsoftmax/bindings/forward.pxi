# softmax, log_softmax and logsumexp of blocks.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.halves cimport (
    LARGEST_CHUNK, Chunks, Operand, chunks_of, give_scratch, narrowed, next_chunk, numbers_of, scratch_for, widened,
)
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED, native, stored
from fastsoftmax.kernels.arithmetic.vector_math cimport real
from fastsoftmax.kernels.columns.column_strips cimport is_bundled, reduce_strips
from fastsoftmax.kernels.columns.short_columns cimport are_short, reduce_short_columns
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, LOG_SOFTMAX, RESIDENT_BYTES, SOFTMAX, Operation
from fastsoftmax.kernels.rows.row_groups cimport RESIDENT_SHARE, is_grouped, reduce_grouped_rows
from fastsoftmax.kernels.rows.rows cimport reduce_rows
from fastsoftmax.kernels.rows.short_rows cimport are_short_rows, reduce_short_rows
from fastsoftmax.kernels.scratch cimport Scratch, no_scratch, release
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals


cdef inline int reduce_any_rows(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, bint past_caches, bint* made_nan
) except -1 nogil:
    """Rows, by whichever kernel is faster."""
    if are_short_rows(operation, <real>0, outer, n, cache):
        return reduce_short_rows(operation, x, y, outer, n, cache, made_nan)
    if is_grouped(operation, <real>0, outer, n, cache):
        return reduce_grouped_rows(operation, x, y, outer, n, cache, made_nan)
    return reduce_rows(operation, native(x), native(<const real*>y), outer, n, past_caches, made_nan)


cdef inline int reduce_any_columns(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """Columns, by whichever kernel is faster."""
    if are_short(n, inner) and not is_bundled(<real>0, n, inner, stride):
        return reduce_short_columns(operation, x, y, outer, n, inner, stride, made_nan)
    return reduce_strips(operation, x, y, outer, n, inner, stride, made_nan)


cdef int reduce(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint past_caches, bint* made_nan,
) except -1 nogil:
    """One operation over a block whose rows are `stride` elements apart."""
    if stride == 1:
        return reduce_any_rows(operation, x, y, outer, n, past_caches, made_nan)
    return reduce_any_columns(operation, native(x), native(<const real*>y), outer, n, inner, stride, made_nan)


cdef inline bint is_widened(Operation operation, Py_ssize_t n) noexcept nogil:
    """Whether rows of halves go through scratch.

    Of softmax so do longer ones, that the caches hold twice: it is faster to keep terms than to compute them again.
    """
    cdef Py_ssize_t size = n * <Py_ssize_t>sizeof(float)
    return size <= RESIDENT_BYTES or (operation == SOFTMAX and n <= LARGEST_CHUNK and size <= cache // RESIDENT_SHARE)


cdef int reduce_halves(
    Operation operation, Operand x, Operand y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint past_caches, bint* made_nan,
) except -1 nogil:
    """The same where input or result are stored in 16 bits."""
    if stride == 1 and not is_widened(operation, n):
        return reduce_rows(operation, numbers_of(&x), numbers_of(&y), outer, n, past_caches, made_nan)
    if stride > 1:
        return reduce_any_columns(operation, numbers_of(&x), numbers_of(&y), outer, n, inner, stride, made_nan)
    cdef Operand[2] operands = [x, y]
    cdef Chunks chunks = chunks_of(outer, n, inner, stride)
    cdef bint overwriting = operation == LOG_SOFTMAX or inner > 1 or n * sizeof(float) > RESIDENT_BYTES
    cdef Scratch scratch = no_scratch()
    cdef Py_ssize_t since = 0
    try:
        give_scratch(operands, 2, &chunks, overwriting, &scratch)
        while next_chunk(&chunks):
            reduce(
                operation, <const float*>widened(&operands[0], &chunks), scratch_for(&operands[1], &chunks),
                chunks.outers, n, chunks.columns, chunks.columns, past_caches, made_nan,
            )
            narrowed(&operands[1], &chunks)
            since += chunks.outers * n * chunks.columns
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    finally:
        release(&scratch)
    return 0


cdef bint dispatch(Operation operation, cnp.ndarray x, cnp.ndarray out) except? True:
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    cdef Py_ssize_t stride = stride_of(x)
    cdef bint past_caches = cnp.PyArray_NBYTES(out) > cache
    cdef bint made_nan = False
    cdef int dtype = computed_in(x)
    cdef void* from_ = cnp.PyArray_DATA(x)
    cdef void* to = cnp.PyArray_DATA(out)
    cdef Operand first, second
    if dtype == cnp.NPY_DOUBLE:
        with nogil:
            reduce(operation, <const double*>from_, <double*>to, outer, n, inner, stride, past_caches, &made_nan)
    elif dtype != cnp.NPY_FLOAT:
        raise TypeError("kernels take halves, float32 or float64")
    elif cnp.PyArray_TYPE(x) == dtype and cnp.PyArray_TYPE(out) == dtype:
        with nogil:
            reduce(operation, <const float*>from_, <float*>to, outer, n, inner, stride, past_caches, &made_nan)
    else:
        first = operand_of(x, False)
        second = operand_of(out, operation == LOGSUMEXP)
        with nogil:
            past_caches = past_caches and second.storage == AS_COMPUTED
            reduce_halves(operation, first, second, outer, n, inner, stride, past_caches, &made_nan)
    return made_nan


def softmax(cnp.ndarray x not None, cnp.ndarray out not None):
    """Write softmax(x) over the middle axis to out. True if a slice without nan has become nan."""
    check_blocks(x, out, False)
    return dispatch(SOFTMAX, x, out)


def log_softmax(cnp.ndarray x not None, cnp.ndarray out not None):
    """Write log_softmax(x) over the middle axis to out. True if a slice without nan has become nan."""
    check_blocks(x, out, False)
    return dispatch(LOG_SOFTMAX, x, out)


def logsumexp(cnp.ndarray x not None, cnp.ndarray out not None):
    """Write logsumexp(x) over the middle axis to out. Always False: no nan is made."""
    check_blocks(x, out, True)
    return dispatch(LOGSUMEXP, x, out)
