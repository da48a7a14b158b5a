"""Rows: the reduced axis is contiguous.

(a) A row that fits the level-2 cache beside its result is read for its maxima, turned into terms that are stored and
    summed, and scaled in place. A longer one is read twice instead: states block by block, then the terms again, because
    there storing and reloading costs more than a second exponential.
(b) Both give the same bits: a block's terms always refer to the block's own largest element, and scaling by powers of
    two is exact.
(c) A row whose largest element is not finite, or that holds a nan, takes `special_*`, which follow the table of special
    values. `maximum` drops a nan, the sum does not: a sum that is nan means that a nan came in.
(d) A row with a result below the smallest normal number is computed again from x (see subnormals.pxd). In place, a row that
    fits the cache is copied before its terms are stored, and a longer one is searched in advance for an x with such
    a result.
(e) Every SIGNAL_PERIOD elements Ctrl-C is looked for, or in a helping thread the flag that stops it.
"""

from libc.math cimport INFINITY, NAN
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastsoftmax.simd cimport (
    AS_COMPUTED, BFLOAT16, FLOAT16, Storage, as_computed, broadcast, common_storage, keep_first, load, load_partial, maximum,
    native, put, reduce_add, reduce_max, room_for, select_equal, set_number, store, store_partial, stored, stored_as, stream,
    stream_fence, vec,
)
from fastsoftmax.subnormals cimport (
    CarefulSum, add_carefully, any_replaced, begin_careful_sum, below, careful_log, do_out_of_line, end_careful_sum,
    is_replaced_log, none_watched, out_of_line, replace, to_watch, watch, window,
)
from fastsoftmax.sums cimport (
    BLOCK, Terms, TermsBesideMaximum, block_scale_maximum, least_ratio, log_of_state, merge, merge_beside_maximum, no_terms,
    no_terms_beside_maximum, power_of_two, divisor_of_sum, quotient, ratio_to_maximum, scale_of_number,
)
from fastsoftmax.vector_math cimport (
    accumulate, accumulate_widely, empty_sum, exponential_term, first_lane, log1p, lowest, magic_of, real, scale_of, shift_limit,
    total,
    total_widely,
)

cdef extern from "stop.hpp" nogil:
    bint obeys_flag() noexcept
    bint is_flag_set() noexcept

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef enum:
    RESIDENT_BYTES = 524288  # a row of this size and its result share a level-2 cache of 1 MiB
    RESIDENT_BLOCKS = 128  # of float32; half as many are used for float64
    SIGNAL_PERIOD = 1048576


cdef enum Operation:
    SOFTMAX
    LOG_SOFTMAX
    LOGSUMEXP


cdef inline Py_ssize_t lanes(real unused) noexcept nogil:
    return 64 // <Py_ssize_t>sizeof(real)


cdef inline int hear_signals() except -1 nogil:
    """Stop for Ctrl-C, or in a helping thread because its call is to end."""
    if obeys_flag():
        if is_flag_set():
            with gil:
                raise KeyboardInterrupt
        return 0
    with gil:
        return PyErr_CheckSignals()


cdef inline int next_piece(Py_ssize_t start, Py_ssize_t n, Py_ssize_t* length) except -1 nogil:
    """The length of the next piece of a row, before which Ctrl-C is looked for; short rows are one piece."""
    if start > 0:
        hear_signals()
    length[0] = n - start if n - start < SIGNAL_PERIOD else SIGNAL_PERIOD
    return 0


cdef inline bint any_nan(stored[real] x, Py_ssize_t n) noexcept nogil:
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        values = as_computed(x + start, length, <real*>buffer)
        for i in range(length):
            if values[i] != values[i]:
                return True
        start += length
    return False


cdef inline void fill(stored[real] y, Py_ssize_t n, real value) noexcept nogil:
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    while i < n:
        store_partial(y + i, broadcast(value), n - i if n - i < width else width)
        i += width


cdef inline bint is_finite(real x) noexcept nogil:
    return x - x == 0


# One block. Where the format of what is given is known, it is compiled for that.


