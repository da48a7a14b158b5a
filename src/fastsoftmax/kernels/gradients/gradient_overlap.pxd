"""Gradients of rows of some length: while one is written, the next is summed.

(a) A sum waits for memory beyond the level-1 cache, which still holds what is written. One loop over both hides the wait, and
    leaves the end of a sum the time of a whole row.
(b) It has five streams of memory in the place of two and then three. Where g, values and results are more than the
    last-level cache, that is slower. So it is for softmax of float64, whose sums keep the processor busy, and of longer rows.
(c) What is unusual (see gradient_groups.pxd) is for the row kernel, here too.
"""

from fastsoftmax.kernels.arithmetic.simd cimport (
    Storage, broadcast, common_storage, load, maximum, specialised, store, stored, stored_as, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, add_scaled
from fastsoftmax.kernels.arithmetic.vector_math cimport lanes, real, total_widely
from fastsoftmax.kernels.gradients.gradient_groups cimport (
    FEWEST, MIDDLE, add_rest, add_two, are_resident, result, sum_of_row, write_row,
)
from fastsoftmax.kernels.gradients.gradient_strips cimport finish_sum, sums_g_alone
from fastsoftmax.kernels.gradients.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, any_positive, gradient_rows,
)
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals


cdef inline void write_and_sum(
    Gradient gradient, bint g_alone, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, vec[real] sum,
    vec[real] high, vec[real] low, stored[real] next_g, stored[real] next_values, vec[double]* sum_a, vec[double]* sum_b,
    vec[real]* written_largest, vec[real]* largest,
) noexcept nogil:
    """`write_row` of a block of one row and `sum_of_row` of the same of the next."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[double] first = broadcast(0.0)
    cdef vec[double] second = broadcast(0.0)
    cdef vec[real] top = largest[0]
    cdef vec[real] more = top
    cdef vec[real] written_top = written_largest[0]
    cdef vec[real] v, w
    while i + 2 * width <= n:
        add_two(gradient, g_alone, next_g + i, next_values + i, &first, &second, &top, &more)
        v = load(values + i)
        w = load(values + i + width)
        if g_alone:
            written_top = maximum(v, maximum(w, written_top))
        store(out + i, result(gradient, load(g + i), v, sum, high, low))
        store(out + i + width, result(gradient, load(g + i + width), w, sum, high, low))
        i += 2 * width
    largest[0] = maximum(top, more)
    sum_a[0] = first
    sum_b[0] = second
    add_rest(gradient, g_alone, next_g, next_values, i, n, sum_a, sum_b, largest)
    written_largest[0] = written_top
    write_row(gradient, g + i, values + i, out + i, n - i, sum, high, low, written_largest)


cdef inline int overlapped_rows(
    Gradient gradient, Storage storage, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t outer, Py_ssize_t n,
    bint* made_nan,
) except -1 nogil:
    """One gradient over rows (outer, n)."""
    cdef vec[double] first, second
    cdef vec[real] sum, unit_high, unit_low
    cdef vec[real] largest = broadcast(<real>0)
    cdef vec[real] written_largest
    cdef double high, low, next_high, next_low, block_high, block_low
    cdef bint usual
    cdef Py_ssize_t row = -1  # to be written; the next is summed
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t start, length, at
    cdef bint g_alone = sums_g_alone(gradient, g, values, out)
    g = stored_as(storage, g)
    values = stored_as(storage, values)
    out = stored_as(storage, out)
    high = low = 0.0
    usual = False
    sum = unit_high = unit_low = broadcast(<real>0)
    while row < outer:
        next_high = next_low = 0.0
        largest = written_largest = broadcast(<real>0)
        start = 0
        while start < n:
            length = n - start if n - start < BLOCK else BLOCK
            at = row * n + start
            if usual and row + 1 < outer:
                write_and_sum(
                    gradient, g_alone, g + at, values + at, out + at, length, sum, unit_high, unit_low, g + at + n,
                    values + at + n, &first, &second, &written_largest, &largest,
                )
            elif usual:
                write_row(gradient, g + at, values + at, out + at, length, sum, unit_high, unit_low, &written_largest)
            elif row + 1 < outer:
                sum_of_row(gradient, g_alone, g + at + n, values + at + n, length, &first, &second, &largest)
            if row + 1 < outer:
                total_widely(<real>0, first, second, &block_high, &block_low)
                add_scaled(&next_high, &next_low, 1.0, block_high, block_low, 1.0)
            start += length
        if row >= 0 and (not usual or g_alone and any_positive(written_largest)):
            out_of_line(
                gradient_rows[real], gradient, g + row * n, values + row * n, <const real*>NULL, out + row * n, <Py_ssize_t>1, n,
                made_nan,
            )
        usual = finish_sum(gradient, next_high, next_low, &sum, &unit_high, &unit_low)
        if gradient != SOFTMAX_VJP:
            usual &= not any_positive(largest)
        row += 1
        since += n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline bint has_overlapped_rows(
    Gradient gradient, real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache
) noexcept nogil:
    """Whether rows (outer, n) are for this file; the last-level cache has so many bytes."""
    if outer < FEWEST or not MIDDLE < n <= SIGNAL_PERIOD or not are_resident(<real>0, outer, n, cache):
        return False
    if gradient == SOFTMAX_VJP:
        return sizeof(real) == sizeof(float) and n <= BLOCK
    return gradient == LOG_SOFTMAX_VJP or gradient == LOG_SOFTMAX_JVP


cdef inline int overlapped_gradient_rows(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t outer, Py_ssize_t n,
    bint* made_nan,
) except -1 nogil:
    """The same, compiled for each gradient and format."""
    return specialised(
        overlapped_rows[real], gradient, common_storage(g, values, out), g, values, out, outer, n, made_nan
    )
