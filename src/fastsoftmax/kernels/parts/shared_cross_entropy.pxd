"""Cross-entropy of one long row with an index target for several threads, by ranges of its blocks.

(a) As in shared_row.pxd: any thread sums blocks, one thread merges the sums from left to right, any thread writes the gradient
    of blocks. The bits are those of `cross_entropy_row`.
(b) Only usual rows are shared to the end. Left to the row kernel are infinite, large and nan logits, coefficients that are
    large, tiny or 0, a loss near 0, and a gradient below the smallest normal number: in place that is decided before
    anything is overwritten, from the smallest logit; otherwise the results tell.
"""

from libc.math cimport INFINITY, fabs

from fastsoftmax.kernels.arithmetic.simd cimport native, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport any_replaced, none_watched, to_watch, window
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, TermsBesideMaximum, block_scale_maximum, divisor_of_sum, log_of_state, merge_beside_maximum, no_terms_beside_maximum,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport real, shift_limit
from fastsoftmax.kernels.cross_entropy.cross_entropy cimport is_near_zero, sum_of_state, target_gradient, term_of_number
from fastsoftmax.kernels.cross_entropy.short_cross_entropy cimport least_total
from fastsoftmax.kernels.gradients.gradients cimport largest_beside_floor
from fastsoftmax.kernels.rows.row_blocks cimport is_finite, quotients, shift_of, sum_block
from fastsoftmax.kernels.rows.row_groups cimport find_extremes
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    BLOCK_NUMBERS = 6
    ROW_NUMBERS = 9


cdef struct LossBlock:
    double largest
    double smallest
    TermsBesideMaximum terms


cdef struct LossRow:
    double total
    double largest
    double sum_high
    double sum_low
    double at_target  # what the gradient is there
    TermsBesideMaximum state


cdef inline int sum_blocks(const real* x, Py_ssize_t n, LossBlock* sums, Py_ssize_t first, Py_ssize_t stop) except -1 nogil:
    """The sums of some of the blocks of x[:n]."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, start, length
    cdef real top, bottom
    for block in range(first, stop):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        find_extremes(x + start, length, &top, &bottom)
        sums[block].largest = top
        sums[block].smallest = bottom
        if top <= shift_limit(<real>0):
            top = block_scale_maximum(top)
            sums[block].terms.largest = top
            sum_block(
                native(x + start), <real*>NULL, length, top, True, &sums[block].terms.high, &sums[block].terms.low,
                &sums[block].terms.ties,
            )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline bint merge_blocks(
    const LossBlock* sums, Py_ssize_t count, real x_target, double at_target, double total, bint with_grad, bint in_place,
    LossRow* row, double* loss,
) noexcept nogil:
    """The loss, and what the gradient needs; False if the row is unusual."""
    cdef double smallest = INFINITY
    cdef double logarithm
    cdef Py_ssize_t block
    cdef real lower, upper
    row.largest = -INFINITY
    for block in range(count):
        if sums[block].largest > row.largest:
            row.largest = sums[block].largest
        if sums[block].smallest < smallest:
            smallest = sums[block].smallest
    if not is_finite(<real>row.largest) or shift_of(<real>row.largest) != 0 or at_target == 0.0:
        return False
    if not least_total(<real>0) <= fabs(total) <= largest_beside_floor(<real>0):
        return False
    row.state = no_terms_beside_maximum(<real>0)
    for block in range(count):
        merge_beside_maximum(<real>0, &row.state, sums[block].terms)
    if row.state.high != row.state.high:
        return False
    logarithm = log_of_state(<real>0, row.state)
    if is_near_zero(<real>0, logarithm, total, False):
        return False
    loss[0] = (logarithm * total + 0.0) + at_target * (row.largest - <double>x_target)
    if not with_grad:
        return True
    row.total = total
    sum_of_state(<real>0, row.state, &row.sum_high, &row.sum_low)
    row.at_target = target_gradient(
        term_of_number(x_target, <real>row.state.largest), x_target == row.largest and row.state.ties == 1.0, row.state,
        row.sum_high, row.sum_low, at_target, total,
    )
    if in_place:
        window(<real>row.state.largest, row.sum_high, total, &lower, &upper)
        return smallest > upper
    return True


cdef inline int write_blocks(
    const LossRow* row, const real* x, real* grad, Py_ssize_t n, Py_ssize_t first, Py_ssize_t stop, bint* any_subnormal
) except -1 nogil:
    """total * softmax of some of the blocks; any_subnormal if one of the results is for `replace_in_row`."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, start, length
    cdef vec[real] high, low
    cdef vec[real] watched_bits = to_watch(<real>row.total)
    cdef vec[real] nearest = none_watched(<real>0)
    divisor_of_sum(row.sum_high, row.sum_low, row.total, &high, &low)
    for block in range(first, stop):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        quotients(
            native(x + start), native(<const real*>grad + start), length, <real>row.state.largest, 0.0, high, low, False,
            watched_bits, &nearest,
        )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    any_subnormal[0] = any_replaced(nearest)
    return 0