cdef inline real block_maximum(stored[real] x, Py_ssize_t n) noexcept nogil:
    """The largest of x[:n]; a nan is passed over, and -inf is the result if nothing else is there."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] a, b, c, d
    a = b = c = d = broadcast(<real>-INFINITY)
    while i + 4 * width <= n:
        a = maximum(load(x + i), a)
        b = maximum(load(x + i + width), b)
        c = maximum(load(x + i + 2 * width), c)
        d = maximum(load(x + i + 3 * width), d)
        i += 4 * width
    while i + width <= n:
        b = maximum(load(x + i), b)
        i += width
    if i < n:
        a = maximum(load_partial(x + i, n - i, <real>-INFINITY), a)
    return reduce_max(maximum(maximum(a, b), maximum(c, d)))


cdef inline real maximum_of_block(stored[real] x, Py_ssize_t n) noexcept nogil:
    """The same, compiled for each format."""
    if common_storage(x, x, x) == FLOAT16:
        return block_maximum(stored_as(FLOAT16, x), n)
    if common_storage(x, x, x) == BFLOAT16:
        return block_maximum(stored_as(BFLOAT16, x), n)
    return block_maximum(stored_as(AS_COMPUTED, x), n)


cdef inline real shift_of(real largest) noexcept nogil:
    """What is subtracted from a row before its range reduction: nothing, or a maximum too large for it."""
    return <real>0 if -shift_limit(<real>0) <= largest <= shift_limit(<real>0) else largest


cdef inline const real* shifted(stored[real] x, Py_ssize_t n, real shift, real* buffer) noexcept nogil:
    """x itself if it is as the kernel computes and not to be shifted; else x - shift in the buffer."""
    cdef const real* values = as_computed(x, n, buffer)
    cdef Py_ssize_t i
    if shift == 0:
        return values
    for i in range(n):
        buffer[i] = values[i] - shift
    return buffer


cdef inline vec[real] term_at(
    stored[real] x, real* y, Py_ssize_t i, Py_ssize_t n, vec[real] floor, vec[real] magic, vec[real] largest,
    bint beside_maximum, vec[real]* ties,
) noexcept nogil:
    """The terms of one vector of x[:n] at i < n, zero beyond n. Stored to y if y is given; the maxima only counted if asked."""
    cdef Py_ssize_t left = n - i
    cdef vec[real] values, terms
    cdef vec[real] zero = broadcast(<real>0)
    if left >= lanes(<real>0):
        values = load(x + i)
        terms = exponential_term(values, floor, magic)
        if y != NULL:
            store(y + i, terms)
    else:
        values = load_partial(x + i, left, <real>-INFINITY)
        terms = keep_first(exponential_term(values, floor, magic), left)
        if y != NULL:
            store_partial(y + i, terms, left)
    if beside_maximum:
        ties[0] = ties[0] + select_equal(values, largest, broadcast(<real>1), zero)
        terms = select_equal(values, largest, zero, terms)
    return terms


cdef inline void sum_block(
    stored[real] x, real* y, Py_ssize_t n, real largest, bint beside_maximum, double* high, double* low, double* ties,
) noexcept nogil:
    """Sum the terms of a block, in the one order of summation, relative to its largest element."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] floor = broadcast(largest - lowest(<real>0))
    cdef vec[real] magic = magic_of(scale_of(broadcast(largest)))
    cdef vec[real] top = broadcast(largest)
    cdef vec[real] count = broadcast(<real>0)
    cdef vec[real] sum_high = empty_sum(<real>0)
    cdef vec[real] sum_low = broadcast(<real>0)
    cdef vec[double] first = broadcast(0.0)
    cdef vec[double] second = broadcast(0.0)
    if beside_maximum:
        while i < n:
            accumulate_widely(term_at(x, y, i, n, floor, magic, top, True, &count), &first, &second)
            i += width
        total_widely(<real>0, first, second, high, low)
        ties[0] = reduce_add(count)
    else:
        while i < n:
            accumulate(term_at(x, y, i, n, floor, magic, top, False, &count), &sum_high, &sum_low)
            i += width
        total(sum_high, sum_low, high, low)


