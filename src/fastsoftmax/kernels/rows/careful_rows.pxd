"""Rows that hold a nan or an infinite largest element, or have results below the smallest normal number.

(a) The first take `special_*`, which follow the table of special values. `maximum` drops a nan, the sum does not: a sum that is
    nan means that a nan came in.
(b) The others are computed again from x (see subnormals.pxd).
"""

from libc.math cimport INFINITY, NAN

from fastsoftmax.kernels.arithmetic.simd cimport broadcast, load_partial, select_equal, store_partial, stored, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport CarefulSum, add_carefully, begin_careful_sum, end_careful_sum, replace
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.arithmetic.vector_math cimport lanes, real
from fastsoftmax.kernels.rows.row_blocks cimport fill_row, find_nan, shifted
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals, next_piece


cdef inline int special_softmax(stored[real] x, stored[real] y, Py_ssize_t n, bint* made_nan) except -1 nogil:
    """A row whose largest element is infinite has no softmax. Tells whether that makes the row's first nan."""
    cdef bint had_nan
    find_nan(x, n, &had_nan)
    fill_row(y, n, <real>NAN)
    made_nan[0] |= not had_nan
    return 0


cdef inline int special_log_softmax(stored[real] x, stored[real] y, Py_ssize_t n, real largest, bint* made_nan) except -1 nogil:
    """Elements equal to an infinite largest have no logarithm of a probability; beside +inf the others have -inf."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, count, i
    cdef vec[real] values
    cdef bint had_nan
    find_nan(x, n, &had_nan)
    if had_nan:
        return fill_row(y, n, <real>NAN)
    while start < n:
        next_piece(start, n, &length)
        i = start
        while i < start + length:
            count = start + length - i if start + length - i < width else width
            values = load_partial(x + i, count, <real>0)
            values = select_equal(values, broadcast(largest), broadcast(<real>NAN), broadcast(<real>(-INFINITY)))
            store_partial(y + i, values, count)
            i += width
        start += length
    made_nan[0] = True
    return 0


cdef inline int sum_row_carefully(stored[real] x, Py_ssize_t n, real shift, CarefulSum* row) except -1 nogil:
    """The careful sum of a row, less the shift."""
    cdef real buffer[BLOCK]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    begin_careful_sum(row)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        add_carefully(row, shifted(x + start, length, shift, <real*>buffer), 1, length)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    end_careful_sum(row)
    return 0


cdef inline int replace_in_row(
    stored[real] x, real* y, Py_ssize_t n, real shift, double factor
) except -1 nogil:
    """Compute again the results of a row that are below the smallest normal number: factor * softmax."""
    cdef real buffer[BLOCK]
    cdef CarefulSum row
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    sum_row_carefully(x, n, shift, &row)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        replace(&row, factor, shifted(x + start, length, shift, <real*>buffer), 1, y + start, 1, length)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 0
