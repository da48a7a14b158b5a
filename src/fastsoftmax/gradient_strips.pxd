"""Gradients of columns: the reduced axis is not the last, so neighbouring columns share a vector.

(a) A strip is up to STRIP neighbouring columns. Its rows are read as they lie in memory, once for the sums and
    once for the results: long runs are what the processor fetches ahead, and nothing is copied. Tiles as narrow as
    those of columns.pxd, copied into panels, took three times as long for 1024 x 1024 numbers.
(b) Of every column there is a sum for each lane of the row kernel: rows i and i + lanes are added to lane i modulo lanes,
    and the lanes meet in the row kernel's tree. Every step is the row kernel's, too, and so are the bits.
(c) exp(logp) is taken as it is. A column with a logp above 0, or a sum that is tiny, not finite or near the end of the range, is
    unusual, and sends its strip to the row kernel before anything is written.
(d) The factor that takes the power of two of the exponentials differs from column to column, like the sum itself.
"""

from fastsoftmax.columns cimport LANES, meet_lanes, smaller
from fastsoftmax.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, add_products, bias_of, half_range, least_shared, load_at,
    step, with_unit,
)
from fastsoftmax.rows cimport SIGNAL_PERIOD, hear_signals, lanes
from fastsoftmax.simd cimport (
    broadcast, fma, maximum, narrow, reduce_max, select_less, store, store_partial, vec,
)
from fastsoftmax.subnormals cimport exact_product
from fastsoftmax.sums cimport BLOCK, power_of_two
from fastsoftmax.tiny_gradients cimport one_where_tiny
from fastsoftmax.vector_math cimport add_pair, exponential, exponential_term, lowest, magic_of, real

cdef enum:
    STRIP = 1024  # columns
    VECTORS = 128  # of them, of float64
    PARTS = 4  # of a vector of sums: float32's (high, low) of lanes 0-7, and of lanes 8-15; or float64's (high, low)


cdef inline vec[real] column_terms(Gradient gradient, vec[real] values) noexcept nogil:
    """y itself, or the terms of exp(logp)."""
    if gradient == SOFTMAX_VJP:
        return values
    return exponential_term(values, broadcast(<real>0 - lowest(<real>0)), magic_of(broadcast(<real>0)))


cdef inline vec[real] column_weights(Gradient gradient, vec[real] values) noexcept nogil:
    """What the sum multiplies its input by."""
    if gradient == LOG_SOFTMAX_VJP:
        return broadcast(<real>1)
    return column_terms(gradient, values)


cdef inline void add_rows(
    Gradient gradient, const real* g, const real* values, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    vec[double]* firsts, vec[double]* seconds, vec[real]* largest,
) noexcept nogil:
    """The sums of weight * g over up to BLOCK rows, one for each lane and column, and the largest logp."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = (columns + width - 1) // width
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t lane, p
    cdef const real* gs
    cdef const real* vs
    cdef bint paired
    cdef vec[double]* first
    cdef vec[double]* second
    cdef vec[real] x, v, y, w
    cdef vec[real] zero = broadcast(<real>0)
    while start < rows:
        for lane in range(smaller(width, rows - start)):
            gs = g + (start + lane) * stride
            vs = values + (start + lane) * stride
            first = firsts + lane * count
            second = seconds + lane * count
            paired = start + lane + width < rows
            if start == 0:
                for p in range(count):
                    first[p] = broadcast(0.0)
                    second[p] = broadcast(0.0)
            for p in range(count):
                load_at(gs, p * width, columns, <real>0, &x)
                load_at(vs, p * width, columns, <real>0, &v)
                y = w = zero
                if paired:
                    load_at(gs + width * stride, p * width, columns, <real>0, &y)
                    load_at(vs + width * stride, p * width, columns, <real>0, &w)
                if gradient != SOFTMAX_VJP:
                    largest[p] = maximum(v, largest[p])
                    if paired:
                        largest[p] = maximum(w, largest[p])
                        w = column_weights(gradient, w)
                v = column_weights(gradient, v)
                add_products(gradient, v, x, w, y, &first[p], &second[p])
        start += 2 * width


cdef inline void meet(
    Py_ssize_t rows, Py_ssize_t columns, const vec[double]* firsts, const vec[double]* seconds, real unused,
    vec[double]* sums,
) noexcept nogil:
    """sums += the sums of the lanes."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t used = smaller(rows, width)
    cdef Py_ssize_t count = (columns + width - 1) // width
    cdef Py_ssize_t p, lane
    cdef vec[double] a[LANES]
    cdef vec[double] b[LANES]
    for p in range(count):
        for lane in range(used):
            a[lane] = firsts[lane * count + p]
            b[lane] = seconds[lane * count + p]
        meet_lanes(<real>0, a, b, used)
        if real is float:
            add_pair(&sums[p * PARTS], &sums[p * PARTS + 1], a[0], broadcast(0.0))
            add_pair(&sums[p * PARTS + 2], &sums[p * PARTS + 3], b[0], broadcast(0.0))
        else:
            add_pair(&sums[p * PARTS], &sums[p * PARTS + 1], a[0], b[0])


cdef inline vec[real] one_where_large(vec[real] x) noexcept nogil:
    """1 in the lanes where x is nan or not in the inner half of the range."""
    cdef vec[real] limit = broadcast(<real>half_range(<real>0))
    cdef vec[real] one = broadcast(<real>1)
    return select_less(x, limit, select_less(broadcast(<real>0) - limit, x, broadcast(<real>0), one), one)


cdef inline vec[double] magnitude_of(vec[double] x) noexcept nogil:
    cdef vec[double] zero = broadcast(0.0)
    return select_less(x, zero, zero - x, x)


