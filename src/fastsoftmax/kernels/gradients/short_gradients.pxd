"""Gradients of short rows: as many rows as a vector has lanes, one in each lane.

(a) As in short_rows.pxd the rows are transposed into panels, where they are columns (see short_gradient_columns.pxd), which have
    the row kernel's bits. A group with an unusual row goes to the row kernel.
(b) In longer rows the transpositions cost more than they save: see gradient_groups.pxd. In products with the Jacobian of
    softmax, the cheapest, they do so sooner, and in rows of two whole vectors.
"""

from fastsoftmax.kernels.arithmetic.simd cimport as_computed, native, put, room_for, stored
from fastsoftmax.kernels.arithmetic.subnormals cimport out_of_line
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, lanes, real
from fastsoftmax.kernels.gradients.gradient_groups cimport are_resident
from fastsoftmax.kernels.gradients.gradients cimport LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, gradient_rows
from fastsoftmax.kernels.gradients.short_gradient_columns cimport short_gradient
from fastsoftmax.kernels.rows.row_panels cimport read_rows, write_rows
from fastsoftmax.kernels.rows.short_rows cimport SHORT, is_short
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport smaller

cdef inline bint has_short_rows(
    Gradient gradient, real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache
) noexcept nogil:
    """Whether rows (outer, n) are for this file; the last-level cache has so many bytes."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t longest = 0
    if gradient == SOFTMAX_VJP:
        longest = width - 1 if real is float else width // 2
    elif gradient == LOG_SOFTMAX_JVP or gradient == LOG_SOFTMAX_VJP:
        longest = (5 if real is double or are_resident(<real>0, outer, n, cache) else 3) * width // 2
    return n <= longest and n != 2 * width and is_short(<real>0, outer, n)


cdef inline int short_gradient_rows(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t outer, Py_ssize_t n,
    bint* made_nan,
) except -1 nogil:
    """One gradient over rows (outer, n)."""
    cdef real panel_of_g[SHORT * LANES]
    cdef real panel[SHORT * LANES]
    cdef real buffer[SHORT * LANES]
    cdef real* results
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows
    cdef bint usual
    while row < outer:
        rows = smaller(outer - row, width)
        usual = False
        if 2 * rows >= width:
            read_rows(as_computed(g + row * n, rows * n, <real*>buffer), n, rows, <real*>panel_of_g)
            read_rows(as_computed(values + row * n, rows * n, <real*>buffer), n, rows, <real*>panel)
            usual = short_gradient(
                gradient, native(<const real*>panel_of_g), native(<const real*>panel), native(<const real*>panel), width, n,
                width,
            )
        if usual:
            results = room_for(out + row * n, <real*>buffer)
            write_rows(<const real*>panel, results, n, rows)
            put(<const real*>results, out + row * n, rows * n)
        else:
            out_of_line(
                gradient_rows[real], gradient, g + row * n, values + row * n, <const real*>NULL, out + row * n, rows, n, made_nan
            )
        row += rows
        since += rows * n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
