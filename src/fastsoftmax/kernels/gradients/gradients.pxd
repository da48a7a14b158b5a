"""Vector-Jacobian and Jacobian-vector products, row by row.

(a) All of them are a weighted sum of one input over the row, followed by one elementwise step. What differs is the
    weight: y itself, 1, exp(logp) or exp(a - lse).
(b) The sums have signs and no bound, so they are plain and wide. For float32, two products are added and the pair goes to
    float64 lanes; the products of exponentials are float64 themselves. For float64 a (high, low) pair adds them by
    two-sum. Blocks of BLOCK elements are summed one by one and their sums added from left to right, so a row could be
    split between blocks.
(c) exp(logp) is taken relative to the row's largest logp if that is above 0, which rounding can make it, and else as it is.
    a - lse is rounded; what that loses is found exactly and joins as a factor 1 + lost. An exponential keeps its bias
    until it has met its factor, so that exp(logp) below the smallest normal number times a large one keeps its digits.
(d) An exponential counts as no less than its floor, which is nothing beside factors up to `largest_beside_floor`, nor beside
    tangents up to `largest_tangent`. Rows with larger ones are rare, and are computed number by number.
(e) Only a sum that is not finite can make a nan where none came in, or an exponential that is not, beside a factor of 0;
    such a row is searched before and after.
"""

from libc.math cimport INFINITY, NAN, frexp, ldexp

from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, BFLOAT16, FLOAT16, Storage, any_at_least, broadcast, canonical_nans, common_storage, fma, from_bits, load,
    load_at, maximum, native, number_at, select_equal, select_less, set_number, store, store_partial, stored, stored_as, vec,
    widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport exact_product, out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, add_scaled, bias_of, power_of_two, scale_of_number
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    accumulate_widely, exponential, exponential_term, first_lane, lanes, lowest, magic_of, real, scale_of, shift_limit,
    total_widely,
)
from fastsoftmax.kernels.gradients.careful_gradients cimport careful_softmax_gradient, huge_scale, is_tiny_sum, tiny_scale
from fastsoftmax.kernels.rows.row_blocks cimport fill_row, find_maximum, find_nan, is_finite
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals, next_piece

cdef enum Gradient:
    SOFTMAX_VJP  # y * g - y * sum(y * g), and the jvp, for the Jacobian is symmetric
    LOG_SOFTMAX_VJP  # g - exp(logp) * sum(g)
    LOG_SOFTMAX_JVP  # t - sum(exp(logp) * t)
    LOGSUMEXP_VJP  # g * exp(a - lse) with one g and one lse a row
    LOGSUMEXP_JVP  # sum(exp(a - lse) * t)


cdef enum:
    LARGEST_USUAL = 80  # of x - lse: beyond it the exponential may be infinite


cdef struct Exponentials:  # how e^(x - lse) is taken over a row: a term * unit * 2^exponent
    double lse
    double largest  # what x - lse is at most
    double exponent
    double unit_high
    double unit_low
    bint halved  # the sum is given as its half


cdef inline double value_of(double high, double low) noexcept nogil:
    """high + low; beside an infinite sum what its rounding lost is nan."""
    return high + low if is_finite(high) else high


cdef inline Exponentials exponentials_about(real largest, real lse) noexcept nogil:
    """For a row with this x - lse, which is no more than shift_limit from 0."""
    cdef Exponentials row
    row.lse = lse
    row.largest = largest
    row.halved = False
    row.exponent = scale_of_number(largest) - bias_of(<real>0)
    row.unit_high = exponential[real].inverse_factor_high()
    row.unit_low = exponential[real].inverse_factor_low()
    if real is float:
        row.unit_low = row.unit_high - <double><float>row.unit_high
    return row


cdef inline Exponentials exponentials_of(real largest, real lse) noexcept nogil:
    """For a row whose largest element is this one."""
    largest -= lse
    if not largest > 0:
        largest = 0
    if largest > shift_limit(<real>0):
        largest = shift_limit(<real>0)
    return exponentials_about(largest, lse)


