"""Slices whose elements arrive in pieces: a state for each, which pieces join and states merge into.

(a) A state has what every operation needs: softmax's sum, the sum beside the maximum, and the careful one. A piece is
    cut into blocks of BLOCK elements, and each block merges from the left as it does in the kernels for rows. So
    a state of pieces that end where blocks end has the sums, and its results the bits, of one call.
(b) A kernel that has the whole row subtracts a maximum that is too large for its K. A state does not know the maximum
    to come: it subtracts an anchor, the first such number it meets, from all that is nearer to it than shift_limit. x less
    the anchor is exact for every x that counts, and K does the rest. Only another anchor, or none, costs one
    rounded multiplication of the sums.
(c) Who can read the pieces twice knows the maximum the second time: `anchor` makes states that subtract what the
    kernels for rows do, `anchored` says that no other anchor may follow, and the bits are those of one call again.
(d) A nan is told by the maximum of a state, and so is an infinite one; the sums then mean nothing.
(e) Columns are turned into rows in a buffer, as many as share a cache line, and are summed like them.
"""

from libc.math cimport INFINITY, NAN, ldexp
from libc.stdlib cimport free, malloc

from fastsoftmax.kernels.arithmetic.simd cimport broadcast, native, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport (
    CarefulSum, add_carefully, any_replaced, begin_careful_sum, careful_log, do_out_of_line, end_careful_sum, exact_product,
    is_replaced_log, merge_carefully, none_watched, replace, to_watch,
)
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, TermsBesideMaximum, add_scaled, block_scale_maximum, divisor_of_sum, least_ratio, log_of_state, merge,
    merge_beside_maximum, ratio_to_maximum, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    exponential, first_lane, log1p, lowest, magic_of, plain_term, real, scale_of, shift_limit,
)
from fastsoftmax.kernels.rows.row_blocks cimport (
    LOG_SOFTMAX, SOFTMAX, Operation, any_nan, block_maximum, differences, fill, is_finite, quotients, shift_of, shifted,
    sum_block,
)
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    STATE_NUMBERS = 9
    COLUMNS = 16  # that are turned into rows together
    PITCH = BLOCK + 16  # between their buffers, which are not to begin at the same place of the cache


cdef struct State:
    double maximum  # -inf before the first element, nan after a nan
    double anchor  # what was subtracted from the elements of the sums, or 0
    double high
    double low
    double ties
    double rest_high
    double rest_low
    double careful_high
    double careful_low


cdef inline State no_elements() noexcept nogil:
    cdef State state
    state.maximum = -INFINITY
    state.anchor = 0.0
    state.high = state.low = state.ties = 0.0
    state.rest_high = state.rest_low = state.careful_high = state.careful_low = 0.0
    return state


cdef inline Terms terms_of(real unused, const State* state) noexcept nogil:
    cdef Terms terms
    terms.K = scale_of_number(<real>(state.maximum - state.anchor))
    terms.high = state.high
    terms.low = state.low
    return terms


cdef inline TermsBesideMaximum terms_beside_maximum_of(const State* state) noexcept nogil:
    cdef TermsBesideMaximum terms
    terms.largest = state.maximum - state.anchor
    terms.ties = state.ties
    terms.high = state.rest_high
    terms.low = state.rest_low
    return terms


cdef inline CarefulSum careful_sum_of(const State* state) noexcept nogil:
    cdef CarefulSum careful
    careful.top = state.maximum - state.anchor
    careful.ties = state.ties
    careful.rest_high = state.careful_high
    careful.rest_low = state.careful_low
    end_careful_sum(&careful)
    return careful


# Anchors.


cdef inline bint is_near(real unused, double x, double anchor) noexcept nogil:
    return -shift_limit(<real>0) <= x - anchor <= shift_limit(<real>0)


cdef inline double exponential_of(double x, double* exponent) noexcept nogil:
    """e^x as a number times 2^exponent, |x| beyond shift_limit too: the state may come from a target with another."""
    cdef double n = scale_of_number(x)
    cdef double rest
    cdef vec[double] product, lost, t
    exact_product(broadcast(n), broadcast(<double>0.6931471805599453), &product, &lost)  # log 2 as two numbers
    t = ((broadcast(x) - product) - lost) - broadcast(n * 2.3190468138462996e-17)
    rest = scale_of_number(first_lane(t))
    exponent[0] = n + rest - 512.0
    return first_lane(plain_term(t, magic_of(scale_of(t)))) / exponential[double].table_factor()


