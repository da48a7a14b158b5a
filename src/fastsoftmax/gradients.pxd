"""Vector-Jacobian and Jacobian-vector products, row by row.

(a) All of them are a weighted sum of one input over the row, followed by one elementwise step. What differs is the
    weight: y itself, 1, exp(logp) or exp(a - lse).
(b) The sums have signs and no bound, so their lanes are widened plainly: two products are added by one fma, and the
    pair goes to float64 lanes for float32, and by two-sum to a (high, low) pair for float64. Blocks of BLOCK elements
    are summed one by one and their sums added from left to right, so a row could be split between blocks.
(c) exp(logp) is taken relative to the row's largest logp if that is above 0, which rounding can make it, and else as it is.
    a - lse is rounded; what that loses is found exactly and joins as a factor 1 + lost.
(d) Only a sum that is not finite can make a nan where none came in; such a row is searched before and after.
(e) Columns are gathered into rows, a few at a time, and scattered back.
"""

from libc.math cimport INFINITY, NAN
from libc.stdlib cimport free, malloc

from fastsoftmax.rows cimport SIGNAL_PERIOD, any_nan, block_maximum, fill, hear_signals, is_finite, lanes
from fastsoftmax.simd cimport (
    broadcast, fma, load, load_partial, reduce_add, select_equal, store, store_partial, vec, widen_high, widen_low,
)
from fastsoftmax.sums cimport BLOCK, add_scaled, power_of_two, scale_of_number
from fastsoftmax.vector_math cimport (
    accumulate_widely, exponential, exponential_term, first_lane, lowest, magic_of, real, scale_of, shift_limit, total_widely,
)

cdef enum Gradient:
    SOFTMAX_VJP  # y * g - y * sum(y * g), and the jvp, for the Jacobian is symmetric
    LOG_SOFTMAX_VJP  # g - exp(logp) * sum(g)
    LOG_SOFTMAX_JVP  # t - sum(exp(logp) * t)
    LOGSUMEXP_VJP  # g * exp(a - lse) with one g and one lse a row
    LOGSUMEXP_JVP  # sum(exp(a - lse) * t)


cdef enum:
    GATHERED = 16  # columns at a time: a cache line of float32


cdef struct Exponentials:  # how e^(x - lse) is taken over a row: x - lse is at most `largest`, a term counts unit_high + unit_low
    double lse
    double largest
    double unit_high
    double unit_low


cdef inline double value_of(double high, double low) noexcept nogil:
    """high + low; beside an infinite sum what its rounding lost is nan."""
    return high + low if is_finite(high) else high


cdef inline Exponentials exponentials_of(const real* x, Py_ssize_t n, real lse) noexcept nogil:
    cdef Exponentials row
    cdef real largest = block_maximum(x, n) - lse
    cdef double exponent, unit
    if not largest > 0:
        largest = 0
    if largest > shift_limit(<real>0):
        largest = shift_limit(<real>0)
    row.lse = lse
    row.largest = largest
    exponent = scale_of_number(largest) - (64.0 if real is float else 512.0)
    if exponent <= 0.0:
        unit = power_of_two(exponent)
    elif exponent <= 1022.0:
        unit = 1.0 / power_of_two(-exponent)
    else:
        unit = INFINITY
    row.unit_high = unit * exponential[real].inverse_factor_high()
    row.unit_low = unit * exponential[real].inverse_factor_low()
    if real is float:
        row.unit_low = row.unit_high - <double><float>row.unit_high
    return row


cdef inline vec[real] weights(Gradient gradient, vec[real] values, Exponentials row) noexcept nogil:
    """What an input is multiplied by in the sum, or g in LOGSUMEXP_VJP."""
    cdef vec[real] largest, lse, difference, part, lost, high
    cdef vec[real] zero = broadcast(<real>0)
    if gradient == SOFTMAX_VJP:
        return values
    if gradient == LOG_SOFTMAX_VJP:
        return broadcast(<real>1)
    largest = broadcast(<real>row.largest)
    if gradient == LOG_SOFTMAX_JVP:
        difference = values
        lost = zero
    else:
        lse = zero - broadcast(<real>row.lse)
        difference = values + lse
        part = difference - values
        lost = (values - (difference - part)) + (lse - part)
        lost = select_equal(lost, lost, lost, zero)  # nan beside an infinite difference
    difference = exponential_term(difference, largest - broadcast(lowest(<real>0)), magic_of(scale_of(largest)))
    # term * unit * (1 + lost), rounded once.
    high = broadcast(<real>row.unit_high)
    return fma(difference, high, difference * fma(high, lost, broadcast(<real>row.unit_low)))


