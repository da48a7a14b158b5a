"""What the kernels of rows do with one block, or with a row of any length block by block.

(a) A block's terms refer to the block's own largest element, and scaling by powers of two is exact.
(b) Where the format of what is given is known, a block's loops are compiled for that.
"""

from libc.math cimport INFINITY

from fastsoftmax.kernels.arithmetic.simd cimport (
    AS_COMPUTED, BFLOAT16, FLOAT16, as_computed, broadcast, common_storage, keep_first, load, load_partial, maximum, reduce_add,
    reduce_max, select_equal, store, store_partial, stored, stored_as, stream, vec,
)
from fastsoftmax.kernels.arithmetic.subnormals cimport watch
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK, power_of_two, quotient
from fastsoftmax.kernels.arithmetic.vector_math cimport (
    accumulate, accumulate_widely, empty_sum, exponential_term, lanes, lowest, magic_of, real, scale_of, shift_limit, total,
    total_widely,
)
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals, next_piece

cdef enum:
    RESIDENT_BYTES = 524288  # a row of this size and its result share a level-2 cache of 1 MiB
    RESIDENT_BLOCKS = 128  # of float32; half as many are used for float64


cdef enum Operation:
    SOFTMAX
    LOG_SOFTMAX
    LOGSUMEXP


cdef inline bint any_nan(stored[real] x, Py_ssize_t n) noexcept nogil:
    cdef real buffer[BLOCK]
    cdef const real* values
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        values = as_computed(x + start, length, <real*>buffer)
        for i in range(length):
            if values[i] != values[i]:
                return True
        start += length
    return False


cdef inline void fill(stored[real] y, Py_ssize_t n, real value) noexcept nogil:
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    while i < n:
        store_partial(y + i, broadcast(value), n - i if n - i < width else width)
        i += width


cdef inline bint is_finite(real x) noexcept nogil:
    return x - x == 0


# One block. Where the format of what is given is known, it is compiled for that.


cdef inline real block_maximum(stored[real] x, Py_ssize_t n) noexcept nogil:
    """The largest of x[:n]; a nan is passed over, and -inf is the result if nothing else is there."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] a, b, c, d
    a = b = c = d = broadcast(<real>-INFINITY)
    while i + 4 * width <= n:
        a = maximum(load(x + i), a)
        b = maximum(load(x + i + width), b)
        c = maximum(load(x + i + 2 * width), c)
        d = maximum(load(x + i + 3 * width), d)
        i += 4 * width
    while i + width <= n:
        b = maximum(load(x + i), b)
        i += width
    if i < n:
        a = maximum(load_partial(x + i, n - i, <real>-INFINITY), a)
    return reduce_max(maximum(maximum(a, b), maximum(c, d)))


cdef inline real maximum_of_block(stored[real] x, Py_ssize_t n) noexcept nogil:
    """The same, compiled for each format."""
    if common_storage(x, x, x) == FLOAT16:
        return block_maximum(stored_as(FLOAT16, x), n)
    if common_storage(x, x, x) == BFLOAT16:
        return block_maximum(stored_as(BFLOAT16, x), n)
    return block_maximum(stored_as(AS_COMPUTED, x), n)


cdef inline real shift_of(real largest) noexcept nogil:
    """What is subtracted from a row before its range reduction: nothing, or a maximum too large for it."""
    return <real>0 if -shift_limit(<real>0) <= largest <= shift_limit(<real>0) else largest


cdef inline const real* shifted(stored[real] x, Py_ssize_t n, real shift, real* buffer) noexcept nogil:
    """x itself if it is as the kernel computes and not to be shifted; else x - shift in the buffer."""
    cdef const real* values = as_computed(x, n, buffer)
    cdef Py_ssize_t i
    if shift == 0:
        return values
    for i in range(n):
        buffer[i] = values[i] - shift
    return buffer


cdef inline vec[real] term_at(
    stored[real] x, real* y, Py_ssize_t i, Py_ssize_t n, vec[real] floor, vec[real] magic, vec[real] largest,
    bint beside_maximum, vec[real]* ties,
) noexcept nogil:
    """The terms of one vector of x[:n] at i < n, zero beyond n. Stored to y if y is given; the maxima only counted if asked."""
    cdef Py_ssize_t left = n - i
    cdef vec[real] values, terms
    cdef vec[real] zero = broadcast(<real>0)
    if left >= lanes(<real>0):
        values = load(x + i)
        terms = exponential_term(values, floor, magic)
        if y != NULL:
            store(y + i, terms)
    else:
        values = load_partial(x + i, left, <real>-INFINITY)
        terms = keep_first(exponential_term(values, floor, magic), left)
        if y != NULL:
            store_partial(y + i, terms, left)
    if beside_maximum:
        ties[0] = ties[0] + select_equal(values, largest, broadcast(<real>1), zero)
        terms = select_equal(values, largest, zero, terms)
    return terms


cdef inline void sum_block(
    stored[real] x, real* y, Py_ssize_t n, real largest, bint beside_maximum, double* high, double* low, double* ties,
) noexcept nogil:
    """Sum the terms of a block, in the one order of summation, relative to its largest element."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] floor = broadcast(largest - lowest(<real>0))
    cdef vec[real] magic = magic_of(scale_of(broadcast(largest)))
    cdef vec[real] top = broadcast(largest)
    cdef vec[real] count = broadcast(<real>0)
    cdef vec[real] sum_high = empty_sum(<real>0)
    cdef vec[real] sum_low = broadcast(<real>0)
    cdef vec[double] first = broadcast(0.0)
    cdef vec[double] second = broadcast(0.0)
    if beside_maximum:
        while i < n:
            accumulate_widely(term_at(x, y, i, n, floor, magic, top, True, &count), &first, &second)
            i += width
        total_widely(<real>0, first, second, high, low)
        ties[0] = reduce_add(count)
    else:
        while i < n:
            accumulate(term_at(x, y, i, n, floor, magic, top, False, &count), &sum_high, &sum_low)
            i += width
        total(sum_high, sum_low, high, low)


