"""Columns: the reduced axis is not the last, so neighbouring columns share a vector.

This is the careful kernel for columns of any kind; usual ones are for column_strips.pxd and short_columns.pxd.

(a) Columns are read into panels (see panels.pxd), a tile at a time.
(b) A column of up to BLOCK rows is read once, and its result written once. A longer one is read for its state, and again
    for its result, as long rows are.
(c) Columns that are special (see careful_rows.pxd) are computed with the others, to no harm, and overwritten.
"""

from libc.math cimport INFINITY, NAN

from fastsoftmax.kernels.arithmetic.panel_sums cimport log_of_panel, sum_panel
from fastsoftmax.kernels.arithmetic.simd cimport broadcast, load, narrow, reduce_add, select_equal, select_less, store, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport CarefulSum, careful_log, do_out_of_line, none_watched, out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport (
    BLOCK, Terms, TermsBesideMaximum, divisor, divisor_of_sum, least_ratio, log_of_state, merge, merge_beside_maximum, no_terms,
    no_terms_beside_maximum, ratio_to_maximum, scale_of_number,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    exponential_term, first_lane, lanes, log1p, lowest, magic_of, real, scale_of, shift_limit,
)
from fastsoftmax.kernels.columns.careful_columns cimport (
    find_in_advance, find_replaced, read_shifted_tile, replace_in_panels, replace_in_short_tile, replace_in_tile,
    sum_tile_carefully,
)
from fastsoftmax.kernels.columns.panels cimport (
    HOLDS_NAN, INFINITE, ORDINARY, PANELS, WIDEST, finite_or_zero, read_tile, shift_of_columns, shift_panel, write_differences,
    write_quotients,
)
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, LOG_SOFTMAX, SOFTMAX, Operation, is_finite, shift_of
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals, next_piece
from fastsoftmax.kernels.sizes cimport smaller


# Special columns.


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
    for j in range(WIDEST):  # also for lanes beyond the columns
        shifts[j] = tops[j] = lows[j] = 0
        results[j] = 1
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


cdef inline Py_ssize_t size_of_panel(real unused, Py_ssize_t n) noexcept nogil:
    """Elements: one vector more than the rows fill, so that the panels do not begin at the same place of the cache."""
    return (smaller(n, BLOCK) + 1) * lanes(<real>0)


cdef inline Py_ssize_t scratch_of_columns(real unused, Py_ssize_t n, Py_ssize_t inner) noexcept nogil:
    """Bytes of scratch that columns need: panels for x and, in place, for terms."""
    cdef Py_ssize_t width = lanes(<real>0)
    return (PANELS + smaller((inner + width - 1) // width, PANELS)) * size_of_panel(<real>0, n) * sizeof(real)


cdef inline int reduce_columns(
    Operation operation, const real* x, real* y, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride, char* scratch,
    bint* made_nan,
) except -1 nogil:
    """One operation over a block (n, inner) whose rows are `stride` elements apart."""
    cdef Py_ssize_t panel_size = size_of_panel(<real>0, n)
    cdef real* panels = <real*>scratch
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t columns
    while j < inner:
        columns = smaller(inner - j, PANELS * lanes(<real>0))
        if n <= BLOCK:
            short_tile(operation, x + j, y + j, stride, n, columns, panels, panel_size, made_nan)
        else:
            long_tile(operation, x + j, y + j, stride, n, columns, panels, panel_size, made_nan)
        j += columns
        since += n * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
