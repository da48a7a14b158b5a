"""Gradients of columns: the reduced axis is not the last, so neighbouring columns share a vector.

(a) A strip is up to WIDEST neighbouring columns. Its rows are read as they lie in memory, once for the sums and once for the
    results, and nothing is copied. Wide strips are best, for long runs are what the processor fetches ahead: 1,024 columns of
    float32 took twice as long as 4,096 of 4,096 x 4,097. They are better than sums that stay in the level-1 cache.
(b) Of every column there is a sum for each lane of the row kernel: rows i and i + lanes are added to lane i modulo lanes,
    and the lanes meet in the row kernel's tree. Every step is the row kernel's, too, and so are the bits.
(c) Few columns that have no others beside them are read in bundles (see strip_sums.pxd).
(d) exp(logp) is taken as it is. A column with a logp above 0, or with a sum or tangents that are tiny, large or not finite, is
    unusual, and sends its strip to the row kernel before anything is written.
(e) log_softmax's vjp sums g alone. With a result apart from its inputs, logp is looked at for the first time when the results
    are written: they count for nothing if one was above 0.
(f) The factor that takes the power of two of the exponentials differs from column to column, like the sum itself.
"""

from fastsoftmax.kernels.arithmetic.panel_sums cimport meet_lanes
from fastsoftmax.kernels.arithmetic.simd cimport (
    DIFFERENT, Storage, any_at_least, broadcast, common_storage, fma, load_at, load_partial, maximum, narrow, reduce_max,
    select_less, specialised, store, store_partial, stored, stored_as, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport exact_product
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, bias_of, power_of_two
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    LANES, add_pair, exponential, exponential_term, lanes, lowest, magic_of, real,
)
from fastsoftmax.kernels.columns.strip_sums cimport repeat_columns, vectors_of
from fastsoftmax.kernels.gradients.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, add_products, half_range, largest_beside_floor, least_shared, step,
    where_below_floor, with_unit,
)
from fastsoftmax.kernels.gradients.careful_gradients cimport one_where_tiny
from fastsoftmax.kernels.rows.row_blocks cimport RESIDENT_BYTES
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals
from fastsoftmax.kernels.sizes cimport smaller

cdef enum:
    STRIP = 4096  # columns, about
    WIDEST = 6144
    ARRAYS = 9  # of a vector for each vector of columns, or of places of a bundle
    WRITTEN = 64  # rows, or multiples of them, whose results are written together
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


cdef inline vec[real] unusual_values(Gradient gradient, vec[real] x, vec[real] values) noexcept nogil:
    """Positive where a logp is above 0, or below the floor of exponentials beside a large tangent."""
    if gradient == LOG_SOFTMAX_JVP:
        return where_below_floor(x, values, broadcast(<real>0 - lowest(<real>0)), values)
    return values


cdef inline bint sums_g_alone(Gradient gradient, stored[real] g, stored[real] values, stored[real] out) noexcept nogil:
    """Whether logp is first looked at when the results are written."""
    return gradient == LOG_SOFTMAX_VJP and out.at != g.at and out.at != values.at


cdef inline void add_rows(
    Gradient gradient, stored[real] g, stored[real] values, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t columns,
    Py_ssize_t last, Py_ssize_t apart, bint g_alone, vec[double]* firsts, vec[double]* seconds, vec[real]* largest,
) noexcept nogil:
    """The sums of weight * g over some rows, the last of which has `last` columns, and the largest logp, if it is read.

    Rows so far apart share a sum of each column. Up to BLOCK rows are added, or their bundles.
    """
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t lane, row, p, length, other_length
    cdef stored[real] gs, vs
    cdef bint paired
    cdef vec[double]* first
    cdef vec[double]* second
    cdef vec[real] x, v, y, w
    cdef vec[real] zero = broadcast(<real>0)
    while start < rows:
        for lane in range(smaller(apart, rows - start)):
            row = start + lane
            gs = g + row * stride
            vs = values + row * stride
            length = columns if row + 1 < rows else last
            other_length = columns if row + apart + 1 < rows else last
            first = firsts + lane * count
            second = seconds + lane * count
            paired = row + apart < rows
            if start == 0:
                for p in range(count):
                    first[p] = broadcast(0.0)
                    second[p] = broadcast(0.0)
            for p in range(count):
                load_at(gs, p * width, length, <real>0, &x)
                v = y = w = zero
                if not g_alone:
                    load_at(vs, p * width, length, <real>0, &v)
                if paired:
                    load_at(gs + apart * stride, p * width, other_length, <real>0, &y)
                    if not g_alone:
                        load_at(vs + apart * stride, p * width, other_length, <real>0, &w)
                if gradient != SOFTMAX_VJP:
                    largest[p] = maximum(unusual_values(gradient, x, v), largest[p])
                    if paired:
                        largest[p] = maximum(unusual_values(gradient, y, w), largest[p])
                        w = column_weights(gradient, w)
                v = column_weights(gradient, v)
                add_products(gradient, v, x, w, y, &first[p], &second[p])
        start += 2 * apart