cdef inline void scale_block(
    real* y, Py_ssize_t n, double exponent, vec[real] a, vec[real] b, vec[real] watched_bits, vec[real]* nearest
) noexcept nogil:
    """y[:n] = 2^exponent * y / sum, rounded once and watched. The exponent is a whole number, at most 0."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    # In two steps: 2^exponent itself may be below the smallest subnormal where its product with a term is not.
    cdef vec[real] once = broadcast(<real>power_of_two(<double><long long>(0.5 * exponent)))
    cdef vec[real] again = broadcast(<real>power_of_two(exponent - <double><long long>(0.5 * exponent)))
    cdef vec[real] terms
    if exponent != 0.0:
        while i + width <= n:
            terms = quotient(load(y + i) * once * again, a, b)
            watch(terms, watched_bits, nearest)
            store(y + i, terms)
            i += width
    else:
        while i + width <= n:
            terms = quotient(load(y + i), a, b)
            watch(terms, watched_bits, nearest)
            store(y + i, terms)
            i += width
    if i < n:
        terms = quotient(load_partial(y + i, n - i, <real>0) * once * again, a, b)
        watch(terms, watched_bits, nearest)
        store_partial(y + i, terms, n - i)


cdef inline void quotients(
    stored[real] x, stored[real] y, Py_ssize_t n, real largest, double exponent, vec[real] a, vec[real] b, bint past_caches,
    vec[real] watched_bits, vec[real]* nearest,
) noexcept nogil:
    """y[:n] = 2^exponent * the terms of x, relative to the row's largest, over the row's sum, watched: see scale_block.

    Past the caches goes only what is stored as it is computed. Nothing is watched that is 0 in float16.
    """
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t head
    cdef bint watched = common_storage(y, y, y) != FLOAT16
    cdef vec[real] floor = broadcast(largest - lowest(<real>0))
    cdef vec[real] magic = magic_of(scale_of(broadcast(largest)))
    cdef vec[real] once = broadcast(<real>power_of_two(<double><long long>(0.5 * exponent)))
    cdef vec[real] again = broadcast(<real>power_of_two(exponent - <double><long long>(0.5 * exponent)))
    cdef vec[real] terms
    if exponent != 0.0:  # of an odd coefficient: no need to be fast
        while i < n:
            head = n - i if n - i < width else width
            terms = exponential_term(load_partial(x + i, head, largest), floor, magic) * once * again
            terms = quotient(terms, a, b)
            watch(terms, watched_bits, nearest)
            store_partial(y + i, terms, head)
            i += width
        return
    if past_caches:
        head = <Py_ssize_t>((<size_t>0 - <size_t>y.at) % 64) // <Py_ssize_t>sizeof(real)
        head = head if head < n else n
        terms = quotient(exponential_term(load_partial(x, head, largest), floor, magic), a, b)
        watch(terms, watched_bits, nearest)
        store_partial(y, terms, head)
        i = head
        while i + width <= n:
            terms = quotient(exponential_term(load(x + i), floor, magic), a, b)
            watch(terms, watched_bits, nearest)
            stream(<real*>y.at + i, terms)
            i += width
    while i + width <= n:
        terms = quotient(exponential_term(load(x + i), floor, magic), a, b)
        if watched:
            watch(terms, watched_bits, nearest)
        store(y + i, terms)
        i += width
    if i < n:
        terms = quotient(exponential_term(load_partial(x + i, n - i, largest), floor, magic), a, b)
        if watched:
            watch(terms, watched_bits, nearest)
        store_partial(y + i, terms, n - i)


cdef inline void differences(stored[real] x, stored[real] y, Py_ssize_t n, real largest, real log_sum) noexcept nogil:
    """y[:n] = (x - largest) - log_sum."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    cdef vec[real] top = broadcast(largest)
    cdef vec[real] logarithm = broadcast(log_sum)
    while i + width <= n:
        store(y + i, (load(x + i) - top) - logarithm)
        i += width
    if i < n:
        store_partial(y + i, (load_partial(x + i, n - i, <real>0) - top) - logarithm, n - i)


# The same for a row of any length, piece by piece.


cdef inline int find_nan(stored[real] x, Py_ssize_t n, bint* found) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    found[0] = False
    while start < n and not found[0]:
        next_piece(start, n, &length)
        found[0] = any_nan(x + start, length)
        start += length
    return 0


cdef inline int find_maximum(stored[real] x, Py_ssize_t n, real* largest) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    cdef real top
    largest[0] = -INFINITY
    while start < n:
        length = n - start if n - start < BLOCK else BLOCK
        top = maximum_of_block(x + start, length)
        if top > largest[0]:
            largest[0] = top
        start += length
        if start % SIGNAL_PERIOD == 0:
            hear_signals()
    return 0


cdef inline int fill_row(stored[real] y, Py_ssize_t n, real value) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        next_piece(start, n, &length)
        fill(y + start, length, value)
        start += length
    return 0


cdef inline int differences_of_row(
    stored[real] x, stored[real] y, Py_ssize_t n, real largest, real log_sum
) except -1 nogil:
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length
    while start < n:
        next_piece(start, n, &length)
        if common_storage(x, x, y) == AS_COMPUTED:
            differences(stored_as(AS_COMPUTED, x + start), stored_as(AS_COMPUTED, y + start), length, largest, log_sum)
        else:
            differences(x + start, y + start, length, largest, log_sum)
        start += length
    return 0