cdef inline void add_maximum(real unused, State* state) noexcept nogil:
    """The sum of all terms from that beside the maximum. `ratio_to_maximum` takes out what is added here."""
    cdef vec[real] top = broadcast(<real>(state.maximum - state.anchor))
    cdef real term = first_lane(plain_term(top, magic_of(scale_of(top))))
    state.high = state.rest_high
    state.low = state.rest_low
    add_scaled(&state.high, &state.low, 1.0, state.ties * <double>term, 0.0, 1.0)


cdef inline void move_anchor(real unused, State* state, double anchor) noexcept nogil:
    """Multiply the sums by e^(old anchor - anchor)."""
    cdef double before = state.maximum - state.anchor
    cdef double after = state.maximum - anchor
    cdef double exponent
    cdef double factor = exponential_of(state.anchor - anchor, &exponent)
    cdef double careful = ldexp(factor, <int>(exponent + scale_of_number(before) - scale_of_number(after)))
    factor = ldexp(factor, <int>(exponent + scale_of_number(<real>before) - scale_of_number(<real>after)))
    state.anchor = anchor
    state.rest_high *= factor
    state.rest_low *= factor
    state.careful_high *= careful
    state.careful_low *= careful
    add_maximum(<real>0, state)


cdef inline void take_over(real unused, State* state) noexcept nogil:
    """Make a state of a target with another rounding, and another shift_limit, one of this target."""
    if is_finite(state.maximum):
        if is_near(<real>0, state.maximum, state.anchor):
            add_maximum(<real>0, state)
        else:
            move_anchor(<real>0, state, shift_of(<real>state.maximum))


cdef inline double common_anchor(real unused, const State* a, const State* b) noexcept nogil:
    """What the union of two states is less: as the kernels for rows have it, or one of theirs."""
    cdef double maximum = a.maximum if a.maximum > b.maximum else b.maximum
    if is_near(<real>0, maximum, 0.0):
        return 0.0
    if a.anchor != 0.0 and is_near(<real>0, maximum, a.anchor):
        return a.anchor
    if b.anchor != 0.0 and is_near(<real>0, maximum, b.anchor):
        return b.anchor
    return maximum


# Merging.


cdef inline void merge_states(real unused, State* state, State other) noexcept nogil:
    cdef Terms terms
    cdef TermsBesideMaximum beside_maximum
    cdef CarefulSum careful
    cdef double anchor
    if state.maximum != state.maximum or other.maximum == -INFINITY:
        return
    if other.maximum != other.maximum or state.maximum == -INFINITY:
        state[0] = other
        return
    if state.maximum == INFINITY or other.maximum == INFINITY:
        state.maximum = INFINITY
        return
    if state.anchor != other.anchor:
        if state.maximum - other.maximum > lowest(<real>0):
            return
        if other.maximum - state.maximum > lowest(<real>0):
            state[0] = other
            return
        anchor = common_anchor(<real>0, state, &other)
        if anchor != state.anchor:
            move_anchor(<real>0, state, anchor)
        if anchor != other.anchor:
            move_anchor(<real>0, &other, anchor)
    terms = terms_of(<real>0, state)
    beside_maximum = terms_beside_maximum_of(state)
    careful = careful_sum_of(state)
    merge(&terms, terms_of(<real>0, &other))
    merge_beside_maximum(<real>0, &beside_maximum, terms_beside_maximum_of(&other))
    merge_carefully(&careful, careful_sum_of(&other))
    if other.maximum > state.maximum:
        state.maximum = other.maximum
    state.high = terms.high
    state.low = terms.low
    state.ties = beside_maximum.ties
    state.rest_high = beside_maximum.high
    state.rest_low = beside_maximum.low
    state.careful_high = careful.rest_high
    state.careful_low = careful.rest_low


