"""The mergeable state of a row: what is left of its terms when they have been summed.

(a) `Terms` is enough for softmax: the sum of the terms 2^(bias - K) e^x as high + low. Multiplying by a power of two is
    exact, so two states merge by bringing both to the larger K.
(b) `TermsBesideMaximum` is for the logarithms: the sum without the elements that equal the largest, and their number.
    log(ties + rest/e^max) keeps its relative accuracy where the row is almost one-hot and the sum is almost 1
    (Blanchard, Higham and Higham 2021).
(c) A state always belongs to whole blocks of BLOCK elements from the row's start, each with its own largest element
    and its own K; so the bits do not depend on who summed which blocks, as long as they merge from left to right.
"""

from fastsoftmax.simd cimport broadcast, fma, from_bits, has_fma, vec
from fastsoftmax.vector_math cimport (
    exponent_bits, exponential_term, first_lane, log1p_of, lowest, real, scale_of, shift_limit,
)

cdef enum:
    BLOCK = 1024


cdef struct Terms:
    long long K
    double high
    double low


cdef struct TermsBesideMaximum:
    double largest
    double ties
    double high
    double low


cdef inline double power_of_two(long long exponent) noexcept nogil:
    """2^exponent for exponent <= 0, subnormals included."""
    if exponent >= -1022:
        return from_bits(<double>0, (exponent + 1023) << 52)
    if exponent >= -1074:
        return from_bits(<double>0, 1LL << (exponent + 1074))
    return 0.0


cdef inline void add_scaled(
    double* high, double* low, double scale, double other_high, double other_low, double other_scale
) noexcept nogil:
    """(high, low) = scale * (high, low) + other_scale * (other_high, other_low), by two-sum."""
    cdef double x = high[0] * scale
    cdef double y = other_high * other_scale
    cdef double s = x + y
    cdef double y_part = s - x
    low[0] = (low[0] * scale + other_low * other_scale) + ((x - (s - y_part)) + (y - y_part))
    high[0] = s


cdef inline real block_scale_maximum(real largest) noexcept nogil:
    """The x that a block's K is taken from: its largest, but never one that K has no room for (-inf least of all)."""
    return largest if largest > -shift_limit(<real>0) else -shift_limit(<real>0)


cdef inline Terms no_terms(real unused) noexcept nogil:
    cdef Terms state
    state.K = scale_of(-shift_limit(<real>0))
    state.high = 0.0
    state.low = 0.0
    return state


cdef inline void merge(Terms* state, Terms other) noexcept nogil:
    cdef long long K = state.K if state.K > other.K else other.K
    add_scaled(
        &state.high, &state.low, power_of_two(state.K - K), other.high, other.low, power_of_two(other.K - K)
    )
    state.K = K


cdef inline void reciprocal(real unused, Terms state, real* high, real* low) noexcept nogil:
    """1 / (state.high + state.low) as high + low, so that a quotient needs two multiplications and rounds once."""
    cdef double total = state.high + state.low
    cdef double rest = state.low - (total - state.high)
    cdef double inverse = 1.0 / total
    cdef double error
    high[0] = <real>inverse
    if real is float:
        low[0] = <float>(inverse - <double>high[0])
    elif has_fma:
        error = first_lane(fma(broadcast(-inverse), broadcast(total), broadcast(1.0)))
        low[0] = inverse * (error - inverse * rest)
    else:
        low[0] = 0.0


cdef inline double maximum_term(real unused, double largest) noexcept nogil:
    """2^(bias - K) e^largest in float64, with the bias and the K that terms of this precision have."""
    cdef long long K = scale_of(largest)
    cdef vec[double] x = broadcast(largest)
    if real is float:
        K = K + 512 - 64
    return first_lane(exponential_term(x, x, exponent_bits(0.0, K)))


cdef inline TermsBesideMaximum no_terms_beside_maximum(real unused) noexcept nogil:
    cdef TermsBesideMaximum state
    state.largest = -<double>shift_limit(<real>0)
    state.ties = 0.0
    state.high = 0.0
    state.low = 0.0
    return state


cdef inline void merge_beside_maximum(real unused, TermsBesideMaximum* state, TermsBesideMaximum other) noexcept nogil:
    """Merge two states; the smaller of two different maxima joins the rest."""
    cdef TermsBesideMaximum smaller
    cdef double scale
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
        add_scaled(&smaller.high, &smaller.low, 1.0, smaller.ties * maximum_term(<real>0, smaller.largest), 0.0, 1.0)
    scale = power_of_two(scale_of(smaller.largest) - scale_of(state.largest))
    add_scaled(&state.high, &state.low, 1.0, smaller.high, smaller.low, scale)


cdef inline double log_sum_beside_maximum(real unused, TermsBesideMaximum state) noexcept nogil:
    """log of the sum of e^(x - max), which is at least 0."""
    cdef double rest = (state.high + state.low) / maximum_term(<real>0, state.largest)
    return log1p_of((state.ties - 1.0) + rest)
