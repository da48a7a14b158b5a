"""Columns, strip by strip: what is usual of softmax, log_softmax and logsumexp over an axis that is not the last.

(a) The rows of a strip (see strip_sums.pxd) are read for the extremes, for the sums and for the results. softmax of up to
    BLOCK rows stores its terms between these; a longer column has its state summed block by block, and its terms
    computed again, as long rows have.
(b) A strip is plain if each column is as row_groups.pxd has it. The terms of any other strip take the floor, and the results of
    softmax are watched.
(c) The terms of halves are computed again whatever their length, for the result has no room for them.
(d) What is unusual sends the whole strip to columns.pxd: a largest element that is infinite or needs a shift, a logarithm that is
    summed beside the maximum, a result below the smallest normal number, and in place, where x would be gone when that is
    found, any strip of softmax that is not plain. A nan is of no such consequence for softmax.
"""

from libc.math cimport INFINITY, NAN

from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, BFLOAT16, FLOAT16, Storage, any_at_least, as_computed, broadcast, common_storage, load, load_partial, maximum,
    minimum, narrow, native, put, reduce_max, select_equal, select_less, set_number, store, store_partial, stored, stored_as, vec,
    widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport any_replaced, none_watched, out_of_line, to_watch, watch
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, divisor, least_ratio, merge, no_terms, quotient, ratios_to_maximum, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    exponential_term, lanes, log1p, lowest, magic_of, plain_term, real, scale_of, shift_limit,
)
from fastsoftmax.kernels.columns.columns cimport reduce_columns, scratch_of_columns
from fastsoftmax.kernels.columns.short_columns cimport SHORT_COLUMN
from fastsoftmax.kernels.columns.strip_sums cimport STRIP, find_extremes, repeat_columns, sum_terms_of_columns, vectors_of
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, SOFTMAX, Operation
from fastsoftmax.kernels.rows.row_groups cimport LONGEST_PLAIN, plain_depth
from fastsoftmax.kernels.rows.short_rows cimport one_where_unusual
from fastsoftmax.kernels.scratch cimport LINE, Scratch, no_scratch, release, reserve, scratch_of
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport larger, smaller

cdef enum:
    ARRAYS = 9  # of a number for each column, or place of a bundle
    TILE = 1048576  # elements of float32 scratch at most, unless one column has more
    WASTE = 1000  # numbers in empty lanes that take as long as the beginning and the end of a bundle


# Results.


cdef inline vec[real] result_of(
    Operation operation, bint plain, bint again, vec[real] x, vec[real] floor, vec[real] magic, vec[real] a, vec[real] b
) noexcept nogil:
    """softmax, from a term or again from x, or log_softmax from x."""
    if operation != SOFTMAX:
        return (x - a) - b
    if again:
        x = plain_term(x, magic) if plain else exponential_term(x, floor, magic)
    return quotient(x, a, b)


