"""Short rows: as many rows as a vector has lanes, one in each lane.

(a) A row of up to SHORT elements costs more to finish than to sum: its own reduction, division and logarithm. So as many
    rows as a vector has lanes are transposed into a panel, where each is a column (see columns.pxd), and transposed back.
(b) The panel's sums follow the row kernel's order, so a row has the same bits here, there, alone and in a batch.
(c) GROUPS such groups take each step one after the other: the processor fills the time that one waits for its sum, its
    division or its logarithm with the others' steps (1.1 to 1.9 times as fast). Where longer rows come from memory, reading
    and writing by short turns is better.
(d) Rows that need a closer look (an infinite largest element, one too large for the range reduction, a nan, a result
    below the smallest normal number) send their whole group to the row kernel, before anything is written.
(e) Fewer rows than half a vector's lanes go there, too: empty lanes would cost as much as full ones.
"""

from fastsoftmax.kernels.arithmetic.panel_sums cimport log_of_sums, sum_panel
from fastsoftmax.kernels.arithmetic.simd cimport (
    broadcast, has_fma, load, maximum, narrow, native, reduce_max, select_equal, select_less, store, store_partial, vec,
    widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport any_replaced, do_out_of_line, none_watched, to_watch, watch
from fastsoftmax.kernels.arithmetic.sums cimport divisor, quotient
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, lanes, real, shift_limit
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, LOG_SOFTMAX, SOFTMAX, Operation
from fastsoftmax.kernels.rows.row_panels cimport read_rows, write_rows
from fastsoftmax.kernels.rows.rows cimport reduce_rows
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    SHORT = 64
    SHORTER = 40  # longer rows are faster in groups (see row_groups.pxd) if they come from memory
    GROUPS = 4
    ALONE = 16  # times GROUPS groups are computed one by one after one was unusual: others soon may be, too
    CACHED = 4  # arrays and results together in this part of the last-level cache do not wait for memory


cdef inline vec[real] one_where_unusual(vec[real] x, vec[real] limit) noexcept nogil:
    """1 in the lanes where x is nan or not between -limit and limit."""
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] one = broadcast(<real>1)
    cdef vec[real] too_large = select_less(limit, x, one, select_less(x, zero - limit, one, zero))
    return select_equal(x, x, too_large, one)


cdef inline void read_groups(
    const real* x, Py_ssize_t n, Py_ssize_t rows, real* panels, vec[real]* tops, vec[real]* unusual
) noexcept nogil:
    """Rows into panels, one behind the other, with the largest element of each row, and 1 where that needs a closer look."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[real] top
    cdef const real* panel
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t i, k
    while start < rows:
        read_rows(x + start * n, n, smaller(rows - start, width), panels + start * n)
        start += width
    unusual[0] = broadcast(<real>0)
    for k in range((rows + width - 1) // width):
        panel = panels + k * width * n
        top = load(panel)
        for i in range(1, n):
            top = maximum(load(panel + i * width), top)
        unusual[0] = maximum(one_where_unusual(top, broadcast(shift_limit(<real>0))), unusual[0])
        tops[k] = top


cdef inline void sum_of_terms(
    const real* panel, real* kept, Py_ssize_t n, vec[real] top, vec[double]* first, vec[double]* second
) noexcept nogil:
    """`sum_panel`, a function by itself where vectors are plain arrays: inlined it would be slower there."""
    cdef vec[real] unused
    if has_fma:
        sum_panel(panel, kept, n, top, False, first, second, &unused)
    else:
        do_out_of_line(sum_panel[real], panel, kept, n, top, False, first, second, &unused)


cdef inline bint softmax_panels(
    real* panels, Py_ssize_t n, Py_ssize_t count, const vec[real]* tops
) noexcept nogil:
    """softmax of each column of the panels, in their place. False if one needs a closer look."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[double] a[GROUPS]
    cdef vec[double] b[GROUPS]
    cdef vec[real] high[GROUPS]
    cdef vec[real] low[GROUPS]
    cdef vec[real] values
    cdef vec[real] unusual = broadcast(<real>0)
    cdef vec[real] watched_bits = to_watch(<real>1)
    cdef vec[real] nearest = none_watched(<real>0)
    cdef real* panel
    cdef Py_ssize_t i, k
    for k in range(count):
        panel = panels + k * width * n
        sum_of_terms(panel, panel, n, tops[k], &a[k], &b[k])
    for k in range(count):
        divisor(a[k], b[k], broadcast(1.0), broadcast(1.0), &high[k], &low[k])
        unusual = select_equal(high[k], high[k], unusual, broadcast(<real>1))
    for k in range(count):
        panel = panels + k * width * n
        for i in range(n):
            values = quotient(load(<const real*>panel + i * width), high[k], low[k])
            watch(values, watched_bits, &nearest)
            store(panel + i * width, values)
    return reduce_max(unusual) == 0 and not any_replaced(nearest)