cdef inline real small_factor(real unused) noexcept nogil:
    """Factors below this would take a unit out of its range; what a flushed exponential loses is nothing beside them."""
    return <real>9.313225746154785e-10 if real is float else <real>3.8725919148493183e-121


cdef inline void take_factor(real g, Exponentials* row) noexcept nogil:
    """Make g part of the unit, so that g * exp(a - lse) rounds once and no large g meets a flushed exponential."""
    cdef double product = row.unit_high * g
    cdef double lost
    if real is float:
        lost = product - <double><float>product
    else:
        lost = first_lane(fma(broadcast(row.unit_high), broadcast(g), broadcast(-product))) + row.unit_low * g
    row.unit_high = product
    row.unit_low = lost


cdef inline void load_at(const real* p, Py_ssize_t i, Py_ssize_t n, real beyond, vec[real]* values) noexcept nogil:
    """One vector of p[:n] at i, with `beyond` after n."""
    if i + lanes(<real>0) <= n:
        values[0] = load(p + i)
    elif i < n:
        values[0] = load_partial(p + i, n - i, beyond)
    else:
        values[0] = broadcast(beyond)


cdef inline void add_block(
    Gradient gradient, const real* g, const real* values, Py_ssize_t n, Exponentials row, double* high, double* low
) noexcept nogil:
    """(high, low) += the sum of weight * g over one block."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[double] first = broadcast(0.0)
    cdef vec[double] second = broadcast(0.0)
    cdef vec[real] x, v, pair
    cdef double block_high, block_low
    # What an exponential is taken of is -inf in empty lanes: 0 may be far above the row, and overflow.
    cdef real empty = 0 if gradient == SOFTMAX_VJP else <real>-INFINITY
    while i + 2 * width <= n:
        pair = weights(gradient, load(values + i), row) * load(g + i)
        pair = fma(weights(gradient, load(values + i + width), row), load(g + i + width), pair)
        accumulate_widely(pair, &first, &second)
        i += 2 * width
    if i < n:
        load_at(g, i, n, <real>0, &x)
        load_at(values, i, n, empty, &v)
        pair = weights(gradient, v, row) * x
        load_at(g, i + width, n, <real>0, &x)
        load_at(values, i + width, n, empty, &v)
        accumulate_widely(fma(weights(gradient, v, row), x, pair), &first, &second)
    total_widely(<real>0, first, second, &block_high, &block_low)
    add_scaled(high, low, 1.0, block_high, block_low, 1.0)


cdef inline vec[real] step(
    Gradient gradient, vec[real] x, vec[real] values, vec[real] sum, Exponentials row
) noexcept nogil:
    """The elementwise step. For LOGSUMEXP_VJP `sum` is the row's g."""
    if gradient == SOFTMAX_VJP:
        return fma(values, x, broadcast(<real>0) - values * sum)  # x - sum could overflow where y is 0
    if gradient == LOG_SOFTMAX_VJP:
        return fma(weights(LOG_SOFTMAX_JVP, values, row), broadcast(<real>0) - sum, x)
    if gradient == LOG_SOFTMAX_JVP:
        return x - sum
    return weights(LOGSUMEXP_VJP, values, row) * sum


cdef inline void write_gradient(
    Gradient gradient, const real* g, const real* values, real* out, Py_ssize_t n, Exponentials row, real sum
) noexcept nogil:
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] s = broadcast(sum)
    cdef vec[real] x = s
    cdef vec[real] v
    while i + width <= n:
        if gradient != LOGSUMEXP_VJP:
            x = load(g + i)
        store(out + i, step(gradient, x, load(values + i), s, row))
        i += width
    if i < n:
        if gradient != LOGSUMEXP_VJP:
            load_at(g, i, n, <real>0, &x)
        load_at(values, i, n, <real>0, &v)
        store_partial(out + i, step(gradient, x, v, s, row), n - i)


