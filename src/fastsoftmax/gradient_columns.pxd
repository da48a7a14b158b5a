"""Gradients along an axis that is not the last.

(a) Those of softmax and log_softmax go strip by strip (see gradient_strips.pxd), or in vectors if they are short.
(b) Those of logsumexp, and what has an unusual column, are transposed into rows, a vector of columns at a time, and
    the results transposed back.
"""

from libc.stdlib cimport free, malloc

from fastsoftmax.column_strips cimport is_bundled
from fastsoftmax.columns cimport smaller
from fastsoftmax.gradient_strips cimport gradient_strip, strip_scratch, strip_width
from fastsoftmax.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, LOGSUMEXP_JVP, LOGSUMEXP_VJP, SOFTMAX_VJP, Gradient, gradient_rows,
)
from fastsoftmax.rows cimport SIGNAL_PERIOD, hear_signals, lanes
from fastsoftmax.short_gradient_columns cimport STREAMS, fetch_ahead, short_gradient
from fastsoftmax.simd cimport vec
from fastsoftmax.squares cimport transpose_matrix
from fastsoftmax.subnormals cimport out_of_line
from fastsoftmax.vector_math cimport real


cdef inline int strip_as_rows(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out, Py_ssize_t stride, Py_ssize_t n,
    Py_ssize_t columns, bint* made_nan,
) except -1 nogil:
    """One gradient over a strip of columns, by the row kernel. g, lse and out are rows where it has one number a column."""
    cdef Py_ssize_t width = lanes(<real>0)
    # Longer than a column, so that the rows do not begin at the same place of the cache.
    cdef Py_ssize_t length = n + width
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, row
    cdef real* rows = <real*>malloc(2 * width * length * sizeof(real))
    cdef real* others = rows + width * length
    if rows == NULL:
        raise MemoryError()
    try:
        while start < columns:
            count = smaller(columns - start, width)
            transpose_matrix(values + start, stride, n, count, rows, length)
            if gradient != LOGSUMEXP_VJP:
                transpose_matrix(g + start, stride, n, count, others, length)
            for row in range(count):
                if gradient == LOGSUMEXP_VJP:
                    gradient_rows(
                        gradient, g + start + row, rows + row * length, lse + start + row, rows + row * length, 1, n, made_nan
                    )
                elif gradient == LOGSUMEXP_JVP:
                    gradient_rows(
                        gradient, others + row * length, rows + row * length, lse + start + row, out + start + row, 1, n,
                        made_nan,
                    )
                else:
                    gradient_rows(
                        gradient, others + row * length, rows + row * length, NULL, rows + row * length, 1, n, made_nan
                    )
            if gradient != LOGSUMEXP_JVP:
                transpose_matrix(rows, length, count, n, out + start, stride)
            start += count
            hear_signals()
    finally:
        free(rows)
    return 0


cdef inline int gradient_columns(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out, Py_ssize_t outer, Py_ssize_t n,
    Py_ssize_t inner, Py_ssize_t stride, bint* made_nan,
) except -1 nogil:
    """One gradient over blocks (outer, n, inner) whose rows are `stride` elements apart."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, j, columns, block, slice
    cdef bint short = n <= STREAMS and gradient != LOGSUMEXP_VJP and gradient != LOGSUMEXP_JVP
    cdef bint bundled = is_bundled(<real>0, n, inner, stride)
    cdef bint usual
    cdef Py_ssize_t widest = lanes(<real>0) if short else strip_width(inner)
    cdef void* memory = malloc(64 * (strip_scratch(<real>0, n, widest, bundled) + 1))
    cdef vec[double]* scratch = <vec[double]*>((<size_t>memory + 63) // 64 * 64)
    if memory == NULL:
        raise MemoryError()
    try:
        for o in range(outer):
            j = 0
            while j < inner:
                columns = smaller(inner - j, widest)
                block = o * n * stride + j
                slice = o * stride + j
                usual = False
                if short:
                    fetch_ahead(g + block, values + block, <const real*>out + block, stride, n)
                    usual = short_gradient(gradient, g + block, values + block, out + block, stride, n, columns)
                elif gradient == SOFTMAX_VJP:
                    gradient_strip(
                        SOFTMAX_VJP, bundled, g + block, values + block, out + block, stride, n, columns, scratch, &usual
                    )
                elif gradient == LOG_SOFTMAX_VJP:
                    gradient_strip(
                        LOG_SOFTMAX_VJP, bundled, g + block, values + block, out + block, stride, n, columns, scratch, &usual
                    )
                elif gradient == LOG_SOFTMAX_JVP:
                    gradient_strip(
                        LOG_SOFTMAX_JVP, bundled, g + block, values + block, out + block, stride, n, columns, scratch, &usual
                    )
                if not usual:
                    out_of_line(
                        strip_as_rows[real], gradient, g + (slice if gradient == LOGSUMEXP_VJP else block), values + block,
                        <const real*>NULL if lse == NULL else lse + slice,
                        out + (slice if gradient == LOGSUMEXP_JVP else block), stride, n, columns, made_nan,
                    )
                j += columns
                since += n * columns
                if since >= SIGNAL_PERIOD:
                    since = 0
                    hear_signals()
    finally:
        free(memory)
    return 0