cdef inline void scale_block(
    real* y, Py_ssize_t n, double exponent, vec[real] a, vec[real] b, vec[real] watched_bits, vec[real]* nearest
) noexcept nogil:
    """y[:n] = 2^exponent * y / sum, rounded once and watched. The exponent is a whole number, at most 0."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    # In two steps: 2^exponent itself may be below the smallest subnormal where its product with a term is not.
    cdef vec[real] once = broadcast(<real>power_of_two(<double><long long>(0.5 * exponent)))
    cdef vec[real] again = broadcast(<real>power_of_two(exponent - <double><long long>(0.5 * exponent)))
    cdef vec[real] terms
    if exponent != 0.0:
        while i + width <= n:
            terms = quotient(load(y + i) * once * again, a, b)
            watch(terms, watched_bits, nearest)
            store(y + i, terms)
            i += width
    else:
        while i + width <= n:
            terms = quotient(load(y + i), a, b)
            watch(terms, watched_bits, nearest)
            store(y + i, terms)
            i += width
    if i < n:
        terms = quotient(load_partial(y + i, n - i, <real>0) * once * again, a, b)
        watch(terms, watched_bits, nearest)
        store_partial(y + i, terms, n - i)


cdef inline void quotients(
    stored[real] x, stored[real] y, Py_ssize_t n, real largest, double exponent, vec[real] a, vec[real] b, bint past_caches,
    vec[real] watched_bits, vec[real]* nearest,
) noexcept nogil:
    """y[:n] = 2^exponent * the terms of x, relative to the row's largest, over the row's sum, watched: see scale_block.

    Past the caches goes only what is stored as it is computed. Nothing is watched that is 0 in float16.
    """
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t head
    cdef bint watched = common_storage(y, y, y) != FLOAT16
    cdef vec[real] floor = broadcast(largest - lowest(<real>0))
    cdef vec[real] magic = magic_of(scale_of(broadcast(largest)))
    cdef vec[real] once = broadcast(<real>power_of_two(<double><long long>(0.5 * exponent)))
    cdef vec[real] again = broadcast(<real>power_of_two(exponent - <double><long long>(0.5 * exponent)))
    cdef vec[real] terms
    if exponent != 0.0:  # of an odd coefficient: no need to be fast
        while i < n:
            head = n - i if n - i < width else width
            terms = exponential_term(load_partial(x + i, head, largest), floor, magic) * once * again
            terms = quotient(terms, a, b)
            watch(terms, watched_bits, nearest)
            store_partial(y + i, terms, head)
            i += width
        return
    if past_caches:
        head = <Py_ssize_t>((<size_t>0 - <size_t>y.at) % 64) // <Py_ssize_t>sizeof(real)
        head = head if head < n else n
        terms = quotient(exponential_term(load_partial(x, head, largest), floor, magic), a, b)
        watch(terms, watched_bits, nearest)
        store_partial(y, terms, head)
        i = head
        while i + width <= n:
            terms = quotient(exponential_term(load(x + i), floor, magic), a, b)
            watch(terms, watched_bits, nearest)
            stream(<real*>y.at + i, terms)
            i += width
    while i + width <= n:
        terms = quotient(exponential_term(load(x + i), floor, magic), a, b)
        if watched:
            watch(terms, watched_bits, nearest)
        store(y + i, terms)
        i += width
    if i < n:
        terms = quotient(exponential_term(load_partial(x + i, n - i, largest), floor, magic), a, b)
        if watched:
            watch(terms, watched_bits, nearest)
        store_partial(y + i, terms, n - i)


cdef inline void differences(stored[real] x, stored[real] y, Py_ssize_t n, real largest, real log_sum) noexcept nogil:
    """y[:n] = (x - largest) - log_sum."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] top = broadcast(largest)
    cdef vec[real] logarithm = broadcast(log_sum)
    while i + width <= n:
        store(y + i, (load(x + i) - top) - logarithm)
        i += width
    if i < n:
        store_partial(y + i, (load_partial(x + i, n - i, <real>0) - top) - logarithm, n - i)


# The same for a row of any length, piece by piece.


