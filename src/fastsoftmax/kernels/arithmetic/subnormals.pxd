"""Results below the smallest normal number, to 1 of the smallest subnormal number.

(a) At the upper end of the subnormals that is less than a term, the sum and the quotient can be off together. So a row
    with such a result is computed once more, carefully, and these results, only these, are replaced. The fast
    result decides which ones they are; it is a function of the row alone, and so are the bits.
(b) Carefully means in float64, with each term a sum of two numbers, high = power and low = power * (e^t - 1), which is never
    rounded to one. A term is then within 0.42 units of 2^-53, of which the table has 0.21 and the polynomial 0.14; so is
    the sum, whose highs and lows are added without loss; and the quotient is rounded once. All in all that is 0.92 of the
    smallest subnormal of float64, and 0.5 of float32's. Blocks are summed relative to their own largest elements and
    merge from left to right, as all sums do.
(c) What is computed is the quotient in units of the smallest subnormal, a number of ordinary size: below the smallest
    normal number itself, the parts of it would be rounded each.
(d) The fast results are watched while they are written, with two instructions a vector. Whoever overwrites x with them
    has to look at x in advance instead, or to keep a copy.
"""

from libc.math cimport INFINITY, fabs, frexp, log

from fastsoftmax.kernels.arithmetic.simd cimport (
    add_bits, any_at_least, broadcast, fma, from_bits, has_fma, load, maximum, reduce_add, reduce_max, select_equal, select_less,
    store, vec,
)
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, add_scaled, block_scale_maximum, maximum_term, power_of_two, scale_of_number, scale_sum,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    add_pair, exponential, exponential_parts, first_lane, lowest, magic_of, real, scale_of, shift_limit, total_widely,
)


cdef extern from "out_of_line.hpp" namespace "simd" nogil:
    # Calls its first argument with the others: a function that tells of exceptions, or one of no result.
    int out_of_line(...) except -1
    void do_out_of_line "simd::out_of_line"(...) noexcept


cdef struct CarefulSum:
    double top  # the largest element
    double ties  # how often it occurs
    double rest_high  # the sum of the other terms
    double rest_low
    double maximum_high  # the term of the largest element
    double maximum_low


# Which results are replaced.


cdef inline real largest_replaced(real unused) noexcept nogil:
    """A little more than the smallest normal number, as much as a fast result can be too large."""
    return from_bits(<real>0, 0x00800008 if real is float else 0x0010000000000008)


cdef inline vec[real] none_watched(real unused) noexcept nogil:
    return broadcast(<real>(-INFINITY))


cdef inline vec[real] to_watch(real factor) noexcept nogil:
    """What `watch` adds to the bits of results that have the sign of the factor."""
    cdef long long all_but_sign = 0x7fffffff if real is float else 0x7fffffffffffffff
    return broadcast(from_bits(<real>0, all_but_sign if factor >= 0 else -1))


cdef inline void watch(vec[real] results, vec[real] bits, vec[real]* nearest) noexcept nogil:
    """Keep the result that is nearest to zero but not zero, less an ULP and made negative; of zero a nan is made, and dropped."""
    nearest[0] = maximum(add_bits(results, bits), nearest[0])


cdef inline bint is_replaced(real nearest) noexcept nogil:
    """Whether one lane of what was watched tells of a result to replace."""
    return nearest >= -largest_replaced(<real>0)


cdef inline bint any_replaced(vec[real] nearest) noexcept nogil:
    return any_at_least(nearest, -largest_replaced(<real>0))


cdef inline bint is_replaced_log(real logarithm) noexcept nogil:
    """The same of the logarithm of a sum of e^(x - max)."""
    return 0 < logarithm <= largest_replaced(<real>0)


cdef inline void window(real top, double sum, double factor, real* lower, real* upper) noexcept nogil:
    """Between which x the results that may be replaced come from, with room to spare.

    The sum is the fast one, |top| at most shift_limit.
    """
    cdef vec[double] term, same
    cdef double logarithm
    maximum_term(broadcast(top), &term, &same)
    logarithm = <double>top + log(sum / first_lane(term)) - log(fabs(factor))
    lower[0] = <real>(logarithm - (105.0 if real is float else 746.0))
    upper[0] = <real>(logarithm - (86.0 if real is float else 707.0))