cdef inline double scaled_below(double end, double x, double exponent) noexcept nogil:
    """x * 2^exponent for a whole exponent, rounded once, or infinite; from the end on not all of the exponent is taken."""
    if exponent <= 0.0:
        return x * power_of_two(exponent)
    if x == 0.0:  # no number of steps would take it out of the range
        return x
    while exponent > 1022.0:
        x /= power_of_two(-1022.0)
        exponent -= 1022.0
        if not -end < x < end:
            exponent = 0.0
    return x / power_of_two(-exponent)


cdef inline double scaled(double x, double exponent) noexcept nogil:
    """x * 2^exponent for a whole exponent, rounded once, or infinite."""
    return scaled_below(INFINITY, x, exponent)


cdef inline void remove_bias(Exponentials* row) noexcept nogil:
    """Let `unit` make the whole exponential of a term.

    If that is beyond the range, it stays a finite number as long as it can: the largest exponentials are infinite all the same,
    and smaller ones, beside a factor of 0, make no nan.
    """
    row.unit_high = scaled_below(1.0e300, row.unit_high, row.exponent)
    row.unit_low = scaled_below(1.0e300, row.unit_low, row.exponent)
    row.exponent = 0.0


cdef inline vec[real] terms_of(Gradient gradient, vec[real] values, Exponentials row, vec[real]* lost) noexcept nogil:
    """The terms of e^(values - lse), which rounding made too small by the factor 1 + lost."""
    cdef vec[real] lse, difference, part
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] largest = broadcast(<real>row.largest)
    cdef vec[real] floor = largest - broadcast(lowest(<real>0))
    difference = values
    lost[0] = zero
    if gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP:
        lse = zero - broadcast(<real>row.lse)
        difference = values + lse
        part = difference - values
        lost[0] = (values - (difference - part)) + (lse - part)
        # What a huge difference lost is no small factor; beside an infinite one it is nan.
        lost[0] = select_less(difference, floor, zero, select_equal(lost[0], lost[0], lost[0], zero))
    return exponential_term(difference, floor, magic_of(scale_of(largest)))


cdef inline vec[real] with_unit(vec[real] terms, vec[real] lost, vec[real] high, vec[real] low) noexcept nogil:
    """term * unit * (1 + lost), rounded once."""
    return fma(terms, high, terms * fma(high, lost, low))


cdef inline vec[real] exponentials(Gradient gradient, vec[real] values, Exponentials row) noexcept nogil:
    cdef vec[real] lost
    cdef vec[real] terms = terms_of(gradient, values, row, &lost)
    return with_unit(terms, lost, broadcast(<real>row.unit_high), broadcast(<real>row.unit_low))


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


cdef inline vec[real] weights(Gradient gradient, vec[real] values, Exponentials row) noexcept nogil:
    """What the sum multiplies its input by: exponentials still as terms."""
    cdef vec[real] lost, terms
    if gradient == SOFTMAX_VJP:
        return values
    if gradient == LOG_SOFTMAX_VJP:
        return broadcast(<real>1)
    terms = terms_of(gradient, values, row, &lost)
    return fma(terms, lost, terms) if gradient == LOGSUMEXP_JVP else terms


cdef inline void add_products(
    Gradient gradient, vec[real] a, vec[real] x, vec[real] b, vec[real] y, vec[double]* first, vec[double]* second
) noexcept nogil:
    """(first, second) += a * x + b * y."""
    if gradient == SOFTMAX_VJP:
        accumulate_widely(fma(b, y, a * x), first, second)
    elif real is float:
        first[0] = first[0] + fma(widen_low(b), widen_low(y), widen_low(a) * widen_low(x))
        second[0] = second[0] + fma(widen_high(b), widen_high(y), widen_high(a) * widen_high(x))
    else:
        accumulate_widely(a * x, first, second)
        accumulate_widely(b * y, first, second)