cdef inline void add_block(State* state, const real* x, Py_ssize_t n, bint anchored) noexcept nogil:
    """Merge up to BLOCK elements into a state."""
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef real largest = block_maximum(native(x), n)
    cdef double limit = shift_limit(<real>0)
    cdef double unused, distance
    cdef CarefulSum careful
    cdef State block = no_elements()
    if state.maximum != state.maximum:
        return
    if not is_finite(largest):
        block.maximum = NAN if any_nan(native(x), n) else largest
        merge_states(<real>0, state, block)
        return
    block.anchor = state.anchor
    distance = <double>largest - state.anchor
    # Far below the rest of the slice there is nothing to save: `block_scale_maximum` lets it vanish.
    if not anchored and (distance > limit or (distance < -limit and state.maximum - state.anchor < -limit)):
        block.anchor = shift_of(largest)
    values = shifted(native(x), n, <real>block.anchor, <real*>buffer)
    largest = block_scale_maximum(<real>(<double>largest - block.anchor))
    # Without an anchor it keeps the sign of a zero, so that a difference from it is +0.0.
    block.maximum = block.anchor + <double>largest if block.anchor != 0 else <double>largest
    sum_block(native(values), <real*>NULL, n, largest, False, &block.high, &block.low, &unused)
    if block.high != block.high:
        block.maximum = NAN
    else:
        sum_block(native(values), <real*>NULL, n, largest, True, &block.rest_high, &block.rest_low, &block.ties)
        begin_careful_sum(&careful)
        add_carefully(&careful, values, 1, n)
        block.careful_high = careful.rest_high
        block.careful_low = careful.rest_low
    merge_states(<real>0, state, block)


cdef inline bint anchor_again(real unused, const State* states, State* again, Py_ssize_t count) noexcept nogil:
    """Empty states anchored for the maxima of states; whether any may differ from what a row's kernel does."""
    cdef double reliable = <double>shift_limit(<real>0) - <double>lowest(<real>0)
    cdef bint any_state = False
    cdef Py_ssize_t i
    for i in range(count):
        again[i] = no_elements()
        if is_finite(states[i].maximum):
            again[i].anchor = shift_of(<real>states[i].maximum)
            any_state |= not -reliable <= states[i].maximum <= reliable
    return any_state


# Between pieces (outer, n, inner) and buffers that hold a column each.


