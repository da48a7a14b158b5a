"""Short rows: as many rows as a vector has lanes, one in each lane.

(a) A row of up to SHORT elements costs more to finish than to sum: its own reduction, division and logarithm. So as many
    rows as a vector has lanes are transposed into a panel, where each is a column (see columns.pxd), and transposed back.
(b) The panel's sums follow the row kernel's order, so a row has the same bits here, there, alone and in a batch.
(c) Rows that need a closer look (an infinite largest element, one too large for the range reduction, a nan, a result
    below the smallest normal number) send their whole group to the row kernel, before anything is written.
(d) Fewer rows than half a vector's lanes go there, too: empty lanes would cost as much as full ones.
"""

from fastsoftmax.panels cimport log_of_panel, sum_panel
from fastsoftmax.row_blocks cimport LOG_SOFTMAX, LOGSUMEXP, SIGNAL_PERIOD, SOFTMAX, Operation, hear_signals, lanes
from fastsoftmax.rows cimport reduce_rows
from fastsoftmax.simd cimport (
    broadcast, load, load_partial, maximum, narrow, native, reduce_max, select_equal, select_less, store, store_partial,
    transpose, vec, widen_high, widen_low,
)
from fastsoftmax.subnormals cimport any_replaced, none_watched, to_watch, watch
from fastsoftmax.sums cimport divisor, quotient
from fastsoftmax.vector_math cimport real, shift_limit

cdef enum:
    SHORT = 64
    SHORTER = 40  # softmax and its logarithm of longer rows are faster in groups, see row_groups.pxd
    LANES = 16  # of float32
    FEW = 4


# Loops of a constant length, which compilers turn into a few permutations: for rows so short that squares are mostly empty.


cdef inline void read_few(const real* x, Py_ssize_t n, real* panel) noexcept nogil:
    """`read_rows`, of whole groups."""
    cdef Py_ssize_t i, j
    for i in range(lanes(<real>0)):
        for j in range(n):
            panel[j * lanes(<real>0) + i] = x[i * n + j]


cdef inline void write_few(const real* panel, real* y, Py_ssize_t n) noexcept nogil:
    """`write_rows`, of whole groups."""
    cdef Py_ssize_t i, j
    for i in range(lanes(<real>0)):
        for j in range(n):
            y[i * n + j] = panel[j * lanes(<real>0) + i]


cdef inline void read_rows(const real* x, Py_ssize_t n, Py_ssize_t rows, real* panel) noexcept nogil:
    """Transpose rows of n elements into the panel; lanes without a row repeat the first."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    cdef vec[real] square[LANES]
    if rows == width and n <= FEW:
        if n == 2:
            read_few(x, 2, panel)
        elif n == 3:
            read_few(x, 3, panel)
        elif n == 4:
            read_few(x, 4, panel)
        else:
            read_few(x, 1, panel)
        return
    while start < n:
        count = n - start if n - start < width else width
        for i in range(width):
            if i >= rows:
                square[i] = square[0]
            elif count == width:
                square[i] = load(x + i * n + start)
            else:
                square[i] = load_partial(x + i * n + start, count, <real>0)
        transpose(<vec[real]*>square)
        for i in range(count):
            store(panel + (start + i) * width, square[i])
        start += count


cdef inline void write_rows(const real* panel, real* y, Py_ssize_t n, Py_ssize_t rows) noexcept nogil:
    """Transpose the panel back into rows of n elements."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    cdef vec[real] square[LANES]
    if rows == width and n <= FEW:
        if n == 2:
            write_few(panel, y, 2)
        elif n == 3:
            write_few(panel, y, 3)
        elif n == 4:
            write_few(panel, y, 4)
        else:
            write_few(panel, y, 1)
        return
    while start < n:
        count = n - start if n - start < width else width
        for i in range(width):
            square[i] = load(panel + (start + (i if i < count else 0)) * width)
        transpose(<vec[real]*>square)
        for i in range(rows):
            if count == width:
                store(y + i * n + start, square[i])
            else:
                store_partial(y + i * n + start, square[i], count)
        start += count


cdef inline vec[real] one_where_unusual(vec[real] x, vec[real] limit) noexcept nogil:
    """1 in the lanes where x is nan or not between -limit and limit."""
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] one = broadcast(<real>1)
    cdef vec[real] too_large = select_less(limit, x, one, select_less(x, zero - limit, one, zero))
    return select_equal(x, x, too_large, one)


cdef inline bint group(
    Operation operation, const real* x, real* y, Py_ssize_t n, Py_ssize_t rows, real* panel
) noexcept nogil:
    """One group of rows. False, and nothing written, if one of them needs a closer look."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[real] top, ties, high, low, values, unusual
    cdef vec[real] watched_bits = to_watch(<real>1)
    cdef vec[real] nearest = none_watched(<real>0)
    cdef vec[double] a, b
    cdef Py_ssize_t i
    read_rows(x, n, rows, panel)
    top = load(<const real*>panel)
    for i in range(1, n):
        top = maximum(load(<const real*>panel + i * width), top)
    unusual = one_where_unusual(top, broadcast(shift_limit(<real>0)))
    if reduce_max(unusual) != 0:
        return False
    if operation == SOFTMAX:
        sum_panel(panel, panel, n, top, False, &a, &b, &ties)
        divisor(a, b, broadcast(1.0), broadcast(1.0), &high, &low)
        unusual = select_equal(high, high, unusual, broadcast(<real>1))
        for i in range(n):
            values = quotient(load(<const real*>panel + i * width), high, low)
            watch(values, watched_bits, &nearest)
            store(panel + i * width, values)
    else:
        log_of_panel(panel, n, top, &a, &b)
        if real is float:
            high = narrow(a, b)
        else:
            high = a
        unusual = one_where_unusual(high, broadcast(<real>1e30))
        watch(high, watched_bits, &nearest)
    if reduce_max(unusual) != 0 or any_replaced(nearest):
        return False
    if operation == LOGSUMEXP:
        if real is float:
            top = narrow(widen_low(top) + a, widen_high(top) + b)
        else:
            top = top + a
        store_partial(y, top, rows)
        return True
    if operation == LOG_SOFTMAX:
        for i in range(n):
            store(panel + i * width, (load(<const real*>panel + i * width) - top) - high)
    write_rows(panel, y, n, rows)
    return True


cdef inline bint is_short(real unused, Py_ssize_t outer, Py_ssize_t n) noexcept nogil:
    """Whether rows (outer, n) are for this file."""
    return n <= SHORT and 2 * outer >= lanes(<real>0)


cdef inline int reduce_short_rows(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, bint* made_nan
) except -1 nogil:
    """One operation over rows (outer, n)."""
    cdef real panel[SHORT * LANES]
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t m = 1 if operation == LOGSUMEXP else n
    cdef Py_ssize_t row = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows
    while row < outer:
        rows = outer - row if outer - row < width else width
        if 2 * rows < width or not group(operation, x + row * n, y + row * m, n, rows, <real*>panel):
            reduce_rows(operation, native(x + row * n), native(<const real*>y + row * m), rows, n, False, made_nan)
        row += rows
        since += rows * n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
