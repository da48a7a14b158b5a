"""What is left of a row's terms when they have been summed, and how two such states merge.

(a) `Terms` is enough for softmax: the sum of the terms as high + low. Multiplying by a power of two is exact, so
    two states merge by bringing both to the larger K.
(b) The logarithm of the sum over e^max is log1p of what the others add to it, which keeps its relative accuracy where the
    row is almost one-hot (Blanchard, Higham and Higham 2021). Down to `least_ratio` the others still have their digits
    in the sum of all terms. Below it takes a `TermsBesideMaximum`: the sum without the elements that equal the largest, and
    their number.
(c) A state always belongs to whole blocks of BLOCK elements from the row's start, each with its own largest element
    and its own K; so the bits do not depend on who summed which blocks, as long as they merge from left to right.
(d) What ends a sum (reciprocal, logarithm) is written over vectors: columns have a sum in each lane, a row has the
    same in all. A sum is two vectors of float64: for float32 the lanes 0-7 and 8-15, for float64 (high, low).
"""

from fastsoftmax.kernels.arithmetic.simd cimport broadcast, fma, from_bits, has_fma, narrow, vec, widen_high, widen_low
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    exponential, exponential_term, first_lane, log1p, magic_of, plain_term, real, scale_of, shift_limit,
)

cdef enum:
    BLOCK = 1024


cdef struct Terms:
    double K
    double high
    double low


cdef struct TermsBesideMaximum:
    double largest
    double ties
    double high
    double low


cdef inline double power_of_two(double exponent) noexcept nogil:
    """2^exponent for whole exponents <= 0, subnormals included."""
    cdef long long e
    if exponent >= -1022.0:
        e = <long long>exponent
        return from_bits(<double>0, (e + 1023) << 52)
    if exponent >= -1074.0:
        e = <long long>exponent
        return from_bits(<double>0, 1LL << (e + 1074))
    return 0.0


cdef inline void add_scaled(
    double* high, double* low, double scale, double other_high, double other_low, double other_scale
) noexcept nogil:
    """(high, low) = scale * (high, low) + other_scale * (other_high, other_low), by two-sum."""
    cdef double x = high[0] * scale
    cdef double y = other_high * other_scale
    cdef double s = x + y
    cdef double part = s - x
    low[0] = (low[0] * scale + other_low * other_scale) + ((x - (s - part)) + (y - part))
    high[0] = s


cdef inline void scale_sum(double* high, double* low, double exponent) noexcept nogil:
    """(high, low) *= 2^exponent, at most 0, in two steps: sums of biased terms have room where 2^exponent itself has none."""
    cdef double half = <double><long long>(0.5 * exponent)
    high[0] = high[0] * power_of_two(half) * power_of_two(exponent - half)
    low[0] = low[0] * power_of_two(half) * power_of_two(exponent - half)


cdef inline double bias_of(real unused) noexcept nogil:
    """Terms are larger by this power of two, to stay clear of the subnormal numbers."""
    return 64.0 if real is float else 512.0


cdef inline double scale_of_number(real largest) noexcept nogil:
    """K of a single number."""
    return first_lane(scale_of(broadcast(largest)))


cdef inline real block_scale_maximum(real largest) noexcept nogil:
    """The x that a block's K is taken from: its largest, but never one that K has no room for (-inf least of all)."""
    return largest if largest > -shift_limit(<real>0) else -shift_limit(<real>0)


cdef inline Terms no_terms(real unused) noexcept nogil:
    cdef Terms state
    state.K = scale_of_number(-shift_limit(<real>0))
    state.high = 0.0
    state.low = 0.0
    return state


cdef inline void merge(Terms* state, Terms other) noexcept nogil:
    cdef double K = state.K if state.K > other.K else other.K
    add_scaled(
        &state.high, &state.low, power_of_two(state.K - K), other.high, other.low, power_of_two(other.K - K)
    )
    state.K = K


cdef inline void divisor(
    vec[double] a, vec[double] b, vec[double] factor, vec[double] second_factor, vec[real]* high, vec[real]* low
) noexcept nogil:
    """What `quotient` needs: factor / sum as high + low, or sum / factor on targets without fma.

    The second factor is that of float32's lanes 8-15.
    """
    cdef vec[double] sum, rest
    if not has_fma:
        if real is float:
            high[0] = narrow(a / factor, b / second_factor)
        else:
            high[0] = (a + b) / factor
        low[0] = broadcast(<real>0)
    elif real is float:
        a = factor / a
        b = second_factor / b
        high[0] = narrow(a, b)
        low[0] = narrow(a - widen_low(high[0]), b - widen_high(high[0]))
    else:
        sum = a + b
        rest = b - (sum - a)
        high[0] = factor / sum
        low[0] = (fma(broadcast(0.0) - high[0], sum, factor) - high[0] * rest) / sum


cdef inline vec[real] quotient(vec[real] terms, vec[real] high, vec[real] low) noexcept nogil:
    """factor * terms / sum, rounded once: two multiplications are several times faster than a division."""
    if has_fma:
        return fma(terms, high, terms * low)
    return terms / high