cdef inline void gather(
    const real* x, Py_ssize_t inner, Py_ssize_t rows, Py_ssize_t columns, real* buffer
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(columns):
            buffer[j * PITCH + i] = x[i * inner + j]


cdef inline void scatter(
    const real* buffer, Py_ssize_t inner, Py_ssize_t rows, Py_ssize_t columns, real* y
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(columns):
            y[i * inner + j] = buffer[j * PITCH + i]


# Pieces into states.


cdef inline int add_pieces(
    State* states, const real* x, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, bint anchored
) except -1 nogil:
    """Merge a piece (outer, n, inner) into states (outer, inner)."""
    cdef real* buffer = <real*>malloc(COLUMNS * PITCH * sizeof(real))
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, first, columns, start, rows, j
    cdef const real* block
    if buffer == NULL:
        raise MemoryError()
    try:
        for o in range(outer):
            first = 0
            while first < inner:
                columns = inner - first if inner - first < COLUMNS else COLUMNS
                start = 0
                while start < n:
                    rows = n - start if n - start < BLOCK else BLOCK
                    block = x + (o * n + start) * inner + first
                    if inner > 1:
                        gather(block, inner, rows, columns, buffer)
                        block = buffer
                    for j in range(columns):
                        add_block(&states[o * inner + first + j], block + j * PITCH, rows, anchored)
                    start += rows
                    since += rows * columns
                    if since >= SIGNAL_PERIOD:
                        since = 0
                        hear_signals()
                first += columns
    finally:
        free(buffer)
    return 0


# States into results.


cdef inline bint is_infinite(double x) noexcept nogil:
    return x == INFINITY or x == -INFINITY


cdef struct Result:
    State state
    CarefulSum careful
    double logarithm


cdef inline double log_sum_of(real unused, const State* state, const CarefulSum* careful) noexcept nogil:
    """The logarithm of the sum of e^(x - maximum), as rows.pxd has it."""
    cdef double logarithm
    cdef double ratio = ratio_to_maximum(<real>(state.maximum - state.anchor), terms_of(<real>0, state))
    if ratio >= least_ratio(<real>0):
        return first_lane(log1p(broadcast(ratio)))
    logarithm = log_of_state(<real>0, terms_beside_maximum_of(state))
    return careful_log(<real>0, careful, 1.0) if is_replaced_log(<real>logarithm) else logarithm


cdef inline Result finish(Operation operation, real unused, const State* state) noexcept nogil:
    """What the results of a slice are made from. For softmax without a logarithm."""
    cdef Result result
    result.state = state[0]
    result.logarithm = 0.0
    if is_finite(state.maximum):
        result.careful = careful_sum_of(state)
        if operation != SOFTMAX:
            result.logarithm = log_sum_of(<real>0, state, &result.careful)
    return result


cdef inline bint belongs(const real* x, Py_ssize_t n, double maximum) noexcept nogil:
    """Whether no element is larger than the maximum, nor a nan unless that is one."""
    cdef real largest = <real>maximum
    cdef Py_ssize_t strangers = 0
    cdef Py_ssize_t i
    if maximum != maximum:
        return True
    for i in range(n):
        strangers += not x[i] <= largest
    return strangers == 0


cdef inline void softmax_block(const Result* result, const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef real buffer[BLOCK]
    cdef const State* state = &result.state
    cdef const real* values = shifted(native(x), n, <real>state.anchor, <real*>buffer)
    cdef vec[real] high, low
    cdef vec[real] nearest = none_watched(<real>0)
    divisor_of_sum(state.high, state.low, 1.0, &high, &low)
    quotients(
        native(values), native(<const real*>y), n, <real>(state.maximum - state.anchor), 0.0, high, low, False, to_watch(<real>1),
        &nearest,
    )
    if any_replaced(nearest):
        do_out_of_line(
            replace[real], <const CarefulSum*>&result.careful, 1.0, values, <Py_ssize_t>1, y, <Py_ssize_t>1, n
        )


cdef inline void special_block(
    Operation operation, const Result* result, const real* x, real* y, Py_ssize_t n
) noexcept nogil:
    """Results of a slice whose maximum is a nan or infinite."""
    cdef real largest = <real>result.state.maximum
    cdef Py_ssize_t i
    fill(native(<const real*>y), n, <real>NAN)
    if operation == LOG_SOFTMAX:
        for i in range(n):
            if x[i] < largest:
                y[i] = -INFINITY


cdef inline int apply_states(
    Operation operation, const State* states, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner,
    bint* made_nan, bint* stranger,
) except -1 nogil:
    """softmax or log_softmax of a piece (outer, n, inner), apart from y, of slices that states (outer, inner) are of."""
    cdef Result results[COLUMNS]
    cdef real* buffer = <real*>malloc(2 * COLUMNS * PITCH * sizeof(real))
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, first, columns, start, rows, place, j
    cdef const real* block
    cdef real* target
    if buffer == NULL:
        raise MemoryError()
    try:
        for o in range(outer):
            first = 0
            while first < inner:
                columns = inner - first if inner - first < COLUMNS else COLUMNS
                for j in range(columns):
                    results[j] = finish(operation, <real>0, &states[o * inner + first + j])
                    made_nan[0] |= is_infinite(results[j].state.maximum)
                start = 0
                while start < n:
                    rows = n - start if n - start < BLOCK else BLOCK
                    place = (o * n + start) * inner + first
                    block = x + place
                    target = y + place
                    if inner > 1:
                        gather(block, inner, rows, columns, buffer)
                        block = buffer
                        target = buffer + COLUMNS * PITCH
                    for j in range(columns):
                        stranger[0] |= not belongs(block + j * PITCH, rows, results[j].state.maximum)
                        if not is_finite(results[j].state.maximum):
                            special_block(operation, &results[j], block + j * PITCH, target + j * PITCH, rows)
                        elif operation == SOFTMAX:
                            softmax_block(&results[j], block + j * PITCH, target + j * PITCH, rows)
                        else:
                            differences(
                                native(block + j * PITCH), native(<const real*>target + j * PITCH), rows,
                                <real>results[j].state.maximum, <real>results[j].logarithm,
                            )
                    if inner > 1:
                        scatter(<const real*>target, inner, rows, columns, y + place)
                    start += rows
                    since += rows * columns
                    if since >= SIGNAL_PERIOD:
                        since = 0
                        hear_signals()
                first += columns
    finally:
        free(buffer)
    return 0


cdef inline void logsumexp_of_states(const State* states, real* y, Py_ssize_t count) noexcept nogil:
    cdef Result result
    cdef Py_ssize_t i
    for i in range(count):
        result = finish(LOG_SOFTMAX, <real>0, &states[i])
        y[i] = <real>(states[i].maximum + result.logarithm)
        if y[i] != y[i]:
            y[i] = NAN
