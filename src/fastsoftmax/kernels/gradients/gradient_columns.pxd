"""Gradients along an axis that is not the last.

(a) Those of softmax and log_softmax go strip by strip (see gradient_strips.pxd), or in vectors if they are short.
(b) Short columns whose rows are a multiple of 4 kB apart would drive one another out of the level-1 cache, which has 8 places
    for all of them: they are copied into tiles, which takes a third to two thirds of the time. At other distances the
    copies cost more than they save.
(c) Those of logsumexp, and what has an unusual column, are transposed into rows, a vector of columns at a time, and
    the results transposed back.
"""


from fastsoftmax.kernels.arithmetic.simd cimport as_computed, native, put, stored, vec
from fastsoftmax.kernels.arithmetic.subnormals cimport out_of_line
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, lanes, real
from fastsoftmax.kernels.columns.column_strips cimport is_bundled
from fastsoftmax.kernels.columns.squares cimport columns_to_rows, rows_to_columns
from fastsoftmax.kernels.gradients.gradient_strips cimport any_gradient_strip, strip_scratch, strip_width
from fastsoftmax.kernels.gradients.gradients cimport LOGSUMEXP_JVP, LOGSUMEXP_VJP, Gradient, gradient_rows
from fastsoftmax.kernels.gradients.short_gradient_columns cimport STREAMS, fetch_ahead, short_gradient
from fastsoftmax.kernels.scratch cimport LINE, Scratch, no_scratch, release, reserve, scratch_of
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    TILE = 16384  # bytes of an operand, in half of a level-1 cache with the other
    WAYS = 8  # of that cache
    COLLIDING = 4096  # bytes between rows, or a multiple, of which no more than WAYS stay in it


cdef inline Py_ssize_t length_of_row(real unused, Py_ssize_t n) noexcept nogil:
    """Longer than a column, so that the rows do not begin at the same place of the cache."""
    return n + lanes(<real>0)


cdef inline Py_ssize_t scratch_of_rows(real unused, Py_ssize_t n, Py_ssize_t columns) noexcept nogil:
    """Bytes of scratch that columns need to be rows, a vector of them at a time, and their others."""
    return 2 * smaller(columns, lanes(<real>0)) * length_of_row(<real>0, n) * sizeof(real)


cdef inline int strip_as_rows(
    Gradient gradient, stored[real] g, stored[real] values, const real* lse, stored[real] out, Py_ssize_t stride,
    Py_ssize_t n, Py_ssize_t columns, Scratch* kept, bint* made_nan,
) except -1 nogil:
    """One gradient over a strip of columns, by the row kernel. g, lse and out are rows where it has one number a column."""
    cdef Py_ssize_t width = smaller(columns, lanes(<real>0))
    cdef Py_ssize_t length = length_of_row(<real>0, n)
    cdef real few[2 * LANES * (STREAMS + LANES)]
    cdef real* rows = <real*>few
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t count, row
    cdef real* others
    if n > STREAMS:
        rows = <real*>scratch_of(kept, scratch_of_rows(<real>0, n, columns))
    others = rows + width * length
    while start < columns:
        count = smaller(columns - start, width)
        columns_to_rows(values + start, stride, n, count, rows, length)
        if gradient != LOGSUMEXP_VJP:
            columns_to_rows(g + start, stride, n, count, others, length)
        for row in range(count):
            if gradient == LOGSUMEXP_VJP:
                gradient_rows(
                    gradient, g + start + row, native(<const real*>rows + row * length), lse + start + row,
                    native(<const real*>rows + row * length), 1, n, made_nan,
                )
            elif gradient == LOGSUMEXP_JVP:
                gradient_rows(
                    gradient, native(<const real*>others + row * length), native(<const real*>rows + row * length),
                    lse + start + row, out + start + row, 1, n, made_nan,
                )
            else:
                gradient_rows(
                    gradient, native(<const real*>others + row * length), native(<const real*>rows + row * length),
                    <const real*>NULL, native(<const real*>rows + row * length), 1, n, made_nan,
                )
        if gradient != LOGSUMEXP_JVP:
            rows_to_columns(<const real*>rows, length, n, count, out + start, stride)
        start += count
        hear_signals()
    return 0


