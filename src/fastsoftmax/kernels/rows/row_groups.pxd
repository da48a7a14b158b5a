"""Rows in groups: what ends a row's sum is done for many rows at once.

(a) A row of a few hundred elements spends as long on its reductions, its reciprocal and its logarithm, each waiting for the
    one before, as on its exponentials. Here the rows of a group take each step one after the other: nothing waits, and
    the reciprocals and the logarithms of a group are computed in the lanes of one vector.
(b) A row is plain if its largest element is finite and needs no shift, and its smallest is at most `plain_depth` below that. Then
    no term needs the floor, no result is below the smallest normal number and has to be watched, and in place there is
    no need of a copy. softmax of any other row is for rows.pxd, and so it is of a row that is too long for the caches.
(c) Logarithms have no results to watch. They leave to rows.pxd what is infinite, is shifted, or is summed beside its maximum.
(d) While the terms of a row are computed, memory is idle: the next row is fetched (3-12 % where rows lie beyond the caches).
    Below some length the processor does so by itself, and above another the next row would drive this one out.
(e) Rows in memory are taken in smaller groups: reading and writing by turns is faster in short turns (1.05-1.25).
(f) Each number goes through the operations of rows.pxd in their order, and so has the bits it has there.
"""

from libc.math cimport INFINITY, NAN
from libc.stdlib cimport free, malloc

from fastsoftmax.kernels.arithmetic.simd cimport (
    broadcast, keep_first, load, load_partial, maximum, minimum, native, prefetch, reduce_max, store, store_partial, vec,
)
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, divisor, divisor_of_sum, least_ratio, merge, no_terms, power_of_two, quotient, ratios_to_maximum,
    scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    LANES, accumulate, empty_sum, exponential_term, lanes, log1p, lowest, magic_of, plain_term, real, scale_of, shift_limit,
    total,
)
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, RESIDENT_BYTES, SOFTMAX, Operation, block_maximum, differences, fill
from fastsoftmax.kernels.rows.rows cimport reduce_rows
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    FEWEST = 3  # rows that are worth it
    LONGEST_PLAIN = 8388608  # elements of a plain row or column; `_cache.LARGEST` keeps rows within it
    RESIDENT_SHARE = 4  # rows and their results together in half of the last-level cache are read again without recomputing
    FETCHED_FROM = 512  # elements of a row, up to RESIDENT_BYTES, from which on the next is fetched
    GROUPED = 4096  # elements of float32 in the rows of a group, at least one: a level-1 cache holds them and their results
    TURN = 1024  # the same of rows in memory that are no longer: short turns of reading and writing are best there


cdef inline real plain_depth(real unused) noexcept nogil:
    """With it e^(x - max) over the sum of LONGEST_PLAIN of them is above the smallest normal number."""
    return <real>71.0 if real is float else <real>690.0


cdef inline void find_extremes(const real* x, Py_ssize_t n, real* largest, real* smallest) noexcept nogil:
    """The extremes of x[:n], which passes over nan."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] x_a, x_b
    cdef vec[real] top_a, top_b, low_a, low_b
    top_a = top_b = broadcast(<real>-INFINITY)
    low_a = low_b = broadcast(<real>INFINITY)
    while i + 2 * width <= n:
        x_a = load(x + i)
        x_b = load(x + i + width)
        top_a = maximum(x_a, top_a)
        top_b = maximum(x_b, top_b)
        low_a = minimum(x_a, low_a)
        low_b = minimum(x_b, low_b)
        i += 2 * width
    if i + width <= n:
        x_a = load(x + i)
        top_a = maximum(x_a, top_a)
        low_a = minimum(x_a, low_a)
        i += width
    if i < n:
        top_b = maximum(load_partial(x + i, n - i, <real>-INFINITY), top_b)
        low_b = minimum(load_partial(x + i, n - i, <real>INFINITY), low_b)
    largest[0] = reduce_max(maximum(top_a, top_b))
    smallest[0] = -reduce_max(broadcast(<real>0) - minimum(low_a, low_b))


cdef inline bint is_ordinary(real largest) noexcept nogil:
    """Whether a row with this largest element, which is finite, needs no shift."""
    return -shift_limit(<real>0) <= largest <= shift_limit(<real>0)


cdef inline bint is_plain(real largest, real smallest) noexcept nogil:
    return is_ordinary(largest) and smallest >= largest - plain_depth(<real>0)


cdef inline vec[real] term(bint plain, vec[real] x, vec[real] floor, vec[real] magic) noexcept nogil:
    return plain_term(x, magic) if plain else exponential_term(x, floor, magic)


cdef inline void sum_piece(
    bint plain, const real* x, real* y, Py_ssize_t n, real largest, const real* next_x, double* high, double* low
) noexcept nogil:
    """Sum the terms of a piece; with y, store them there. Meanwhile as many numbers at next_x come into the cache."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] floor = broadcast(largest - lowest(<real>0))
    cdef vec[real] magic = magic_of(scale_of(broadcast(largest)))
    cdef vec[real] sum_high = empty_sum(<real>0)
    cdef vec[real] sum_low = broadcast(<real>0)
    cdef vec[real] terms, more
    while i + 2 * width <= n:
        prefetch(next_x + i)
        prefetch(next_x + i + width)
        terms = term(plain, load(x + i), floor, magic)
        more = term(plain, load(x + i + width), floor, magic)
        if y != NULL:
            store(y + i, terms)
            store(y + i + width, more)
        accumulate(terms, &sum_high, &sum_low)
        accumulate(more, &sum_high, &sum_low)
        i += 2 * width
    if i + width <= n:
        terms = term(plain, load(x + i), floor, magic)
        if y != NULL:
            store(y + i, terms)
        accumulate(terms, &sum_high, &sum_low)
        i += width
    if i < n:
        terms = keep_first(term(plain, load_partial(x + i, n - i, largest), floor, magic), n - i)
        if y != NULL:
            store_partial(y + i, terms, n - i)
        accumulate(terms, &sum_high, &sum_low)
    total(sum_high, sum_low, high, low)