cdef inline vec[real] below(vec[real] x, vec[real] upper) noexcept nogil:
    """x where it is at most upper, and -inf elsewhere."""
    return select_less(upper, x, broadcast(<real>(-INFINITY)), x)


# The careful computation.


cdef inline void exact_product(vec[double] a, vec[double] b, vec[double]* high, vec[double]* low) noexcept nogil:
    """high + low = a * b; without fma by Dekker's halves."""
    cdef vec[double] splitter, a_high, a_low, b_high, b_low
    high[0] = a * b
    if has_fma:
        low[0] = fma(a, b, broadcast(0.0) - high[0])
    else:
        splitter = broadcast(134217729.0)
        a_high = a * splitter
        a_high = a_high - (a_high - a)
        a_low = a - a_high
        b_high = b * splitter
        b_high = b_high - (b_high - b)
        b_low = b - b_high
        low[0] = ((a_high * b_high - high[0]) + a_high * b_low + a_low * b_high) + a_low * b_low


cdef inline void careful_terms(vec[double] x, double top, vec[double]* high, vec[double]* low) noexcept nogil:
    cdef vec[double] largest = broadcast(top)
    exponential_parts(maximum(largest - broadcast(lowest(<double>0)), x), magic_of(scale_of(largest)), high, low)
    low[0] = high[0] * low[0]


cdef inline void whole_sum(const CarefulSum* row, vec[double]* high, vec[double]* low) noexcept nogil:
    """The sum of all terms, the largest elements' included."""
    exact_product(broadcast(row.ties), broadcast(row.maximum_high), high, low)
    low[0] = fma(broadcast(row.ties), broadcast(row.maximum_low), low[0])
    add_pair(high, low, broadcast(row.rest_high), broadcast(row.rest_low))


cdef inline void begin_careful_sum(CarefulSum* row) noexcept nogil:
    row.top = -shift_limit(<double>0)
    row.ties = 0.0
    row.rest_high = 0.0
    row.rest_low = 0.0


cdef inline void end_careful_sum(CarefulSum* row) noexcept nogil:
    cdef vec[double] high, low
    careful_terms(broadcast(row.top), row.top, &high, &low)
    row.maximum_high = first_lane(high)
    row.maximum_low = first_lane(low)


cdef inline void merge_carefully(CarefulSum* row, CarefulSum other) noexcept nogil:
    """Merge two careful sums; the smaller of two different maxima joins the rest."""
    cdef CarefulSum smaller = other
    cdef vec[double] high, low
    cdef double sum_high, sum_low
    if row.top == other.top:
        row.ties += other.ties
        add_scaled(&row.rest_high, &row.rest_low, 1.0, other.rest_high, other.rest_low, 1.0)
        return
    if row.top < other.top:
        smaller = row[0]
        row[0] = other
    end_careful_sum(&smaller)
    whole_sum(&smaller, &high, &low)
    sum_high = first_lane(high)
    sum_low = first_lane(low)
    scale_sum(&sum_high, &sum_low, scale_of_number(smaller.top) - scale_of_number(row.top))
    add_scaled(&row.rest_high, &row.rest_low, 1.0, sum_high, sum_low, 1.0)