cdef inline void make_nans_canonical(real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if out[i] != out[i]:
            out[i] = NAN


cdef inline int gradient_row(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out, Py_ssize_t n, bint* made_nan
) except -1 nogil:
    """One row. g and lse are single numbers where the gradient has one a row, out for LOGSUMEXP_JVP."""
    cdef Exponentials row
    cdef double high = 0.0
    cdef double low = 0.0
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t written = 1 if gradient == LOGSUMEXP_JVP else n
    cdef Py_ssize_t given = 1 if gradient == LOGSUMEXP_VJP else n
    cdef real sum
    cdef bint suspect, had_nan
    row.lse = row.largest = row.unit_high = row.unit_low = 0.0
    if gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP:
        if lse[0] == -INFINITY:
            fill(out, written, <real>0)
            return 0
        row = exponentials_of(values, n, lse[0])
    elif gradient != SOFTMAX_VJP:
        row = exponentials_of(values, n, <real>0)
    if gradient == LOGSUMEXP_VJP:
        sum = g[0]
        if is_finite(sum) and not -small_factor(<real>0) < sum < small_factor(<real>0):
            take_factor(sum, &row)
            sum = 1
    else:
        while start < n:
            add_block(gradient, g + start, values + start, n - start if n - start < BLOCK else BLOCK, row, &high, &low)
            start += BLOCK
            if start % SIGNAL_PERIOD == 0:
                hear_signals()
        if gradient == LOG_SOFTMAX_VJP:
            # Half the sum and twice the exponential: the sum alone may be beyond float32.
            sum = <real>(0.5 * value_of(high, low))
            row.unit_high *= 2.0
            row.unit_low *= 2.0
        else:
            sum = <real>value_of(high, low)
    suspect = not is_finite(sum)
    if gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP:
        suspect |= not is_finite(lse[0])
    had_nan = suspect and (
        any_nan(g, given) or any_nan(values, n)
        or (gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP) and lse[0] != lse[0]
    )
    if gradient == LOGSUMEXP_JVP:
        out[0] = sum
    else:
        write_gradient(gradient, g, values, out, n, row, sum)
    if suspect:
        make_nans_canonical(out, written)
        made_nan[0] |= not had_nan and any_nan(out, written)
    return 0


cdef inline int gradient_rows(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out, Py_ssize_t outer, Py_ssize_t n,
    bint* made_nan,
) except -1 nogil:
    """One gradient over rows (outer, n)."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t row
    for row in range(outer):
        if gradient == SOFTMAX_VJP:
            gradient_row(SOFTMAX_VJP, g + row * n, values + row * n, NULL, out + row * n, n, made_nan)
        elif gradient == LOG_SOFTMAX_VJP:
            gradient_row(LOG_SOFTMAX_VJP, g + row * n, values + row * n, NULL, out + row * n, n, made_nan)
        elif gradient == LOG_SOFTMAX_JVP:
            gradient_row(LOG_SOFTMAX_JVP, g + row * n, values + row * n, NULL, out + row * n, n, made_nan)
        elif gradient == LOGSUMEXP_VJP:
            gradient_row(LOGSUMEXP_VJP, g + row, values + row * n, lse + row, out + row * n, n, made_nan)
        else:
            gradient_row(LOGSUMEXP_JVP, g + row * n, values + row * n, lse + row, out + row, n, made_nan)
        since += n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline void gather(const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* rows) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        for j in range(columns):
            rows[j * n + i] = x[i * stride + j]


cdef inline void scatter(const real* rows, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* x) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        for j in range(columns):
            x[i * stride + j] = rows[j * n + i]


cdef inline int gradient_columns(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out, Py_ssize_t outer, Py_ssize_t n,
    Py_ssize_t inner, bint* made_nan,
) except -1 nogil:
    """One gradient over blocks (outer, n, inner)."""
    cdef Py_ssize_t o, j, columns, block, slice
    cdef real* rows = <real*>malloc(2 * GATHERED * n * sizeof(real))
    cdef real* others = rows + GATHERED * n
    if rows == NULL:
        raise MemoryError()
    try:
        for o in range(outer):
            j = 0
            while j < inner:
                columns = inner - j if inner - j < GATHERED else GATHERED
                block = o * n * inner + j
                slice = o * inner + j
                gather(values + block, inner, n, columns, rows)
                if gradient == LOGSUMEXP_VJP:
                    gradient_rows(gradient, g + slice, rows, lse + slice, rows, columns, n, made_nan)
                    scatter(rows, inner, n, columns, out + block)
                else:
                    gather(g + block, inner, n, columns, others)
                    if gradient == LOGSUMEXP_JVP:
                        gradient_rows(gradient, others, rows, lse + slice, out + slice, columns, n, made_nan)
                    else:
                        gradient_rows(gradient, others, rows, NULL, rows, columns, n, made_nan)
                        scatter(rows, inner, n, columns, out + block)
                j += columns
                hear_signals()
    finally:
        free(rows)
    return 0
