"""Cross-entropy and its gradient, row by row, from one reading of the logits.

(a) With p = softmax(x), L = log(sum(e^(x - max))) and coefficients t (total), d (dense, one a class) and a (at the target):
    loss = t*L + sum(d*(max - x)) + a*(max - x[target]) and gradient = t*p - d - a*[class == target]. All options
    (class and sample weights, label smoothing, probabilities as targets, the mean) are coefficients; t = a + sum(d).
    No term of the loss is negative where the coefficients are not, so it keeps its relative accuracy near 0.
(b) The gradient at the target is -a * (sum of the other terms) / sum, plus what is left of t: p - 1 itself would
    cancel where the target has nearly all the probability.
(c) A row that fits the level-2 cache is turned into terms in the gradient's place, and scaled. A longer one is read again,
    and so is one that its gradient takes the place of.
(d) A loss and a gradient below the smallest normal number are computed again from the logits, as softmax is; not so where
    coefficients are no larger than that number themselves, or other parts (d, or t - a) take part in the sum.
(e) Beside a large total, exponentials may not count as their floor (see gradients.pxd): such a row goes number by number.
(f) A coefficient 0 contributes 0, whatever its logit. So does a whole row without a coefficient.
"""

from libc.math cimport INFINITY, NAN, fabs, frexp
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastsoftmax.kernels.arithmetic.simd cimport broadcast, load_at, native, number_at, select_equal, set_number, stored, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport (
    CarefulSum, any_replaced, careful_log, is_replaced_log, none_watched, out_of_line, to_watch,
)
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, TermsBesideMaximum, add_scaled, divisor_of_sum, log_of_state, maximum_term, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    LANES, accumulate_widely, exponential_term, first_lane, lanes, lowest, magic_of, real, scale_of, total_widely,
)
from fastsoftmax.kernels.cross_entropy.short_cross_entropy cimport cross_entropy_group, least_total
from fastsoftmax.kernels.gradients.gradients cimport largest_beside_floor, times_exponential, value_of, write_large_gradient
from fastsoftmax.kernels.rows.careful_rows cimport replace_in_row, sum_row_carefully
from fastsoftmax.kernels.rows.long_rows cimport long_quotients
from fastsoftmax.kernels.rows.row_blocks cimport (
    RESIDENT_BLOCKS, RESIDENT_BYTES, fill_row, find_maximum, find_nan, is_finite, scale_block,
)
from fastsoftmax.kernels.rows.rows cimport sum_row_beside_maximum
from fastsoftmax.kernels.rows.short_rows cimport SHORT, is_short
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals, next_piece


cdef enum:
    IGNORED = -1  # the label of a row to leave out
    NO_TARGET = -2  # of a row that has dense coefficients only


cdef inline double term_of_number(real x, real largest) noexcept nogil:
    """The term of one x, relative to the row's largest."""
    cdef vec[real] top = broadcast(largest)
    return <double>first_lane(
        exponential_term(broadcast(x), top - broadcast(lowest(<real>0)), magic_of(scale_of(top)))
    )


