"""One long row for several threads, by ranges of its blocks.

(a) A block has a sum of its own, relative to its own largest element, so any thread may compute it. One thread then merges
    the sums from left to right, as rows.pxd does, and any thread may turn any block into results: the bits are those of
    `long_softmax_row`, `log_softmax_row` and `logsumexp_row`.
(b) softmax of a row in the caches leaves the terms where its results will be and scales them there; terms of a longer row
    are computed twice, as in long_rows.pxd.
(c) A row whose largest element is too large is summed once more, less a shift, as it is there.
(d) Only ordinary rows are shared to the end. What has no finite largest element, holds a nan, or needs a sum beside its
    maximum is left to rows.pxd, and so is softmax with a result below the smallest normal number: in place that is
    decided before anything is overwritten, from the smallest element; otherwise the results tell.
"""

from libc.math cimport INFINITY

from fastsoftmax.kernels.arithmetic.simd cimport broadcast, native, stream_fence, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport any_replaced, none_watched, to_watch, window
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, block_scale_maximum, divisor_of_sum, least_ratio, merge, no_terms, ratio_to_maximum, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport first_lane, log1p, real, shift_limit
from fastsoftmax.kernels.rows.row_blocks cimport differences, is_finite, quotients, scale_block, shift_of, shifted
from fastsoftmax.kernels.rows.row_groups cimport find_extremes, is_plain, sum_piece
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    ROW_NUMBERS = 9
    BLOCK_NUMBERS = 5


cdef struct Row:
    double of_logarithms  # 1 for log_softmax and logsumexp, 0 for softmax
    double in_place  # 1 if results overwrite x
    double stores_terms  # 1 if the sums leave the terms among the results
    double shift
    double largest
    double K
    double high  # of the sum of all terms
    double low
    double logarithm  # of the sum of e^(x - largest)


cdef struct BlockSum:
    double largest  # less the shift, as the smallest
    double smallest
    Terms terms


cdef inline Py_ssize_t block_length(Py_ssize_t n, Py_ssize_t block) noexcept nogil:
    return n - block * BLOCK if n - block * BLOCK < BLOCK else BLOCK


cdef inline int sum_blocks(
    const Row* row, BlockSum* sums, const real* x, real* y, Py_ssize_t n, Py_ssize_t first, Py_ssize_t stop
) except -1 nogil:
    """The sums of some of the blocks of x[:n]; with y, the terms are stored there."""
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, length
    cdef real top, bottom
    cdef bint plain
    for block in range(first, stop):
        length = block_length(n, block)
        values = shifted(native(x + block * BLOCK), length, <real>row.shift, <real*>buffer)
        find_extremes(values, length, &top, &bottom)
        sums[block].largest = top
        sums[block].smallest = bottom
        if top <= shift_limit(<real>0):
            plain = is_plain(top, bottom) and bottom >= -shift_limit(<real>0)
            top = block_scale_maximum(top)
            sums[block].terms.K = scale_of_number(top)
            sum_piece(
                plain, values, <real*>NULL if y == NULL else y + block * BLOCK, length, top,
                x + (block + 1) * BLOCK, &sums[block].terms.high, &sums[block].terms.low,
            )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline bint needs_shift(real unused, Row* row, const BlockSum* sums, Py_ssize_t count) noexcept nogil:
    """Find the largest element; whether it is so large that all blocks have to be summed again."""
    cdef Py_ssize_t block
    row.largest = -INFINITY
    for block in range(count):
        if sums[block].largest > row.largest:
            row.largest = sums[block].largest
    if is_finite(<real>row.largest):
        row.shift = shift_of(<real>row.largest)
    return row.shift != 0.0


cdef inline bint merge_blocks(real unused, Row* row, const BlockSum* sums, Py_ssize_t count) noexcept nogil:
    """Merge all blocks; whether their results may be computed here."""
    cdef real top = <real>(row.largest - row.shift)
    cdef real lower, upper
    cdef double smallest = INFINITY
    cdef double ratio
    cdef Terms terms = no_terms(<real>0)
    cdef Py_ssize_t block
    if not is_finite(<real>row.largest):
        return False
    for block in range(count):
        merge(&terms, sums[block].terms)
        if sums[block].smallest < smallest:
            smallest = sums[block].smallest
    if terms.high != terms.high:
        return False
    row.K = terms.K
    row.high = terms.high
    row.low = terms.low
    if row.of_logarithms != 0.0:
        ratio = ratio_to_maximum(top, terms)
        row.logarithm = first_lane(log1p(broadcast(ratio)))
        return ratio >= least_ratio(<real>0)
    if row.in_place != 0.0:
        window(top, terms.high, 1.0, &lower, &upper)
        return smallest > upper
    return True


cdef inline int softmax_of_blocks(
    const Row* row, const BlockSum* sums, const real* x, real* y, Py_ssize_t n, Py_ssize_t first, Py_ssize_t stop,
    bint past_caches, bint* any_subnormal,
) except -1 nogil:
    """softmax of some of the blocks; any_subnormal if one of the results is for `replace_in_row`."""
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, length
    cdef real top = <real>(row.largest - row.shift)
    cdef vec[real] high, low
    cdef vec[real] watched_bits = to_watch(<real>1)
    cdef vec[real] nearest = none_watched(<real>0)
    divisor_of_sum(row.high, row.low, 1.0, &high, &low)
    for block in range(first, stop):
        length = block_length(n, block)
        if row.stores_terms != 0.0:
            scale_block(y + block * BLOCK, length, sums[block].terms.K - row.K, high, low, watched_bits, &nearest)
        else:
            values = shifted(native(x + block * BLOCK), length, <real>row.shift, <real*>buffer)
            quotients(
                native(values), native(<const real*>y + block * BLOCK), length, top, 0.0, high, low, past_caches, watched_bits,
                &nearest,
            )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    if past_caches:
        stream_fence()
    any_subnormal[0] = any_replaced(nearest)
    return 0


cdef inline int log_softmax_of_blocks(
    const Row* row, const real* x, real* y, Py_ssize_t n, Py_ssize_t first, Py_ssize_t stop
) except -1 nogil:
    """log_softmax of some of the blocks."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t block, length
    for block in range(first, stop):
        length = block_length(n, block)
        differences(
            native(x + block * BLOCK), native(<const real*>y + block * BLOCK), length, <real>row.largest, <real>row.logarithm
        )
        since += length
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