cdef inline void add_block(
    Gradient gradient, stored[real] g, stored[real] values, Py_ssize_t n, Exponentials row, real factor, double* high,
    double* low,
) noexcept nogil:
    """(high, low) += the sum of weight * g * factor over one block."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[double] first = broadcast(0.0)
    cdef vec[double] second = broadcast(0.0)
    cdef vec[real] x, v, y, w
    cdef vec[real] f = broadcast(factor)
    cdef double block_high, block_low
    # What an exponential is taken of is -inf in empty lanes: 0 may be far above the row, and overflow.
    cdef real empty = 0 if gradient == SOFTMAX_VJP else <real>-INFINITY
    while i + 2 * width <= n:
        v = weights(gradient, load(values + i), row)
        w = weights(gradient, load(values + i + width), row)
        x = load(g + i)
        y = load(g + i + width)
        if factor != 1:
            x = x * f
            y = y * f
        add_products(gradient, v, x, w, y, &first, &second)
        i += 2 * width
    if i < n:
        load_at(g, i, n, <real>0, &x)
        load_at(values, i, n, empty, &v)
        load_at(g, i + width, n, <real>0, &y)
        load_at(values, i + width, n, empty, &w)
        if factor != 1:
            x = x * f
            y = y * f
        add_products(gradient, weights(gradient, v, row), x, weights(gradient, w, row), y, &first, &second)
    total_widely(<real>0, first, second, &block_high, &block_low)
    add_scaled(high, low, 1.0, block_high, block_low, 1.0)


cdef inline vec[real] step(
    Gradient gradient, vec[real] x, vec[real] weights, vec[real] sum, bint halved
) noexcept nogil:
    """The elementwise step, from y or the exponentials. For LOGSUMEXP_VJP `sum` is the row's g.

    A nan among the values reaches the sum, and makes a row suspect, but for the products that sum g alone or nothing.
    """
    if gradient == SOFTMAX_VJP:
        # x - sum could overflow where y is 0. The inner one is 0 - weights * sum in one step.
        return fma(weights, x, fma(weights, broadcast(<real>0) - sum, broadcast(<real>0)))
    if gradient == LOG_SOFTMAX_VJP:
        return canonical_nans(fma(weights, broadcast(<real>0) - sum, x))
    if gradient == LOG_SOFTMAX_JVP:
        return (x - sum) - sum if halved else x - sum
    return canonical_nans(weights * sum)


cdef inline vec[real] step_of_row(
    Gradient gradient, vec[real] x, vec[real] values, vec[real] sum, Exponentials row
) noexcept nogil:
    if gradient == LOG_SOFTMAX_VJP or gradient == LOGSUMEXP_VJP:
        values = exponentials(gradient, values, row)
    return step(gradient, x, values, sum, row.halved)


cdef inline void write_gradient(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, Exponentials row, real sum
) noexcept nogil:
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] s = broadcast(sum)
    cdef vec[real] x = s
    cdef vec[real] v
    while i + width <= n:
        if gradient != LOGSUMEXP_VJP:
            x = load(g + i)
        store(out + i, step_of_row(gradient, x, load(values + i), s, row))
        i += width
    if i < n:
        if gradient != LOGSUMEXP_VJP:
            load_at(g, i, n, <real>0, &x)
        load_at(values, i, n, <real>0, &v)
        store_partial(out + i, step_of_row(gradient, x, v, s, row), n - i)


cdef inline void write_any_gradient(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, Exponentials row, real sum
) noexcept nogil:
    """The same, compiled for each format where there is little else to do."""
    cdef Storage storage = common_storage(g, values, out)
    if gradient == SOFTMAX_VJP and storage == FLOAT16:
        write_gradient(
            SOFTMAX_VJP, stored_as(FLOAT16, g), stored_as(FLOAT16, values), stored_as(FLOAT16, out), n, row, sum
        )
    elif gradient == SOFTMAX_VJP and storage == BFLOAT16:
        write_gradient(
            SOFTMAX_VJP, stored_as(BFLOAT16, g), stored_as(BFLOAT16, values), stored_as(BFLOAT16, out), n, row, sum
        )
    else:
        write_gradient(gradient, g, values, out, n, row, sum)


cdef inline int write_gradient_row(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, Exponentials row, real sum
) except -1 nogil:
    """The same for a row of any length."""
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        next_piece(start, n, &length)
        write_any_gradient(
            gradient, g if gradient == LOGSUMEXP_VJP else g + start, values + start, out + start, length, row, sum
        )
        start += length
    return 0


cdef inline void make_nans_canonical(stored[real] out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] v
    while i < n:
        load_at(out, i, n, <real>0, &v)
        store_partial(out + i, canonical_nans(v), n - i if n - i < width else width)
        i += width


cdef inline int make_nans_canonical_in_row(stored[real] out, Py_ssize_t n) except -1 nogil:
    """The same for a row of any length."""
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        next_piece(start, n, &length)
        make_nans_canonical(out + start, length)
        start += length
    return 0


cdef inline void add_any_block(
    Gradient gradient, stored[real] g, stored[real] values, Py_ssize_t n, Exponentials row, real factor, double* high,
    double* low,
) noexcept nogil:
    """The same, compiled for each format where there is little else to do."""
    cdef Storage storage = common_storage(g, g, values)
    if gradient == SOFTMAX_VJP and storage == FLOAT16:
        add_block(SOFTMAX_VJP, stored_as(FLOAT16, g), stored_as(FLOAT16, values), n, row, factor, high, low)
    elif gradient == SOFTMAX_VJP and storage == BFLOAT16:
        add_block(SOFTMAX_VJP, stored_as(BFLOAT16, g), stored_as(BFLOAT16, values), n, row, factor, high, low)
    else:
        add_block(gradient, g, values, n, row, factor, high, low)


cdef inline int weighted_sum(
    Gradient gradient, stored[real] g, stored[real] values, Py_ssize_t n, Exponentials row, real factor, double* sum
) except -1 nogil:
    """The sum of weight * g * factor over a row; of exponentials it is not yet multiplied by their unit."""
    cdef double high = 0.0
    cdef double low = 0.0
    cdef Py_ssize_t start = 0
    while start < n:
        add_any_block(
            gradient, g + start, values + start, n - start if n - start < BLOCK else BLOCK, row, factor, &high, &low
        )
        start += BLOCK
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    sum[0] = value_of(high, low)
    return 0


cdef inline double half_range(real unused) noexcept nogil:
    """2^127, 2^1023"""
    return 1.7014118346046923e38 if real is float else 8.98846567431158e307


cdef inline real sum_of_exponentials(real unused, double sum, Exponentials* row) noexcept nogil:
    """A sum of terms in the unit of exponentials; its half, where it may leave the range."""
    cdef vec[double] high, low
    if not is_finite(sum):
        return <real>sum
    if real is float:
        sum = sum * row.unit_high
    else:
        # Room for the halves of the exact product without fma.
        sum = sum * power_of_two(-100.0)
        exact_product(broadcast(sum), broadcast(row.unit_high), &high, &low)
        sum = first_lane(high + fma(broadcast(sum), broadcast(row.unit_low), low))
        row.exponent += 100.0
    row.halved = not -half_range(<real>0) < scaled(sum, row.exponent) < half_range(<real>0)
    if row.halved:
        row.exponent -= 1.0
    return <real>scaled(sum, row.exponent)


cdef inline double least_shared(real unused) noexcept nogil:
    """2^-60, 2^-500: beyond it a sum has room for the power of two of the exponentials."""
    return 8.673617379884035e-19 if real is float else 3.054936363499605e-151


cdef inline real share_exponent(real unused, double sum, Exponentials* row) noexcept nogil:
    """The factor of the exponentials in g - exp(logp) * sum, which takes their power of two if it has room for it."""
    cdef double magnitude = sum if sum > 0 else -sum
    if row.exponent <= 0.0 and magnitude > least_shared(<real>0):
        sum = scaled(sum, row.exponent)
        row.exponent = 0.0
    else:
        remove_bias(row)
    return <real>sum


cdef inline double largest_beside_floor(real unused) noexcept nogil:
    """2^36, 2^365: times the floor, e^-130 or e^-1000, not half of the smallest subnormal."""
    return 68719476736.0 if real is float else 7.515336264876486e109


cdef inline real largest_tangent(real unused) noexcept nogil:
    """2^13, 2^300: so small, that many of them may meet the floor in a sum."""
    return <real>(8192.0 if real is float else 2.037035976334486e90)


cdef inline bint is_beside_floor(real unused, double factor, Exponentials row) noexcept nogil:
    """Whether beside this factor exponentials of the row may not count as the floor; false of what is not finite."""
    cdef double limit = scaled(largest_beside_floor(<real>0), -row.exponent - bias_of(<real>0))
    return is_finite(factor) and not -limit <= factor <= limit


cdef inline double times_exponential(double mantissa, int power, double x, double lse) noexcept nogil:
    """mantissa * 2^power * e^(x - lse), however far the exponential is from 1."""
    cdef Exponentials one
    cdef vec[double] terms, lost
    cdef double difference = x - lse
    if difference > 3000.0:
        return INFINITY * mantissa
    if difference < -3000.0:
        return 0.0 * mantissa
    if difference != difference:
        return NAN
    one = exponentials_about(difference, lse)
    terms = terms_of(LOGSUMEXP_VJP, broadcast(x), one, &lost)
    terms = with_unit(terms, lost, broadcast(one.unit_high), broadcast(one.unit_low))
    return ldexp(first_lane(terms) * mantissa, <int>one.exponent + power)


cdef inline int write_large_gradient(
    double factor, int power, stored[real] values, real lse, stored[real] minuend, stored[real] out, Py_ssize_t n
) except -1 nogil:
    """factor * 2^power * e^(values - lse), or what it leaves of the minuend if there is one."""
    cdef double mantissa = factor
    cdef double product
    cdef double rest = 0.0
    cdef Py_ssize_t i
    cdef int own_power = 0
    if is_finite(factor):
        mantissa = frexp(factor, &own_power)
    power += own_power
    for i in range(n):
        if i > 0 and i % SIGNAL_PERIOD == 0:
            hear_signals()
        product = times_exponential(mantissa, power, number_at(values + i), lse)
        if minuend.at != NULL:
            rest = number_at(minuend + i)
            if is_finite(product):
                product = rest - product
            else:
                product = times_exponential(mantissa, power - 1, number_at(values + i), lse)
                product = (rest - product) - product
        set_number(out + i, <real>product)
    return 0


cdef inline vec[real] where_below_floor(vec[real] t, vec[real] difference, vec[real] floor, vec[real] others) noexcept nogil:
    """Positive where an exponential below the floor meets a large tangent, and the others where it is not below."""
    cdef vec[real] magnitude = maximum(t, broadcast(<real>0) - t)
    return select_less(difference, floor, magnitude - broadcast(largest_tangent(<real>0)), others)


cdef inline bint any_positive(vec[real] x) noexcept nogil:
    return any_at_least(x, from_bits(<real>0, 1))


cdef inline int has_large_tangent(
    stored[real] t, stored[real] values, Py_ssize_t n, Exponentials row, bint* found
) except -1 nogil:
    """Whether a large tangent meets an exponential below the floor of the row."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] x, v
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] largest = zero
    cdef vec[real] floor = broadcast(<real>row.largest - lowest(<real>0))
    cdef vec[real] lse = broadcast(<real>0 - <real>row.lse)
    while i < n:
        load_at(t, i, n, <real>0, &x)
        load_at(values, i, n, <real>0, &v)
        largest = maximum(where_below_floor(x, v + lse, floor, zero), largest)
        i += width
        if i % SIGNAL_PERIOD == 0:
            hear_signals()
    found[0] = any_positive(largest)
    return 0