cdef inline void add_lanes(real unused, vec[double]* a, vec[double]* b, Py_ssize_t used, vec[double]* sums) noexcept nogil:
    """sums += the sums of the lanes that are used, of one vector of columns."""
    meet_lanes(<real>0, a, b, used)
    if real is float:
        add_pair(&sums[0], &sums[1], a[0], broadcast(0.0))
        add_pair(&sums[2], &sums[3], b[0], broadcast(0.0))
    else:
        add_pair(&sums[0], &sums[1], a[0], b[0])


cdef inline void meet(
    Py_ssize_t rows, Py_ssize_t columns, const vec[double]* firsts, const vec[double]* seconds, real unused,
    vec[double]* sums,
) noexcept nogil:
    """sums += the sums of the lanes."""
    cdef Py_ssize_t used = smaller(rows, lanes(<real>0))
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef Py_ssize_t p, lane
    cdef vec[double] a[LANES]
    cdef vec[double] b[LANES]
    for p in range(count):
        for lane in range(used):
            a[lane] = firsts[lane * count + p]
            b[lane] = seconds[lane * count + p]
        add_lanes(<real>0, a, b, used, &sums[p * PARTS])


cdef inline void meet_bundle(
    Py_ssize_t rows, Py_ssize_t columns, const vec[double]* firsts, const vec[double]* seconds, double* room, real unused,
    vec[double]* sums,
) noexcept nogil:
    """The same of a bundle, whose lanes lie side by side. There is room for a number in each of its places."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t used = smaller(rows, width)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t p, lane, left
    cdef vec[double] a[LANES]
    cdef vec[double] b[LANES]
    if real is float:
        for p in range(columns):
            store(room + p * width, firsts[p])
            store(room + p * width + 8, seconds[p])
    while start < columns:
        left = smaller(columns - start, width)
        for lane in range(used):
            if real is float:
                a[lane] = load_partial(<const double*>room + lane * columns + start, smaller(left, 8), 0.0)
                b[lane] = broadcast(0.0)
                if left > 8:
                    b[lane] = load_partial(<const double*>room + lane * columns + start + 8, left - 8, 0.0)
            else:
                a[lane] = load_partial(<const double*>firsts + lane * columns + start, left, 0.0)
                b[lane] = load_partial(<const double*>seconds + lane * columns + start, left, 0.0)
        add_lanes(<real>0, a, b, used, sums)
        sums += PARTS
        start += width


cdef inline vec[real] one_where_large(vec[real] x, double largest) noexcept nogil:
    """1 in the lanes where x is nan, or not of a smaller magnitude than this."""
    cdef vec[real] limit = broadcast(<real>largest)
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
            unusual[0] = one_where_large(narrow(a, b), largest_beside_floor(<real>0))
            scale = narrow(shared_exponent(<real>0, a, one, bias), shared_exponent(<real>0, b, one, bias))
            a = a * shared_exponent(<real>0, a, bias, one)
            b = b * shared_exponent(<real>0, b, bias, one)
        else:
            unusual[0] = one_where_large(a, largest_beside_floor(<real>0))
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
        unusual[0] = one_where_large(sum[0], half_range(<real>0))
    if gradient == SOFTMAX_VJP:
        unusual[0] = maximum(unusual[0], one_where_tiny(sum[0]))


cdef inline bint finish_sum(
    Gradient gradient, double high, double low, vec[real]* sum, vec[real]* unit_high, vec[real]* unit_low
) noexcept nogil:
    """`finish_sums` of one slice, in all lanes; False if it is unusual."""
    cdef vec[double] sums[PARTS]
    cdef vec[real] unusual
    sums[0] = sums[2] = broadcast(high)
    sums[1] = sums[3] = broadcast(low)
    finish_sums(gradient, <const vec[double]*>sums, sum, unit_high, unit_low, &unusual)
    return not any_at_least(unusual, <real>1)


cdef inline void write_rows(
    Gradient gradient, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t rows,
    Py_ssize_t columns, const vec[real]* sum, const vec[real]* unit_high, const vec[real]* unit_low, vec[real]* largest,
) noexcept nogil:
    """The elementwise step; and the largest logp of log_softmax's vjp."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i, p, left
    cdef vec[real] x, v
    cdef vec[real] top = largest[0]
    for i in range(rows):
        for p in range(vectors_of(<real>0, columns)):
            load_at(g + i * stride, p * width, columns, <real>0, &x)
            v = x
            if gradient != LOG_SOFTMAX_JVP:
                load_at(values + i * stride, p * width, columns, <real>0, &v)
            if gradient == LOG_SOFTMAX_VJP:
                top = maximum(v, top)
                v = with_unit(column_terms(gradient, v), broadcast(<real>0), unit_high[p], unit_low[p])
            x = step(gradient, x, v, sum[p], False)
            left = columns - p * width
            if left >= width:
                store(out + i * stride + p * width, x)
            else:
                store_partial(out + i * stride + p * width, x, left)
    largest[0] = top