cdef inline void scale_terms(real* y, Py_ssize_t n, real factor, vec[real] high, vec[real] low) noexcept nogil:
    """y[:n] = factor * y / sum, rounded once; the factor is a power of two."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] scale = broadcast(factor)
    if factor == 1:
        while i + width <= n:
            store(y + i, quotient(load(y + i), high, low))
            i += width
    else:
        while i + width <= n:
            store(y + i, quotient(load(y + i) * scale, high, low))
            i += width
    if i < n:
        store_partial(y + i, quotient(load_partial(y + i, n - i, <real>0) * scale, high, low), n - i)


cdef inline Py_ssize_t distance_ahead(real unused, Py_ssize_t n, Py_ssize_t rows) noexcept nogil:
    """How far behind this group of rows lies what to fetch meanwhile; 0 if nothing."""
    return rows * n if FETCHED_FROM <= n and n * <Py_ssize_t>sizeof(real) <= RESIDENT_BYTES else 0


cdef inline Py_ssize_t group_size(
    Operation operation, real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache
) noexcept nogil:
    """How many rows (outer, n) make a group; the last-level cache has so many bytes."""
    cdef Py_ssize_t size = <Py_ssize_t>sizeof(real)
    cdef bint in_turns = operation != LOGSUMEXP and 2 * outer * n * size > cache and n * size <= TURN * 4
    cdef Py_ssize_t rows = (TURN if in_turns else GROUPED) * 4 // size // n
    return 1 if rows < 1 else rows if rows < lanes(<real>0) else lanes(<real>0)


cdef inline void softmax_group(
    const real* x, real* y, Py_ssize_t n, Py_ssize_t rows, Py_ssize_t ahead, bint* plain
) noexcept nogil:
    """softmax of the plain ones among up to a vector's lanes of rows of up to BLOCK elements; tell which they are."""
    cdef double highs[LANES]
    cdef double lows[LANES]
    cdef real tops[LANES]
    cdef real divisors[LANES]
    cdef real rests[LANES]
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t row
    cdef real smallest
    cdef vec[real] high, low
    cdef vec[double] first, second
    for row in range(width):
        highs[row] = 1.0
        lows[row] = 0.0
    for row in range(rows):
        find_extremes(x + row * n, n, &tops[row], &smallest)
        plain[row] = is_plain(tops[row], smallest)
    for row in range(rows):
        if plain[row]:
            sum_piece(True, x + row * n, y + row * n, n, tops[row], x + row * n + ahead, &highs[row], &lows[row])
    if real is float:
        first = load(<const double*>highs)
        second = load(<const double*>highs + 8)
    else:
        first = load(<const double*>highs)
        second = load(<const double*>lows)
    divisor(first, second, broadcast(1.0), broadcast(1.0), &high, &low)
    store(<real*>divisors, high)
    store(<real*>rests, low)
    for row in range(rows):
        if plain[row]:
            if divisors[row] != divisors[row]:
                fill(native(<const real*>y + row * n), n, <real>NAN)
            else:
                scale_terms(y + row * n, n, <real>1, broadcast(divisors[row]), broadcast(rests[row]))