cdef inline int dense_loss(const real* x, const real* dense, Py_ssize_t n, real largest, double* loss) except -1 nogil:
    """sum(dense * (largest - x)), block by block like every sum; 0 where dense is 0."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[real] top = broadcast(largest)
    cdef vec[real] zero = broadcast(<real>0)
    cdef double high = 0.0
    cdef double low = 0.0
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t end, i
    cdef double block_high, block_low
    cdef vec[double] first, second
    cdef vec[real] values, coefficients
    while start < n:
        end = n if n - start < BLOCK else start + BLOCK
        first = broadcast(0.0)
        second = broadcast(0.0)
        i = start
        while i < end:
            load_at(x, i, end, <real>0, &values)
            load_at(dense, i, end, <real>0, &coefficients)
            values = select_equal(coefficients, zero, zero, coefficients * (top - values))
            accumulate_widely(values, &first, &second)
            i += width
        total_widely(<real>0, first, second, &block_high, &block_low)
        add_scaled(&high, &low, 1.0, block_high, block_low, 1.0)
        start = end
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    loss[0] = value_of(high, low)
    return 0


cdef inline int subtract(real* grad, const real* dense, Py_ssize_t n) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    while start < n:
        next_piece(start, n, &length)
        for i in range(start, start + length):
            grad[i] = grad[i] - dense[i]
        start += length
    return 0


cdef inline int special_cross_entropy(
    stored[real] x, Py_ssize_t n, real largest, Py_ssize_t label, const real* dense, double at_target, double* loss,
    stored[real] grad, bint* made_nan,
) except -1 nogil:
    """A row with a nan, or whose largest element is infinite: log_softmax is nan there and -inf elsewhere."""
    cdef bint had_nan
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    cdef double coefficient
    find_nan(x, n, &had_nan)
    loss[0] = 0.0
    while start < n:
        next_piece(start, n, &length)
        for i in range(start, start + length):
            coefficient = (<double>dense[i] if dense != NULL else 0.0) + (at_target if i == label else 0.0)
            if coefficient != 0.0:
                loss[0] += coefficient * (<double>NAN if had_nan or number_at(x + i) == largest else <double>INFINITY)
        start += length
    if loss[0] != loss[0]:
        loss[0] = NAN
    if grad.at != NULL:
        fill_row(grad, n, <real>NAN)
    made_nan[0] |= not had_nan and (grad.at != NULL or loss[0] != loss[0])
    return 0


cdef inline int sum_of_others(double factor, stored[real] x, Py_ssize_t n, real largest, double* sum) except -1 nogil:
    """factor * the sum of e^(x - largest) over what is less than the largest, number by number."""
    cdef double high = 0.0
    cdef double low = 0.0
    cdef int power
    cdef double mantissa = frexp(factor, &power)
    cdef Py_ssize_t i
    for i in range(n):
        if i > 0 and i % SIGNAL_PERIOD == 0:
            hear_signals()
        if number_at(x + i) < largest:
            add_scaled(&high, &low, 1.0, times_exponential(mantissa, power, number_at(x + i), largest), 0.0, 1.0)
    sum[0] = value_of(high, low)
    return 0


cdef inline double target_gradient(
    double term, bint only_maximum, TermsBesideMaximum state, double sum_high, double sum_low, double at_target, double total
) noexcept nogil:
    """total*p - at_target at the target, from its term."""
    cdef double sum = sum_high + sum_low
    cdef double others
    if only_maximum:
        others = state.high + state.low
    else:
        others = (sum_high - term) + sum_low
    return (total - at_target) * (term / sum) - at_target * (others / sum)


cdef inline bint is_near_zero(real unused, double logarithm, double total, bint large) noexcept nogil:
    """Whether a logarithm is so small that it is the sum of the other terms itself, and has to be computed as that.

    0, too, may be the rounding of what a large total makes visible.
    """
    return logarithm < 8.673617379884035e-19 and (
        large or is_replaced_log(<real>logarithm) or is_replaced_log(<real>(fabs(total) * logarithm))
        or (logarithm == 0.0 and fabs(total) > 1.0)
    )


cdef inline void sum_of_state(real unused, TermsBesideMaximum state, double* high, double* low) noexcept nogil:
    """The sum of all terms."""
    cdef vec[double] maximum, same
    maximum_term(broadcast(<real>state.largest), &maximum, &same)
    high[0] = state.ties * first_lane(maximum)
    low[0] = 0.0
    add_scaled(high, low, 1.0, state.high, state.low, 1.0)


cdef inline int cross_entropy_row(
    stored[real] x, Py_ssize_t n, Py_ssize_t label, const real* dense, double at_target, double total,
    double* loss, stored[real] grad, bint* made_nan,
) except -1 nogil:
    """One row. With a grad of NULL the loss alone.

    One that fits the cache, its gradient and the row of dense coefficients are as the kernel computes.
    """
    cdef real maxima[RESIDENT_BLOCKS]
    cdef const real* values = <const real*>x.at
    cdef real* results = <real*>grad.at
    cdef bint resident = grad.at != NULL and grad.at != x.at and n * <Py_ssize_t>sizeof(real) <= RESIDENT_BYTES
    cdef bint has_target = label >= 0 and at_target != 0.0
    cdef real largest, shift, x_target
    cdef double sum_high, sum_low, term, logarithm, factor
    cdef int power
    cdef double dense_part = 0.0
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    cdef vec[double] maximum, same
    cdef vec[real] high, low, watched_bits, nearest
    cdef TermsBesideMaximum state
    cdef CarefulSum careful
    cdef bint large = largest_beside_floor(<real>0) < fabs(total) < INFINITY
    cdef bint near_zero
    if label == IGNORED or (dense == NULL and not has_target):
        loss[0] = 0.0
        if grad.at != NULL:
            fill_row(grad, n, <real>0)
        return 0
    # Before the terms take the logits' place: the target's logit, and what the dense coefficients need.
    x_target = number_at(x + label) if has_target else <real>0
    if dense != NULL:
        find_maximum(x, n, &largest)
        if is_finite(largest):
            dense_loss(values, dense, n, largest, &dense_part)
    sum_row_beside_maximum(x, results if resident else <real*>NULL, n, &largest, &shift, maxima, &state)
    if not is_finite(largest):
        return special_cross_entropy(x, n, largest, label, dense, at_target, loss, grad, made_nan)
    if state.high != state.high:
        loss[0] = NAN
        if grad.at != NULL:
            fill_row(grad, n, <real>NAN)
        return 0
    logarithm = log_of_state(<real>0, state)
    near_zero = is_near_zero(<real>0, logarithm, total, large)
    logarithm *= total
    if near_zero and large:
        out_of_line(sum_of_others[real], total, x, n, largest, &logarithm)
    elif near_zero and total != 0.0:
        out_of_line(sum_row_carefully[real], x, n, shift, &careful)
        logarithm = careful_log(<real>0, &careful, total)
    loss[0] = logarithm + dense_part
    if has_target:
        loss[0] += at_target * (<double>largest - <double>x_target)
    if grad.at == NULL:
        return 0
    if n == 1:  # the probability is 1 whatever the logit
        set_number(grad, <real>0)
        return 0

    sum_of_state(<real>0, state, &sum_high, &sum_low)
    # A tiny total over the sum would leave the normal numbers: its power of two goes another way.
    factor = total
    power = 0
    if total != 0.0 and fabs(total) < least_total(<real>0):
        factor = frexp(total, &power)
    if large:
        maximum_term(broadcast(<real>state.largest), &maximum, &same)
        factor = total / ((sum_high + sum_low) / first_lane(maximum))
        out_of_line(write_large_gradient[real], factor, 0, x, largest, native(<const real*>NULL), grad, n)
    elif resident:
        divisor_of_sum(sum_high, sum_low, factor, &high, &low)
        watched_bits = to_watch(<real>total)
        nearest = none_watched(<real>0)
        while start < n:
            length = n - start if n - start < BLOCK else BLOCK
            scale_block(
                results + start, length,
                power + scale_of_number(maxima[start // BLOCK]) - scale_of_number(<real>state.largest), high, low,
                watched_bits, &nearest,
            )
            start += length
        if any_replaced(nearest):
            out_of_line(replace_in_row[real], x, results, n, shift, total)
    else:
        long_quotients(x, grad, n, <real>state.largest, shift, sum_high, sum_low, total, factor, power, False)
    if has_target and near_zero and x_target == largest and at_target == total:
        set_number(grad + label, <real>(0.0 - logarithm))
    elif has_target:
        term = term_of_number(x_target - shift, <real>state.largest)
        set_number(
            grad + label,
            <real>target_gradient(
                term, x_target == largest and state.ties == 1.0, state, sum_high, sum_low, at_target, total
            ),
        )
    if dense != NULL:
        subtract(results, dense, n)
    return 0


cdef inline int cross_entropy_rows(
    const real* x, Py_ssize_t rows, Py_ssize_t n, const long long* labels, const real* dense, Py_ssize_t dense_stride,
    const double* at_target, const double* total, double* losses, real* grad, bint* made_nan,
) except -1 nogil:
    """Losses and, with grad, gradients of rows (rows, n). labels and dense may be NULL, but not both."""
    cdef real panel[SHORT * LANES]
    cdef bint short = labels != NULL and dense == NULL and n > 1 and is_short(<real>0, rows, n)
    cdef Py_ssize_t width = lanes(<real>0)
    cdef real* copy = NULL
    cdef const real* values
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t group
    if grad == x and n * <Py_ssize_t>sizeof(real) <= RESIDENT_BYTES:
        copy = <real*>malloc(n * sizeof(real))  # without memory, the row is read again
    try:
        while row < rows:
            group = row + width if rows - row > width else rows
            if short and 2 * (group - row) >= width and cross_entropy_group(
                x + row * n, n, group - row, labels + row, at_target + row, total + row, losses + row,
                <real*>NULL if grad == NULL else grad + row * n, <real*>panel,
            ):
                since += (group - row) * n
                row = group
            while row < group:
                values = x + row * n
                if copy != NULL:
                    memcpy(copy, values, n * sizeof(real))
                    values = copy
                cross_entropy_row(
                    native(values), n, NO_TARGET if labels == NULL else <Py_ssize_t>labels[row],
                    <const real*>NULL if dense == NULL else dense + row * dense_stride, at_target[row], total[row],
                    &losses[row], native(<const real*>NULL if grad == NULL else <const real*>grad + row * n), made_nan,
                )
                since += n
                row += 1
                if since >= SIGNAL_PERIOD:
                    since = 0
                    hear_signals()
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    finally:
        free(copy)
    return 0


cdef inline void add_losses(const double* losses, Py_ssize_t rows, double* high, double* low) noexcept nogil:
    """(high, low) += the losses, from left to right by two-sum: the bits do not depend on how rows are split."""
    cdef Py_ssize_t row
    for row in range(rows):
        add_scaled(high, low, 1.0, losses[row], 0.0, 1.0)
