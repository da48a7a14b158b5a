"""Strips of columns: their extremes, and the sums of their terms.

(a) A strip is up to STRIP neighbouring columns. Its rows are read as they lie in memory, and nothing is copied: long runs are
    what the processor fetches ahead.
(b) Of every column there is a sum for each lane of the row kernel: rows i, i + lanes, i + 2 lanes, ... are lane i of it,
    and the lanes meet in the row kernel's tree. Every step is the row kernel's, too, and so are the bits.
(c) A wide strip is walked lane by lane, so that only one sum a column is at work at a time.
(d) Few columns that have no others beside them are read `lanes` rows at a time as one long row, a bundle. All places of a
    bundle are lanes of sums, each its own: no vector has an empty lane, whatever the number of columns.
"""

from libc.math cimport INFINITY
from libc.string cimport memcpy

from fastsoftmax.kernels.arithmetic.panel_sums cimport meet_lanes
from fastsoftmax.kernels.arithmetic.simd cimport (
    broadcast, keep_first, load, load_partial, maximum, minimum, store, store_partial, stored, vec, widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    LANES, accumulate, empty_sum, exponential_term, first_lane, lanes, plain_term, real,
)
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    STRIP = 1024  # columns, or places of a bundle


cdef inline Py_ssize_t vectors_of(real unused, Py_ssize_t columns) noexcept nogil:
    """How many vectors so many columns fill."""
    return (columns + lanes(<real>0) - 1) // lanes(<real>0)


# Bundles.


cdef inline void repeat_columns(const real* values, Py_ssize_t columns, Py_ssize_t rows, real* places) noexcept nogil:
    """Give every row of a bundle the values of the columns."""
    cdef Py_ssize_t row
    for row in range(rows):
        memcpy(places + row * columns, values, columns * sizeof(real))


cdef inline void fold_columns(bint largest, real* places, Py_ssize_t columns, Py_ssize_t rows) noexcept nogil:
    """The largest or smallest number of each column of a bundle, in place of its first row."""
    cdef Py_ssize_t row, j
    cdef real value
    for row in range(1, rows):
        for j in range(columns):
            value = places[row * columns + j]
            if value > places[j] if largest else value < places[j]:
                places[j] = value


# Extremes.


