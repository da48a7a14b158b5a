"""softmax's vector-Jacobian product y * (g - sum(y * g)) where the products in the sum are at an end of the range.

(a) Below the smallest normal number, rounding each of them would lose up to half of the smallest subnormal an element, and the
    sum as many of those as a row has elements. So a row whose sum is tiny is computed once more, carefully; the plain sum
    decides, which is a function of the row alone. A sum of exactly 0 does not: gradients of nothing are common, and have to
    stay fast. At the other end a sum, or a part of it, may be infinite though all results are finite: that row too.
(b) Carefully means in float64, with every product and sum a pair; for float64 one of y and g is scaled, y up so that no part
    of a pair is lost, or g down for room, and the result is scaled back in the end. What a small g loses is nothing beside
    such a sum. There is no room for what is far from a probability: such a row is not for here.
"""

from fastsoftmax.kernels.arithmetic.simd cimport (
    as_computed, broadcast, load, maximum, put, reduce_max, room_for, select_less, store, stored, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport exact_product
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, add_scaled, power_of_two
from fastsoftmax.kernels.arithmetic.vector_math cimport add_pair, real, total_widely
from fastsoftmax.kernels.rows.row_blocks cimport is_finite
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals


cdef enum:
    LARGEST_Y = 1048576  # times a scaled sum, which is up to 2^984 or so, it is within the range


cdef inline real least_plain_sum(real unused) noexcept nogil:
    """2^-100, 2^-960: what the products lose below the smallest normal number is nothing beside a larger sum."""
    return <real>(7.888609052210118e-31 if real is float else 1.0261342003245941e-289)


cdef inline bint is_tiny_sum(real sum) noexcept nogil:
    cdef real limit = least_plain_sum(<real>0)
    return -limit < sum < limit and sum != 0


cdef inline vec[real] one_where_tiny(vec[real] sum) noexcept nogil:
    """1 in the lanes of tiny sums."""
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] magnitude = maximum(sum, zero - sum)
    cdef vec[real] one = select_less(magnitude, broadcast(least_plain_sum(<real>0)), broadcast(<real>1), zero)
    return select_less(zero, magnitude, one, zero)


cdef inline void widened_block(stored[real] x, Py_ssize_t n, double* values) noexcept nogil:
    """Up to BLOCK numbers in float64, and zeros to the end of a vector."""
    cdef real buffer[BLOCK]
    cdef const real* numbers = as_computed(x, n, <real*>buffer)
    cdef Py_ssize_t i
    for i in range(n):
        values[i] = numbers[i]
    for i in range(n, (n + 7) // 8 * 8):
        values[i] = 0.0


cdef inline double tiny_scale(real unused) noexcept nogil:
    """2^900: what y is scaled by beside a tiny sum."""
    return 1.0 if real is float else 1.0 / power_of_two(-900.0)


cdef inline double huge_scale(real unused) noexcept nogil:
    """2^-100: what g is scaled by beside a huge sum."""
    return 1.0 if real is float else power_of_two(-100.0)


cdef inline int careful_softmax_gradient(
    stored[real] g, stored[real] y, stored[real] out, Py_ssize_t n, double y_scale, double g_scale
) except -1 nogil:
    """One row, in place of any of them if wanted; 0 if there is no room for it, and nothing is written."""
    cdef real buffer[BLOCK]
    cdef real* results
    cdef double gs[BLOCK]
    cdef double ys[BLOCK]
    cdef vec[double] up_y = broadcast(y_scale)
    cdef vec[double] up_g = broadcast(g_scale)
    cdef vec[double] down = broadcast(1.0 / (y_scale * g_scale))
    cdef double sum_high = 0.0
    cdef double sum_low = 0.0
    cdef double block_high, block_low
    cdef vec[double] high, low, product, lost, part, rest
    cdef vec[double] zero = broadcast(0.0)
    cdef vec[double] largest = zero
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        widened_block(g + start, length, <double*>gs)
        widened_block(y + start, length, <double*>ys)
        high = low = zero
        for i in range(0, length, 8):
            part = load(<const double*>ys + i)
            largest = maximum(maximum(part, zero - part), largest)
            exact_product(load(<const double*>ys + i) * up_y, load(<const double*>gs + i) * up_g, &product, &lost)
            add_pair(&high, &low, product, lost)
        total_widely(<double>0, high, low, &block_high, &block_low)
        add_scaled(&sum_high, &sum_low, 1.0, block_high, block_low, 1.0)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    if not is_finite(sum_high) or (g_scale != 1.0 and reduce_max(largest) > LARGEST_Y):
        return 0
    start = 0
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        widened_block(g + start, length, <double*>gs)
        widened_block(y + start, length, <double*>ys)
        for i in range(0, length, 8):
            part = load(<const double*>ys + i)
            exact_product(part * up_y, load(<const double*>gs + i) * up_g, &product, &lost)
            exact_product(part, broadcast(-sum_high), &high, &low)
            rest = low - part * broadcast(sum_low)
            add_pair(&product, &lost, high, rest)
            store(<double*>ys + i, (product + lost) * down)
        results = room_for(out + start, <real*>buffer)
        for i in range(length):
            results[i] = <real>ys[i]
        put(<const real*>results, out + start, length)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 1