cdef inline void write_rows(
    Operation operation, bint plain, bint again, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t rows,
    Py_ssize_t columns, const vec[real]* floor, const vec[real]* magic, const vec[real]* a, const vec[real]* b,
    vec[real]* nearest,
) noexcept nogil:
    """The results of some rows, the last one first; watched, unless they are plain."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t row, i, p, left
    cdef vec[real] values
    cdef vec[real] watched_bits = to_watch(<real>1)
    cdef vec[real] watched = nearest[0]
    for row in range(rows):
        i = (rows - 1 - row) * stride
        for p in range(columns // width):
            values = result_of(operation, plain, again, load(x + i + p * width), floor[p], magic[p], a[p], b[p])
            if operation == SOFTMAX and not plain:
                watch(values, watched_bits, &watched)
            store(y + i + p * width, values)
        p = columns // width
        left = columns - p * width
        if left > 0:
            values = load_partial(x + i + p * width, left, <real>0)
            values = result_of(operation, plain, again, values, floor[p], magic[p], a[p], b[p])
            if operation == SOFTMAX and not plain:
                watch(values, watched_bits, &watched)
            store_partial(y + i + p * width, values, left)
    nearest[0] = watched


cdef inline void write_results(
    Operation operation, bint plain, bint again, bint bundled, stored[real] x, stored[real] y, Py_ssize_t stride,
    Py_ssize_t rows, Py_ssize_t columns, const vec[real]* floor, const vec[real]* magic, const vec[real]* a, const vec[real]* b,
    vec[real]* nearest,
) noexcept nogil:
    """The results of up to BLOCK rows."""
    cdef Py_ssize_t bundle = lanes(<real>0) * columns
    cdef Py_ssize_t whole = rows // lanes(<real>0)
    if bundled:
        write_rows(
            operation, plain, again, x + whole * bundle, y + whole * bundle, 0, 1, rows * columns - whole * bundle, floor, magic,
            a, b, nearest,
        )
        stride = bundle
        rows = whole
        columns = bundle
    write_rows(operation, plain, again, x, y, stride, rows, columns, floor, magic, a, b, nearest)


cdef inline void fill_columns(
    stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, const real* sums
) noexcept nogil:
    """nan for the columns whose sum is nan."""
    cdef Py_ssize_t i, j
    for j in range(columns):
        if sums[j] != sums[j]:
            for i in range(n):
                set_number(y + (i * stride + j), <real>NAN)


# One strip.


cdef inline bint any_unusual(const vec[real]* largest, Py_ssize_t count) noexcept nogil:
    """Whether a largest element is infinite, or needs a shift."""
    cdef vec[real] limit = broadcast(shift_limit(<real>0))
    cdef vec[real] unusual = broadcast(<real>0)
    cdef Py_ssize_t p
    for p in range(count):
        unusual = maximum(one_where_unusual(largest[p], limit), unusual)
    return reduce_max(unusual) != 0


cdef inline bint all_plain(const vec[real]* largest, const vec[real]* smallest, Py_ssize_t count) noexcept nogil:
    cdef vec[real] depth = broadcast(plain_depth(<real>0))
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] deep = zero
    cdef Py_ssize_t p
    for p in range(count):
        deep = maximum(select_less(smallest[p], largest[p] - depth, broadcast(<real>1), zero), deep)
    return reduce_max(deep) == 0


cdef inline void terms_of_largest(
    bint bundled, const vec[real]* largest, Py_ssize_t columns, vec[real]* room, vec[real]* floor, vec[real]* magic
) noexcept nogil:
    """What the terms of the columns need, in each row of a bundle if there is one."""
    cdef Py_ssize_t rows = lanes(<real>0)
    cdef Py_ssize_t p
    cdef vec[real]* to = room if bundled else floor
    for p in range(vectors_of(<real>0, columns)):
        to[p] = largest[p] - broadcast(lowest(<real>0))
    if bundled:
        repeat_columns(<const real*>room, columns, rows, <real*>floor)
    to = room if bundled else magic
    for p in range(vectors_of(<real>0, columns)):
        to[p] = magic_of(scale_of(largest[p]))
    if bundled:
        repeat_columns(<const real*>room, columns, rows, <real*>magic)


cdef inline bint logarithms_of_columns(
    Operation operation, const vec[real]* largest, const vec[double]* first, const vec[double]* second,
    stored[real] y, Py_ssize_t columns, vec[real]* logarithms,
) noexcept nogil:
    """The logarithms of the sums, and logsumexp's results. False if one is for columns.pxd."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef Py_ssize_t p
    cdef vec[double] a, b, ratio_a, ratio_b
    cdef vec[double] least = broadcast(least_ratio(<real>0))
    cdef vec[double] one = broadcast(1.0)
    cdef vec[double] zero = broadcast(0.0)
    cdef vec[double] beside = zero
    cdef vec[real] top
    for p in range(count):
        ratios_to_maximum(first[p], second[p], largest[p], &ratio_a, &ratio_b)
        # Not above the least: so is nan.
        beside = beside + select_less(least, ratio_a, zero, one) + select_less(least, ratio_b, zero, one)
        a = log1p(ratio_a)
        b = log1p(ratio_b)
        if real is float:
            logarithms[p] = narrow(a, b)
            top = narrow(widen_low(largest[p]) + a, widen_high(largest[p]) + b)
        else:
            logarithms[p] = a
            top = largest[p] + a
        if operation == LOGSUMEXP:
            if any_at_least(beside, <double>1):
                return False
            store_partial(y + p * width, top, smaller(columns - p * width, width))
    return not any_at_least(beside, <double>1)


