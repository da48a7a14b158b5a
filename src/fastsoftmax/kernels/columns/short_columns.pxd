"""Short columns: a vector of neighbouring columns at a time, from the first row to the last.

(a) Columns of few elements are read once, their terms stay in the level-1 cache, and the results are written once. Each
    of so few rows is a stream that the processor fetches ahead, and with few columns all is in the cache.
(b) The sums are those of columns.pxd. What needs a closer look goes there, before anything is written: a largest element that
    is infinite or needs a shift, a nan, a result below the smallest normal number, a logarithm summed beside the maximum.
(c) Nothing is watched where the columns are plain, see row_groups.pxd.
"""

from fastsoftmax.kernels.arithmetic.panel_sums cimport log_of_panel, sum_panel
from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, BFLOAT16, FLOAT16, Storage, as_computed, broadcast, common_storage, load, load_partial, maximum, minimum, narrow,
    native, put, reduce_max, select_equal, select_less, store, store_partial, stored, stored_as, vec, widen_high, widen_low,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport any_replaced, none_watched, out_of_line, to_watch, watch
from fastsoftmax.kernels.arithmetic.sums cimport divisor, quotient
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, lanes, real, shift_limit
from fastsoftmax.kernels.columns.columns cimport reduce_columns
from fastsoftmax.kernels.columns.panels cimport PANELS
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, SOFTMAX, Operation
from fastsoftmax.kernels.rows.row_groups cimport plain_depth
from fastsoftmax.kernels.rows.short_rows cimport one_where_unusual
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    SHORT_COLUMN = 128  # elements at most
    STREAMS = 32  # rows, however long they are
    NARROW = 64  # columns, where there are more rows


cdef inline bint reduce_vector(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns
) noexcept nogil:
    """One operation over up to a vector of columns. False, and nothing written, if one of them needs a closer look."""
    cdef real panel[SHORT_COLUMN * LANES]
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[real] zero = broadcast(<real>0)
    cdef vec[real] one = broadcast(<real>1)
    cdef vec[real] top, least, ties, high, low, values, unusual
    cdef vec[real] watched_bits = to_watch(<real>1)
    cdef vec[real] nearest = none_watched(<real>0)
    cdef vec[double] a, b
    cdef bint plain = False
    cdef Py_ssize_t i
    if columns == width:
        top = least = load(x)
        for i in range(n):
            values = load(x + i * stride)
            store(<real*>panel + i * width, values)
            top = maximum(values, top)
            least = minimum(values, least)
    else:
        top = least = load_partial(x, columns, <real>0)
        for i in range(n):
            values = load_partial(x + i * stride, columns, <real>0)
            store(<real*>panel + i * width, values)
            top = maximum(values, top)
            least = minimum(values, least)
    unusual = one_where_unusual(top, broadcast(shift_limit(<real>0)))
    if reduce_max(unusual) != 0:
        return False
    if operation == SOFTMAX:
        sum_panel(<const real*>panel, <real*>panel, n, top, False, &a, &b, &ties)
        divisor(a, b, broadcast(1.0), broadcast(1.0), &high, &low)
        unusual = select_equal(high, high, zero, one)
        plain = reduce_max(select_less(least, top - broadcast(plain_depth(<real>0)), one, unusual)) == 0
    else:
        log_of_panel(<const real*>panel, n, top, &a, &b)
        if real is float:
            high = narrow(a, b)
        else:
            high = a
        unusual = one_where_unusual(high, broadcast(<real>1e30))
        watch(high, watched_bits, &nearest)
    if not plain:
        if operation == SOFTMAX:
            for i in range(n):
                values = quotient(load(<const real*>panel + i * width), high, low)
                watch(values, watched_bits, &nearest)
        if reduce_max(unusual) != 0 or any_replaced(nearest):
            return False
    if operation == LOGSUMEXP:
        if real is float:
            top = narrow(widen_low(top) + a, widen_high(top) + b)
        else:
            top = top + a
        store_partial(y, top, columns)
        return True
    for i in range(n):
        values = load(<const real*>panel + i * width)
        if operation == SOFTMAX:
            values = quotient(values, high, low)
        else:
            values = (values - top) - high
        if columns == width:
            store(y + i * stride, values)
        else:
            store_partial(y + i * stride, values, columns)
    return True


cdef inline bint reduce_any_vector(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns
) noexcept nogil:
    """The same, compiled for each format."""
    cdef Storage storage = common_storage(x, x, y)
    if storage == AS_COMPUTED:
        return reduce_vector(operation, stored_as(AS_COMPUTED, x), stored_as(AS_COMPUTED, y), stride, n, columns)
    if storage == FLOAT16:
        return reduce_vector(operation, stored_as(FLOAT16, x), stored_as(FLOAT16, y), stride, n, columns)
    if storage == BFLOAT16:
        return reduce_vector(operation, stored_as(BFLOAT16, x), stored_as(BFLOAT16, y), stride, n, columns)
    return reduce_vector(operation, x, y, stride, n, columns)


cdef inline int reduce_vector_carefully(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns, bint* made_nan
) except -1 nogil:
    """What `reduce_vector` leaves."""
    cdef real panel[SHORT_COLUMN * LANES]
    cdef double scratch[(PANELS + 1) * (SHORT_COLUMN + 1) * 8]  # what `scratch_of_columns` says of one vector
    cdef Py_ssize_t i
    if common_storage(x, x, y) == AS_COMPUTED:
        return reduce_columns(operation, <const real*>x.at, <real*>y.at, n, columns, stride, <char*>scratch, made_nan)
    for i in range(n):
        put(as_computed(x + i * stride, columns, <real*>panel + i * columns), native(<const real*>panel + i * columns), columns)
    reduce_columns(operation, <const real*>panel, <real*>panel, n, columns, columns, <char*>scratch, made_nan)
    for i in range(1 if operation == LOGSUMEXP else n):
        put(<const real*>panel + i * columns, y + i * stride, columns)
    return 0


cdef inline bint are_short(Py_ssize_t n, Py_ssize_t inner) noexcept nogil:
    """Whether columns are for this file."""
    return n <= STREAMS or n <= SHORT_COLUMN and inner <= NARROW


cdef inline int reduce_short_columns(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """One operation over blocks (outer, n, inner) whose rows are `stride` elements apart."""
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t o, j, columns, block, result
    for o in range(outer):
        j = 0
        while j < inner:
            columns = smaller(inner - j, lanes(<real>0))
            block = o * n * stride + j
            result = o * stride + j if operation == LOGSUMEXP else block
            if not reduce_any_vector(operation, x + block, y + result, stride, n, columns):
                out_of_line(reduce_vector_carefully[real], operation, x + block, y + result, stride, n, columns, made_nan)
            j += columns
            since += n * columns
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    return 0
