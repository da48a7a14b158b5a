"""Short rows into a panel, where each is a column, and back.

(a) A panel is that of panels.pxd: as many rows as a vector has lanes, element j of all of them one behind the other.
(b) There are three ways, each the fastest for some rows: loops of a constant length for up to 4 elements; blocks of 16 or 32
    bytes of each row, of which only whole ones are loaded (1.1 to 1.6 times as fast as squares); and squares of whole
    vectors, whose empty lanes are masked.
"""

from fastsoftmax.kernels.arithmetic.simd cimport (
    has_fma, load, load_columns, load_partial, store, store_columns, store_partial, transpose, vec,
)
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, lanes, real
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    FEW = 4
    WIDE = 8  # columns of a block of float32
    WRITTEN_IN_BLOCKS = 96  # bytes: pieces of longer rows in memory are slower than whole vectors of one row


# Loops of a constant length, which compilers turn into a few permutations.


cdef inline void read_few(const real* x, Py_ssize_t n, real* panel) noexcept nogil:
    """`read_rows`, of whole groups."""
    cdef vec[real] columns[FEW]
    cdef Py_ssize_t i, j
    for i in range(lanes(<real>0)):
        for j in range(n):
            (<real*>columns)[j * lanes(<real>0) + i] = x[i * n + j]
    for j in range(n):
        store(panel + j * lanes(<real>0), columns[j])


cdef inline void write_few(const real* panel, real* y, Py_ssize_t n) noexcept nogil:
    """`write_rows`, of whole groups."""
    cdef Py_ssize_t i, j
    for i in range(lanes(<real>0)):
        for j in range(n):
            y[i * n + j] = panel[j * lanes(<real>0) + i]


# Rows of 16 bytes and more, by blocks of 32 or 16 bytes of each; the last lies partly over the one before.


cdef inline Py_ssize_t narrow_block(real unused) noexcept nogil:
    return 16 // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t block_at(real unused, Py_ssize_t n, Py_ssize_t* start) noexcept nogil:
    """The number of columns of the block at start, which is moved back where rows of n elements end within it."""
    cdef Py_ssize_t narrow = narrow_block(<real>0)
    cdef Py_ssize_t count = 2 * narrow if n - start[0] > narrow and n >= 2 * narrow else narrow
    start[0] = smaller(start[0], n - count)
    return count


cdef inline void read_block(const real* x, Py_ssize_t n, Py_ssize_t count, real* panel) noexcept nogil:
    cdef vec[real] columns[WIDE]
    cdef Py_ssize_t j
    load_columns(x, n, count, <vec[real]*>columns)
    for j in range(count):
        store(panel + j * lanes(<real>0), columns[j])


cdef inline void write_block(const real* panel, real* y, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    cdef vec[real] columns[WIDE]
    cdef Py_ssize_t j
    for j in range(count):
        columns[j] = load(panel + j * lanes(<real>0))
    store_columns(y, n, count, <const vec[real]*>columns)


cdef inline void read_blocks(const real* x, Py_ssize_t n, real* panel) noexcept nogil:
    """`read_rows`, of whole groups."""
    cdef Py_ssize_t narrow = narrow_block(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count
    while start < n:
        count = block_at(<real>0, n, &start)
        if count == narrow:  # a constant for the compiler, which unrolls the block
            read_block(x + start, n, narrow, panel + start * lanes(<real>0))
        else:
            read_block(x + start, n, 2 * narrow, panel + start * lanes(<real>0))
        start += count


cdef inline void write_blocks(const real* panel, real* y, Py_ssize_t n) noexcept nogil:
    """`write_rows`, of whole groups."""
    cdef Py_ssize_t narrow = narrow_block(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count
    while start < n:
        count = block_at(<real>0, n, &start)
        if count == narrow:
            write_block(panel + start * lanes(<real>0), y + start, n, narrow)
        else:
            write_block(panel + start * lanes(<real>0), y + start, n, 2 * narrow)
        start += count


# Rows of any length, and fewer than lanes.


cdef inline void read_squares(const real* x, Py_ssize_t n, Py_ssize_t rows, real* panel) noexcept nogil:
    """`read_rows`."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    cdef vec[real] square[LANES]
    while start < n:
        count = smaller(n - start, width)
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


cdef inline void write_squares(const real* panel, real* y, Py_ssize_t n, Py_ssize_t rows) noexcept nogil:
    """`write_rows`."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, i
    cdef vec[real] square[LANES]
    while start < n:
        count = smaller(n - start, width)
        for i in range(width):
            square[i] = load(panel + (start + (i if i < count else 0)) * width)
        transpose(<vec[real]*>square)
        for i in range(rows):
            if count == width:
                store(y + i * n + start, square[i])
            else:
                store_partial(y + i * n + start, square[i], count)
        start += count


cdef inline void read_rows(const real* x, Py_ssize_t n, Py_ssize_t rows, real* panel) noexcept nogil:
    """Transpose rows of n elements into the panel; lanes without a row repeat the first."""
    if rows < lanes(<real>0):
        read_squares(x, n, rows, panel)
    elif n == 1:
        read_few(x, 1, panel)
    elif n == 2:
        read_few(x, 2, panel)
    elif n == 3:
        read_few(x, 3, panel)
    elif n == 4 and not has_fma:
        read_few(x, 4, panel)
    else:
        read_blocks(x, n, panel)


cdef inline void write_rows(const real* panel, real* y, Py_ssize_t n, Py_ssize_t rows) noexcept nogil:
    """Transpose the panel back into rows of n elements."""
    if rows < lanes(<real>0):
        write_squares(panel, y, n, rows)
    elif n == 1:
        write_few(panel, y, 1)
    elif n == 2:
        write_few(panel, y, 2)
    elif n == 3:
        write_few(panel, y, 3)
    elif n == 4 and not has_fma:
        write_few(panel, y, 4)
    elif n % lanes(<real>0) != 0 and n * <Py_ssize_t>sizeof(real) <= WRITTEN_IN_BLOCKS:
        write_blocks(panel, y, n)
    else:
        write_squares(panel, y, n, rows)