cdef inline void add_carefully(CarefulSum* row, const real* x, Py_ssize_t stride, Py_ssize_t n) noexcept nogil:
    """Add a block of up to BLOCK elements, summed relative to its own largest."""
    cdef double values[BLOCK]
    cdef CarefulSum block
    cdef Py_ssize_t i
    cdef vec[double] v, high, low, top
    cdef vec[double] zero = broadcast(0.0)
    cdef vec[double] ties = zero
    cdef vec[double] sum_high = zero
    cdef vec[double] sum_low = zero
    for i in range(n):
        values[i] = x[i * stride]
    for i in range(n, (n + 7) // 8 * 8):
        values[i] = -INFINITY
    top = broadcast(<double>(-INFINITY))
    for i in range(0, n, 8):
        top = maximum(load(<const double*>values + i), top)
    block.top = block_scale_maximum(<real>reduce_max(top))
    top = broadcast(block.top)
    for i in range(0, n, 8):
        v = load(<const double*>values + i)
        careful_terms(v, block.top, &high, &low)
        ties = ties + select_equal(v, top, broadcast(1.0), zero)
        add_pair(&sum_high, &sum_low, select_equal(v, top, zero, high), zero)
        add_pair(&sum_high, &sum_low, select_equal(v, top, zero, low), zero)
    block.ties = reduce_add(ties)
    total_widely(<double>0, sum_high, sum_low, &block.rest_high, &block.rest_low)
    merge_carefully(row, block)


cdef inline double divide_by_number(vec[double]* high, vec[double]* low, double number) noexcept nogil:
    """(high, low) /= number, but for a power of two that would leave the range, whose exponent is the result.

    The low is then no more than a rounding error of the high, as `in_units` needs it.
    """
    cdef int power = 0
    cdef double part = frexp(number, &power) if fabs(number) < 1e-90 else number
    cdef vec[double] divisor = broadcast(part)
    cdef vec[double] sum = high[0] + low[0]
    cdef vec[double] product, lost
    low[0] = low[0] - (sum - high[0])
    high[0] = sum / divisor
    exact_product(high[0], divisor, &product, &lost)
    low[0] = (((sum - product) - lost) + low[0]) / divisor
    return power


cdef inline double smallest_subnormal(real unused) noexcept nogil:
    return 1.401298464324817e-45 if real is float else 4.940656458412465e-324


cdef inline vec[double] in_units(
    real unused, vec[double] high, vec[double] low, vec[double] sum_high, vec[double] sum_low, double power
) noexcept nogil:
    """2^power * (high + low) / (sum_high + sum_low) as a multiple of the smallest subnormal, rounded to a whole number once."""
    cdef double units = 3.777893186295716e22 if real is float else 4.4989137945431964e161
    cdef vec[double] up = broadcast(units * power_of_two(power))
    cdef vec[double] down = broadcast(5.293955920339377e-23 if real is float else 2.2227587494850775e-162)
    cdef vec[double] magic = broadcast(exponential[double].magic())
    cdef vec[double] quotient, rest, product, lost, whole
    high = high * up
    sum_high = sum_high * down
    quotient = high / sum_high
    exact_product(quotient, sum_high, &product, &lost)
    rest = (((high - product) - lost) + (low * up - quotient * (sum_low * down))) / sum_high
    # To an even number first, so that the magic constant covers both signs; then to the nearest.
    whole = (quotient + (magic + magic)) - (magic + magic)
    return whole + ((((quotient - whole) + rest) + magic) - magic)


cdef inline void replace(
    const CarefulSum* row, double factor, const real* x, Py_ssize_t x_stride, real* y, Py_ssize_t y_stride, Py_ssize_t n
) noexcept nogil:
    """Replace, among y[:n], the fast results of x[:n] that are too small; n is up to BLOCK."""
    cdef short places[BLOCK]
    cdef double values[BLOCK]
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t i
    cdef double power
    cdef vec[double] high, low, sum_high, sum_low
    for i in range(n):
        places[count] = <short>i
        count += 0 < fabs(y[i * y_stride]) <= largest_replaced(<real>0)
    if count == 0:
        return
    whole_sum(row, &sum_high, &sum_low)
    power = divide_by_number(&sum_high, &sum_low, factor)
    for i in range(count):
        values[i] = x[places[i] * x_stride]
    for i in range(count, (count + 7) // 8 * 8):
        values[i] = values[0]
    for i in range(0, count, 8):
        careful_terms(load(<const double*>values + i), row.top, &high, &low)
        store(<double*>values + i, in_units(<real>0, high, low, sum_high, sum_low, power))
    for i in range(count):
        y[places[i] * y_stride] = <real>(values[i] * smallest_subnormal(<real>0))


cdef inline double careful_log(real unused, const CarefulSum* row, double factor) noexcept nogil:
    """factor * log of the sum of e^(x - max) where that is so small that it is the sum of the others.

    Rounded for float64, not yet for float32.
    """
    cdef vec[double] high = broadcast(row.maximum_high)
    cdef vec[double] low = broadcast(row.maximum_low)
    cdef double power
    if real is float:
        return factor * ((row.rest_high + row.rest_low) / (row.maximum_high + row.maximum_low))
    else:
        power = divide_by_number(&high, &low, factor)
        return smallest_subnormal(<double>0) * first_lane(
            in_units(<double>0, broadcast(row.rest_high), broadcast(row.rest_low), high, low, power)
        )
