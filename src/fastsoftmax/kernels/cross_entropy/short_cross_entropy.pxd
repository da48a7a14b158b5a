"""Cross-entropy of short rows with index targets: as many rows as a vector has lanes, one in each lane.

(a) The rows are transposed into a panel as in short_rows.pxd. Coefficients and target logits are vectors beside it, and every
    step is the row kernel's, so a row has the same bits here, there, alone and in a batch.
(b) A row that needs a closer look (see short_rows.pxd), or whose loss or gradient is below the smallest normal number, sends
    its group to the row kernel, before anything is written.
(c) A row that is left out takes part with coefficients 0. One that holds a nan or an infinite largest element sends its group
    to the row kernel like any other.
"""

from libc.math cimport fabs, frexp

from fastsoftmax.kernels.arithmetic.panel_sums cimport sum_panel
from fastsoftmax.kernels.arithmetic.simd cimport (
    broadcast, load, maximum, narrow, reduce_max, select_equal, select_less, store, vec, widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport any_replaced, largest_replaced, none_watched, to_watch, watch
from fastsoftmax.kernels.arithmetic.sums cimport divisor, log_of_sum, maximum_term, power_of_two, quotient
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, add_pair, lanes, real, shift_limit
from fastsoftmax.kernels.gradients.gradients cimport largest_beside_floor
from fastsoftmax.kernels.rows.row_panels cimport read_rows, write_rows
from fastsoftmax.kernels.rows.short_rows cimport one_where_unusual


cdef struct Coefficients:  # of a group, one a lane
    double total[LANES]
    double at_target[LANES]
    double x_target[LANES]
    double term[LANES]  # of the target
    double factor[LANES]  # total = factor * 2^power
    double power[LANES]
    Py_ssize_t label[LANES]
    bint large  # whether a total is for the row kernel


cdef inline double least_total(real unused) noexcept nogil:
    """Over the sum, a smaller total would leave the normal numbers: its power of two goes another way."""
    return 1e-6 if real is float else 1e-90


cdef inline bint settle_coefficients(
    real unused, Py_ssize_t rows, const long long* labels, const double* at_target, const double* total, Coefficients* group
) noexcept nogil:
    """The coefficients of a group; lanes without a row repeat the first. Whether any has a power."""
    cdef bint any_power = False
    cdef Py_ssize_t i, row
    cdef int power
    group.large = False
    for i in range(lanes(<real>0)):
        row = i if i < rows else 0
        group.label[i] = <Py_ssize_t>labels[row] if labels[row] >= 0 else 0
        group.at_target[i] = at_target[row] if labels[row] >= 0 else 0.0
        group.total[i] = total[row] if group.at_target[i] != 0.0 else 0.0
        group.large |= fabs(group.total[i]) > largest_beside_floor(<real>0)
        group.factor[i] = group.total[i]
        group.power[i] = 0.0
        if group.total[i] != 0.0 and fabs(group.total[i]) < least_total(<real>0):
            group.factor[i] = frexp(group.total[i], &power)
            group.power[i] = power
            any_power = True
    return any_power


cdef inline vec[real] narrowed(const double* x, real unused) noexcept nogil:
    """What a group has in float64, in its own precision."""
    if real is float:
        return narrow(load(x), load(x + 8))
    else:
        return load(x)


cdef inline vec[double] too_small(real unused, vec[double] logarithm, vec[double] total) noexcept nogil:
    """1 in the lanes where a logarithm, or its product with the total, may be below the smallest normal number."""
    cdef vec[double] zero = broadcast(0.0)
    cdef vec[double] one = broadcast(1.0)
    total = select_less(total, zero, zero - total, total)
    total = select_less(zero, total, select_less(total, one, total, one), one)
    return select_less(broadcast(<double>2 * largest_replaced(<real>0)), logarithm * total, zero, one)


cdef inline vec[double] losses_of(
    vec[double] logarithm, vec[double] largest, const double* total, const double* at_target, const double* x_target
) noexcept nogil:
    return (logarithm * load(total) + broadcast(0.0)) + load(at_target) * (largest - load(x_target))


cdef inline vec[double] target_gradients(
    vec[double] ties, vec[double] largest, vec[double] high, vec[double] low, vec[double] sum_high, vec[double] sum_low,
    const double* total, const double* at_target, const double* x_target, const double* term,
) noexcept nogil:
    """total*p - at_target at the targets: see `target_gradient`."""
    cdef vec[double] sum = sum_high + sum_low
    cdef vec[double] others = (sum_high - load(term)) + sum_low
    others = select_equal(
        load(x_target), largest, select_equal(ties, broadcast(1.0), high + low, others), others
    )
    return (load(total) - load(at_target)) * (load(term) / sum) - load(at_target) * (others / sum)


cdef inline bint cross_entropy_panel(
    real* panel, Py_ssize_t n, Py_ssize_t rows, const long long* labels, const double* at_target, const double* total,
    double* losses, bint with_grad,
) noexcept nogil:
    """Rows of 1 < n <= BLOCK elements: losses and, in the panel's place, gradients.

    False, and no losses, if one needs a closer look.
    """
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Coefficients group
    cdef double group_losses[LANES]
    cdef real at[LANES]
    cdef real once[LANES]
    cdef real again[LANES]
    cdef bint any_power = settle_coefficients(<real>0, rows, labels, at_target, total, &group)
    cdef Py_ssize_t i
    cdef double half
    cdef vec[real] top, ties, unusual, values, high, low, watched_bits, nearest
    cdef vec[double] a, b, log_a, log_b, max_a, max_b, sum_a, sum_b, sum_low_a, sum_low_b
    cdef vec[double] zero = broadcast(0.0)
    top = load(<const real*>panel)
    for i in range(1, n):
        top = maximum(load(<const real*>panel + i * width), top)
    unusual = one_where_unusual(top, broadcast(shift_limit(<real>0)))
    if group.large or reduce_max(unusual) != 0:
        return False
    for i in range(width):
        group.x_target[i] = panel[group.label[i] * width + i]
    sum_panel(panel, panel if with_grad else <real*>NULL, n, top, True, &a, &b, &ties)
    maximum_term(top, &max_a, &max_b)
    if real is float:
        log_a = log_of_sum(widen_low(ties), a, max_a)
        log_b = log_of_sum(widen_high(ties), b, max_b)
        unusual = narrow(
            too_small(<real>0, log_a, load(<const double*>group.total)),
            too_small(<real>0, log_b, load(<const double*>group.total + 8)),
        )
    else:
        log_a = log_of_sum(ties, a + b, max_a)
        unusual = too_small(<real>0, log_a, load(<const double*>group.total))
    if reduce_max(unusual) != 0:  # a nan is not less than anything, so it is among these
        return False
    if real is float:
        store(<double*>group_losses, losses_of(log_a, widen_low(top), group.total, group.at_target, group.x_target))
        store(
            <double*>group_losses + 8,
            losses_of(log_b, widen_high(top), &group.total[8], &group.at_target[8], &group.x_target[8]),
        )
    else:
        store(<double*>group_losses, losses_of(log_a, top, group.total, group.at_target, group.x_target))
    if with_grad:
        for i in range(width):
            group.term[i] = panel[group.label[i] * width + i]
        sum_low_a = sum_low_b = zero
        if real is float:
            sum_a = widen_low(ties) * max_a
            sum_b = widen_high(ties) * max_b
            add_pair(&sum_a, &sum_low_a, a, zero)
            add_pair(&sum_b, &sum_low_b, b, zero)
            divisor(
                sum_a + sum_low_a, sum_b + sum_low_b, load(<const double*>group.factor), load(<const double*>group.factor + 8),
                &high, &low,
            )
            values = narrow(
                target_gradients(
                    widen_low(ties), widen_low(top), a, zero, sum_a, sum_low_a, group.total, group.at_target, group.x_target,
                    group.term,
                ),
                target_gradients(
                    widen_high(ties), widen_high(top), b, zero, sum_b, sum_low_b, &group.total[8], &group.at_target[8],
                    &group.x_target[8], &group.term[8],
                ),
            )
        else:
            sum_a = ties * max_a
            add_pair(&sum_a, &sum_low_a, a, b)
            divisor(sum_a, sum_low_a, load(<const double*>group.factor), zero, &high, &low)
            values = target_gradients(
                ties, top, a, b, sum_a, sum_low_a, group.total, group.at_target, group.x_target, group.term
            )
        store(<real*>at, values)
        values = narrowed(group.total, <real>0)
        watched_bits = select_less(values, broadcast(<real>0), to_watch(<real>-1), to_watch(<real>1))
        nearest = none_watched(<real>0)
        if any_power:
            for i in range(width):
                half = <double><long long>(0.5 * group.power[i])
                once[i] = <real>power_of_two(half)
                again[i] = <real>power_of_two(group.power[i] - half)
            for i in range(n):
                values = load(<const real*>panel + i * width) * load(<const real*>once) * load(<const real*>again)
                store(panel + i * width, values)
        for i in range(n):
            values = quotient(load(<const real*>panel + i * width), high, low)
            watch(values, watched_bits, &nearest)
            store(panel + i * width, values)
        if any_replaced(nearest):
            return False
        for i in range(width):
            panel[group.label[i] * width + i] = at[i]
    for i in range(rows):
        losses[i] = group_losses[i]
    return True


cdef inline bint cross_entropy_group(
    const real* x, Py_ssize_t n, Py_ssize_t rows, const long long* labels, const double* at_target, const double* total,
    double* losses, real* grad, real* panel,
) noexcept nogil:
    """One group of rows of n > 1 elements, in place or not. False, and nothing written, if one needs a closer look."""
    read_rows(x, n, rows, panel)
    if not cross_entropy_panel(panel, n, rows, labels, at_target, total, losses, grad != NULL):
        return False
    if grad != NULL:
        write_rows(panel, grad, n, rows)
    return True
