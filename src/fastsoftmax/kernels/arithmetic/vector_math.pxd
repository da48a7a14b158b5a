"""Exponential, logarithm and sums over vectors, each written once for every target and both precisions.

(a) A row's terms are c * 2^(bias - K) * e^x with one integer K, near the row's largest x in base 2: the shift by the
    maximum happens between exponents, where it is exact. Subtracting the maximum itself would round, and cost up to
    (max - min)/2 ULP of the result. K costs nothing: it is part of the constant that rounds x to an integer.
(b) The bias (2^64, 2^512) keeps the terms clear of the subnormals, so a subnormal result is rounded only once.
(c) The factor c in [1, 2^(1/16)) drops out of every quotient. It is chosen so that all sixteen entries of the table are
    almost exact: a float32 entry is rounded by 0.5 ULP at worst otherwise, and correcting it takes a seventh of the time.
(d) Beyond `shift_limit` the magic constant can no longer round x to an integer. There, and already from a few hundred
    on, x - max is exact for every x whose term counts (Sterbenz), so the callers subtract it first.
(e) x is raised to `lowest` below the maximum, where a term is far below half the smallest subnormal of any result; -inf
    thus needs no branch. A nan passes: it is the second operand of `maximum`.
(f) The order of a sum depends on the row's length alone: element i goes to lane i modulo 16 (float32) or 8 (float64), each
    lane adds from left to right, and the lanes meet in a binary tree. A lane starts from a number larger than any
    term, so that three additions tell exactly what the rounding of each sum loses (Dekker's fast two-sum); the losses
    are summed beside it. Plain float32 sums in small groups are 7 % faster, and cost another ULP.
    What is summed beside the maximum may be arbitrarily small against it and still has to keep its digits: there the
    lanes are float64, or for float64 pairs by Knuth's two-sum.
"""

from fastsoftmax.kernels.arithmetic.simd cimport (
    add_bits, broadcast, exponent, fma, has_fma, lookup, mantissa, maximum, reduce_add, select_less, shift_19, shift_48, store,
    vec, widen_high, widen_low,
)

ctypedef fused real:
    float
    double

cdef enum:
    LANES = 16  # of float32

cdef extern from "kernels/arithmetic/constants.hpp" namespace "constants" nogil:
    cdef cppclass exponential[T]:
        @staticmethod
        T steps_per_unit() noexcept
        @staticmethod
        T magic() noexcept
        @staticmethod
        T step_high() noexcept
        @staticmethod
        T step_low() noexcept
        @staticmethod
        T step_first() noexcept
        @staticmethod
        T step_second() noexcept
        @staticmethod
        T step_third() noexcept
        @staticmethod
        T coefficient(int power) noexcept
        @staticmethod
        const T* table() noexcept
        @staticmethod
        double table_factor() noexcept
        @staticmethod
        double inverse_factor_high() noexcept
        @staticmethod
        double inverse_factor_low() noexcept

    cdef cppclass logarithm:
        @staticmethod
        double ln2_high() noexcept
        @staticmethod
        double ln2_low() noexcept
        @staticmethod
        double sqrt2() noexcept
        @staticmethod
        double coefficient(int power) noexcept


# Functions that have no other argument of the precision in question are told it by one they do not use.

cdef inline Py_ssize_t lanes(real unused) noexcept nogil:
    """Elements of a vector."""
    return 64 // <Py_ssize_t>sizeof(real)


cdef inline real shift_limit(real unused) noexcept nogil:
    """The largest |max| for which rows need no shift: as far as n stays an exact integer."""
    if has_fma:
        return <real>131072.0 if real is float else <real>17592186044416.0
    return <real>220.0 if real is float else <real>4096.0


cdef inline real lowest(real unused) noexcept nogil:
    """How far below the maximum x still counts, with room to the smallest subnormal and to the smallest normal term."""
    return <real>130.0 if real is float else <real>1000.0