cdef inline int sum_large_tangents(
    stored[real] t, stored[real] values, real lse, Py_ssize_t n, int power, double* sum
) except -1 nogil:
    """2^power * the sum of t * e^(values - lse)."""
    cdef double high = 0.0
    cdef double low = 0.0
    cdef double mantissa
    cdef Py_ssize_t i
    cdef int own_power
    for i in range(n):
        if i > 0 and i % SIGNAL_PERIOD == 0:
            hear_signals()
        mantissa = frexp(<double>number_at(t + i), &own_power)
        add_scaled(&high, &low, 1.0, times_exponential(mantissa, own_power + power, number_at(values + i), lse), 0.0, 1.0)
    sum[0] = value_of(high, low)
    return 0


cdef inline int take_large_tangents(
    stored[real] t, stored[real] values, real lse, Py_ssize_t n, Exponentials* row, real* sum
) except -1 nogil:
    """The sum of t * e^(values - lse), all finite, in place of what `sum_of_exponentials` made of it."""
    cdef double wide
    sum_large_tangents(t, values, lse, n, 0, &wide)
    row.halved = not -half_range(<real>0) < wide < half_range(<real>0)
    if row.halved:  # it may be beyond float64
        sum_large_tangents(t, values, lse, n, -100, &wide)
        wide = scaled(wide, 99.0)
    sum[0] = <real>wide
    return 0