cdef inline Py_ssize_t tile_width(real unused, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t distance) noexcept nogil:
    """How many short columns, with so many bytes from row to row, make a tile; 0 if they are better where they are."""
    if 2 * n <= WAYS or inner < lanes(<real>0) or distance % COLLIDING != 0:
        return 0
    return TILE // (n * <Py_ssize_t>sizeof(real)) // LANES * LANES


cdef inline int gradient_of_tile(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns,
    real* tile, Py_ssize_t length, Scratch* kept, bint* made_nan,
) except -1 nogil:
    """One gradient over short columns by way of two tiles, one behind the other, with rows of some length."""
    cdef real* other = tile + n * length
    cdef stored[real] x, y
    cdef Py_ssize_t i, part
    cdef Py_ssize_t j = 0
    for i in range(n):
        x = native(<const real*>tile + i * length)
        y = native(<const real*>other + i * length)
        put(as_computed(g + i * stride, columns, tile + i * length), x, columns)
        put(as_computed(values + i * stride, columns, other + i * length), y, columns)
    while j < columns:
        part = smaller(columns - j, lanes(<real>0))
        x = native(<const real*>tile + j)
        y = native(<const real*>other + j)
        if not short_gradient(gradient, x, y, x, length, n, part):
            out_of_line(strip_as_rows[real], gradient, x, y, <const real*>NULL, x, length, n, part, kept, made_nan)
        j += part
    for i in range(n):
        put(<const real*>tile + i * length, out + i * stride, columns)
    return 0


cdef inline int gradient_columns(
    Gradient gradient, stored[real] g, stored[real] values, const real* lse, stored[real] out, Py_ssize_t outer,
    Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride, bint* made_nan,
) except -1 nogil:
    """One gradient over blocks (outer, n, inner) whose rows are `stride` elements apart."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, j, columns, block, slice
    cdef bint short = n <= STREAMS and gradient != LOGSUMEXP_VJP and gradient != LOGSUMEXP_JVP
    cdef bint bundled = is_bundled(<real>0, n, inner, stride)
    cdef bint usual
    cdef Py_ssize_t tiled = tile_width(<real>0, n, inner, (values + stride).at - values.at) if short else 0
    cdef Py_ssize_t widest = tiled if tiled > 0 else lanes(<real>0) if short else strip_width(inner)
    cdef Py_ssize_t length = widest + LANES  # so that the rows of a tile do not collide
    cdef Py_ssize_t vectors = strip_scratch(<real>0, n, widest, bundled) if not short else 2 * n * length // lanes(<real>0)
    cdef Scratch usual_scratch = no_scratch()
    cdef Scratch rows_scratch = no_scratch()
    cdef vec[double]* scratch = NULL
    try:
        if tiled > 0 or not short:
            scratch = <vec[double]*>scratch_of(&usual_scratch, LINE * vectors)
        if n > STREAMS:
            reserve(&rows_scratch, scratch_of_rows(<real>0, n, widest))
        for o in range(outer):
            j = 0
            while j < inner:
                columns = smaller(inner - j, widest)
                block = o * n * stride + j
                slice = o * stride + j
                usual = False
                if tiled > 0:
                    gradient_of_tile(
                        gradient, g + block, values + block, out + block, stride, n, columns, <real*>scratch, length,
                        &rows_scratch, made_nan,
                    )
                    usual = True
                elif short:
                    fetch_ahead(g + block, values + block, out + block, stride, n)
                    usual = short_gradient(gradient, g + block, values + block, out + block, stride, n, columns)
                elif gradient != LOGSUMEXP_VJP and gradient != LOGSUMEXP_JVP:
                    any_gradient_strip(
                        gradient, bundled, g + block, values + block, out + block, stride, n, columns, scratch, &usual
                    )
                if not usual:
                    out_of_line(
                        strip_as_rows[real], gradient, g + (slice if gradient == LOGSUMEXP_VJP else block), values + block,
                        <const real*>NULL if lse == NULL else lse + slice,
                        out + (slice if gradient == LOGSUMEXP_JVP else block), stride, n, columns, &rows_scratch, made_nan,
                    )
                j += columns
                since += n * columns
                if since >= SIGNAL_PERIOD:
                    since = 0
                    hear_signals()
    finally:
        release(&usual_scratch)
        release(&rows_scratch)
    return 0