cdef inline Py_ssize_t strip_width(Py_ssize_t inner) noexcept nogil:
    """How many columns the strips have, all but the last: an even part of them all."""
    cdef Py_ssize_t parts = (inner + STRIP // 2) // STRIP
    if inner <= WIDEST:
        return inner
    return ((inner + parts - 1) // parts + LANES - 1) // LANES * LANES


cdef inline Py_ssize_t strip_scratch(real unused, Py_ssize_t n, Py_ssize_t columns, bint bundled) noexcept nogil:
    """How many vectors of scratch a strip needs."""
    if bundled:
        return (ARRAYS + PARTS + 2) * columns
    return (ARRAYS + PARTS + 2 * smaller(n, lanes(<real>0))) * vectors_of(<real>0, columns)


cdef inline int gradient_strip(
    Gradient gradient, Storage storage, bint bundled, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride,
    Py_ssize_t n, Py_ssize_t columns, vec[double]* scratch, bint* usual,
) except -1 nogil:
    """One gradient over a strip of columns, rows `stride` apart; inputs are as they were if one of them is unusual."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t count = vectors_of(<real>0, columns)
    cdef Py_ssize_t places = width * columns if bundled else columns
    cdef Py_ssize_t vectors = vectors_of(<real>0, places)
    cdef vec[real]* largest = <vec[real]*>scratch
    cdef vec[real]* sum = largest + vectors  # and the two that follow
    cdef vec[real]* of_places = largest + 4 * vectors
    cdef vec[double]* room = scratch + 7 * vectors
    cdef vec[double]* sums = scratch + ARRAYS * vectors
    cdef vec[double]* firsts = sums + PARTS * vectors
    cdef vec[double]* seconds = firsts + (vectors if bundled else vectors * smaller(n, width))
    cdef vec[real] unusual
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t since = 0
    cdef Py_ssize_t written = (RESIDENT_BYTES // (columns * <Py_ssize_t>sizeof(real)) // WRITTEN + 1) * WRITTEN
    cdef Py_ssize_t rows, whole, p, at
    cdef bint g_alone = sums_g_alone(gradient, g, values, out)
    if storage != DIFFERENT:
        g = stored_as(storage, g)
        values = stored_as(storage, values)
        out = stored_as(storage, out)
    for p in range(count * PARTS):
        sums[p] = broadcast(0.0)
    for p in range(vectors):
        largest[p] = broadcast(<real>0)
    while start < n:
        rows = smaller(n - start, BLOCK)
        if bundled:
            whole = (rows - 1) // width
            add_rows(
                gradient, g + start * stride, values + start * stride, places, whole + 1, places,
                (rows - whole * width) * columns, 1, g_alone, firsts, seconds, largest,
            )
            meet_bundle(rows, columns, firsts, seconds, <double*>room, <real>0, sums)
        else:
            add_rows(
                gradient, g + start * stride, values + start * stride, stride, rows, columns, columns, width, g_alone,
                firsts, seconds, largest,
            )
            meet(rows, columns, firsts, seconds, <real>0, sums)
        start += rows
        since += rows * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    usual[0] = True
    for p in range(vectors):
        usual[0] &= reduce_max(largest[p]) <= 0
    for p in range(count):
        finish_sums(gradient, &sums[p * PARTS], &sum[p], &sum[vectors + p], &sum[2 * vectors + p], &unusual)
        usual[0] &= reduce_max(unusual) == 0
    if not usual[0]:
        return 0
    if bundled:
        for p in range(3):
            repeat_columns(
                <const real*>(sum + p * vectors), columns, width, <real*>(of_places + p * vectors)
            )
        sum = of_places
    while start > 0:  # from the last rows to the first, for the last are still in the cache
        rows = (start - 1) % written + 1
        start -= rows
        at = start * stride
        if bundled:
            whole = rows // width
            write_rows(
                gradient, g + at, values + at, out + at, places, whole, places, sum, sum + vectors, sum + 2 * vectors,
                largest,
            )
            at += whole * places
            write_rows(
                gradient, g + at, values + at, out + at, 0, 1, (rows - whole * width) * columns, sum, sum + vectors,
                sum + 2 * vectors, largest,
            )
        else:
            write_rows(
                gradient, g + at, values + at, out + at, stride, rows, columns, sum, sum + vectors, sum + 2 * vectors,
                largest,
            )
        since += rows * columns
        if since >= SIGNAL_PERIOD:
            since = 0
            hear_signals()
    usual[0] = reduce_max(largest[0]) <= 0
    return 0


cdef inline int any_gradient_strip(
    Gradient gradient, bint bundled, stored[real] g, stored[real] values, stored[real] out, Py_ssize_t stride, Py_ssize_t n,
    Py_ssize_t columns, vec[double]* scratch, bint* usual,
) except -1 nogil:
    """The same, compiled for each gradient and format."""
    cdef Storage storage = common_storage(g, values, out)
    if storage == DIFFERENT:
        return gradient_strip(gradient, DIFFERENT, bundled, g, values, out, stride, n, columns, scratch, usual)
    return specialised(
        gradient_strip[real], gradient, storage, bundled, g, values, out, stride, n, columns, scratch, usual
    )