cdef inline real settle_factor(real g, Exponentials* row, bint* large) noexcept nogil:
    """What g * exp(a - lse) multiplies the exponentials of a row by; whether they may not count as their floor."""
    large[0] = row.exponent > 0 or is_beside_floor(<real>0, g, row[0])
    remove_bias(row)
    if is_finite(g) and not -small_factor(<real>0) < g < small_factor(<real>0):
        take_factor(g, row)
        return 1
    return g


cdef inline int gradient_row(
    Gradient gradient, stored[real] g, stored[real] values, const real* lse, stored[real] out, Py_ssize_t n, bint* made_nan
) except -1 nogil:
    """One row. g and lse are single numbers where the gradient has one a row, out for LOGSUMEXP_JVP."""
    cdef Exponentials row
    cdef double wide
    cdef Py_ssize_t written = 1 if gradient == LOGSUMEXP_JVP else n
    cdef Py_ssize_t given = 1 if gradient == LOGSUMEXP_VJP else n
    cdef real sum, largest
    cdef bint suspect
    cdef bint has_nan = False
    cdef bint had_nan = False
    cdef bint huge = False
    cdef bint large = False
    cdef stored[real] nothing = native(<const real*>NULL)
    row.lse = row.largest = row.exponent = row.unit_high = row.unit_low = 0.0
    row.halved = False
    if gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP:
        if lse[0] == -INFINITY:
            return fill_row(out, written, <real>0)
        find_maximum(values, n, &largest)
        row = exponentials_of(largest, lse[0])
    elif gradient != SOFTMAX_VJP:
        find_maximum(values, n, &largest)
        row = exponentials_of(largest, <real>0)
    if gradient == LOGSUMEXP_VJP:
        sum = settle_factor(number_at(g), &row, &large)
    else:
        weighted_sum(gradient, g, values, n, row, <real>1, &wide)
        if real is double and gradient != SOFTMAX_VJP and not is_finite(wide):
            # It may be beyond float64, or be so with the bias of its terms alone: 2^-544 takes that, and room to add up.
            weighted_sum(gradient, g, values, n, row, <real>power_of_two(-544.0), &wide)
            row.exponent += 544.0
            huge = True
        if gradient == SOFTMAX_VJP:
            sum = <real>wide
            if is_tiny_sum(sum) and out_of_line(
                careful_softmax_gradient[real], g, values, out, n, tiny_scale(<real>0), 1.0
            ):
                return 0
            if not -half_range(<real>0) < sum < half_range(<real>0) and out_of_line(
                careful_softmax_gradient[real], g, values, out, n, 1.0, huge_scale(<real>0)
            ):
                return 0
        elif gradient == LOG_SOFTMAX_VJP:
            large = is_beside_floor(<real>0, wide, row) or huge and is_finite(wide)
            sum = share_exponent(<real>0, wide, &row)
        else:
            sum = sum_of_exponentials(<real>0, wide, &row)
            if is_finite(largest) and row.largest == shift_limit(<real>0):
                large = True  # terms are no exponentials beyond it
            elif is_finite(wide):
                has_large_tangent(g, values, n, row, &large)
            if large:
                out_of_line(take_large_tangents[real], g, values, lse[0] if lse != NULL else <real>0, n, &row, &sum)
    suspect = not is_finite(sum)
    if gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP:
        suspect |= not is_finite(lse[0]) or largest - lse[0] > LARGEST_USUAL
    elif gradient == LOG_SOFTMAX_VJP:
        suspect |= largest > LARGEST_USUAL
    if suspect:
        find_nan(g, given, &had_nan)
        if not had_nan:
            find_nan(values, n, &had_nan)
        if (gradient == LOGSUMEXP_VJP or gradient == LOGSUMEXP_JVP) and lse[0] != lse[0]:
            had_nan = True
    if gradient == LOGSUMEXP_JVP:
        set_number(out, sum + sum if row.halved else sum)
    elif large and gradient == LOGSUMEXP_VJP:
        out_of_line(write_large_gradient[real], <double>number_at(g), 0, values, lse[0], nothing, out, n)
    elif large and gradient == LOG_SOFTMAX_VJP:
        out_of_line(write_large_gradient[real], wide, 544 if huge else 0, values, <real>0, g, out, n)
    else:
        write_gradient_row(gradient, g, values, out, n, row, sum)
    if suspect:
        make_nans_canonical_in_row(out, written)
        find_nan(out, written, &has_nan)
        made_nan[0] |= not had_nan and has_nan
    return 0


