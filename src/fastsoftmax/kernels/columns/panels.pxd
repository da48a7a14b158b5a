"""Panels: tiles of neighbouring columns, copied so that each vector of them is contiguous.

(a) A tile is PANELS vectors of neighbouring columns. Up to BLOCK rows of it are copied into panels, one for each vector,
    which stay in the level-2 cache. Reading the array itself again would collapse at strides of a power of two, where all
    rows of a tile compete for the same few lines of the caches.
(b) What their sums are is in panel_sums.pxd.
"""

from libc.math cimport INFINITY

from fastsoftmax.kernels.arithmetic.simd cimport (
    broadcast, load, load_partial, maximum, select_equal, select_less, store, store_partial, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport to_watch, watch
from fastsoftmax.kernels.arithmetic.sums cimport quotient
from fastsoftmax.kernels.arithmetic.vector_math cimport lanes, real, shift_limit
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    PANELS = 4
    WIDEST = 64  # columns of a tile, of float32


cdef enum Kind:
    ORDINARY
    HOLDS_NAN
    INFINITE  # its largest element is


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