cdef inline vec[real] scale_of(vec[real] largest) noexcept nogil:
    """K: the integer next to a row's largest x in base 2, for |largest| up to shift_limit."""
    cdef vec[real] magic = broadcast(exponential[real].magic())
    return fma(largest, broadcast(exponential[real].steps_per_unit() * <real>0.0625), magic) - magic


cdef inline vec[real] magic_of(vec[real] K) noexcept nogil:
    """What, added to x in sixteenths of log 2, leaves round(x) - 16 (K - bias) in the low bits of the sum."""
    return fma(K, broadcast(<real>-16.0), broadcast(exponential[real].magic() + <real>(16 * (64 if real is float else 512))))


cdef inline void exponential_parts(
    vec[real] x, vec[real] magic, vec[real]* power, vec[real]* rest
) noexcept nogil:
    """c 2^(bias - K) e^x as power * (1 + rest) with |rest| < 0.022."""
    cdef vec[real] shifted, n, t, tail, square
    shifted = fma(x, broadcast(exponential[real].steps_per_unit()), magic)
    n = shifted - magic
    if has_fma:
        t = fma(n, broadcast(-exponential[real].step_high()), x)
        t = fma(n, broadcast(-exponential[real].step_low()), t)
    else:
        t = x - n * broadcast(exponential[real].step_first())
        t = t - n * broadcast(exponential[real].step_second())
        t = t - n * broadcast(exponential[real].step_third())
    power[0] = lookup(exponential[real].table(), shifted)
    square = t * t
    if real is float:
        power[0] = add_bits(power[0], shift_19(shifted))
        tail = fma(broadcast(exponential[real].coefficient(3)), t, broadcast(exponential[real].coefficient(2)))
    else:
        power[0] = add_bits(power[0], shift_48(shifted))
        tail = fma(broadcast(exponential[real].coefficient(6)), t, broadcast(exponential[real].coefficient(5)))
        tail = fma(tail, t, broadcast(exponential[real].coefficient(4)))
        tail = fma(tail, t, broadcast(exponential[real].coefficient(3)))
        tail = fma(tail, t, broadcast(exponential[real].coefficient(2)))
    rest[0] = fma(tail, square, t)


cdef inline vec[real] plain_term(vec[real] x, vec[real] magic) noexcept nogil:
    """The same in one number, off by at most 1.4 units of 2^-24 or 2^-53; x is no more than `lowest` below the largest."""
    cdef vec[real] power, rest
    exponential_parts(x, magic, &power, &rest)
    return fma(power, rest, power)


cdef inline vec[real] exponential_term(vec[real] x, vec[real] floor, vec[real] magic) noexcept nogil:
    """The same of any x; below floor it counts as floor."""
    return plain_term(maximum(floor, x), magic)


cdef inline vec[double] log1p(vec[double] x) noexcept nogil:
    """log(1 + x) for 0 <= x < 2^1022, within 1 ULP: the error of 1 + x is found exactly and its logarithm added."""
    cdef vec[double] one = broadcast(1.0)
    cdef vec[double] u = one + x
    cdef vec[double] x_part = u - one
    cdef vec[double] lost = (x - x_part) + (one - (u - x_part))
    cdef vec[double] power = exponent(u)
    cdef vec[double] m = mantissa(u)
    cdef vec[double] limit = broadcast(logarithm.sqrt2())
    power = select_less(limit, m, power + one, power)
    m = select_less(limit, m, m * broadcast(0.5), m)
    cdef vec[double] f = m - one
    cdef vec[double] s = f / (f + broadcast(2.0))
    cdef vec[double] z = s * s
    cdef vec[double] q = broadcast(logarithm.coefficient(7))
    q = fma(q, z, broadcast(logarithm.coefficient(6)))
    q = fma(q, z, broadcast(logarithm.coefficient(5)))
    q = fma(q, z, broadcast(logarithm.coefficient(4)))
    q = fma(q, z, broadcast(logarithm.coefficient(3)))
    q = fma(q, z, broadcast(logarithm.coefficient(2)))
    q = fma(q, z, broadcast(logarithm.coefficient(1)))
    # log(1 + f) = f - (f^2/2 - s (f^2/2 + R)), which adds small to large; log 2 and the lost part join the small ones.
    cdef vec[double] half_square = f * f * broadcast(0.5)
    cdef vec[double] small = fma(power, broadcast(logarithm.ln2_low()), lost / u)
    small = half_square - fma(s, fma(z, q, half_square), small)
    return fma(power, broadcast(logarithm.ln2_high()), f - small)


