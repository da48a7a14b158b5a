"""Cross-entropy along an axis that is not the last.

(a) With index targets, each vector of neighbouring columns is a panel of short_cross_entropy.pxd, whatever their length up
    to BLOCK: every step there is the row kernel's, so nothing has to be transposed.
(b) A tile is as many panels as stay in the level-2 cache. Its rows are copied into them, and the gradients back, in runs that
    are as long as that allows.
(c) All others are transposed into rows: longer columns, dense coefficients, columns too few to fill half a vector, and a
    panel with a column that needs a closer look.
"""

from libc.stdlib cimport free, malloc

from fastsoftmax.kernels.cross_entropy.cross_entropy cimport cross_entropy_rows
from fastsoftmax.kernels.columns.panels cimport smaller
from fastsoftmax.kernels.rows.row_blocks cimport SIGNAL_PERIOD, hear_signals, lanes
from fastsoftmax.kernels.cross_entropy.short_cross_entropy cimport cross_entropy_panel
from fastsoftmax.kernels.arithmetic.simd cimport load, load_partial, store, store_partial
from fastsoftmax.kernels.columns.squares cimport transpose_matrix
from fastsoftmax.kernels.arithmetic.subnormals cimport out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.arithmetic.vector_math cimport real

cdef enum:
    TILE_BYTES = 262144
    MOST_PANELS = 64


cdef inline int columns_as_rows(
    const real* x, Py_ssize_t x_stride, real* grad, Py_ssize_t grad_stride, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner,
    const long long* labels, const real* dense, Py_ssize_t dense_stride, const double* at_target, const double* total,
    double* losses, bint* made_nan,
) except -1 nogil:
    """Losses and, with grad, gradients of blocks (outer, n, inner), whose rows are so far apart, by the row kernel."""
    cdef Py_ssize_t size = TILE_BYTES // <Py_ssize_t>sizeof(real) // n
    cdef Py_ssize_t most_outers, o, j, k, outers, columns, row
    cdef real* rows
    size = size if size > lanes(<real>0) else lanes(<real>0)
    most_outers = size // inner if inner < size else 1
    size = smaller(size, outer * inner)
    rows = <real*>malloc(size * n * sizeof(real))
    if rows == NULL:
        raise MemoryError()
    try:
        o = 0
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
    finally:
        free(rows)
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
    const double* at_target, const double* total, double* losses, real* panels, Py_ssize_t size, bint* made_nan,
) except -1 nogil:
    """Losses and, with grad, gradients of a tile."""
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
                labels + j, <const real*>NULL, <Py_ssize_t>0, at_target + j, total + j, losses + j, made_nan,
            )
        panel += size
        j += count
    if grad != NULL:
        write_panels(panels, size, grad, stride, n, columns)
    return 0


cdef inline int cross_entropy_columns(
    const real* x, real* grad, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride, const long long* labels,
    const real* dense, Py_ssize_t dense_stride, const double* at_target, const double* total, double* losses, bint* made_nan,
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
    cdef void* memory
    cdef real* panels
    if labels == NULL or dense != NULL or n == 1 or n > BLOCK or 2 * inner < width:
        return out_of_line(
            columns_as_rows[real], x, stride, grad, stride, outer, n, inner, labels, dense, dense_stride, at_target, total,
            losses, made_nan,
        )
    most = 1 if most < 1 else smaller(smaller(most, MOST_PANELS), (inner + width - 1) // width)
    memory = malloc(most * size * sizeof(real) + 64)
    panels = <real*>((<size_t>memory + 63) // 64 * 64)
    if memory == NULL:
        raise MemoryError()
    try:
        for o in range(outer):
            j = 0
            while j < inner:
                columns = smaller(inner - j, most * width)
                at = o * n * stride + j
                row = o * inner + j
                cross_entropy_tile(
                    x + at, <real*>NULL if grad == NULL else grad + at, stride, n, columns, labels + row, at_target + row,
                    total + row, losses + row, panels, size, made_nan,
                )
                j += columns
                since += n * columns
                if since >= SIGNAL_PERIOD:
                    since = 0
                    hear_signals()
    finally:
        free(memory)
    return 0
