"""Cross-entropy along an axis that is not the last.

(a) With index targets, each vector of neighbouring columns is a panel of short_cross_entropy.pxd, whatever their length up
    to BLOCK: every step there is the row kernel's, so nothing has to be transposed.
(b) A tile is as many panels as stay in the level-2 cache. Its rows are copied into them, and the gradients back, in runs that
    are as long as that allows.
(c) All others are transposed into rows: longer columns, dense coefficients, columns too few to fill half a vector, and a
    panel with a column that needs a closer look.
"""

from fastsoftmax.kernels.arithmetic.simd cimport load, load_partial, store, store_partial
from fastsoftmax.kernels.arithmetic.subnormals cimport out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.arithmetic.vector_math cimport lanes, real
from fastsoftmax.kernels.columns.squares cimport transpose_matrix
from fastsoftmax.kernels.cross_entropy.cross_entropy cimport cross_entropy_rows
from fastsoftmax.kernels.cross_entropy.short_cross_entropy cimport cross_entropy_panel
from fastsoftmax.kernels.scratch cimport Scratch, scratch_of
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport larger, smaller

cdef enum:
    TILE_BYTES = 262144
    MOST_PANELS = 64


cdef inline Py_ssize_t rows_at_a_time(real unused, Py_ssize_t n) noexcept nogil:
    """How many columns are rows at a time, if there are so many."""
    return larger(TILE_BYTES // <Py_ssize_t>sizeof(real) // n, lanes(<real>0))


cdef inline int columns_as_rows(
    const real* x, Py_ssize_t x_stride, real* grad, Py_ssize_t grad_stride, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner,
    const long long* labels, const real* dense, Py_ssize_t dense_stride, const double* at_target, const double* total,
    double* losses, real* rows, bint* made_nan,
) except -1 nogil:
    """Losses and, with grad, gradients of blocks (outer, n, inner), whose rows are so far apart, by the row kernel.

    There is room for `rows_at_a_time` rows.
    """
    cdef Py_ssize_t size = rows_at_a_time(<real>0, n)
    cdef Py_ssize_t most_outers = larger(size // inner, 1)
    cdef Py_ssize_t o = 0
    cdef Py_ssize_t j, k, outers, columns, row
    while o < outer:
        outers = smaller(outer - o, most_outers)
        j = 0
        while j < inner:
            columns = smaller(inner - j, size)
            row = o * inner + j
            for k in range(outers):
                transpose_matrix(x + (o + k) * n * x_stride + j, x_stride, n, columns, rows + k * columns * n, n)
            cross_entropy_rows(
                rows, outers * columns, n, <const long long*>NULL if labels == NULL else labels + row,
                <const real*>NULL if dense == NULL else dense + row * dense_stride, dense_stride, at_target + row,
                total + row, losses + row, <real*>NULL if grad == NULL else rows, made_nan,
            )
            if grad != NULL:
                for k in range(outers):
                    transpose_matrix(
                        rows + k * columns * n, n, columns, n, grad + (o + k) * n * grad_stride + j, grad_stride
                    )
            j += columns
        o += outers
        hear_signals()
    return 0


cdef inline void read_panels(
    const real* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* panels, Py_ssize_t size
) noexcept nogil:
    """Copy columns into panels, zeros where there is no column."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t whole = columns // width
    cdef Py_ssize_t left = columns - whole * width
    cdef Py_ssize_t i, p
    for i in range(n):
        for p in range(whole):
            store(panels + p * size + i * width, load(x + i * stride + p * width))
        if left > 0:
            store(panels + whole * size + i * width, load_partial(x + i * stride + whole * width, left, <real>0))


cdef inline void write_panels(
    const real* panels, Py_ssize_t size, real* y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns
) noexcept nogil:
    """Copy the panels to columns."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t whole = columns // width
    cdef Py_ssize_t left = columns - whole * width
    cdef Py_ssize_t i, p
    for i in range(n):
        for p in range(whole):
            store(y + i * stride + p * width, load(panels + p * size + i * width))
        if left > 0:
            store_partial(y + i * stride + whole * width, load(panels + whole * size + i * width), left)


cdef inline int cross_entropy_tile(
    const real* x, real* grad, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, const long long* labels,
    const double* at_target, const double* total, double* losses, real* panels, Py_ssize_t size, real* rows, bint* made_nan,
) except -1 nogil:
    """Losses and, with grad, gradients of a tile. There is room for one panel's columns as rows."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t count
    cdef real* panel = panels
    read_panels(x, stride, n, columns, panels, size)
    while j < columns:
        count = smaller(columns - j, width)
        if not cross_entropy_panel(panel, n, count, labels + j, at_target + j, total + j, losses + j, grad != NULL):
            out_of_line(
                columns_as_rows[real], x + j, stride, <real*>NULL if grad == NULL else panel, width, <Py_ssize_t>1, n, count,
                labels + j, <const real*>NULL, <Py_ssize_t>0, at_target + j, total + j, losses + j, rows, made_nan,
            )
        panel += size
        j += count
    if grad != NULL:
        write_panels(panels, size, grad, stride, n, columns)
    return 0


cdef inline int cross_entropy_columns(
    const real* x, real* grad, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride, const long long* labels,
    const real* dense, Py_ssize_t dense_stride, const double* at_target, const double* total, double* losses, Scratch* kept,
    bint* made_nan,
) except -1 nogil:
    """Losses and, with grad, gradients of blocks (outer, n, inner) whose rows are `stride` elements apart.

    The coefficients are those of rows (outer, inner), as `cross_entropy_rows` takes them.
    """
    cdef Py_ssize_t width = lanes(<real>0)
    # One vector more than the columns fill, so that the panels do not begin at the same place of the cache.
    cdef Py_ssize_t size = (n + 1) * width
    cdef Py_ssize_t most = TILE_BYTES // <Py_ssize_t>sizeof(real) // size
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, j, columns, at, row
    cdef real* panels
    if labels == NULL or dense != NULL or n == 1 or n > BLOCK or 2 * inner < width:
        return out_of_line(
            columns_as_rows[real], x, stride, grad, stride, outer, n, inner, labels, dense, dense_stride, at_target, total,
            losses,
            <real*>scratch_of(kept, smaller(rows_at_a_time(<real>0, n), outer * inner) * n * <Py_ssize_t>sizeof(real)),
            made_nan,
        )
    most = larger(smaller(smaller(most, MOST_PANELS), (inner + width - 1) // width), 1)
    panels = <real*>scratch_of(kept, (most * size + width * n) * sizeof(real))
    for o in range(outer):
        j = 0
        while j < inner:
            columns = smaller(inner - j, most * width)
            at = o * n * stride + j
            row = o * inner + j
            cross_entropy_tile(
                x + at, <real*>NULL if grad == NULL else grad + at, stride, n, columns, labels + row, at_target + row,
                total + row, losses + row, panels, size, panels + most * size, made_nan,
            )
            j += columns
            since += n * columns
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    return 0
