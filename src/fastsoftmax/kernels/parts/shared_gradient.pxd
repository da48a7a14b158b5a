"""The gradient of one long row for several threads, by ranges of its blocks.

(a) A block has a sum of its own (see gradients.pxd), so any thread may compute it. One thread then adds the sums from left to
    right, and any thread may write the results of any block: the bits are those of the row kernel.
(b) Only usual rows (see gradient_groups.pxd) are shared to the end. Others are left to the row kernel before anything is
    written; but where results lie apart from the inputs, a logp above 0 may show when they are written.
"""

from fastsoftmax.kernels.arithmetic.simd cimport Storage, broadcast, stored, stored_as, vec
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, add_scaled
from fastsoftmax.kernels.arithmetic.vector_math cimport first_lane, real, total_widely
from fastsoftmax.kernels.gradients.gradient_groups cimport sum_of_row, write_row
from fastsoftmax.kernels.gradients.gradient_strips cimport finish_sum, sums_g_alone
from fastsoftmax.kernels.gradients.gradients cimport Gradient, any_positive
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    BLOCK_NUMBERS = 2


cdef struct GradientSum:  # what `write_row` needs
    double sum
    double unit_high
    double unit_low


cdef struct BlockSum:
    double high
    double low


cdef inline int sum_blocks(
    Gradient gradient, Storage storage, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, BlockSum* sums,
    Py_ssize_t first, Py_ssize_t stop, bint* usual,
) except -1 nogil:
    """The sums of some of the blocks of a row; whether none of them makes it unusual. out is not touched."""
    cdef vec[double] a, b
    cdef vec[real] largest = broadcast(<real>0)
    cdef bint g_alone = sums_g_alone(gradient, g, values, out)
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, start, length
    g = stored_as(storage, g)
    values = stored_as(storage, values)
    for block in range(first, stop):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        sum_of_row(gradient, g_alone, g + start, values + start, length, &a, &b, &largest)
        total_widely(<real>0, a, b, &sums[block].high, &sums[block].low)
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    usual[0] = not any_positive(largest)
    return 0


cdef inline bint add_blocks(
    Gradient gradient, real unused, const BlockSum* sums, Py_ssize_t count, GradientSum* row
) noexcept nogil:
    """What the blocks of a row add up to; False if that is unusual."""
    cdef vec[real] sum, unit_high, unit_low
    cdef bint usual
    cdef double high = 0.0
    cdef double low = 0.0
    cdef Py_ssize_t block
    for block in range(count):
        add_scaled(&high, &low, 1.0, sums[block].high, sums[block].low, 1.0)
    usual = finish_sum(gradient, high, low, &sum, &unit_high, &unit_low)
    row.sum = first_lane(sum)
    row.unit_high = first_lane(unit_high)
    row.unit_low = first_lane(unit_low)
    return usual


cdef inline int write_blocks(
    Gradient gradient, Storage storage, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n,
    const GradientSum* row, Py_ssize_t first, Py_ssize_t stop, bint* usual,
) except -1 nogil:
    """The results of some of the blocks; whether none of them has shown that the row is unusual."""
    cdef vec[real] largest = broadcast(<real>0)
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, start, length
    cdef bint g_alone = sums_g_alone(gradient, g, values, out)
    g = stored_as(storage, g)
    values = stored_as(storage, values)
    out = stored_as(storage, out)
    for block in range(first, stop):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        write_row(
            gradient, g + start, values + start, out + start, length, broadcast(<real>row.sum), broadcast(<real>row.unit_high),
            broadcast(<real>row.unit_low), &largest,
        )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    usual[0] = not (g_alone and any_positive(largest))
    return 0
