"""Numbers of 16 bits, float16 and bfloat16, around kernels that take float32.

(a) They are formats of storage only. Kernels of gradients, of columns and of long rows read and write them themselves (see
    simd/stored.hpp). The others, of rows and of cross-entropy, run over chunk after chunk in float32 scratch: their inputs are
    widened into that, their results narrowed out of it, rounded once. So halves have the algorithms and the bits of float32.
(b) A chunk is as many outer slices as have CHUNK elements, so that all of its scratch stays in the level-1 cache. What is
    larger, a row or a slice of many columns, is taken alone, the columns in groups of neighbours as long as those
    have WIDE_CHUNK elements.
(c) An array of float32 beside halves is used where it is, unless its columns are cut, or are a range of a block's.
(d) Input and result have scratch each only where that is faster than working in place: a row that fits the cache.
"""

from libc.string cimport memcpy

from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED, Storage, as_computed, native, put, stored, stored_as
from fastsoftmax.kernels.scratch cimport Scratch, scratch_of
from fastsoftmax.kernels.signals cimport next_piece
from fastsoftmax.kernels.sizes cimport larger, smaller

cdef enum:
    CHUNK = 4096  # elements of rows that are taken together, as in row_groups.pxd
    CHUNK_OF_SHORT_ROWS = 2048  # a tenth faster for those, which form no such groups
    SHORT = 64
    WIDE_CHUNK = 65536
    GROUP = 64  # columns that the kernel takes together
    NEIGHBOURS = 16  # columns that share a cache line of float32
    LARGEST_CHUNK = 2097152  # elements up to which so many columns are taken together whatever their length, and of a row at most


cdef struct Operand:
    char* data
    Storage storage
    bint reduced  # of shape (outer, inner), not (outer, n, inner)
    float* scratch


cdef struct Chunks:
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner
    Py_ssize_t stride  # elements from one row to the next
    Py_ssize_t most_outers
    Py_ssize_t most_columns
    Py_ssize_t first
    Py_ssize_t outers
    Py_ssize_t column
    Py_ssize_t columns


cdef inline stored[float] numbers_of(const Operand* operand) noexcept nogil:
    return stored_as(operand.storage, native(<const float*>operand.data))


# Chunks of a block (outer, n, inner), or of a range of its columns.


cdef inline Chunks chunks_of(Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride) noexcept nogil:
    """The chunks, before the first."""
    cdef Chunks chunks
    cdef Py_ssize_t most, columns
    chunks.outer = outer
    chunks.n = n
    chunks.inner = inner
    chunks.stride = stride
    most = CHUNK_OF_SHORT_ROWS if n * inner <= SHORT else CHUNK
    chunks.most_outers = smaller(larger(most // larger(n * inner, 1), 1), outer)
    if chunks.most_outers > 16:
        chunks.most_outers -= chunks.most_outers % 16
    chunks.most_columns = inner
    if inner > 1 and n * inner > WIDE_CHUNK:
        columns = WIDE_CHUNK // n
        columns -= columns % GROUP
        if columns == 0:
            columns = larger(smaller(NEIGHBOURS, LARGEST_CHUNK // n), 1)
        chunks.most_columns = smaller(columns, inner)
    chunks.first = 0
    chunks.outers = 0
    chunks.column = 0
    chunks.columns = inner
    return chunks


cdef inline bint next_chunk(Chunks* chunks) noexcept nogil:
    """Go to the next chunk; False after the last."""
    chunks.column += chunks.columns
    if chunks.column >= chunks.inner:
        chunks.column = 0
        chunks.first += chunks.outers
    chunks.outers = smaller(chunks.most_outers, chunks.outer - chunks.first)
    chunks.columns = smaller(chunks.most_columns, chunks.inner - chunks.column)
    return chunks.outers > 0


cdef inline bint is_used_in_place(const Operand* operand, const Chunks* chunks) noexcept nogil:
    """Whether the kernel works on the array itself."""
    return operand.storage == AS_COMPUTED and chunks.most_columns == chunks.stride


cdef inline Py_ssize_t scratch_size(const Operand* operand, const Chunks* chunks) noexcept nogil:
    """Elements of scratch that the operand needs, in whole cache lines."""
    cdef Py_ssize_t size = chunks.most_outers * chunks.most_columns * (1 if operand.reduced else chunks.n)
    return 0 if is_used_in_place(operand, chunks) else (size + 15) // 16 * 16


cdef inline int give_scratch(
    Operand* operands, int count, const Chunks* chunks, bint overwriting, Scratch* kept
) except -1 nogil:
    """Give each operand what scratch it needs.

    With `overwriting` the last, the result, takes that of the first if it can.
    """
    cdef Py_ssize_t size = 0
    cdef Operand* result = &operands[count - 1]
    cdef float* scratch
    cdef int i
    if overwriting and not result.reduced and not is_used_in_place(&operands[0], chunks):
        count -= 1
    for i in range(count):
        size += scratch_size(&operands[i], chunks)
    scratch = <float*>scratch_of(kept, size * sizeof(float))
    result.scratch = scratch
    for i in range(count):
        operands[i].scratch = scratch
        scratch += scratch_size(&operands[i], chunks)
    return 0


cdef inline Py_ssize_t position(const Operand* operand, const Chunks* chunks) noexcept nogil:
    return chunks.first * (1 if operand.reduced else chunks.n) * chunks.stride + chunks.column


cdef inline float* scratch_for(Operand* operand, const Chunks* chunks) noexcept nogil:
    """Where the kernel finds or puts the numbers of this chunk."""
    if is_used_in_place(operand, chunks):
        return <float*>operand.data + position(operand, chunks)
    return operand.scratch


cdef inline float* widened(Operand* operand, const Chunks* chunks) except? NULL nogil:
    """The numbers of this chunk in float32."""
    cdef Py_ssize_t start = position(operand, chunks)
    cdef Py_ssize_t runs = chunks.outers * (1 if operand.reduced else chunks.n)
    cdef Py_ssize_t length = chunks.columns
    cdef float* y = operand.scratch
    cdef Py_ssize_t _, done, piece
    if is_used_in_place(operand, chunks):
        return <float*>operand.data + start
    if length == chunks.stride:
        length *= runs
        runs = 1
    for _ in range(runs):
        done = 0
        while done < length:
            next_piece(done, length, &piece)
            if operand.storage == AS_COMPUTED:
                memcpy(y + done, <float*>operand.data + start + done, piece * sizeof(float))
            else:
                as_computed(numbers_of(operand) + start + done, piece, y + done)
            done += piece
        start += chunks.stride
        y += length
    return operand.scratch


cdef inline int narrowed(Operand* operand, const Chunks* chunks) except -1 nogil:
    """Put the results of this chunk where they belong."""
    cdef Py_ssize_t start = position(operand, chunks)
    cdef Py_ssize_t runs = chunks.outers * (1 if operand.reduced else chunks.n)
    cdef Py_ssize_t length = chunks.columns
    cdef const float* x = operand.scratch
    cdef Py_ssize_t _, done, piece
    if is_used_in_place(operand, chunks):
        return 0
    if length == chunks.stride:
        length *= runs
        runs = 1
    for _ in range(runs):
        done = 0
        while done < length:
            next_piece(done, length, &piece)
            put(x + done, numbers_of(operand) + start + done, piece)
            done += piece
        start += chunks.stride
        x += length
    return 0
