"""Gradients of short rows: as many rows as a vector has lanes, one in each lane.

(a) As in short_rows.pxd the rows are transposed into panels, where they are columns (see short_gradient_columns.pxd), which have
    the row kernel's bits. A group with an unusual row goes to the row kernel.
(b) In rows of more than a vector the transpositions cost more than they save: see gradient_groups.pxd. So they do in the
    products of softmax, the cheapest, from a few elements on.
"""

from fastsoftmax.columns cimport LANES, smaller
from fastsoftmax.gradients cimport LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, gradient_rows
from fastsoftmax.rows cimport SIGNAL_PERIOD, hear_signals, lanes
from fastsoftmax.short_gradient_columns cimport short_gradient
from fastsoftmax.short_rows cimport FEW, SHORT, is_short, read_rows, write_rows
from fastsoftmax.subnormals cimport out_of_line
from fastsoftmax.vector_math cimport real

cdef inline bint has_short_rows(Gradient gradient, real unused, Py_ssize_t outer, Py_ssize_t n) noexcept nogil:
    """Whether rows (outer, n) are for this file."""
    cdef Py_ssize_t longest = 0
    if gradient == LOG_SOFTMAX_JVP:
        longest = lanes(<real>0)
    elif gradient == LOG_SOFTMAX_VJP:
        longest = lanes(<real>0) - 1
    elif gradient == SOFTMAX_VJP:
        longest = FEW
    return n <= longest and is_short(<real>0, outer, n)


cdef inline int short_gradient_rows(
    Gradient gradient, const real* g, const real* values, real* out, Py_ssize_t outer, Py_ssize_t n, bint* made_nan
) except -1 nogil:
    """One gradient over rows (outer, n)."""
    cdef real panel_of_g[SHORT * LANES]
    cdef real panel[SHORT * LANES]
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows
    cdef bint usual
    while row < outer:
        rows = smaller(outer - row, width)
        usual = False
        if 2 * rows >= width:
            read_rows(g + row * n, n, rows, <real*>panel_of_g)
            read_rows(values + row * n, n, rows, <real*>panel)
            usual = short_gradient(gradient, <const real*>panel_of_g, <const real*>panel, <real*>panel, width, n, width)
        if usual:
            write_rows(<const real*>panel, out + row * n, n, rows)
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