cdef inline int sum_long_columns(
    bint bundled, stored[real] x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, vec[real]* arrays, Py_ssize_t vectors,
    vec[real]* highs, vec[real]* lows, vec[double]* first, vec[double]* second, Terms* states, bint* usual,
) except -1 nogil:
    """The extremes (arrays 0 and 1) and the sums of columns of more than BLOCK elements; not usual if one needs a shift."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef vec[real]* largest = arrays
    cdef vec[real]* smallest = arrays + vectors
    cdef vec[real]* block_largest = arrays + 6 * vectors
    cdef vec[real]* block_smallest = arrays + 7 * vectors
    cdef vec[real]* room = arrays + 8 * vectors
    cdef vec[real]* floor = arrays + 2 * vectors
    cdef vec[real]* magic = arrays + 3 * vectors
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows, p, j
    cdef Terms part
    for p in range(count):
        largest[p] = broadcast(<real>-INFINITY)
        smallest[p] = broadcast(<real>INFINITY)
    for j in range(columns):
        states[j] = no_terms(<real>0)
    while start < n:
        rows = smaller(n - start, BLOCK)
        find_extremes(True, bundled, x + start * stride, stride, rows, columns, block_largest, block_smallest)
        usual[0] = not any_unusual(block_largest, count)
        if not usual[0]:
            return 0
        for p in range(count):
            largest[p] = maximum(block_largest[p], largest[p])
            smallest[p] = minimum(block_smallest[p], smallest[p])
        terms_of_largest(bundled, block_largest, columns, room, floor, magic)
        sum_terms_of_columns(
            False, bundled, x + start * stride, <real*>NULL, stride, rows, columns, floor, magic, highs, lows, first, second
        )
        for j in range(columns):
            part.K = scale_of_number((<real*>block_largest)[j])
            if real is float:
                part.high = (<double*>(first if j % width < 8 else second))[j // width * 8 + j % 8]
                part.low = 0.0
            else:
                part.high = (<double*>first)[j]
                part.low = (<double*>second)[j]
            merge(&states[j], part)
        start += rows
        since += rows * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    for j in range(columns):
        if real is float:
            (<double*>(first if j % width < 8 else second))[j // width * 8 + j % 8] = states[j].high + states[j].low
        else:
            (<double*>first)[j] = states[j].high
            (<double*>second)[j] = states[j].low
    return 0


cdef inline int reduce_strip(
    Operation operation, bint bundled, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns,
    vec[real]* arrays, Py_ssize_t vectors, vec[double]* sums, Terms* states, bint* usual,
) except -1 nogil:
    """One operation over a strip. Not usual: columns.pxd has to do it, from x, which is as it was."""
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef vec[real]* largest = arrays
    cdef vec[real]* smallest = arrays + vectors
    cdef vec[real]* floor = arrays + 2 * vectors
    cdef vec[real]* magic = arrays + 3 * vectors
    cdef vec[real]* a = arrays + 4 * vectors
    cdef vec[real]* b = arrays + 5 * vectors
    cdef vec[real]* of_columns = arrays + 6 * vectors  # and 7
    cdef vec[real]* room = arrays + 8 * vectors
    cdef vec[real]* highs = arrays + ARRAYS * vectors
    cdef vec[real]* lows = highs + (vectors if bundled else vectors * smaller(n, lanes(<real>0)))
    cdef vec[double]* first = sums
    cdef vec[double]* second = sums + vectors
    cdef vec[real] nearest = none_watched(<real>0)
    cdef vec[real] invalid = broadcast(<real>0)
    cdef vec[real] one = broadcast(<real>1)
    cdef vec[double] ones = broadcast(1.0)
    cdef Py_ssize_t start = n
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows, p
    cdef bint plain = False
    cdef bint long = n > BLOCK
    cdef bint again = long or common_storage(y, y, y) != AS_COMPUTED
    cdef real* kept = <real*>NULL if again else <real*>y.at
    usual[0] = True
    if long:
        sum_long_columns(bundled, x, stride, n, columns, arrays, vectors, highs, lows, first, second, states, usual)
    else:
        find_extremes(operation == SOFTMAX, bundled, x, stride, n, columns, largest, smallest)
        usual[0] = not any_unusual(largest, count)
    if not usual[0]:
        return 0
    if operation == SOFTMAX:
        plain = n <= LONGEST_PLAIN and all_plain(largest, smallest, count)
        usual[0] = plain or x.at != y.at
        if not usual[0]:
            return 0
    terms_of_largest(bundled, largest, columns, room, floor, magic)
    if not long:
        if operation != SOFTMAX:
            sum_terms_of_columns(
                False, bundled, x, <real*>NULL, stride, n, columns, floor, magic, highs, lows, first, second
            )
        elif plain:
            sum_terms_of_columns(True, bundled, x, kept, stride, n, columns, floor, magic, highs, lows, first, second)
        else:
            sum_terms_of_columns(False, bundled, x, kept, stride, n, columns, floor, magic, highs, lows, first, second)
    if operation == SOFTMAX:
        for p in range(count):
            divisor(first[p], second[p], ones, ones, &of_columns[p], &of_columns[vectors + p])
            invalid = maximum(select_equal(of_columns[p], of_columns[p], broadcast(<real>0), one), invalid)
    else:
        usual[0] = logarithms_of_columns(operation, largest, first, second, y, columns, of_columns + vectors)
        if operation == LOGSUMEXP or not usual[0]:
            return 0
        for p in range(count):
            of_columns[p] = largest[p]
    if bundled:
        repeat_columns(<const real*>of_columns, columns, lanes(<real>0), <real*>a)
        repeat_columns(<const real*>(of_columns + vectors), columns, lanes(<real>0), <real*>b)
    else:
        a = of_columns
        b = of_columns + vectors
    while start > 0:  # from the last rows to the first, for the last are still in the cache
        rows = (start - 1) % BLOCK + 1
        start -= rows
        if operation != SOFTMAX:
            write_results(
                operation, False, False, bundled, x + start * stride, y + start * stride, stride, rows, columns, floor, magic,
                a, b, &nearest,
            )
        elif not again:
            if plain:
                write_results(SOFTMAX, True, False, bundled, y, y, stride, rows, columns, floor, magic, a, b, &nearest)
            else:
                write_results(SOFTMAX, False, False, bundled, y, y, stride, rows, columns, floor, magic, a, b, &nearest)
        elif plain:
            write_results(
                SOFTMAX, True, True, bundled, x + start * stride, y + start * stride, stride, rows, columns, floor, magic,
                a, b, &nearest,
            )
        else:
            write_results(
                SOFTMAX, False, True, bundled, x + start * stride, y + start * stride, stride, rows, columns, floor, magic,
                a, b, &nearest,
            )
        since += rows * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    if operation == SOFTMAX:
        usual[0] = not any_replaced(nearest)
        if reduce_max(invalid) != 0:
            fill_columns(y, stride, n, columns, <const real*>of_columns)
    return 0


# All strips.


cdef inline bint is_bundled(real unused, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride) noexcept nogil:
    """Whether columns are read as bundles: where one fits a strip, and the empty lanes of vectors would cost more."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t empty = vectors_of(<real>0, inner) * width - inner
    return stride == inner and width * inner <= STRIP and (n > SHORT_COLUMN or n * empty > WASTE)