cdef inline int gradient_of_row(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, bint* made_nan
) except -1 nogil:
    """A gradient whose arrays have all the shape of the row."""
    if gradient == SOFTMAX_VJP:
        return gradient_row(SOFTMAX_VJP, g, values, <const real*>NULL, out, n, made_nan)
    if gradient == LOG_SOFTMAX_VJP:
        return gradient_row(LOG_SOFTMAX_VJP, g, values, <const real*>NULL, out, n, made_nan)
    return gradient_row(LOG_SOFTMAX_JVP, g, values, <const real*>NULL, out, n, made_nan)


cdef inline int gradient_rows(
    Gradient gradient, stored[real] g, stored[real] values, const real* lse, stored[real] out, Py_ssize_t outer, Py_ssize_t n,
    bint* made_nan,
) except -1 nogil:
    """One gradient over rows (outer, n)."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t row, at
    for row in range(outer):
        at = row * n
        if gradient != LOGSUMEXP_VJP and gradient != LOGSUMEXP_JVP:
            if common_storage(g, values, out) == AS_COMPUTED:
                gradient_of_row(
                    gradient, stored_as(AS_COMPUTED, g + at), stored_as(AS_COMPUTED, values + at),
                    stored_as(AS_COMPUTED, out + at), n, made_nan,
                )
            else:
                gradient_of_row(gradient, g + at, values + at, out + at, n, made_nan)
        elif gradient == LOGSUMEXP_VJP:
            gradient_row(
                LOGSUMEXP_VJP, stored_as(AS_COMPUTED, g + row), stored_as(AS_COMPUTED, values + at), lse + row,
                stored_as(AS_COMPUTED, out + at), n, made_nan,
            )
        else:
            gradient_row(
                LOGSUMEXP_JVP, stored_as(AS_COMPUTED, g + at), stored_as(AS_COMPUTED, values + at), lse + row,
                stored_as(AS_COMPUTED, out + row), n, made_nan,
            )
        since += n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