cdef inline vec[real] empty_sum(real unused) noexcept nogil:
    """What a sum of terms starts from: larger than any of them."""
    return broadcast(<real>7.378697629483821e19 if real is float else <real>5.363123171977039e154)


cdef inline void accumulate(vec[real] terms, vec[real]* high, vec[real]* low) noexcept nogil:
    """(high, low) += terms, keeping in `low` what the addition to `high` rounds away. `high` began as empty_sum."""
    cdef vec[real] next = high[0] + terms
    low[0] = low[0] + (terms - (next - high[0]))
    high[0] = next


cdef inline void add_pair(vec[double]* high, vec[double]* low, vec[double] other_high, vec[double] other_low) noexcept nogil:
    """(high, low) += (other_high, other_low), by two-sum."""
    cdef vec[double] s = high[0] + other_high
    cdef vec[double] part = s - high[0]
    low[0] = (low[0] + other_low) + ((high[0] - (s - part)) + (other_high - part))
    high[0] = s


cdef inline void meet(vec[double]* highs, vec[double]* lows) noexcept nogil:
    """Add eight sums in a binary tree: the result is in highs[0], lows[0]."""
    cdef int half = 4
    cdef int i
    while half > 0:
        for i in range(half):
            add_pair(&highs[i], &lows[i], highs[i + half], lows[i + half])
        half = half >> 1


cdef inline real first_lane(vec[real] v) noexcept nogil:
    cdef real lanes[16]
    store(<real*>lanes, v)
    return lanes[0]


cdef inline void accumulate_widely(vec[real] terms, vec[double]* a, vec[double]* b) noexcept nogil:
    """Add terms of any sign and size to wide sums: float32's lanes 0-7 and 8-15, or float64's (high, low)."""
    if real is float:
        a[0] = a[0] + widen_low(terms)
        b[0] = b[0] + widen_high(terms)
    else:
        add_pair(a, b, terms, broadcast(0.0))


cdef inline void total_widely(real unused, vec[double] a, vec[double] b, double* high, double* low) noexcept nogil:
    """The sum of such wide sums over their lanes, as high + low."""
    cdef double lanes_high[8]
    cdef double lanes_low[8]
    cdef vec[double] highs[8]
    cdef vec[double] lows[8]
    cdef int i
    if real is float:
        high[0] = reduce_add(a + b)
        low[0] = 0.0
    else:
        store(<double*>lanes_high, a)
        store(<double*>lanes_low, b)
        for i in range(8):
            highs[i] = broadcast(lanes_high[i])
            lows[i] = broadcast(lanes_low[i])
        meet(highs, lows)
        high[0] = first_lane(highs[0])
        low[0] = first_lane(lows[0])


cdef inline void total(vec[real] high, vec[real] low, double* sum_high, double* sum_low) noexcept nogil:
    """The sum over the lanes of what `accumulate` collected, as sum_high + sum_low."""
    high = high - empty_sum(<real>0)
    if real is float:
        total_widely(
            <real>0, widen_low(high) + widen_low(low), widen_high(high) + widen_high(low), sum_high, sum_low
        )
    else:
        total_widely(<real>0, high, low, sum_high, sum_low)