cdef inline int find_nan(stored[real] x, Py_ssize_t n, bint* found) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    found[0] = False
    while start < n and not found[0]:
        next_piece(start, n, &length)
        found[0] = any_nan(x + start, length)
        start += length
    return 0


cdef inline int find_maximum(stored[real] x, Py_ssize_t n, real* largest) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    cdef real top
    largest[0] = -INFINITY
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        top = maximum_of_block(x + start, length)
        if top > largest[0]:
            largest[0] = top
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 0


cdef inline int fill_row(stored[real] y, Py_ssize_t n, real value) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        next_piece(start, n, &length)
        fill(y + start, length, value)
        start += length
    return 0


cdef inline int differences_of_row(
    stored[real] x, stored[real] y, Py_ssize_t n, real largest, real log_sum
) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        next_piece(start, n, &length)
        if common_storage(x, x, y) == AS_COMPUTED:
            differences(stored_as(AS_COMPUTED, x + start), stored_as(AS_COMPUTED, y + start), length, largest, log_sum)
        else:
            differences(x + start, y + start, length, largest, log_sum)
        start += length
    return 0


# One row.


cdef inline int special_softmax(stored[real] x, stored[real] y, Py_ssize_t n, bint* made_nan) except -1 nogil:
    """A row whose largest element is infinite has no softmax. Tells whether that makes the row's first nan."""
    cdef bint had_nan
    find_nan(x, n, &had_nan)
    fill_row(y, n, <real>NAN)
    made_nan[0] |= not had_nan
    return 0


