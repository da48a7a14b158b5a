"""Columns: the reduced axis is not the last, so neighbouring columns share a vector.

This is the careful kernel for columns of any kind; usual ones are for column_strips.pxd and short_columns.pxd.

(a) A tile is PANELS vectors of neighbouring columns. Up to BLOCK rows of it are copied into panels, one for each vector,
    which are contiguous and stay in the level-2 cache. Reading the array itself again would collapse at strides of a
    power of two, where all rows of a tile compete for the same few lines of the caches.
(b) Within a panel the rows go through the lanes of the row kernel's sums: rows i, i + lanes, i + 2 lanes, ... are lane i of
    a column's sum. So a column gets the bits that the same numbers get as a row.
(c) A column of up to BLOCK rows is read once, and its result written once. A longer one is read for its state, and again
    for its result, as long rows are.
(d) Columns with a result below the smallest normal number are computed again (see subnormals.pxd). In place the terms get
    panels of their own, so that the others still hold x; and long columns are searched in advance for an x with such a
    result.
(e) Columns that are special (see rows.pxd) are computed with the others, to no harm, and overwritten.
"""

from libc.math cimport INFINITY, NAN
from libc.stdlib cimport free, malloc

from fastsoftmax.rows cimport (
    LOG_SOFTMAX, LOGSUMEXP, SIGNAL_PERIOD, SOFTMAX, Operation, hear_signals, is_finite, lanes, next_piece, shift_of,
)
from fastsoftmax.simd cimport (
    any_at_least, broadcast, load, load_partial, maximum, narrow, reduce_add, select_equal, select_less, store, store_partial,
    vec, widen_high, widen_low,
)
from fastsoftmax.subnormals cimport (
    CarefulSum, add_carefully, any_replaced, begin_careful_sum, below, careful_log, do_out_of_line, end_careful_sum, is_replaced,
    is_replaced_log, none_watched, out_of_line, replace, to_watch, watch, window,
)
from fastsoftmax.sums cimport (
    BLOCK, Terms, TermsBesideMaximum, least_ratio, log_of_state, log_of_sum, maximum_term, merge, merge_beside_maximum,
    no_terms, no_terms_beside_maximum, divisor, divisor_of_sum, quotient, ratio_to_maximum, ratios_to_maximum,
    scale_of_number,
)
from fastsoftmax.vector_math cimport (
    accumulate, accumulate_widely, add_pair, empty_sum, exponential_term, first_lane, log1p, lowest, magic_of, real, scale_of,
    shift_limit,
)

cdef enum:
    PANELS = 4
    WIDEST = 64  # columns of a tile, of float32
    LANES = 16  # of float32


