"""Rows: the reduced axis is contiguous.

(a) A row that fits the level-2 cache beside its result is read for its maxima, turned into terms that are stored and
    summed, and scaled in place. A longer one is read twice instead (see long_rows.pxd), with the same bits.
(b) A row that is not finite, or has a result below the smallest normal number, is for careful_rows.pxd. In place, it is
    copied before its terms are stored; without memory for that, it is read twice.
"""

from libc.math cimport INFINITY, NAN
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, as_computed, broadcast, common_storage, native, set_number, stored, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport (
    CarefulSum, any_replaced, careful_log, is_replaced_log, none_watched, out_of_line, to_watch,
)
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, TermsBesideMaximum, block_scale_maximum, divisor_of_sum, least_ratio, log_of_state, merge, merge_beside_maximum,
    no_terms, no_terms_beside_maximum, ratio_to_maximum, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport first_lane, log1p, real, shift_limit
from fastsoftmax.kernels.rows.careful_rows cimport replace_in_row, special_log_softmax, special_softmax, sum_row_carefully
from fastsoftmax.kernels.rows.long_rows cimport long_softmax_row, sum_terms
from fastsoftmax.kernels.rows.row_blocks cimport (
    LOGSUMEXP, LOG_SOFTMAX, RESIDENT_BLOCKS, RESIDENT_BYTES, SOFTMAX, Operation, block_maximum, differences_of_row, fill,
    fill_row, find_maximum, find_nan, is_finite, scale_block, shift_of, shifted, sum_block,
)
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals


# One row.


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
        resident = copy != NULL
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