cdef inline int reduce_any_strip(
    Operation operation, bint bundled, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns,
    vec[real]* arrays, Py_ssize_t vectors, vec[double]* sums, Terms* states, bint* usual,
) except -1 nogil:
    """The same, compiled for each format."""
    cdef Storage storage = common_storage(x, x, y)
    if storage == AS_COMPUTED:
        return reduce_strip(
            operation, bundled, stored_as(AS_COMPUTED, x), stored_as(AS_COMPUTED, y), stride, n, columns, arrays, vectors, sums,
            states, usual,
        )
    if storage == FLOAT16:
        return reduce_strip(
            operation, bundled, stored_as(FLOAT16, x), stored_as(FLOAT16, y), stride, n, columns, arrays, vectors, sums, states,
            usual,
        )
    if storage == BFLOAT16:
        return reduce_strip(
            operation, bundled, stored_as(BFLOAT16, x), stored_as(BFLOAT16, y), stride, n, columns, arrays, vectors, sums,
            states, usual,
        )
    return reduce_strip(operation, bundled, x, y, stride, n, columns, arrays, vectors, sums, states, usual)


cdef inline Py_ssize_t columns_of_tile(Py_ssize_t n, Py_ssize_t columns) noexcept nogil:
    """How many columns go through float32 at a time."""
    return larger(smaller(TILE // n, columns), 1)


cdef inline Py_ssize_t scratch_of_unusual(stored[real] x, stored[real] y, Py_ssize_t n, Py_ssize_t columns) noexcept nogil:
    """Bytes of scratch that a strip of unusual columns needs."""
    cdef Py_ssize_t most = columns_of_tile(n, columns)
    if common_storage(x, x, y) == AS_COMPUTED:
        return scratch_of_columns(<real>0, n, columns)
    return scratch_of_columns(<real>0, n, most) + n * most * <Py_ssize_t>sizeof(real)


cdef inline int reduce_strip_carefully(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, Scratch* kept,
    bint* made_nan,
) except -1 nogil:
    """What is not usual; what columns.pxd cannot read or write goes through float32."""
    cdef char* scratch = scratch_of(kept, scratch_of_unusual(x, y, n, columns))
    cdef Py_ssize_t most = columns_of_tile(n, columns)
    cdef real* tile = <real*>(scratch + scratch_of_columns(<real>0, n, most))
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t count, i
    if common_storage(x, x, y) == AS_COMPUTED:
        return reduce_columns(operation, <const real*>x.at, <real*>y.at, n, columns, stride, scratch, made_nan)
    while j < columns:
        count = smaller(columns - j, most)
        for i in range(n):
            put(as_computed(x + (i * stride + j), count, tile + i * count), native(<const real*>tile + i * count), count)
        reduce_columns(operation, <const real*>tile, tile, n, count, count, scratch, made_nan)
        for i in range(1 if operation == LOGSUMEXP else n):
            put(<const real*>tile + i * count, y + (i * stride + j), count)
        j += count
        hear_signals()
    return 0


cdef inline int reduce_strips(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """One operation over blocks (outer, n, inner) whose rows are `stride` elements apart."""
    cdef bint bundled = is_bundled(<real>0, n, inner, stride)
    cdef Py_ssize_t widest = smaller(inner, STRIP)
    cdef Py_ssize_t vectors = inner if bundled else vectors_of(<real>0, widest)
    cdef Py_ssize_t sums = vectors if bundled else vectors * smaller(n, lanes(<real>0))
    cdef Py_ssize_t size = (ARRAYS + 2) * vectors + 2 * sums  # vectors, of 64 bytes
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, j, columns, block, result
    cdef bint usual
    cdef Scratch usual_scratch = no_scratch()
    cdef Scratch unusual_scratch = no_scratch()
    cdef vec[real]* arrays
    try:
        arrays = <vec[real]*>scratch_of(&usual_scratch, LINE * size + (widest * sizeof(Terms) if n > BLOCK else 0))
        reserve(&unusual_scratch, scratch_of_unusual(x, y, n, widest))
        for o in range(outer):
            j = 0
            while j < inner:
                columns = smaller(inner - j, widest)
                block = o * n * stride + j
                result = o * stride + j if operation == LOGSUMEXP else block
                reduce_any_strip(
                    operation, bundled, x + block, y + result, stride, n, columns, arrays, vectors,
                    <vec[double]*>(arrays + ARRAYS * vectors + 2 * sums), <Terms*>(<char*>arrays + LINE * size), &usual,
                )
                if not usual:
                    out_of_line(
                        reduce_strip_carefully[real], operation, x + block, y + result, stride, n, columns, &unusual_scratch,
                        made_nan,
                    )
                j += columns
                since += n * columns
                if since >= SIGNAL_PERIOD:
                    since = 0
                    hear_signals()
    finally:
        release(&usual_scratch)
        release(&unusual_scratch)
    return 0
