"""Columns with results below the smallest normal number, computed again (see subnormals.pxd).

In place, the terms get panels of their own, so that the others still hold x; and long columns are searched in advance for
an x with such a result.
"""

from libc.math cimport INFINITY

from fastsoftmax.kernels.arithmetic.simd cimport load, maximum, store, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport (
    CarefulSum, add_carefully, any_replaced, begin_careful_sum, below, careful_log, end_careful_sum, is_replaced, is_replaced_log,
    none_watched, replace, to_watch, watch, window,
)
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, Terms
from fastsoftmax.kernels.arithmetic.vector_math cimport lanes, real
from fastsoftmax.kernels.columns.panels cimport ORDINARY, WIDEST, read_tile, shift_panel
from fastsoftmax.kernels.rows.row_blocks cimport SOFTMAX, Operation
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport smaller


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