cdef inline void log_group(
    Operation operation, const real* x, real* y, Py_ssize_t n, Py_ssize_t rows, Py_ssize_t ahead, bint* done
) noexcept nogil:
    """log_softmax or logsumexp of up to a vector's lanes of rows of up to BLOCK elements; tell of which it was."""
    cdef double highs[LANES]
    cdef double lows[LANES]
    cdef double ratios[LANES]
    cdef double logarithms[LANES]
    cdef real tops[LANES]
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t row
    cdef vec[double] a, b
    for row in range(width):
        highs[row] = lows[row] = tops[row] = 0
    for row in range(rows):
        tops[row] = block_maximum(native(x + row * n), n)
    for row in range(rows):
        if is_ordinary(tops[row]):
            sum_piece(False, x + row * n, <real*>NULL, n, tops[row], x + row * n + ahead, &highs[row], &lows[row])
    if real is float:
        ratios_to_maximum(load(<const double*>highs), load(<const double*>highs + 8), load(<const real*>tops), &a, &b)
        store(<double*>ratios + 8, b)
        store(<double*>logarithms + 8, log1p(b))
    else:
        ratios_to_maximum(load(<const double*>highs), load(<const double*>lows), load(<const real*>tops), &a, &b)
    store(<double*>ratios, a)
    store(<double*>logarithms, log1p(a))
    for row in range(rows):
        done[row] = is_ordinary(tops[row]) and not ratios[row] < least_ratio(<real>0)
        if not done[row]:
            continue
        if operation == LOGSUMEXP:
            y[row] = <real>NAN if logarithms[row] != logarithms[row] else <real>(<double>tops[row] + logarithms[row])
        elif logarithms[row] != logarithms[row]:
            fill(native(<const real*>y + row * n), n, <real>NAN)
        else:
            differences(native(x + row * n), native(<const real*>y + row * n), n, tops[row], <real>logarithms[row])


cdef struct Block:
    double largest
    double K


cdef inline bint softmax_blocks(const real* x, real* y, Py_ssize_t n, Py_ssize_t ahead, Block* parts) noexcept nogil:
    """softmax of a plain row of more than BLOCK elements, with room for its blocks; False if it is not plain."""
    cdef Py_ssize_t blocks = (n + BLOCK - 1) // BLOCK
    cdef Py_ssize_t block, start, length
    cdef real top, smallest
    cdef real largest = -INFINITY
    cdef real least = INFINITY
    cdef vec[real] high, low
    cdef Terms part
    cdef Terms state = no_terms(<real>0)
    for block in range(blocks):
        start = block * BLOCK
        find_extremes(x + start, n - start if n - start < BLOCK else BLOCK, &top, &smallest)
        parts[block].largest = top
        largest = top if top > largest else largest
        least = smallest if smallest < least else least
    if not is_plain(largest, least) or least < -shift_limit(<real>0):
        return False
    for block in range(blocks):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        sum_piece(True, x + start, y + start, length, <real>parts[block].largest, x + start + ahead, &part.high, &part.low)
        part.K = parts[block].K = scale_of_number(<real>parts[block].largest)
        merge(&state, part)
    if state.high != state.high:
        fill(native(<const real*>y), n, <real>NAN)
        return True
    divisor_of_sum(state.high, state.low, 1.0, &high, &low)
    for block in range(blocks):
        start = block * BLOCK
        length = n - start if n - start < BLOCK else BLOCK
        scale_terms(y + start, length, <real>power_of_two(parts[block].K - state.K), high, low)
    return True


cdef inline bint is_grouped(
    Operation operation, real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache
) noexcept nogil:
    """Whether rows (outer, n) are for this file; the last-level cache has so many bytes."""
    if n <= BLOCK:
        return outer >= FEWEST
    return operation == SOFTMAX and n * <Py_ssize_t>sizeof(real) <= cache // RESIDENT_SHARE


cdef inline int reduce_grouped_rows(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache, bint* made_nan
) except -1 nogil:
    """One operation over rows (outer, n); the last-level cache has so many bytes."""
    cdef bint done[LANES]
    cdef Py_ssize_t size = 1 if n > BLOCK else group_size(operation, <real>0, outer, n, cache)
    cdef Py_ssize_t m = 1 if operation == LOGSUMEXP else n
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows, row, ahead
    cdef Block* parts = NULL
    if n > BLOCK:
        parts = <Block*>malloc((n + BLOCK - 1) // BLOCK * sizeof(Block))
    try:
        while start < outer:
            rows = outer - start if outer - start < size else size
            ahead = distance_ahead(<real>0, n, rows) if start + 2 * rows <= outer else 0
            if operation != SOFTMAX:
                log_group(operation, x + start * n, y + start * m, n, rows, ahead, <bint*>done)
            elif n > BLOCK:  # without memory, by the other way
                done[0] = parts != NULL and softmax_blocks(x + start * n, y + start * n, n, ahead, parts)
            else:
                softmax_group(x + start * n, y + start * n, n, rows, ahead, <bint*>done)
            for row in range(rows):
                if not done[row]:
                    reduce_rows(
                        operation, native(x + (start + row) * n), native(<const real*>y + (start + row) * m), 1, n, False,
                        made_nan,
                    )
            start += rows
            since += rows * n
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    finally:
        free(parts)
    return 0
