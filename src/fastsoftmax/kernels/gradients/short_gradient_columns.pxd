"""Gradients of short columns: a vector of neighbouring columns at a time, from the first row to the last.

(a) As in short_columns.pxd: each of few rows is a stream that the processor fetches ahead, and what is read for the sums is
    still in the level-1 cache when the results are written. The sums of the lanes never leave it.
(b) So many streams are more than the processor notices by itself: it is told to fetch them AHEAD. From memory, twice as many
    numbers arrive in a second.
(c) Every step is that of gradient_strips.pxd, and so are the bits. A vector with an unusual column is for the row kernel,
    before anything is written.
"""

from fastsoftmax.kernels.arithmetic.panel_sums cimport meet_lanes
from fastsoftmax.kernels.arithmetic.simd cimport (
    DIFFERENT, Storage, broadcast, common_storage, is_specialised, load_at, maximum, prefetch, reduce_max, select_less, store,
    store_partial, stored, stored_as, vec,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, add_pair, lanes, real
from fastsoftmax.kernels.gradients.gradient_strips cimport PARTS, column_terms, column_weights, finish_sums, unusual_values
from fastsoftmax.kernels.gradients.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, add_products, step, with_unit,
)
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    STREAMS = 32  # rows, however long they are
    AHEAD = 256  # bytes


cdef inline bint gradient_of_vector(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t n,
    Py_ssize_t columns,
) noexcept nogil:
    """One gradient over up to a vector of columns of up to BLOCK rows. False, and nothing written, if one is unusual."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[double] firsts[LANES]
    cdef vec[double] seconds[LANES]
    cdef vec[double] sums[PARTS]
    cdef vec[real] x, v, y, w, sum, unit_high, unit_low, unusual
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] largest = zero
    cdef vec[double] first, second
    cdef Py_ssize_t lane, i
    for lane in range(smaller(n, width)):
        first = second = broadcast(0.0)
        i = lane
        while i < n:
            load_at(g + i * stride, 0, columns, <real>0, &x)
            load_at(values + i * stride, 0, columns, <real>0, &v)
            y = w = zero
            if i + width < n:
                load_at(g + (i + width) * stride, 0, columns, <real>0, &y)
                load_at(values + (i + width) * stride, 0, columns, <real>0, &w)
                if gradient != SOFTMAX_VJP:
                    largest = maximum(unusual_values(gradient, y, w), largest)
                    w = column_weights(gradient, w)
            if gradient != SOFTMAX_VJP:
                largest = maximum(unusual_values(gradient, x, v), largest)
                v = column_weights(gradient, v)
            add_products(gradient, v, x, w, y, &first, &second)
            i += 2 * width
        firsts[lane] = first
        seconds[lane] = second
    meet_lanes(<real>0, firsts, seconds, smaller(n, width))
    for i in range(PARTS):
        sums[i] = broadcast(0.0)
    if real is float:
        sums[0] = sums[0] + firsts[0]
        sums[2] = sums[2] + seconds[0]
    else:
        add_pair(&sums[0], &sums[1], firsts[0], seconds[0])
    finish_sums(gradient, <const vec[double]*>sums, &sum, &unit_high, &unit_low, &unusual)
    unusual = select_less(zero, largest, broadcast(<real>1), unusual)
    if reduce_max(unusual) != 0:
        return False
    for i in range(n):
        load_at(g + i * stride, 0, columns, <real>0, &x)
        v = x
        if gradient != LOG_SOFTMAX_JVP:
            load_at(values + i * stride, 0, columns, <real>0, &v)
        if gradient == LOG_SOFTMAX_VJP:
            v = with_unit(column_terms(gradient, v), zero, unit_high, unit_low)
        x = step(gradient, x, v, sum, False)
        if columns == width:
            store(out + i * stride, x)
        else:
            store_partial(out + i * stride, x, columns)
    return True


cdef inline void fetch_ahead(
    stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t n
) noexcept nogil:
    """Have the numbers fetched that will be due soon after these."""
    cdef Py_ssize_t i
    for i in range(n):
        prefetch((g + i * stride).at + AHEAD)
        prefetch((values + i * stride).at + AHEAD)
        prefetch((out + i * stride).at + AHEAD)


cdef inline bint gradient_of_whole_vector(
    Gradient gradient, Storage storage, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t n
) noexcept nogil:
    """The same of a whole vector in one format."""
    return gradient_of_vector(
        gradient, stored_as(storage, g), stored_as(storage, values), stored_as(storage, out), stride, n, lanes(<real>0)
    )


cdef inline bint short_gradient(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t n,
    Py_ssize_t columns,
) noexcept nogil:
    """The same of up to a vector; of a whole one compiled for each gradient and format."""
    cdef Storage storage = common_storage(g, values, out)
    if columns == lanes(<real>0) and storage != DIFFERENT:
        return is_specialised(gradient_of_whole_vector[real], gradient, storage, g, values, out, stride, n)
    return gradient_of_vector(gradient, g, values, out, stride, n, columns)
