"""Transposing a matrix square by square, in vectors: rows become columns, and back."""

from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, as_computed, load, load_partial, put, store, store_partial, stored, transpose, vec,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, lanes, real
from fastsoftmax.kernels.sizes cimport smaller


cdef inline void transpose_matrix(
    const real* x, Py_ssize_t x_stride, Py_ssize_t rows, Py_ssize_t columns, real* y, Py_ssize_t y_stride
) noexcept nogil:
    """y[j, i] = x[i, j] for x of (rows, columns), whose rows are x_stride elements apart and those of y y_stride."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t j, k, height, count
    cdef vec[real] square[LANES]
    while i < rows:
        height = smaller(rows - i, width)
        j = 0
        while j < columns:
            count = smaller(columns - j, width)
            for k in range(width):
                if k >= height:
                    square[k] = square[0]
                elif count == width:
                    square[k] = load(x + (i + k) * x_stride + j)
                else:
                    square[k] = load_partial(x + (i + k) * x_stride + j, count, <real>0)
            transpose(<vec[real]*>square)
            for k in range(count):
                if height == width:
                    store(y + (j + k) * y_stride + i, square[k])
                else:
                    store_partial(y + (j + k) * y_stride + i, square[k], height)
            j += width
        i += width


cdef inline void columns_to_rows(
    stored[real] x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, real* rows, Py_ssize_t length
) noexcept nogil:
    """Up to a vector of columns of n numbers as rows, `length` apart."""
    cdef real panel[LANES * LANES]
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t k, height
    if x.storage == AS_COMPUTED:
        transpose_matrix(<const real*>x.at, stride, n, columns, rows, length)
        return
    while i < n:
        height = smaller(n - i, LANES)
        for k in range(height):
            as_computed(x + (i + k) * stride, columns, <real*>panel + k * LANES)
        transpose_matrix(<const real*>panel, LANES, height, columns, rows + i, length)
        i += height


cdef inline void rows_to_columns(
    const real* rows, Py_ssize_t length, Py_ssize_t n, Py_ssize_t columns, stored[real] y, Py_ssize_t stride
) noexcept nogil:
    """And back."""
    cdef real panel[LANES * LANES]
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t k, height
    if y.storage == AS_COMPUTED:
        transpose_matrix(rows, length, columns, n, <real*>y.at, stride)
        return
    while i < n:
        height = smaller(n - i, LANES)
        transpose_matrix(rows + i, length, columns, height, <real*>panel, LANES)
        for k in range(height):
            put(<const real*>panel + k * LANES, y + (i + k) * stride, columns)
        i += height