cdef inline vec[double] shared_exponent(real unused, vec[double] sum, vec[double] shared, vec[double] alone) noexcept nogil:
    """The one where the sum has room for the power of two of the exponentials, the other where it has not."""
    return select_less(broadcast(least_shared(<real>0)), magnitude_of(sum), shared, alone)


cdef inline void finish_sums(
    Gradient gradient, const vec[double]* sums, vec[real]* sum, vec[real]* unit_high, vec[real]* unit_low,
    vec[real]* unusual,
) noexcept nogil:
    """What `write_rows` needs; not to be used for columns that are unusual."""
    cdef vec[double] a = sums[0] + sums[1]
    cdef vec[double] b, high, low, unit
    cdef vec[double] bias = broadcast(power_of_two(-bias_of(<real>0)))
    cdef vec[double] one = broadcast(1.0)
    cdef vec[real] scale
    cdef double whole_unit = exponential[real].inverse_factor_high()
    if real is float:
        b = sums[2] + sums[3]
    unit_high[0] = broadcast(<real>whole_unit)
    unit_low[0] = broadcast(<real>exponential[real].inverse_factor_low())
    if real is float:
        unit_low[0] = broadcast(<real>(whole_unit - <double><float>whole_unit))
    if gradient == LOG_SOFTMAX_VJP:
        if real is float:
            unusual[0] = one_where_large(narrow(a, b))
            scale = narrow(shared_exponent(<real>0, a, one, bias), shared_exponent(<real>0, b, one, bias))
            a = a * shared_exponent(<real>0, a, bias, one)
            b = b * shared_exponent(<real>0, b, bias, one)
        else:
            unusual[0] = one_where_large(a)
            scale = shared_exponent(<real>0, a, one, bias)
            a = a * shared_exponent(<real>0, a, bias, one)
        unit_high[0] = unit_high[0] * scale
        unit_low[0] = unit_low[0] * scale
    elif gradient == LOG_SOFTMAX_JVP:
        if real is float:
            a = a * broadcast(whole_unit) * bias
            b = b * broadcast(whole_unit) * bias
        else:
            a = a * broadcast(power_of_two(-100.0))
            unit = broadcast(whole_unit)
            exact_product(a, unit, &high, &low)
            a = high + fma(a, broadcast(<double>exponential[real].inverse_factor_low()), low)
            a = a * broadcast(power_of_two(100.0 - bias_of(<real>0)))
    if real is float:
        sum[0] = narrow(a, b)
    else:
        sum[0] = a
    if gradient != LOG_SOFTMAX_VJP:
        unusual[0] = one_where_large(sum[0])
    if gradient == SOFTMAX_VJP:
        unusual[0] = maximum(unusual[0], one_where_tiny(sum[0]))


cdef inline void write_rows(
    Gradient gradient, const real* g, const real* values, real* out, Py_ssize_t stride, Py_ssize_t rows,
    Py_ssize_t columns, const vec[real]* sum, const vec[real]* unit_high, const vec[real]* unit_low,
) noexcept nogil:
    """The elementwise step."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i, p, left
    cdef vec[real] x, v
    for i in range(rows):
        for p in range((columns + width - 1) // width):
            load_at(g + i * stride, p * width, columns, <real>0, &x)
            v = x
            if gradient != LOG_SOFTMAX_JVP:
                load_at(values + i * stride, p * width, columns, <real>0, &v)
            if gradient == LOG_SOFTMAX_VJP:
                v = with_unit(column_terms(gradient, v), broadcast(<real>0), unit_high[p], unit_low[p])
            x = step(gradient, x, v, sum[p], False)
            left = columns - p * width
            if left >= width:
                store(out + i * stride + p * width, x)
            else:
                store_partial(out + i * stride + p * width, x, left)


cdef inline int gradient_strip(
    Gradient gradient, const real* g, const real* values, real* out, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t columns,
    vec[double]* scratch, bint* usual,
) except -1 nogil:
    """One gradient over a strip of columns, rows `stride` apart; nothing is written if one of them is unusual."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = (columns + width - 1) // width
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t rows, p
    cdef vec[double] sums[VECTORS * PARTS]
    cdef vec[real] largest[VECTORS]
    cdef vec[real] sum[VECTORS]
    cdef vec[real] unit_high[VECTORS]
    cdef vec[real] unit_low[VECTORS]
    cdef vec[real] unusual
    for p in range(count * PARTS):
        sums[p] = broadcast(0.0)
    for p in range(count):
        largest[p] = broadcast(<real>0)
    while start < n:
        rows = smaller(n - start, BLOCK)
        add_rows(
            gradient, g + start * stride, values + start * stride, stride, rows, columns, scratch,
            scratch + count * width, <vec[real]*>largest,
        )
        meet(rows, columns, scratch, scratch + count * width, <real>0, <vec[double]*>sums)
        start += rows
        since += rows * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    usual[0] = True
    for p in range(count):
        finish_sums(gradient, &sums[p * PARTS], &sum[p], &unit_high[p], &unit_low[p], &unusual)
        unusual = select_less(broadcast(<real>0), largest[p], broadcast(<real>1), unusual)
        usual[0] &= reduce_max(unusual) == 0
    while usual[0] and start > 0:  # from the last rows to the first, for the last are still in the cache
        rows = (start - 1) % BLOCK + 1
        start -= rows
        write_rows(
            gradient, g + start * stride, values + start * stride, out + start * stride, stride, rows, columns, sum,
            unit_high, unit_low,
        )
        since += rows * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    return 0