cdef inline void widen_extremes(
    bint both, stored[real] x, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns, vec[real]* largest, vec[real]* smallest
) noexcept nogil:
    """Take some rows into the largest and, if asked, the smallest numbers of the columns, passing over nan."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t p, left
    cdef stored[real] first, second
    cdef vec[real] a, b
    while i < rows:
        first = x + i * stride
        second = x + smaller(i + 1, rows - 1) * stride
        for p in range(columns // width):
            a = load(first + p * width)
            b = load(second + p * width)
            largest[p] = maximum(a, maximum(b, largest[p]))
            if both:
                smallest[p] = minimum(a, minimum(b, smallest[p]))
        p = columns // width
        left = columns - p * width
        if left > 0:
            a = load_partial(first + p * width, left, <real>-INFINITY)
            b = load_partial(second + p * width, left, <real>-INFINITY)
            largest[p] = maximum(a, maximum(b, largest[p]))
            if both:
                a = load_partial(first + p * width, left, <real>INFINITY)
                b = load_partial(second + p * width, left, <real>INFINITY)
                smallest[p] = minimum(a, minimum(b, smallest[p]))
        i += 2


cdef inline void find_extremes(
    bint both, bint bundled, stored[real] x, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns, vec[real]* largest,
    vec[real]* smallest,
) noexcept nogil:
    """The largest and, if asked, the smallest numbers of the columns; zeros beyond them."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t bundle = width * columns
    cdef Py_ssize_t places = bundle if bundled else columns
    cdef Py_ssize_t p, j
    cdef real* tops = <real*>largest
    cdef real* least = <real*>smallest
    for p in range(vectors_of(<real>0, places)):
        largest[p] = broadcast(<real>-INFINITY)
        smallest[p] = broadcast(<real>INFINITY)
    if bundled:
        widen_extremes(both, x, bundle, rows // width, bundle, largest, smallest)
        widen_extremes(both, x + rows // width * bundle, 0, 1, rows % width * columns, largest, smallest)
        fold_columns(True, tops, columns, smaller(rows, width))
        if both:
            fold_columns(False, least, columns, smaller(rows, width))
    else:
        widen_extremes(both, x, stride, rows, columns, largest, smallest)
    for j in range(columns, vectors_of(<real>0, columns) * width):
        tops[j] = 0
        least[j] = 0


# Sums.


cdef inline void add_rows(
    bint plain, bint begin, stored[real] x, real* y, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    const vec[real]* floor, const vec[real]* magic, vec[real]* high, vec[real]* low,
) noexcept nogil:
    """Add the terms of some rows to one sum a column, which may begin here; with y, store them there."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t p, left
    cdef bint paired
    cdef stored[real] first, second
    cdef vec[real] a, b, terms, more
    while i < rows:
        first = x + i * stride
        second = first + stride
        paired = i + 1 < rows
        if begin and i == 0:
            for p in range(vectors_of(<real>0, columns)):
                high[p] = empty_sum(<real>0)
                low[p] = broadcast(<real>0)
        for p in range(columns // width):
            a = high[p]
            b = low[p]
            if plain:
                terms = plain_term(load(first + p * width), magic[p])
            else:
                terms = exponential_term(load(first + p * width), floor[p], magic[p])
            if y != NULL:
                store(y + i * stride + p * width, terms)
            accumulate(terms, &a, &b)
            if paired:
                if plain:
                    more = plain_term(load(second + p * width), magic[p])
                else:
                    more = exponential_term(load(second + p * width), floor[p], magic[p])
                if y != NULL:
                    store(y + (i + 1) * stride + p * width, more)
                accumulate(more, &a, &b)
            high[p] = a
            low[p] = b
        p = columns // width
        left = columns - p * width
        if left > 0:
            a = high[p]
            b = low[p]
            terms = load_partial(first + p * width, left, <real>0)
            terms = keep_first(exponential_term(terms, floor[p], magic[p]), left)
            if y != NULL:
                store_partial(y + i * stride + p * width, terms, left)
            accumulate(terms, &a, &b)
            if paired:
                terms = load_partial(second + p * width, left, <real>0)
                terms = keep_first(exponential_term(terms, floor[p], magic[p]), left)
                if y != NULL:
                    store_partial(y + (i + 1) * stride + p * width, terms, left)
                accumulate(terms, &a, &b)
            high[p] = a
            low[p] = b
        i += 2


cdef inline void meet_columns(
    const real* highs, const real* lows, Py_ssize_t pitch, Py_ssize_t used, Py_ssize_t columns, vec[double]* first,
    vec[double]* second,
) noexcept nogil:
    """Add the sums of the lanes that are used, each `pitch` after the one before; beyond the columns is some number."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[double] firsts[LANES]
    cdef vec[double] seconds[LANES]
    cdef vec[real] high, low
    cdef real some = 2 * first_lane(empty_sum(<real>0))
    cdef Py_ssize_t p, lane, left
    for p in range(vectors_of(<real>0, columns)):
        left = smaller(columns - p * width, width)
        for lane in range(used):
            if left == width:
                high = load(highs + lane * pitch + p * width)
                low = load(lows + lane * pitch + p * width)
            else:
                high = load_partial(highs + lane * pitch + p * width, left, some)
                low = load_partial(lows + lane * pitch + p * width, left, <real>0)
            high = high - empty_sum(<real>0)
            if real is float:
                firsts[lane] = widen_low(high) + widen_low(low)
                seconds[lane] = widen_high(high) + widen_high(low)
            else:
                firsts[lane] = high
                seconds[lane] = low
        meet_lanes(<real>0, firsts, seconds, used)
        first[p] = firsts[0]
        second[p] = seconds[0]


cdef inline void sum_terms_of_columns(
    bint plain, bint bundled, stored[real] x, real* y, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    const vec[real]* floor, const vec[real]* magic, vec[real]* highs, vec[real]* lows, vec[double]* first,
    vec[double]* second,
) noexcept nogil:
    """The sums of the columns' terms over up to BLOCK rows; with y, store the terms there."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t used = smaller(rows, width)
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef Py_ssize_t whole = rows // width
    cdef Py_ssize_t lane, start
    if bundled:
        start = whole * width * columns
        add_rows(plain, True, x, y, width * columns, whole, width * columns, floor, magic, highs, lows)
        add_rows(
            plain, whole == 0, x + start, <real*>NULL if y == NULL else y + start, 0, 1, (rows - whole * width) * columns,
            floor, magic, highs, lows,
        )
        meet_columns(<const real*>highs, <const real*>lows, columns, used, columns, first, second)
        return
    for lane in range(used):
        start = lane * stride
        add_rows(
            plain, True, x + start, <real*>NULL if y == NULL else y + start, width * stride,
            (rows - lane + width - 1) // width, columns, floor, magic, highs + lane * count, lows + lane * count,
        )
    meet_columns(<const real*>highs, <const real*>lows, count * width, used, columns, first, second)
