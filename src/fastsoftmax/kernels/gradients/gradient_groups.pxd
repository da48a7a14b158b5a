"""Gradients of rows in groups: what ends a row's sum is done for many rows at once.

(a) As in row_groups.pxd, the rows of a group take each step one after the other, so that none waits for its own reduction.
    The lanes of their sums are transposed and meet as those of columns do (see gradient_strips.pxd), a row in each lane, and
    so does what follows from the sums.
(b) A level-1 cache holds the rows of a group until they are read again. Where the rows lie in memory, the time of reading and
    writing by turns is what counts, and short turns are best: a group is smaller then (1.05-1.2 times as fast).
(c) exp(logp) is taken as it is. A row with a logp above 0, or a sum that is not finite or near the end of the range, is for
    the row kernel, before anything of it is written.
(d) Each number goes through the operations of gradients.pxd in their order, and so has the bits it has there.
(e) A long row of log_softmax is a group of its own: the row kernel would read it once more, for its largest logp. The sum of g
    alone does without logp, which is looked at when the results are written, where these lie apart from the inputs: they
    count for nothing if one was above 0.
"""

from fastsoftmax.kernels.arithmetic.simd cimport (
    Storage, broadcast, common_storage, load, load_at, load_partial, maximum, specialised, store, store_partial, stored,
    stored_as, transpose, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport out_of_line
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.arithmetic.vector_math cimport LANES, add_pair, lanes, meet, real
from fastsoftmax.kernels.gradients.gradient_strips cimport (
    PARTS, column_terms, column_weights, finish_sums, sums_g_alone, unusual_values,
)
from fastsoftmax.kernels.gradients.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, add_products, any_positive, gradient_rows, step, with_unit,
)
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals

cdef enum:
    FEWEST = 3  # rows that are worth it
    MIDDLE = 256  # elements of a row from which on it has less to gain from its neighbours
    MIDDLE_FAR = 200  # the same of float32 rows in memory
    LONGEST = 16777216  # elements of a row, which takes 20 ms: nothing is heard within a group
    GROUPED = 2048  # elements of float32 in a group of rows, if more than one
    TURN = 512  # the same of rows in memory, one more row to the end of it


cdef inline void add_rest(
    Gradient gradient, bint g_alone, stored[real] g, stored[real] values, Py_ssize_t i, Py_ssize_t n, vec[double]* first,
    vec[double]* second, vec[real]* largest,
) noexcept nogil:
    """The end of `sum_of_row`, from i on."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[real] x, v, y, w
    if i < n:
        load_at(g, i, n, <real>0, &x)
        load_at(g, i + width, n, <real>0, &y)
        v = w = broadcast(<real>0)
        if not g_alone:
            load_at(values, i, n, <real>0, &v)
            load_at(values, i + width, n, <real>0, &w)
        if gradient != SOFTMAX_VJP:
            largest[0] = maximum(unusual_values(gradient, x, v), maximum(unusual_values(gradient, y, w), largest[0]))
        add_products(gradient, column_weights(gradient, v), x, column_weights(gradient, w), y, first, second)


cdef inline void add_two(
    Gradient gradient, bint g_alone, stored[real] g, stored[real] values, vec[double]* first, vec[double]* second,
    vec[real]* top, vec[real]* more,
) noexcept nogil:
    """(first, second) += weight * g of two vectors, and the largest logp of each, if it is read."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef vec[real] x = load(g)
    cdef vec[real] y = load(g + width)
    cdef vec[real] v = broadcast(<real>0)
    cdef vec[real] w = v
    if not g_alone:
        v = load(values)
        w = load(values + width)
    if gradient != SOFTMAX_VJP:
        top[0] = maximum(unusual_values(gradient, x, v), top[0])
        more[0] = maximum(unusual_values(gradient, y, w), more[0])
    add_products(gradient, column_weights(gradient, v), x, column_weights(gradient, w), y, first, second)


cdef inline void sum_of_row(
    Gradient gradient, bint g_alone, stored[real] g, stored[real] values, Py_ssize_t n, vec[double]* sum_a,
    vec[double]* sum_b, vec[real]* largest,
) noexcept nogil:
    """The sum of weight * g over one block of a row, a sum in each lane, and the largest logp, if it is read."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[double] first = broadcast(0.0)
    cdef vec[double] second = broadcast(0.0)
    cdef vec[real] top = largest[0]
    cdef vec[real] more = top
    while i + 2 * width <= n:
        add_two(gradient, g_alone, g + i, values + i, &first, &second, &top, &more)
        i += 2 * width
    top = maximum(top, more)
    add_rest(gradient, g_alone, g, values, i, n, &first, &second, &top)
    sum_a[0] = first
    sum_b[0] = second
    largest[0] = top


cdef inline void add_sums(
    real unused, Py_ssize_t rows, vec[double]* first, vec[double]* second, vec[double]* sums
) noexcept nogil:
    """sums += the sums of the rows, from those of their lanes."""
    cdef Py_ssize_t width = lanes(<double>0)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t part = 0
    cdef Py_ssize_t i
    while start < rows:
        for i in range(start, start + width):
            if i >= rows:
                first[i] = second[i] = broadcast(0.0)
            elif real is float:
                first[i] = first[i] + second[i]
        transpose(first + start)
        if real is float:
            for i in range(4):
                first[start + i] = first[start + i] + first[start + i + 4]
            for i in range(2):
                first[start + i] = first[start + i] + first[start + i + 2]
            add_pair(&sums[part], &sums[part + 1], first[start] + first[start + 1], broadcast(0.0))
        else:
            transpose(second + start)
            meet(first + start, second + start)
            add_pair(&sums[part], &sums[part + 1], first[start], second[start])
        start += width
        part += 2


cdef inline vec[real] result(
    Gradient gradient, vec[real] x, vec[real] v, vec[real] sum, vec[real] high, vec[real] low
) noexcept nogil:
    if gradient == LOG_SOFTMAX_VJP:
        v = with_unit(column_terms(gradient, v), broadcast(<real>0), high, low)
    return step(gradient, x, v, sum, False)


cdef inline void write_row(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, vec[real] sum, vec[real] high,
    vec[real] low, vec[real]* largest,
) noexcept nogil:
    """The elementwise step; and the largest logp of log_softmax's vjp."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] v
    cdef vec[real] top = largest[0]
    while i + width <= n:
        v = load(values + i)
        if gradient == LOG_SOFTMAX_VJP:
            top = maximum(v, top)
        store(out + i, result(gradient, load(g + i), v, sum, high, low))
        i += width
    if i < n:
        v = load_partial(values + i, n - i, <real>0)
        if gradient == LOG_SOFTMAX_VJP:
            top = maximum(v, top)
        store_partial(out + i, result(gradient, load_partial(g + i, n - i, <real>0), v, sum, high, low), n - i)
    largest[0] = top