cdef inline int special_log_softmax(stored[real] x, stored[real] y, Py_ssize_t n, real largest, bint* made_nan) except -1 nogil:
    """Elements equal to an infinite largest have no logarithm of a probability; beside +inf the others have -inf."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, count, i
    cdef vec[real] values
    cdef bint had_nan
    find_nan(x, n, &had_nan)
    if had_nan:
        return fill_row(y, n, <real>NAN)
    while start < n:
        next_piece(start, n, &length)
        i = start
        while i < start + length:
            count = start + length - i if start + length - i < width else width
            values = load_partial(x + i, count, <real>0)
            values = select_equal(values, broadcast(largest), broadcast(<real>NAN), broadcast(<real>(-INFINITY)))
            store_partial(y + i, values, count)
            i += width
        start += length
    made_nan[0] = True
    return 0


cdef inline int sum_row_carefully(stored[real] x, Py_ssize_t n, real shift, CarefulSum* row) except -1 nogil:
    """The careful sum of a row, less the shift."""
    cdef real buffer[BLOCK]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    begin_careful_sum(row)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        add_carefully(row, shifted(x + start, length, shift, <real*>buffer), 1, length)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    end_careful_sum(row)
    return 0


cdef inline int replace_in_row(
    stored[real] x, real* y, Py_ssize_t n, real shift, double factor
) except -1 nogil:
    """Compute again the results of a row that are below the smallest normal number: factor * softmax."""
    cdef real buffer[BLOCK]
    cdef CarefulSum row
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    sum_row_carefully(x, n, shift, &row)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        replace(&row, factor, shifted(x + start, length, shift, <real*>buffer), 1, y + start, 1, length)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 0


cdef inline int softmax_row(const real* x, real* y, Py_ssize_t n, real* copy, bint* made_nan) except -1 nogil:
    """A row that fits the cache. In place, there is room for a copy."""
    cdef real maxima[RESIDENT_BLOCKS]
    cdef real buffer[BLOCK]
    cdef Py_ssize_t blocks = (n + BLOCK - 1) // BLOCK
    cdef Py_ssize_t start, length, block
    cdef real largest = -INFINITY
    cdef real shift
    cdef double unused
    cdef vec[real] high, low, watched_bits, nearest
    cdef Terms state, part
    for block in range(blocks):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        if copy != NULL:
            memcpy(copy + start, x + start, length * sizeof(real))
        maxima[block] = block_maximum(native(x + start), length)
        if maxima[block] > largest:
            largest = maxima[block]
    if not is_finite(largest):
        return special_softmax(native(x), native(<const real*>y), n, made_nan)
    if copy != NULL:
        x = copy
    shift = shift_of(largest)
    state = no_terms(<real>0)
    for block in range(blocks):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        maxima[block] = block_scale_maximum(maxima[block] - shift)
        sum_block(
            native(shifted(native(x + start), length, shift, <real*>buffer)), y + start, length, maxima[block], False,
            &part.high, &part.low, &unused,
        )
        part.K = scale_of_number(maxima[block])
        if blocks == 1:
            state = part
        else:
            merge(&state, part)
    if state.high != state.high:
        fill(native(<const real*>y), n, <real>NAN)
        return 0
    divisor_of_sum(state.high, state.low, 1.0, &high, &low)
    watched_bits = to_watch(<real>1)
    nearest = none_watched(<real>0)
    for block in range(blocks):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        scale_block(y + start, length, scale_of_number(maxima[block]) - state.K, high, low, watched_bits, &nearest)
    if any_replaced(nearest):
        out_of_line(replace_in_row[real], native(x), y, n, shift, 1.0)
    return 0


cdef inline void add_terms(stored[real] x, Py_ssize_t n, Terms* state, real* largest) noexcept nogil:
    """Take one block into the state and the largest element of a row."""
    cdef real top = block_maximum(x, n)
    cdef double unused
    cdef Terms part
    if top > largest[0]:
        largest[0] = top
    if top <= shift_limit(<real>0):
        top = block_scale_maximum(top)
        part.K = scale_of_number(top)
        sum_block(x, <real*>NULL, n, top, False, &part.high, &part.low, &unused)
        merge(state, part)


cdef inline int sum_terms(stored[real] x, Py_ssize_t n, real shift, Terms* state, real* largest) except -1 nogil:
    """The state and the largest element of a row of any length."""
    cdef real buffer[BLOCK]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    cdef Storage storage = common_storage(x, x, x)
    largest[0] = -INFINITY
    state[0] = no_terms(<real>0)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        if shift == 0 and storage == FLOAT16:
            add_terms(stored_as(FLOAT16, x + start), length, state, largest)
        elif shift == 0 and storage == BFLOAT16:
            add_terms(stored_as(BFLOAT16, x + start), length, state, largest)
        else:
            add_terms(native(shifted(x + start, length, shift, <real*>buffer)), length, state, largest)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 0


cdef inline int holds_between(
    stored[real] x, Py_ssize_t n, real shift, real lower, real upper, bint* found
) except -1 nogil:
    """Whether x, less the shift, has an element between two numbers."""
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    cdef vec[real] bound = broadcast(upper)
    cdef vec[real] largest = broadcast(<real>(-INFINITY))
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        values = shifted(x + start, length, shift, <real*>buffer)
        i = 0
        while i + width <= length:
            largest = maximum(below(load(values + i), bound), largest)
            i += width
        if i < length:
            largest = maximum(below(load_partial(values + i, length - i, <real>(-INFINITY)), bound), largest)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    found[0] = reduce_max(largest) >= lower
    return 0


cdef inline int write_quotients(
    stored[real] x, stored[real] y, Py_ssize_t n, real top, real shift, vec[real] high, vec[real] low, double coefficient,
    double exponent, bint past_caches, const CarefulSum* row, bint* any_left,
) except -1 nogil:
    """The results of `long_quotients`. With a careful sum, those that are to be replaced are; else tell if there are any."""
    cdef real buffer[BLOCK]
    cdef real others[BLOCK]
    cdef vec[real] watched_bits = to_watch(<real>coefficient)
    cdef vec[real] nearest = none_watched(<real>0)
    cdef const real* values
    cdef real* results
    cdef Storage storage = common_storage(x, x, y)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        if storage == FLOAT16 and shift == 0 and row == NULL:
            quotients(
                stored_as(FLOAT16, x + start), stored_as(FLOAT16, y + start), length, top, exponent, high, low, False,
                watched_bits, &nearest,
            )
        elif storage == BFLOAT16 and shift == 0 and row == NULL:
            quotients(
                stored_as(BFLOAT16, x + start), stored_as(BFLOAT16, y + start), length, top, exponent, high, low, False,
                watched_bits, &nearest,
            )
        else:
            values = shifted(x + start, length, shift, <real*>buffer)
            results = room_for(y + start, <real*>others)
            if row != NULL:
                results = others
            quotients(
                native(values), native(<const real*>results), length, top, exponent, high, low,
                past_caches and results != others, watched_bits, &nearest,
            )
            if row != NULL:
                do_out_of_line(replace[real], row, coefficient, values, <Py_ssize_t>1, results, <Py_ssize_t>1, length)
            put(<const real*>results, y + start, length)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    if past_caches:
        stream_fence()
    any_left[0] = row == NULL and any_replaced(nearest)
    return 0


cdef inline int long_quotients(
    stored[real] x, stored[real] y, Py_ssize_t n, real top, real shift, double sum_high, double sum_low, double coefficient,
    double factor, double exponent, bint past_caches,
) except -1 nogil:
    """y = coefficient * softmax of a row of any length, in place or not.

    Its sum is relative to top, its largest less the shift. The coefficient is factor * 2^exponent, the exponent at most 0.
    """
    cdef real lower, upper
    cdef bint any_left = False
    cdef vec[real] high, low
    cdef CarefulSum row
    divisor_of_sum(sum_high, sum_low, factor, &high, &low)
    if x.at == y.at:
        window(top, sum_high, coefficient, &lower, &upper)
        holds_between(x, n, shift, lower, upper, &any_left)
    if not any_left or y.storage == FLOAT16:
        write_quotients(x, y, n, top, shift, high, low, coefficient, exponent, past_caches, NULL, &any_left)
        any_left &= x.at != y.at
    if any_left and y.storage == FLOAT16:  # where such results are 0
        return 0
    if any_left and x.at != y.at and y.storage == AS_COMPUTED:
        out_of_line(replace_in_row[real], x, <real*>y.at, n, shift, coefficient)
    elif any_left:
        out_of_line(sum_row_carefully[real], x, n, shift, &row)
        write_quotients(x, y, n, top, shift, high, low, coefficient, exponent, False, &row, &any_left)
    return 0


cdef inline int long_softmax_row(
    stored[real] x, stored[real] y, Py_ssize_t n, bint past_caches, bint* made_nan
) except -1 nogil:
    """A row that does not fit the cache: its state first, then the terms once more."""
    cdef real largest, shift
    cdef Terms state
    shift = 0
    sum_terms(x, n, shift, &state, &largest)
    if not is_finite(largest):
        return special_softmax(x, y, n, made_nan)
    shift = shift_of(largest)
    if shift != 0:
        sum_terms(x, n, shift, &state, &largest)
    if state.high != state.high:
        return fill_row(y, n, <real>NAN)
    return long_quotients(x, y, n, largest, shift, state.high, state.low, 1.0, 1.0, 0.0, past_caches)


cdef inline int sum_row_beside_maximum(
    stored[real] x, real* y, Py_ssize_t n, real* largest, real* shift, real* maxima, TermsBesideMaximum* state
) except -1 nogil:
    """The largest element of a row of any length, and its state, less the shift.

    With y, the terms are stored there, and the element that each block's K is taken from in maxima. Of a row whose largest
    element is infinite only that is told.
    """
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    cdef real top
    cdef TermsBesideMaximum part
    find_maximum(x, n, largest)
    if not is_finite(largest[0]):
        return 0
    shift[0] = shift_of(largest[0])
    state[0] = no_terms_beside_maximum(<real>0)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        values = shifted(x + start, length, shift[0], <real*>buffer)
        top = largest[0] - shift[0] if n <= BLOCK else block_scale_maximum(block_maximum(native(values), length))
        part.largest = top
        sum_block(
            native(values), <real*>NULL if y == NULL else y + start, length, top, True, &part.high, &part.low, &part.ties
        )
        if y != NULL:
            maxima[start // BLOCK] = top
        if n <= BLOCK:
            state[0] = part
        else:
            merge_beside_maximum(<real>0, state, part)
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 0


cdef inline int log_sum_beside_maximum(stored[real] x, Py_ssize_t n, double* logarithm) except -1 nogil:
    """log_sum of a row whose largest element is finite and has nearly all of the sum."""
    cdef TermsBesideMaximum state
    cdef CarefulSum row
    cdef real largest, shift
    sum_row_beside_maximum(x, <real*>NULL, n, &largest, &shift, NULL, &state)
    logarithm[0] = log_of_state(<real>0, state)
    if is_replaced_log(<real>logarithm[0]):
        out_of_line(sum_row_carefully[real], x, n, shift, &row)
        logarithm[0] = careful_log(<real>0, &row, 1.0)
    return 0


cdef inline int log_sum(stored[real] x, Py_ssize_t n, real* largest, double* logarithm) except -1 nogil:
    """The largest element of a row and the logarithm of the sum of e^(x - largest): nan if the row holds a nan.

    An infinite largest element is told as it is, without a logarithm.
    """
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Terms state
    cdef real shift = 0
    cdef real shifted_largest
    cdef double ratio, unused
    if n <= BLOCK:
        values = as_computed(x, n, <real*>buffer)
        largest[0] = block_maximum(native(values), n)
        if -shift_limit(<real>0) <= largest[0] <= shift_limit(<real>0):
            sum_block(native(values), <real*>NULL, n, largest[0], False, &state.high, &state.low, &unused)
        elif is_finite(largest[0]):
            sum_terms(x, n, shift_of(largest[0]), &state, &shifted_largest)
    else:
        sum_terms(x, n, shift, &state, largest)
    if is_finite(largest[0]):
        shift = shift_of(largest[0])
        if shift != 0 and n > BLOCK:
            sum_terms(x, n, shift, &state, &shifted_largest)
        ratio = ratio_to_maximum(<real>(largest[0] - shift), state)
        if ratio < least_ratio(<real>0):
            out_of_line(log_sum_beside_maximum[real], x, n, logarithm)
        else:
            logarithm[0] = first_lane(log1p(broadcast(ratio)))
    return 0


cdef inline int log_softmax_row(stored[real] x, stored[real] y, Py_ssize_t n, bint* made_nan) except -1 nogil:
    cdef real largest
    cdef double logarithm = 0.0
    log_sum(x, n, &largest, &logarithm)
    if not is_finite(largest):
        special_log_softmax(x, y, n, largest, made_nan)
    elif logarithm != logarithm:
        fill_row(y, n, <real>NAN)
    else:
        differences_of_row(x, y, n, largest, <real>logarithm)
    return 0


cdef inline int logsumexp_row(stored[real] x, stored[real] y, Py_ssize_t n) except -1 nogil:
    cdef real largest
    cdef double logarithm = 0.0
    cdef bint had_nan
    log_sum(x, n, &largest, &logarithm)
    if not is_finite(largest):
        find_nan(x, n, &had_nan)
        set_number(y, <real>NAN if had_nan else largest)
    elif logarithm != logarithm:
        set_number(y, <real>NAN)
    else:
        set_number(y, <real>(<double>largest + logarithm))
    return 0


# All rows.


cdef inline int reduce_rows(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t outer, Py_ssize_t n, bint past_caches, bint* made_nan
) except -1 nogil:
    """One operation over rows (outer, n)."""
    cdef bint resident = common_storage(x, x, y) == AS_COMPUTED and n * <Py_ssize_t>sizeof(real) <= RESIDENT_BYTES
    cdef real* copy = NULL
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t row
    if operation == SOFTMAX and resident and x.at == y.at:
        copy = <real*>malloc(n * sizeof(real))
        if copy == NULL:
            raise MemoryError()
    try:
        for row in range(outer):
            if operation == LOGSUMEXP:
                logsumexp_row(x + row * n, y + row, n)
            elif operation == LOG_SOFTMAX:
                log_softmax_row(x + row * n, y + row * n, n, made_nan)
            elif not resident:
                long_softmax_row(x + row * n, y + row * n, n, past_caches, made_nan)
            else:
                softmax_row(<const real*>x.at + row * n, <real*>y.at + row * n, n, copy, made_nan)
            since += n
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    finally:
        free(copy)
    return 0
