"""The sums of a panel: of a vector of columns, side by side in memory, or of rows that were transposed to lie so.

(a) Within a panel the rows go through the lanes of the row kernel's sums: rows i, i + lanes, i + 2 lanes, ... are lane i of
    a column's sum. So a column gets the bits that the same numbers get as a row.
"""

from libc.math cimport INFINITY

from fastsoftmax.kernels.arithmetic.simd cimport (
    any_at_least, broadcast, load, select_equal, select_less, store, vec, widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport do_out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport least_ratio, log_of_sum, maximum_term, ratios_to_maximum
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    LANES, accumulate, accumulate_widely, add_pair, empty_sum, exponential_term, lanes, log1p, lowest, magic_of, real, scale_of,
)
from fastsoftmax.kernels.sizes cimport smaller


cdef inline void meet_lanes(real unused, vec[double]* firsts, vec[double]* seconds, Py_ssize_t used) noexcept nogil:
    """Add the sums of a panel's lanes, of which some are used, in the row kernel's tree: to firsts[0] and seconds[0]."""
    cdef Py_ssize_t half = lanes(<real>0) // 2
    cdef Py_ssize_t i
    while half > 0:
        for i in range(smaller(half, used - half)):
            if real is float:
                firsts[i] = firsts[i] + firsts[i + half]
                seconds[i] = seconds[i] + seconds[i + half]
            else:
                add_pair(&firsts[i], &seconds[i], firsts[i + half], seconds[i + half])
        half = half >> 1
        used = smaller(used, 2 * half)


cdef inline void single_term(
    const float* panel, float* kept, Py_ssize_t i, vec[float] floor, vec[float] magic, vec[double]* first, vec[double]* second
) noexcept nogil:
    """The terms of row i, stored if kept is given, and widened."""
    cdef vec[float] terms = exponential_term(load(panel + i * LANES), floor, magic)
    if kept != NULL:
        store(kept + i * LANES, terms)
    first[0] = widen_low(terms)
    second[0] = widen_high(terms)


cdef inline void sum_single_terms(
    const float* panel, float* kept, Py_ssize_t rows, vec[float] floor, vec[float] magic, vec[double]* first,
    vec[double]* second,
) noexcept nogil:
    """`sum_panel` where no lane has more than one term: an empty sum would give it back, so it is widened as it is.

    Lanes i, i + 8, i + 4 and i + 12 meet at once, in the order of `meet_lanes`: four sums fit into registers, sixteen do not.
    """
    cdef vec[double] firsts[4]
    cdef vec[double] seconds[4]
    cdef vec[double] a, b, c, d
    cdef Py_ssize_t i
    for i in range(smaller(rows, 4)):
        single_term(panel, kept, i, floor, magic, &firsts[i], &seconds[i])
        if i + 8 < rows:
            single_term(panel, kept, i + 8, floor, magic, &a, &b)
            firsts[i] = firsts[i] + a
            seconds[i] = seconds[i] + b
        if i + 4 < rows:
            single_term(panel, kept, i + 4, floor, magic, &a, &b)
            if i + 12 < rows:
                single_term(panel, kept, i + 12, floor, magic, &c, &d)
                a = a + c
                b = b + d
            firsts[i] = firsts[i] + a
            seconds[i] = seconds[i] + b
    meet_lanes(<float>0, firsts, seconds, smaller(rows, 4))
    first[0] = firsts[0]
    second[0] = seconds[0]


cdef inline void sum_panel(
    const real* panel, real* kept, Py_ssize_t rows, vec[real] largest, bint beside_maximum,
    vec[double]* first, vec[double]* second, vec[real]* ties,
) noexcept nogil:
    """Sum each column's terms relative to its largest element, in the row kernel's order.

    The sums are float32's lanes 0-7 and 8-15, or float64's (high, low). With kept, which may be the panel
    itself, the terms are stored there.
    """
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[double] firsts[LANES]
    cdef vec[double] seconds[LANES]
    cdef vec[real] floor = largest - broadcast(lowest(<real>0))
    cdef vec[real] magic = magic_of(scale_of(largest))
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] one = broadcast(<real>1)
    cdef vec[real] values, terms, high, low
    cdef Py_ssize_t lane, i
    ties[0] = zero
    if real is float:
        if rows <= width and not beside_maximum:
            sum_single_terms(panel, kept, rows, floor, magic, first, second)
            return
    for lane in range(smaller(rows, width)):
        high = empty_sum(<real>0)
        low = zero
        firsts[lane] = broadcast(0.0)
        seconds[lane] = broadcast(0.0)
        i = lane
        while i < rows:
            values = load(panel + i * width)
            terms = exponential_term(values, floor, magic)
            if kept != NULL:
                store(kept + i * width, terms)
            if beside_maximum:
                ties[0] = ties[0] + select_equal(values, largest, one, zero)
                accumulate_widely(select_equal(values, largest, zero, terms), &firsts[lane], &seconds[lane])
            else:
                accumulate(terms, &high, &low)
            i += width
        if not beside_maximum:
            high = high - empty_sum(<real>0)
            if real is float:
                firsts[lane] = widen_low(high) + widen_low(low)
                seconds[lane] = widen_high(high) + widen_high(low)
            else:
                firsts[lane] = high
                seconds[lane] = low
    meet_lanes(<real>0, firsts, seconds, smaller(rows, width))
    first[0] = firsts[0]
    second[0] = seconds[0]


cdef inline void log_of_panel_beside_maximum(
    const real* panel, Py_ssize_t rows, vec[real] largest, vec[double]* a, vec[double]* b
) noexcept nogil:
    """log_of_panel for columns whose largest element has nearly all of the sum."""
    cdef vec[double] first, second, term_a, term_b
    cdef vec[real] ties
    sum_panel(panel, NULL, rows, largest, True, &first, &second, &ties)
    maximum_term(largest, &term_a, &term_b)
    if real is float:
        a[0] = log_of_sum(widen_low(ties), first, term_a)
        b[0] = log_of_sum(widen_high(ties), second, term_b)
    else:
        a[0] = log_of_sum(ties, first + second, term_a)
        b[0] = a[0]


cdef inline void log_of_sums(
    const real* panel, Py_ssize_t rows, vec[real] largest, vec[double] first, vec[double] second, vec[double]* a, vec[double]* b
) noexcept nogil:
    """The logarithms of the columns' sums of e^(x - largest), from what `sum_panel` makes of the panel.

    They are float32's lanes 0-7 and 8-15, or float64's twice.
    """
    cdef vec[double] ratio_a, ratio_b, beside_a, beside_b
    cdef vec[double] least = broadcast(least_ratio(<real>0))
    ratios_to_maximum(first, second, largest, &ratio_a, &ratio_b)
    a[0] = log1p(ratio_a)
    b[0] = log1p(ratio_b)
    if any_at_least(least - ratio_a, <double>0) or any_at_least(least - ratio_b, <double>0):
        do_out_of_line(log_of_panel_beside_maximum[real], panel, rows, largest, &beside_a, &beside_b)
        a[0] = select_less(ratio_a, least, beside_a, a[0])
        b[0] = select_less(ratio_b, least, beside_b, b[0])


cdef inline void log_of_panel(
    const real* panel, Py_ssize_t rows, vec[real] largest, vec[double]* a, vec[double]* b
) noexcept nogil:
    """`log_of_sums`, with the sums."""
    cdef vec[double] first, second
    cdef vec[real] unused
    sum_panel(panel, NULL, rows, largest, False, &first, &second, &unused)
    log_of_sums(panel, rows, largest, first, second, a, b)