cdef inline bint log_panels(
    Operation operation, real* panels, Py_ssize_t n, Py_ssize_t count, const vec[real]* tops, vec[real]* sums
) noexcept nogil:
    """The logarithm of each column's sum, or log_softmax in the place of the panels. False if one needs a closer look."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[double] firsts[GROUPS]
    cdef vec[double] seconds[GROUPS]
    cdef vec[double] a, b
    cdef vec[real] logarithm, top
    cdef vec[real] unusual = broadcast(<real>0)
    cdef vec[real] nearest = none_watched(<real>0)
    cdef real* panel
    cdef Py_ssize_t i, k
    for k in range(count):
        sum_of_terms(panels + k * width * n, <real*>NULL, n, tops[k], &firsts[k], &seconds[k])
    for k in range(count):
        panel = panels + k * width * n
        top = tops[k]
        log_of_sums(<const real*>panel, n, top, firsts[k], seconds[k], &a, &b)
        if real is float:
            logarithm = narrow(a, b)
            sums[k] = narrow(widen_low(top) + a, widen_high(top) + b)
        else:
            logarithm = a
            sums[k] = top + a
        unusual = maximum(one_where_unusual(logarithm, broadcast(<real>1e30)), unusual)
        watch(logarithm, to_watch(<real>1), &nearest)
        if operation == LOG_SOFTMAX:
            for i in range(n):
                store(panel + i * width, (load(<const real*>panel + i * width) - top) - logarithm)
    return reduce_max(unusual) == 0 and not any_replaced(nearest)


cdef inline bint groups_of_rows(
    Operation operation, const real* x, real* y, Py_ssize_t n, Py_ssize_t rows, real* panels
) noexcept nogil:
    """Some groups of rows. False, and nothing written, if one of them needs a closer look."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = (rows + width - 1) // width
    cdef vec[real] tops[GROUPS]
    cdef vec[real] sums[GROUPS]
    cdef vec[real] unusual
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t k
    read_groups(x, n, rows, panels, <vec[real]*>tops, &unusual)
    if reduce_max(unusual) != 0:
        return False
    if operation == SOFTMAX:
        if not softmax_panels(panels, n, count, <const vec[real]*>tops):
            return False
    elif not log_panels(operation, panels, n, count, <const vec[real]*>tops, <vec[real]*>sums):
        return False
    for k in range(count):
        if operation == LOGSUMEXP:
            store_partial(y + start, sums[k], smaller(rows - start, width))
        else:
            write_rows(<const real*>panels + start * n, y + start * n, n, smaller(rows - start, width))
        start += width
    return True


cdef inline bint is_short(real unused, Py_ssize_t outer, Py_ssize_t n) noexcept nogil:
    """Whether rows (outer, n) are short, and fill half of a vector's lanes."""
    return n <= SHORT and 2 * outer >= lanes(<real>0)


cdef inline bint are_cached(real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache) noexcept nogil:
    """Whether the last-level cache, of so many bytes, holds rows (outer, n) and their results with ease."""
    return 2 * outer * n * <Py_ssize_t>sizeof(real) <= cache // CACHED


cdef inline bint are_short_rows(
    Operation operation, real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache
) noexcept nogil:
    """Whether rows (outer, n) are for this file."""
    if n <= SHORTER:
        return is_short(<real>0, outer, n)
    if n > SHORT or outer < lanes(<real>0) or not are_cached(<real>0, outer, n, cache):
        return False
    return has_fma and (n < SHORT or real is double or operation == LOGSUMEXP)  # 64 of float32 are whole vectors


cdef inline int reduce_short_rows(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache, bint* made_nan
) except -1 nogil:
    """One operation over rows (outer, n)."""
    cdef real room[(GROUPS * SHORT + 1) * LANES]
    cdef real* panels = room
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t most = GROUPS * width if n <= LANES or are_cached(<real>0, outer, n, cache) else width
    cdef Py_ssize_t m = 1 if operation == LOGSUMEXP else n
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t alone = 0  # up to this row each group is computed alone
    cdef Py_ssize_t rows, rest
    if has_fma:  # lines of the cache, of which gcc does not know whose they are: 1.2 times as fast as an array of vectors
        panels = <real*>((<size_t>panels + 63) // 64 * 64)
    while row < outer:
        rows = smaller(outer - row, width if row < alone else most)
        rest = rows % width
        if 2 * rest < width and rest < rows:
            rows -= rest
        if 2 * rows < width or not groups_of_rows(operation, x + row * n, y + row * m, n, rows, panels):
            if rows > width:
                alone = row + ALONE * rows
                continue
            reduce_rows(operation, native(x + row * n), native(<const real*>y + row * m), rows, n, False, made_nan)
        row += rows
        since += rows * n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