cdef inline void divisor_of_sum(
    double sum_high, double sum_low, double factor, vec[real]* high, vec[real]* low
) noexcept nogil:
    """The same, of one row."""
    if real is float:
        divisor(broadcast(sum_high + sum_low), broadcast(sum_high + sum_low), broadcast(factor), broadcast(factor), high, low)
    else:
        divisor(broadcast(sum_high), broadcast(sum_low), broadcast(factor), broadcast(factor), high, low)


cdef inline TermsBesideMaximum no_terms_beside_maximum(real unused) noexcept nogil:
    cdef TermsBesideMaximum state
    state.largest = -<double>shift_limit(<real>0)
    state.ties = 0.0
    state.high = 0.0
    state.low = 0.0
    return state


cdef inline void maximum_term(vec[real] largest, vec[double]* a, vec[double]* b) noexcept nogil:
    """The terms of rows' largest elements in float64, as the rows' other terms are: of one factor, bias and K.

    For float64 both results are the same.
    """
    cdef vec[real] K = scale_of(largest)
    cdef vec[double] x, k, factor
    if real is float:
        # float64's terms have a bias of 512, float32's 64; and another factor.
        factor = broadcast(exponential[float].table_factor() / exponential[double].table_factor())
        k = widen_low(K) + broadcast(448.0)
        x = widen_low(largest)
        a[0] = exponential_term(x, x, magic_of(k)) * factor
        k = widen_high(K) + broadcast(448.0)
        x = widen_high(largest)
        b[0] = exponential_term(x, x, magic_of(k)) * factor
    else:
        a[0] = exponential_term(largest, largest, magic_of(K))
        b[0] = a[0]


cdef inline void merge_beside_maximum(real unused, TermsBesideMaximum* state, TermsBesideMaximum other) noexcept nogil:
    """Merge two states; the smaller of two different maxima joins the rest."""
    cdef TermsBesideMaximum smaller
    cdef vec[double] term, same
    if state.largest == other.largest:
        state.ties += other.ties
        add_scaled(&state.high, &state.low, 1.0, other.high, other.low, 1.0)
        return
    if state.largest < other.largest:
        smaller = state[0]
        state[0] = other
    else:
        smaller = other
    if smaller.ties != 0.0:
        maximum_term(broadcast(<real>smaller.largest), &term, &same)
        add_scaled(&smaller.high, &smaller.low, 1.0, smaller.ties * first_lane(term), 0.0, 1.0)
    scale_sum(
        &smaller.high, &smaller.low, scale_of_number(<real>smaller.largest) - scale_of_number(<real>state.largest)
    )
    add_scaled(&state.high, &state.low, 1.0, smaller.high, smaller.low, 1.0)


cdef inline double least_ratio(real unused) noexcept nogil:
    """The others' sum over the largest term below which they have lost digits beside it, and are summed apart."""
    return 0.000244140625 if real is float else 9.313225746154785e-10  # 2^-12, 2^-30


cdef inline void ratios_to_maximum(
    vec[double] a, vec[double] b, vec[real] largest, vec[double]* ratio_a, vec[double]* ratio_b
) noexcept nogil:
    """The sums of e^(x - max) but for one maximum, from sums of all terms: float32's lanes 0-7 and 8-15, or float64's twice.

    What is taken out is the term as it was added, and what divides is the exact one.
    """
    cdef vec[double] term_a, term_b
    cdef vec[real] term
    maximum_term(largest, &term_a, &term_b)
    if real is float:
        term = plain_term(largest, magic_of(scale_of(largest)))
        ratio_a[0] = (a - widen_low(term)) / term_a
        ratio_b[0] = (b - widen_high(term)) / term_b
    else:
        ratio_a[0] = ((a - term_a) + b) / term_a
        ratio_b[0] = ratio_a[0]


cdef inline double ratio_to_maximum(real largest, Terms state) noexcept nogil:
    """The same, of one row."""
    cdef vec[double] ratio, same
    if real is float:
        ratios_to_maximum(broadcast(state.high + state.low), broadcast(state.high + state.low), broadcast(largest), &ratio, &same)
    else:
        ratios_to_maximum(broadcast(state.high), broadcast(state.low), broadcast(largest), &ratio, &same)
    return first_lane(ratio)


cdef inline vec[double] log_of_sum(vec[double] ties, vec[double] rest, vec[double] maximum_term) noexcept nogil:
    """log of the sum of e^(x - max), which is at least 0."""
    return log1p((ties - broadcast(1.0)) + rest / maximum_term)


cdef inline double log_of_state(real unused, TermsBesideMaximum state) noexcept nogil:
    """The same, of one row."""
    cdef vec[double] term, same
    maximum_term(broadcast(<real>state.largest), &term, &same)
    return first_lane(log_of_sum(broadcast(state.ties), broadcast(state.high + state.low), term))
