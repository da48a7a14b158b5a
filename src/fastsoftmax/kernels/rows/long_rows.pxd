"""Rows that do not fit the level-2 cache beside their result: read for their states, and again for their results.

(a) There, storing and reloading terms costs more than a second exponential.
(b) In place, a row is searched in advance for an x with a result below the smallest normal number (see subnormals.pxd).
"""

from libc.math cimport INFINITY, NAN

from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, BFLOAT16, FLOAT16, Storage, broadcast, common_storage, load, load_partial, maximum, native, put, reduce_max,
    room_for, stored, stored_as, stream_fence, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport (
    CarefulSum, any_replaced, below, do_out_of_line, none_watched, out_of_line, replace, to_watch, window,
)
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, block_scale_maximum, divisor_of_sum, merge, no_terms, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport lanes, real, shift_limit
from fastsoftmax.kernels.rows.careful_rows cimport replace_in_row, special_softmax, sum_row_carefully
from fastsoftmax.kernels.rows.row_blocks cimport block_maximum, fill_row, is_finite, quotients, shift_of, shifted, sum_block
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals


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