cdef inline void gradient_group(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t n, Py_ssize_t rows, bint* usual
) noexcept nogil:
    """One gradient over up to a vector's lanes of rows; tell which of them are usual. The inputs of others are as they were."""
    cdef vec[double] first[LANES]
    cdef vec[double] second[LANES]
    cdef vec[double] sums[PARTS]
    cdef vec[real] largest[LANES]
    cdef real sum[LANES]
    cdef real high[LANES]
    cdef real low[LANES]
    cdef real unusual[LANES]
    cdef vec[real] a, b, c, d
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, row
    cdef bint g_alone = sums_g_alone(gradient, g, values, out)
    for row in range(PARTS):
        sums[row] = broadcast(0.0)
    for row in range(rows):
        largest[row] = broadcast(<real>0)
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        for row in range(rows):
            sum_of_row(
                gradient, g_alone, g + row * n + start, values + row * n + start, length, &first[row], &second[row],
                &largest[row],
            )
        add_sums(<real>0, rows, <vec[double]*>first, <vec[double]*>second, <vec[double]*>sums)
        start += length
    finish_sums(gradient, <const vec[double]*>sums, &a, &b, &c, &d)
    store(<real*>sum, a)
    store(<real*>high, b)
    store(<real*>low, c)
    store(<real*>unusual, d)
    for row in range(rows):
        usual[row] = unusual[row] == 0
        if gradient != SOFTMAX_VJP:
            usual[row] &= not any_positive(largest[row])
    for row in range(rows):
        if usual[row]:
            write_row(
                gradient, g + row * n, values + row * n, out + row * n, n, broadcast(sum[row]), broadcast(high[row]),
                broadcast(low[row]), &largest[row],
            )
            if g_alone:
                usual[row] = not any_positive(largest[row])


cdef inline bint are_resident(real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache) noexcept nogil:
    """Whether a cache of so many bytes holds both operands and the result."""
    return 3 * outer * n * <Py_ssize_t>sizeof(real) <= cache


cdef inline bint has_grouped_rows(
    Gradient gradient, real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache
) noexcept nogil:
    """Whether rows (outer, n) are for this file; the last-level cache has so many bytes."""
    if gradient == LOG_SOFTMAX_VJP or gradient == LOG_SOFTMAX_JVP:
        return n <= LONGEST and (outer >= FEWEST or n > GROUPED)
    if outer < FEWEST:
        return False
    return gradient == SOFTMAX_VJP and n <= (
        MIDDLE if are_resident(<real>0, outer, n, cache) else MIDDLE_FAR * 4 // <Py_ssize_t>sizeof(real)
    )


cdef inline Py_ssize_t rows_of_group(real unused, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t cache) noexcept nogil:
    """How many rows (outer, n) make a group; the last-level cache has so many bytes."""
    cdef Py_ssize_t words = <Py_ssize_t>sizeof(real) // 4
    cdef Py_ssize_t rows = GROUPED // words // n
    if not are_resident(<real>0, outer, n, cache):
        rows = (TURN // words + n - 1) // n
    return 1 if rows < 1 else rows if rows < lanes(<real>0) else lanes(<real>0)


cdef inline int groups_of_rows(
    Gradient gradient, Storage storage, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t outer, Py_ssize_t n,
    Py_ssize_t size, bint* made_nan,
) except -1 nogil:
    """One gradient over rows (outer, n), all of one storage, in groups of this size."""
    cdef bint usual[LANES]
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows, row, at
    g = stored_as(storage, g)
    values = stored_as(storage, values)
    out = stored_as(storage, out)
    while start < outer:
        rows = outer - start if outer - start < size else size
        at = start * n
        gradient_group(gradient, g + at, values + at, out + at, n, rows, <bint*>usual)
        for row in range(rows):
            if not usual[row]:
                at = (start + row) * n
                out_of_line(
                    gradient_rows[real], gradient, g + at, values + at, <const real*>NULL, out + at, <Py_ssize_t>1, n, made_nan
                )
        start += rows
        since += rows * n
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0


cdef inline int grouped_gradient_rows(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t outer, Py_ssize_t n,
    Py_ssize_t cache, bint* made_nan,
) except -1 nogil:
    """The same, compiled for each gradient and format; the last-level cache has so many bytes."""
    return specialised(
        groups_of_rows[real], gradient, common_storage(g, values, out), g, values, out, outer, n,
        rows_of_group(<real>0, outer, n, cache), made_nan,
    )