cdef inline Py_ssize_t smaller(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


# Between the array and the panels. A tile has `columns` columns, its rows are `stride` elements apart.


cdef inline void read_tile(
    const real* x, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns, real* panels, Py_ssize_t panel, real* largest
) noexcept nogil:
    """Copy the tile into panels, -inf where it has no column, and find the largest of each column, passing over nan."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i, p, left
    cdef vec[real] a, b, c, d, top
    if columns == PANELS * width:
        a = b = c = d = broadcast(<real>-INFINITY)
        for i in range(rows):
            top = load(x + i * stride)
            store(panels + i * width, top)
            a = maximum(top, a)
            top = load(x + i * stride + width)
            store(panels + panel + i * width, top)
            b = maximum(top, b)
            top = load(x + i * stride + 2 * width)
            store(panels + 2 * panel + i * width, top)
            c = maximum(top, c)
            top = load(x + i * stride + 3 * width)
            store(panels + 3 * panel + i * width, top)
            d = maximum(top, d)
        store(largest, a)
        store(largest + width, b)
        store(largest + 2 * width, c)
        store(largest + 3 * width, d)
        return
    p = 0
    while p * width < columns:
        left = smaller(columns - p * width, width)
        a = broadcast(<real>-INFINITY)
        for i in range(rows):
            top = load_partial(x + i * stride + p * width, left, <real>-INFINITY)
            store(panels + p * panel + i * width, top)
            a = maximum(top, a)
        store(largest + p * width, a)
        p += 1


cdef inline void write_quotients(
    const real* panels, Py_ssize_t panel_size, real* y, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    const real* high, const real* low, real* nearest,
) noexcept nogil:
    """y = panels / sums, rounded once and watched."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i, p, left
    cdef vec[real] terms, a, b, watched
    cdef vec[real] watched_bits = to_watch(<real>1)
    p = 0
    while p * width < columns:
        left = smaller(columns - p * width, width)
        a = load(high + p * width)
        b = load(low + p * width)
        watched = load(<const real*>nearest + p * width)
        for i in range(rows):
            terms = load(panels + p * panel_size + i * width)
            terms = quotient(terms, a, b)
            watch(terms, watched_bits, &watched)
            if left == width:
                store(y + i * stride + p * width, terms)
            else:
                store_partial(y + i * stride + p * width, terms, left)
        store(nearest + p * width, watched)
        p += 1


cdef inline void write_differences(
    const real* panels, Py_ssize_t panel_size, real* y, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    const real* largest, const real* logarithm,
) noexcept nogil:
    """y = (panels - largest) - logarithm."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i, p, left
    cdef vec[real] terms, top, log_sum
    p = 0
    while p * width < columns:
        left = smaller(columns - p * width, width)
        top = load(largest + p * width)
        log_sum = load(logarithm + p * width)
        for i in range(rows):
            terms = (load(panels + p * panel_size + i * width) - top) - log_sum
            if left == width:
                store(y + i * stride + p * width, terms)
            else:
                store_partial(y + i * stride + p * width, terms, left)
        p += 1


# One panel.


cdef inline vec[real] finite_or_zero(vec[real] x) noexcept nogil:
    cdef vec[real] zero = broadcast(<real>0)
    return select_equal(x - x, zero, x, zero)


cdef inline vec[real] shift_of_columns(vec[real] largest) noexcept nogil:
    """What is subtracted from the columns before range reduction: nothing, or a maximum too large for it."""
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] limit = broadcast(shift_limit(<real>0))
    cdef vec[real] finite = finite_or_zero(largest)
    return select_less(limit, finite, finite, select_less(finite, zero - limit, finite, zero))


cdef inline void shift_panel(real* panel, Py_ssize_t rows, vec[real] shift) noexcept nogil:
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i
    for i in range(rows):
        store(panel + i * width, load(panel + i * width) - shift)


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
        if rows <= width and not beside_maximum:  # one term in each lane: an empty sum would give it back
            for lane in range(rows):
                terms = exponential_term(load(panel + lane * width), floor, magic)
                if kept != NULL:
                    store(kept + lane * width, terms)
                firsts[lane] = widen_low(terms)
                seconds[lane] = widen_high(terms)
            meet_lanes(<real>0, firsts, seconds, rows)
            first[0] = firsts[0]
            second[0] = seconds[0]
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


cdef inline void log_of_panel(
    const real* panel, Py_ssize_t rows, vec[real] largest, vec[double]* a, vec[double]* b
) noexcept nogil:
    """The logarithms of the columns' sums of e^(x - largest): float32's lanes 0-7 and 8-15, or float64's twice."""
    cdef vec[double] first, second, ratio_a, ratio_b, beside_a, beside_b
    cdef vec[double] least = broadcast(least_ratio(<real>0))
    cdef vec[real] unused
    sum_panel(panel, NULL, rows, largest, False, &first, &second, &unused)
    ratios_to_maximum(first, second, largest, &ratio_a, &ratio_b)
    a[0] = log1p(ratio_a)
    b[0] = log1p(ratio_b)
    if any_at_least(least - ratio_a, <double>0) or any_at_least(least - ratio_b, <double>0):
        do_out_of_line(log_of_panel_beside_maximum[real], panel, rows, largest, &beside_a, &beside_b)
        a[0] = select_less(ratio_a, least, beside_a, a[0])
        b[0] = select_less(ratio_b, least, beside_b, b[0])


# Columns with results below the smallest normal number.


cdef inline bint find_replaced(
    Operation operation, Py_ssize_t columns, const real* results, const real* nearest, const char* kinds, bint* replaced
) noexcept nogil:
    """Tell the columns with results to replace: of softmax by what was watched, else by their logarithms."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t p = 0
    cdef Py_ssize_t j
    cdef bint any_column = False
    cdef vec[real] watched_bits = to_watch(<real>1)
    cdef vec[real] watched = none_watched(<real>0)
    while p * width < columns:
        if operation == SOFTMAX:
            watched = maximum(load(nearest + p * width), watched)
        else:
            watch(load(results + p * width), watched_bits, &watched)
        p += 1
    if not any_replaced(watched):
        return False
    for j in range(columns):
        replaced[j] = kinds[j] == ORDINARY and (
            is_replaced(nearest[j]) if operation == SOFTMAX else is_replaced_log(results[j])
        )
        any_column |= replaced[j]
    return any_column


cdef inline void read_shifted_tile(
    const real* x, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns, real* panels, Py_ssize_t panel_size,
    const real* shifts, real* largest,
) noexcept nogil:
    """read_tile, less the shifts; not so the largest."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t p = 0
    read_tile(x, stride, rows, columns, panels, panel_size, largest)
    while p * width < columns:
        shift_panel(panels + p * panel_size, rows, load(shifts + p * width))
        p += 1


cdef inline void add_panels_carefully(
    const real* panels, Py_ssize_t panel_size, Py_ssize_t rows, Py_ssize_t columns, const bint* replaced, CarefulSum* sums
) noexcept nogil:
    """Add up to BLOCK rows to the careful sums of some columns."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t j
    for j in range(columns):
        if replaced[j]:
            add_carefully(&sums[j], panels + (j // width) * panel_size + j % width, width, rows)


cdef inline void replace_in_panels(
    const real* panels, Py_ssize_t panel_size, real* y, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    const bint* replaced, const CarefulSum* sums,
) noexcept nogil:
    """Compute the results in y again that are below the smallest normal number, from the panels, which hold x."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t j
    for j in range(columns):
        if replaced[j]:
            replace(&sums[j], 1.0, panels + (j // width) * panel_size + j % width, width, y + j, stride, rows)


cdef inline void replace_in_short_tile(
    Operation operation, const real* panels, Py_ssize_t panel_size, real* y, Py_ssize_t stride, Py_ssize_t n,
    Py_ssize_t columns, const bint* replaced, real* results, double* logarithms,
) noexcept nogil:
    """Compute columns of up to BLOCK elements again, or their logarithms; the panels hold x."""
    cdef CarefulSum sums[WIDEST]
    cdef Py_ssize_t j
    for j in range(columns):
        begin_careful_sum(&sums[j])
    add_panels_carefully(panels, panel_size, n, columns, replaced, sums)
    for j in range(columns):
        end_careful_sum(&sums[j])
        if replaced[j] and operation != SOFTMAX:
            logarithms[j] = careful_log(<real>0, &sums[j], 1.0)
            results[j] = <real>logarithms[j]
    if operation == SOFTMAX:
        replace_in_panels(panels, panel_size, y, stride, n, columns, replaced, sums)


cdef inline int sum_tile_carefully(
    const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels, Py_ssize_t panel_size,
    const real* shifts, const bint* replaced, CarefulSum* sums,
) except -1 nogil:
    """The careful sums of some columns, less the shifts."""
    cdef real unused[WIDEST]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t rows, j
    for j in range(columns):
        begin_careful_sum(&sums[j])
    while start < n:
        rows = smaller(n - start, BLOCK)
        read_shifted_tile(x + start * stride, stride, rows, columns, panels, panel_size, shifts, unused)
        add_panels_carefully(panels, panel_size, rows, columns, replaced, sums)
        start += rows
        if (start * columns) % SIGNAL_PERIOD < rows * columns:
            hear_signals()
    for j in range(columns):
        end_careful_sum(&sums[j])
    return 0


cdef inline int replace_in_tile(
    const real* x, real* y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels, Py_ssize_t panel_size,
    const real* shifts, const bint* replaced, CarefulSum* sums,
) except -1 nogil:
    """Compute the results of some columns again that are below the smallest normal number, not in place."""
    cdef real unused[WIDEST]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t rows
    sum_tile_carefully(x, stride, n, columns, panels, panel_size, shifts, replaced, sums)
    while start < n:
        rows = smaller(n - start, BLOCK)
        read_shifted_tile(x + start * stride, stride, rows, columns, panels, panel_size, shifts, unused)
        replace_in_panels(panels, panel_size, y + start * stride, stride, rows, columns, replaced, sums)
        start += rows
        if (start * columns) % SIGNAL_PERIOD < rows * columns:
            hear_signals()
    return 0


cdef inline int find_in_advance(
    const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels, Py_ssize_t panel_size,
    const real* shifts, const real* tops, const Terms* terms, const char* kinds, bint* replaced, bint* any_column,
) except -1 nogil:
    """Tell the columns that may have results to replace, from x."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef real lower[WIDEST]
    cdef real upper[WIDEST]
    cdef real largest[WIDEST]
    cdef real unused[WIDEST]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t rows, p, i, j
    cdef vec[real] bound, top
    for j in range(WIDEST):
        lower[j] = upper[j] = largest[j] = -INFINITY
    for j in range(columns):
        window(tops[j], terms[j].high, 1.0, &lower[j], &upper[j])
    while start < n:
        rows = smaller(n - start, BLOCK)
        read_shifted_tile(x + start * stride, stride, rows, columns, panels, panel_size, shifts, unused)
        p = 0
        while p * width < columns:
            bound = load(<const real*>upper + p * width)
            top = load(<const real*>largest + p * width)
            for i in range(rows):
                top = maximum(below(load(panels + p * panel_size + i * width), bound), top)
            store(<real*>largest + p * width, top)
            p += 1
        start += rows
        if (start * columns) % SIGNAL_PERIOD < rows * columns:
            hear_signals()
    any_column[0] = False
    for j in range(columns):
        replaced[j] = kinds[j] == ORDINARY and largest[j] >= lower[j]
        any_column[0] |= replaced[j]
    return 0


# Special columns.


cdef enum Kind:
    ORDINARY
    HOLDS_NAN
    INFINITE  # its largest element is


cdef inline int find_special(
    const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, const real* largest, const real* results, char* kinds
) except -1 nogil:
    """Tell the columns whose largest element is infinite or whose result is nan."""
    cdef Py_ssize_t start, length, i, j
    for j in range(columns):
        kinds[j] = ORDINARY
        if not (is_finite(largest[j]) and results[j] == results[j]):
            kinds[j] = INFINITE
            start = 0
            while start < n and kinds[j] == INFINITE:
                next_piece(start, n, &length)
                for i in range(start, start + length):
                    if x[i * stride + j] != x[i * stride + j]:
                        kinds[j] = HOLDS_NAN
                        break
                start += length
    return 0


cdef inline void write_special(
    Operation operation, const real* panels, Py_ssize_t panel_size, real* y, Py_ssize_t stride, Py_ssize_t rows,
    Py_ssize_t columns, const real* largest, const char* kinds,
) noexcept nogil:
    """Overwrite what was computed for special columns. For log_softmax the panels hold x."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i, j
    cdef real x
    for j in range(columns):
        if kinds[j] != ORDINARY:
            for i in range(rows):
                y[i * stride + j] = NAN
                x = panels[(j // width) * panel_size + i * width + j % width]
                if operation == LOG_SOFTMAX and kinds[j] == INFINITE and x != largest[j]:
                    y[i * stride + j] = -INFINITY


# One tile.


cdef inline void finish_logsumexp(
    real* y, Py_ssize_t columns, const real* largest, const double* logarithms, const char* kinds
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(columns):
        if kinds[j] == ORDINARY:
            y[j] = <real>(<double>largest[j] + logarithms[j])
        else:
            y[j] = <real>NAN if kinds[j] == HOLDS_NAN else largest[j]


cdef inline int short_tile(
    Operation operation, const real* x, real* y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels,
    Py_ssize_t panel_size, bint* made_nan,
) except -1 nogil:
    """Columns of at most BLOCK elements."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef real largest[WIDEST]
    cdef real shifts[WIDEST]
    cdef real tops[WIDEST]
    cdef real results[WIDEST]
    cdef real lows[WIDEST]
    cdef real nearest[WIDEST]
    cdef double logarithms[WIDEST]
    cdef char kinds[WIDEST]
    cdef bint replaced[WIDEST]
    cdef Py_ssize_t p, j
    cdef real* terms = panels + PANELS * panel_size if operation == SOFTMAX and x == y else panels
    cdef vec[real] top, shift, ties, high, low
    cdef vec[double] a, b
    cdef vec[real] zero = broadcast(<real>0)
    cdef real* panel
    read_tile(x, stride, n, columns, panels, panel_size, largest)
    p = 0
    while p * width < columns:
        panel = panels + p * panel_size
        top = load(<const real*>largest + p * width)
        shift = shift_of_columns(top)
        top = finite_or_zero(top) - shift
        store(shifts + p * width, shift)
        store(tops + p * width, top)
        if reduce_add(select_equal(shift, zero, zero, broadcast(<real>1))) != 0:
            shift_panel(panel, n, shift)
        if operation == SOFTMAX:
            sum_panel(panel, terms + p * panel_size, n, top, False, &a, &b, &ties)
            divisor(a, b, broadcast(1.0), broadcast(1.0), &high, &low)
            store(lows + p * width, low)
            store(nearest + p * width, none_watched(<real>0))
        else:
            log_of_panel(panel, n, top, &a, &b)
            store(logarithms + p * width, a)
            if real is float:
                store(logarithms + p * width + 8, b)
                high = narrow(a, b)
            else:
                high = a
        store(results + p * width, high)
        p += 1
    find_special(x, stride, n, columns, largest, results, kinds)
    if operation == SOFTMAX:
        write_quotients(terms, panel_size, y, stride, n, columns, results, lows, nearest)
    if find_replaced(operation, columns, results, nearest, kinds, replaced):
        if operation == SOFTMAX and terms == panels:
            read_shifted_tile(x, stride, n, columns, panels, panel_size, shifts, largest)
        do_out_of_line(
            replace_in_short_tile[real], operation, <const real*>panels, panel_size, y, stride, n, columns,
            <const bint*>replaced, <real*>results, <double*>logarithms,
        )
    if operation == LOGSUMEXP:
        finish_logsumexp(y, columns, largest, logarithms, kinds)
        return 0
    if operation == LOG_SOFTMAX:
        write_differences(panels, panel_size, y, stride, n, columns, tops, results)
    write_special(operation, panels, panel_size, y, stride, n, columns, largest, kinds)
    for j in range(columns):
        made_nan[0] |= kinds[j] == INFINITE
    return 0


cdef inline int sum_tile(
    bint beside_maximum, const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels,
    Py_ssize_t panel_size, const real* shifts, real* largest, Terms* terms, TermsBesideMaximum* besides,
) except -1 nogil:
    """The largest elements and the states, of either kind, of columns of any length; x is taken less the shifts."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef real tops[WIDEST]
    cdef double firsts[WIDEST]
    cdef double seconds[WIDEST]
    cdef real ties_of[WIDEST]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t rows, p, j
    cdef vec[real] top, ties
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] limit = broadcast(shift_limit(<real>0))
    cdef vec[double] a, b
    cdef Terms part
    cdef TermsBesideMaximum part_beside
    for j in range(columns):
        largest[j] = -INFINITY
        if beside_maximum:
            besides[j] = no_terms_beside_maximum(<real>0)
        else:
            terms[j] = no_terms(<real>0)
    while start < n:
        rows = smaller(n - start, BLOCK)
        read_tile(x + start * stride, stride, rows, columns, panels, panel_size, tops)
        for j in range(columns):
            if tops[j] > largest[j]:
                largest[j] = tops[j]
        p = 0
        while p * width < columns:
            shift_panel(panels + p * panel_size, rows, load(shifts + p * width))
            top = load(<const real*>tops + p * width) - load(shifts + p * width)
            top = select_less(zero - limit, top, top, zero - limit)  # block_scale_maximum
            top = select_less(limit, top, zero, top)  # will be shifted, or is infinite: no matter what comes out
            store(tops + p * width, top)
            sum_panel(panels + p * panel_size, NULL, rows, top, beside_maximum, &a, &b, &ties)
            store(firsts + p * width, a)
            if real is float:
                store(firsts + p * width + 8, b)
                store(seconds + p * width, broadcast(0.0))
                store(seconds + p * width + 8, broadcast(0.0))
            else:
                store(seconds + p * width, b)
            store(ties_of + p * width, ties)
            p += 1
        for j in range(columns):
            if beside_maximum:
                part_beside.largest = tops[j]
                part_beside.ties = ties_of[j]
                part_beside.high = firsts[j]
                part_beside.low = seconds[j]
                merge_beside_maximum(<real>0, &besides[j], part_beside)
            else:
                part.K = scale_of_number(tops[j])
                part.high = firsts[j]
                part.low = seconds[j]
                merge(&terms[j], part)
        start += rows
        if (start * columns) % SIGNAL_PERIOD < rows * columns:
            hear_signals()
    return 0


cdef inline int log_of_tile(
    const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels, Py_ssize_t panel_size,
    const real* shifts, const real* tops, const Terms* terms, double* logarithms,
) except -1 nogil:
    """The logarithms of the sums of e^(x - max) of columns whose largest elements, less the shifts, are tops."""
    cdef double ratios[WIDEST]
    cdef real unused[WIDEST]
    cdef TermsBesideMaximum besides[WIDEST]
    cdef Terms* no_terms_wanted = NULL
    cdef bint any_beside = False
    cdef Py_ssize_t j
    for j in range(columns):
        ratios[j] = ratio_to_maximum(tops[j], terms[j])
        logarithms[j] = first_lane(log1p(broadcast(ratios[j])))
        any_beside |= ratios[j] < least_ratio(<real>0)
    if any_beside:
        sum_tile(
            True, x, stride, n, columns, panels, panel_size, shifts, <real*>unused, no_terms_wanted,
            <TermsBesideMaximum*>besides,
        )
        for j in range(columns):
            if ratios[j] < least_ratio(<real>0):
                logarithms[j] = log_of_state(<real>0, besides[j])
    return 0


cdef inline int long_tile(
    Operation operation, const real* x, real* y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels,
    Py_ssize_t panel_size, bint* made_nan,
) except -1 nogil:
    """Columns of more than BLOCK elements: their states first, then their results."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef real largest[WIDEST]
    cdef real shifts[WIDEST]
    cdef real tops[WIDEST]
    cdef real results[WIDEST]
    cdef real lows[WIDEST]
    cdef real nearest[WIDEST]
    cdef double logarithms[WIDEST]
    cdef char kinds[WIDEST]
    cdef bint replaced[WIDEST]
    cdef CarefulSum sums[WIDEST]
    cdef Terms terms[WIDEST]
    cdef TermsBesideMaximum* none = NULL
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t rows, p, i, j
    cdef real unused[WIDEST]
    cdef vec[real] high, low, floor, magic, top, terms_at
    cdef bint any_shift = False
    cdef bint in_place = operation == SOFTMAX and x == y
    cdef bint any_careful = False
    cdef real* kept = panels + PANELS * panel_size if in_place else panels
    for j in range(WIDEST):
        shifts[j] = 0
        tops[j] = 0
        nearest[j] = -INFINITY
    sum_tile(False, x, stride, n, columns, panels, panel_size, shifts, largest, terms, none)
    for j in range(columns):
        if is_finite(largest[j]):
            shifts[j] = shift_of(largest[j])
            tops[j] = largest[j] - shifts[j]
            any_shift |= shifts[j] != 0
    if any_shift:
        sum_tile(False, x, stride, n, columns, panels, panel_size, shifts, largest, terms, none)
    if operation != SOFTMAX:
        log_of_tile(x, stride, n, columns, panels, panel_size, shifts, tops, terms, logarithms)
    for j in range(columns):
        if operation == SOFTMAX:
            divisor_of_sum(terms[j].high, terms[j].low, 1.0, &high, &low)
            results[j] = first_lane(high)
            lows[j] = first_lane(low)
        else:
            results[j] = <real>logarithms[j]
    find_special(x, stride, n, columns, largest, results, kinds)
    for j in range(columns):
        made_nan[0] |= kinds[j] == INFINITE and operation != LOGSUMEXP
    if in_place:
        out_of_line(
            find_in_advance[real], x, stride, n, columns, panels, panel_size, <const real*>shifts, <const real*>tops,
            <const Terms*>terms, <const char*>kinds, <bint*>replaced, &any_careful,
        )
    elif operation != SOFTMAX:
        any_careful = find_replaced(operation, columns, results, nearest, kinds, replaced)
    if any_careful:
        out_of_line(
            sum_tile_carefully[real], x, stride, n, columns, panels, panel_size, <const real*>shifts,
            <const bint*>replaced, <CarefulSum*>sums,
        )
        for j in range(columns):
            if replaced[j] and operation != SOFTMAX:
                logarithms[j] = careful_log(<real>0, &sums[j], 1.0)
                results[j] = <real>logarithms[j]
    if operation == LOGSUMEXP:
        finish_logsumexp(y, columns, largest, logarithms, kinds)
        return 0
    while start < n:
        rows = smaller(n - start, BLOCK)
        if operation == SOFTMAX:
            read_shifted_tile(x + start * stride, stride, rows, columns, panels, panel_size, shifts, unused)
            p = 0
            while p * width < columns:
                top = load(<const real*>tops + p * width)
                floor = top - broadcast(lowest(<real>0))
                magic = magic_of(scale_of(top))
                for i in range(rows):
                    terms_at = exponential_term(load(panels + p * panel_size + i * width), floor, magic)
                    store(kept + p * panel_size + i * width, terms_at)
                p += 1
            write_quotients(kept, panel_size, y + start * stride, stride, rows, columns, results, lows, nearest)
            if in_place and any_careful:
                do_out_of_line(
                    replace_in_panels[real], <const real*>panels, panel_size, y + start * stride, stride, rows,
                    columns, <const bint*>replaced, <const CarefulSum*>sums,
                )
        else:
            read_tile(x + start * stride, stride, rows, columns, panels, panel_size, unused)
            write_differences(panels, panel_size, y + start * stride, stride, rows, columns, largest, results)
        write_special(operation, panels, panel_size, y + start * stride, stride, rows, columns, largest, kinds)
        start += rows
        if (start * columns) % SIGNAL_PERIOD < rows * columns:
            hear_signals()
    if operation == SOFTMAX and not in_place and find_replaced(
        operation, columns, results, nearest, kinds, replaced
    ):
        out_of_line(
            replace_in_tile[real], x, y, stride, n, columns, panels, panel_size, <const real*>shifts,
            <const bint*>replaced, <CarefulSum*>sums,
        )
    return 0


# All columns.


cdef inline int reduce_columns(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """One operation over blocks (outer, n, inner) whose rows are `stride` elements apart."""
    cdef Py_ssize_t width = lanes(<real>0)
    # One vector more than the rows fill, so that the panels do not begin at the same place of the cache.
    cdef Py_ssize_t panel_size = (smaller(n, BLOCK) + 1) * width
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, j, columns, result
    cdef Py_ssize_t panels_each = 2 * PANELS if operation == SOFTMAX and x == y else PANELS  # for x, and for terms
    cdef void* memory = malloc(panels_each * panel_size * sizeof(real) + 64)
    cdef real* panels = <real*>((<size_t>memory + 63) // 64 * 64)
    if memory == NULL:
        raise MemoryError()
    try:
        for o in range(outer):
            j = 0
            while j < inner:
                columns = smaller(inner - j, PANELS * width)
                result = o * stride + j if operation == LOGSUMEXP else o * n * stride + j
                if n <= BLOCK:
                    short_tile(
                        operation, x + o * n * stride + j, y + result, stride, n, columns, panels, panel_size, made_nan
                    )
                else:
                    long_tile(
                        operation, x + o * n * stride + j, y + result, stride, n, columns, panels, panel_size, made_nan
                    )
                j += columns
                since += n * columns
                if since >= SIGNAL_PERIOD:
                    since = 0
                    hear_signals()
    finally:
        free(memory)
    return 0
