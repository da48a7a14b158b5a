"""Exponential, logarithm and sums over vectors, each written once for every target and both precisions.

(a) A row's terms are 2^(bias - K) * e^x with one integer K, near the row's largest x in base 2: the shift by the maximum
    happens between exponents, where it is exact. Subtracting the maximum itself would round, and cost up to
    (max - min)/2 ULP of the result.
(b) The bias (2^64, 2^512) keeps the terms clear of the subnormals, so a subnormal result is rounded only once.
(c) Beyond `shift_limit` the magic constant can no longer round x to an integer. There, and already from a few hundred
    on, x - max is exact for every x whose term counts (Sterbenz), so the callers subtract it first.
(d) x is raised to `lowest` below the maximum, where a term is far below half the smallest subnormal of any result; -inf
    thus needs no branch. A nan passes: it is the second operand of `maximum`.
(e) The order of a sum depends on the row's length alone: element i goes to lane i modulo 16 (float32) or 8 (float64), each
    lane adds from left to right, and the lanes meet in a binary tree. The lanes are wider than the elements: float64 for
    float32, and for float64 a pair whose second keeps what the first rounds away (Knuth's two-sum). Adding a few float32
    terms before widening is faster by a tenth, but cost another ULP.
"""

from fastsoftmax.simd cimport (
    add_bits, broadcast, exponent, fma, from_bits, has_fma, lookup, mantissa, maximum, reduce_add,
    select_less, shift_20, shift_48, store, sub_bits, vec, widen_high, widen_low,
)

ctypedef fused real:
    float
    double

cdef extern from "constants.hpp" namespace "constants" nogil:
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
        const T* corrections() noexcept

    cdef cppclass logarithm:
        @staticmethod
        double ln2_high() noexcept
        @staticmethod
        double ln2_low() noexcept
        @staticmethod
        double sqrt2() noexcept
        @staticmethod
        double coefficient(int power) noexcept


cdef inline real shift_limit(real unused) noexcept nogil:
    """The largest |max| for which rows need no shift: as far as n stays an exact integer."""
    if has_fma:
        return <real>262144.0 if real is float else <real>17592186044416.0
    return <real>220.0 if real is float else <real>4096.0


cdef inline real lowest(real unused) noexcept nogil:
    """How far below the maximum x still counts, with room to the smallest subnormal and to the smallest normal term."""
    return <real>130.0 if real is float else <real>1000.0


cdef inline long long scale_of(real largest) noexcept nogil:
    """K: the integer next below the row's largest x in base 2. |largest| is at most shift_limit."""
    cdef double power = <double>largest * 1.4426950408889634
    cdef long long truncated = <long long>power
    return truncated - (power < <double>truncated)


cdef inline vec[real] exponent_bits(real unused, long long K) noexcept nogil:
    """K - bias in every lane, as what `exponential_term` takes off the exponent field."""
    if real is float:
        return broadcast(from_bits(<real>0, (K - 64) * (1LL << 23)))
    else:
        return broadcast(from_bits(<real>0, <long long>(<unsigned long long>(K - 512) << 52)))


cdef inline vec[real] exponential_term(vec[real] x, vec[real] floor, vec[real] K_bits) noexcept nogil:
    """2^(bias - K) e^x, relative error below 1.2 ULP; x below floor counts as floor. |x| at most shift_limit + lowest."""
    cdef vec[real] rounded, n, t, power, tail
    x = maximum(floor, x)
    rounded = fma(x, broadcast(exponential[real].steps_per_unit()), broadcast(exponential[real].magic()))
    n = rounded - broadcast(exponential[real].magic())
    if has_fma:
        t = fma(n, broadcast(-exponential[real].step_high()), x)
        t = fma(n, broadcast(-exponential[real].step_low()), t)
    else:
        t = x - n * broadcast(exponential[real].step_first())
        t = t - n * broadcast(exponential[real].step_second())
        t = t - n * broadcast(exponential[real].step_third())
    power = lookup(exponential[real].table(), rounded)
    t = t + lookup(exponential[real].corrections(), rounded)
    cdef vec[real] square = t * t
    if real is float:
        power = add_bits(power, sub_bits(shift_20(rounded), K_bits))
        tail = fma(broadcast(exponential[real].coefficient(3)), t,
                         broadcast(exponential[real].coefficient(2)))
    else:
        power = add_bits(power, sub_bits(shift_48(rounded), K_bits))
        tail = fma(broadcast(exponential[real].coefficient(6)), t,
                         broadcast(exponential[real].coefficient(5)))
        tail = fma(tail, t, broadcast(exponential[real].coefficient(4)))
        tail = fma(tail, t, broadcast(exponential[real].coefficient(3)))
        tail = fma(tail, t, broadcast(exponential[real].coefficient(2)))
    return fma(power, fma(tail, square, t), power)


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


cdef inline double log1p_of(double x) noexcept nogil:
    """The same, of one number."""
    return first_lane(log1p(broadcast(x)))


cdef inline double first_lane(vec[double] v) noexcept nogil:
    cdef double lanes[8]
    store(<double*>lanes, v)
    return lanes[0]


cdef inline void add_exactly(vec[double]* high, vec[double]* low, vec[double] x) noexcept nogil:
    """(high, low) += x, keeping in `low` what the addition to `high` rounds away."""
    cdef vec[double] total = high[0] + x
    cdef vec[double] x_part = total - high[0]
    low[0] = low[0] + ((high[0] - (total - x_part)) + (x - x_part))
    high[0] = total


cdef inline void accumulate(vec[real] terms, vec[double]* a, vec[double]* b) noexcept nogil:
    """Add a vector to a pair of wide sums: float32's lanes 0-7 and 8-15, or float64's (high, low)."""
    if real is float:
        a[0] = a[0] + widen_low(terms)
        b[0] = b[0] + widen_high(terms)
    else:
        add_exactly(a, b, terms)


cdef inline void total(real unused, vec[double] a, vec[double] b, double* high, double* low) noexcept nogil:
    """The sum of a pair of wide sums over its lanes, as high + low."""
    cdef double highs[8]
    cdef double lows[8]
    cdef double s, part
    cdef int half = 4
    cdef int i
    if real is float:
        high[0] = reduce_add(a + b)
        low[0] = 0.0
    else:
        store(<double*>highs, a)
        store(<double*>lows, b)
        while half > 0:
            for i in range(half):
                s = highs[i] + highs[i + half]
                part = s - highs[i]
                lows[i] = (lows[i] + lows[i + half]) + ((highs[i] - (s - part)) + (highs[i + half] - part))
                highs[i] = s
            half = half >> 1
        high[0] = highs[0]
        low[0] = lows[0]
