"""The products with the Jacobian of logsumexp over one long row, for several threads, by ranges of its blocks.

(a) Both need the row's largest element first. The vjp is elementwise from there on; the jvp has a sum for each block, and one
    thread adds these from left to right. The bits are those of `gradient_row`.
(b) Only usual rows are shared to the end: all is left to the row kernel, before anything is written, where a number that
    enters is not finite, or so large that exponentials may not count as their floor (see gradients.pxd).
"""

from fastsoftmax.kernels.arithmetic.simd cimport native
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, add_scaled
from fastsoftmax.kernels.arithmetic.vector_math cimport real
from fastsoftmax.kernels.gradients.gradients cimport (
    LARGEST_USUAL, LOGSUMEXP_JVP, LOGSUMEXP_VJP, Exponentials, add_block, exponentials_of, has_large_tangent, settle_factor,
    sum_of_exponentials, value_of, write_gradient,
)
from fastsoftmax.kernels.rows.row_blocks cimport is_finite
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    BLOCK_NUMBERS = 2


cdef struct BlockSum:
    double high
    double low


cdef inline bint is_usual(real largest, real lse) noexcept nogil:
    return is_finite(largest) and is_finite(lse) and largest - lse <= LARGEST_USUAL


cdef inline int weigh_blocks(
    real g, const real* a, real largest, real lse, real* out, Py_ssize_t n, Py_ssize_t first, Py_ssize_t stop, bint* usual
) except -1 nogil:
    """g * exp(a - lse) of some of the blocks; nothing, if that is unusual, which is so for all of them or none."""
    cdef Exponentials row
    cdef bint large
    cdef real factor
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, start, length
    usual[0] = is_usual(largest, lse) and is_finite(g)
    if not usual[0]:
        return 0
    row = exponentials_of(largest, lse)
    factor = settle_factor(g, &row, &large)
    usual[0] = not large
    if large:
        return 0
    for block in range(first, stop):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        write_gradient(
            LOGSUMEXP_VJP, native(<const real*>NULL), native(a + start), native(<const real*>out + start), length, row, factor
        )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline int sum_tangents(
    const real* t, const real* a, real largest, real lse, Py_ssize_t n, BlockSum* sums, Py_ssize_t first, Py_ssize_t stop,
    bint* usual,
) except -1 nogil:
    """The sums of t * exp(a - lse) of some of the blocks, in the unit of exponentials; whether none of them is unusual."""
    cdef Exponentials row
    cdef bint large
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, start, length
    usual[0] = is_usual(largest, lse)
    if not usual[0]:
        return 0
    row = exponentials_of(largest, lse)
    for block in range(first, stop):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        sums[block].high = sums[block].low = 0.0
        add_block(
            LOGSUMEXP_JVP, native(t + start), native(a + start), length, row, <real>1, &sums[block].high, &sums[block].low
        )
        has_large_tangent(native(t + start), native(a + start), length, row, &large)
        usual[0] &= not large
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline bint add_tangents(real largest, real lse, const BlockSum* sums, Py_ssize_t count, real* out) noexcept nogil:
    """The jvp from the sums of all blocks; False, and nothing written, if it is unusual."""
    cdef Exponentials row = exponentials_of(largest, lse)
    cdef double high = 0.0
    cdef double low = 0.0
    cdef Py_ssize_t block
    cdef real sum
    for block in range(count):
        add_scaled(&high, &low, 1.0, sums[block].high, sums[block].low, 1.0)
    if not is_finite(value_of(high, low)):
        return False
    sum = sum_of_exponentials(<real>0, value_of(high, low), &row)
    if not is_finite(sum):
        return False
    out[0] = sum + sum if row.halved else sum
    return True
