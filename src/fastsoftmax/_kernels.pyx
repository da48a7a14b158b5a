"""The kernels over contiguous blocks (outer, n, inner), and the short cut for small plain calls.

(a) This file only looks at arrays: it checks them, takes their addresses and picks float32 or float64. The algorithms
    are in `rows.pxd`, `columns.pxd` and their neighbours, over the vocabulary of `vector_math.pxd`. float16 and bfloat16
    are float32 with conversions around it (`halves.pxd`).
(b) Everything is compiled once per target; nothing here knows which.
(c) Columns may be a range of the columns of a block, its rows as far apart as in the block: a part for one worker.
(d) A kernel may be given the same array as input and output. The arguments are the package's own, so errors here are
    guards, not messages for users.
"""

cimport numpy as cnp
from libc.stdlib cimport free, malloc
from libc.string cimport strcmp, strrchr

from fastsoftmax.column_strips cimport is_bundled, reduce_strips
from fastsoftmax.cross_entropy cimport IGNORED, add_losses, cross_entropy_row, cross_entropy_rows
from fastsoftmax.cross_entropy_columns cimport cross_entropy_columns
from fastsoftmax.elementary cimport EXP, LOG1P, Function, apply, factor_of_terms, write_terms
from fastsoftmax.gradient_columns cimport gradient_columns
from fastsoftmax.gradient_groups cimport grouped_gradient_rows, has_grouped_rows
from fastsoftmax.gradient_overlap cimport has_overlapped_rows, overlapped_gradient_rows
from fastsoftmax.gradients cimport (
    LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, LOGSUMEXP_JVP, LOGSUMEXP_VJP, SOFTMAX_VJP, Gradient, gradient_rows,
    value_of,
)
from fastsoftmax.halves cimport (
    LARGEST_CHUNK, Chunks, Operand, chunks_of, give_scratch, narrowed, next_chunk, numbers_of, scratch_for, widened,
)
from fastsoftmax.row_groups cimport RESIDENT_SHARE, is_grouped, reduce_grouped_rows
from fastsoftmax.rows cimport (
    LOG_SOFTMAX, LOGSUMEXP, RESIDENT_BYTES, SIGNAL_PERIOD, SOFTMAX, Operation, hear_signals, reduce_rows,
)
from fastsoftmax.shared_row cimport (
    BLOCK_NUMBERS, ROW_NUMBERS, BlockSum, Row, log_softmax_of_blocks, merge_blocks, needs_shift, softmax_of_blocks,
    sum_blocks,
)
from fastsoftmax.short_columns cimport are_short, reduce_short_columns
from fastsoftmax.short_gradients cimport has_short_rows, short_gradient_rows
from fastsoftmax.short_rows cimport SHORTER, is_short, reduce_short_rows
from fastsoftmax.simd cimport (
    AS_COMPUTED, BFLOAT16, DIFFERENT, FLOAT16, Storage, as_computed, common_storage, native, put, stored,
)
from fastsoftmax.states cimport (
    STATE_NUMBERS, State, add_pieces, anchor_again, apply_states, logsumexp_of_states, merge_states, no_elements,
    take_over,
)
from fastsoftmax.sums cimport BLOCK
from fastsoftmax.vector_math cimport real

from fastsoftmax import _workers

cnp.import_array()

cdef Py_ssize_t alone = _workers.ALONE

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISCARRAY(cnp.ndarray) nogil
    bint PyArray_ISCARRAY_RO(cnp.ndarray) nogil
    bint PyArray_ISBEHAVED_RO(cnp.ndarray) nogil
    object PyArray_Scalar(void* data, cnp.dtype descr, object base)
    cnp.dtype PyArray_DescrFromType(int)
    ctypedef struct ScalarType "PyTypeObject":
        const char* tp_name
    ctypedef struct Descr "PyArray_Descr":
        ScalarType* typeobj
    Descr* PyArray_DESCR(cnp.ndarray) nogil

cdef object FLOAT32_TYPE = getattr(PyArray_DescrFromType(cnp.NPY_FLOAT), "type")  # an attribute of Python

cdef extern from "stop.hpp":
    void obey_flag(const unsigned char* flag) noexcept nogil

cdef enum:
    SMALL = 1048576  # elements up to which a plain call takes the short cut
    LABELLED = 64  # rows that the short cut gives to the kernel at a time
    BRIEF = 8192  # elements up to which it does not let other threads run meanwhile


cdef Py_ssize_t cache = 33554432  # bytes of the last-level cache


def set_alone(Py_ssize_t size):
    """Tell up to how many bytes, in the dtype that is computed in, a call is for one thread."""
    global alone
    alone = size


def set_cache(Py_ssize_t size):
    """Tell how many bytes the last-level cache has; no result depends on it."""
    global cache
    cache = size


cdef inline bint is_bfloat16(cnp.ndarray x) noexcept:
    """Whether an array is of a dtype that another package has registered under the name bfloat16."""
    cdef const char* name
    cdef const char* dot  # before the name, where the name of the module precedes it
    if not cnp.PyTypeNum_ISUSERDEF(cnp.PyArray_TYPE(x)) or cnp.PyArray_ITEMSIZE(x) != 2:
        return False
    name = PyArray_DESCR(x).typeobj.tp_name
    dot = strrchr(name, c".")
    return strcmp(name if dot == NULL else dot + 1, b"bfloat16") == 0


cdef inline int computed_in(cnp.ndarray x) noexcept:
    """The number of the dtype that the kernels compute in for an array of this one."""
    cdef int dtype = cnp.PyArray_TYPE(x)
    return cnp.NPY_FLOAT if dtype == cnp.NPY_FLOAT16 or is_bfloat16(x) else dtype


cdef inline Operand operand_of(cnp.ndarray x, bint reduced) noexcept:
    """An array that computes in float32."""
    cdef Operand operand
    cdef int dtype = cnp.PyArray_TYPE(x)
    operand.data = <char*>cnp.PyArray_DATA(x)
    operand.storage = AS_COMPUTED if dtype == cnp.NPY_FLOAT else FLOAT16 if dtype == cnp.NPY_FLOAT16 else BFLOAT16
    operand.reduced = reduced
    operand.scratch = NULL
    return operand


cdef Py_ssize_t stride_of(cnp.ndarray x):
    """Elements from one row to the next in a block (outer, n, inner)."""
    if PyArray_ISCARRAY_RO(x) or cnp.PyArray_NDIM(x) != 3:
        return cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    return cnp.PyArray_STRIDE(x, 1) // cnp.PyArray_ITEMSIZE(x)


cdef bint is_block(cnp.ndarray x, Py_ssize_t stride):
    """Whether x is aligned, native, and C-contiguous but for rows (last axes) that are `stride` elements apart."""
    cdef Py_ssize_t due = cnp.PyArray_ITEMSIZE(x)
    cdef int axis = cnp.PyArray_NDIM(x) - 1
    if not PyArray_ISBEHAVED_RO(x) or stride < cnp.PyArray_DIM(x, axis):
        return False
    while axis >= 0:
        if cnp.PyArray_DIM(x, axis) != 1 and cnp.PyArray_STRIDE(x, axis) != due:
            return False
        due *= stride if axis == cnp.PyArray_NDIM(x) - 1 else cnp.PyArray_DIM(x, axis)
        axis -= 1
    return True


cdef int check_blocks(cnp.ndarray x, cnp.ndarray out, bint reduced, bint written=True) except -1:
    """Guard the kernels: x is (outer, n, inner), out has its shape, or the same without n."""
    if computed_in(x) != computed_in(out):
        raise TypeError("kernels take arrays that compute in one dtype")
    if cnp.PyArray_NDIM(x) != 3 or cnp.PyArray_NDIM(out) != (2 if reduced else 3):
        raise ValueError("kernels take blocks (outer, n, inner)")
    if (
        cnp.PyArray_DIM(x, 0) != cnp.PyArray_DIM(out, 0)
        or cnp.PyArray_DIM(x, 2) != cnp.PyArray_DIM(out, 1 if reduced else 2)
        or (not reduced and cnp.PyArray_DIM(x, 1) != cnp.PyArray_DIM(out, 1))
        or cnp.PyArray_DIM(x, 1) < 1
    ):
        raise ValueError("the shapes of input and output do not fit")
    if not (is_block(x, stride_of(x)) and is_block(out, stride_of(x)) and (cnp.PyArray_ISWRITEABLE(out) or not written)):
        raise ValueError("kernels take aligned C-contiguous arrays in native byte order, or columns of such")
    return 0


cdef inline int reduce_any_rows(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, bint past_caches, bint* made_nan
) except -1 nogil:
    """Rows, by whichever kernel is faster."""
    if n <= SHORTER and is_short(<real>0, outer, n):
        return reduce_short_rows(operation, x, y, outer, n, made_nan)
    if is_grouped(operation, <real>0, outer, n, cache):
        return reduce_grouped_rows(operation, x, y, outer, n, made_nan)
    return reduce_rows(operation, native(x), native(<const real*>y), outer, n, past_caches, made_nan)


cdef inline int reduce_any_columns(
    Operation operation, stored[real] x, stored[real] y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """Columns, by whichever kernel is faster."""
    if are_short(n, inner) and not is_bundled(<real>0, n, inner, stride):
        return reduce_short_columns(operation, x, y, outer, n, inner, stride, made_nan)
    return reduce_strips(operation, x, y, outer, n, inner, stride, made_nan)


cdef int reduce(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint past_caches, bint* made_nan,
) except -1 nogil:
    """One operation over a block whose rows are `stride` elements apart."""
    if stride == 1:
        return reduce_any_rows(operation, x, y, outer, n, past_caches, made_nan)
    return reduce_any_columns(operation, native(x), native(<const real*>y), outer, n, inner, stride, made_nan)


cdef inline bint is_widened(Operation operation, Py_ssize_t n) noexcept nogil:
    """Whether rows of halves go through scratch.

    Of softmax so do longer ones, that the caches hold twice: it is faster to keep terms than to compute them again.
    """
    cdef Py_ssize_t size = n * <Py_ssize_t>sizeof(float)
    return size <= RESIDENT_BYTES or (operation == SOFTMAX and n <= LARGEST_CHUNK and size <= cache // RESIDENT_SHARE)


cdef int reduce_halves(
    Operation operation, Operand x, Operand y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
    bint past_caches, bint* made_nan,
) except -1 nogil:
    """The same where input or result are stored in 16 bits."""
    if stride == 1 and not is_widened(operation, n):
        return reduce_rows(operation, numbers_of(&x), numbers_of(&y), outer, n, past_caches, made_nan)
    if stride > 1:
        return reduce_any_columns(operation, numbers_of(&x), numbers_of(&y), outer, n, inner, stride, made_nan)
    cdef Operand[2] operands = [x, y]
    cdef Chunks chunks = chunks_of(outer, n, inner, stride)
    cdef bint overwriting = operation == LOG_SOFTMAX or inner > 1 or n * sizeof(float) > RESIDENT_BYTES
    cdef void* memory = give_scratch(operands, 2, &chunks, overwriting)
    cdef Py_ssize_t since = 0
    try:
        while next_chunk(&chunks):
            reduce(
                operation, <const float*>widened(&operands[0], &chunks), scratch_for(&operands[1], &chunks),
                chunks.outers, n, chunks.columns, chunks.columns, past_caches, made_nan,
            )
            narrowed(&operands[1], &chunks)
            since += chunks.outers * n * chunks.columns
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    finally:
        free(memory)
    return 0


cdef bint dispatch(Operation operation, cnp.ndarray x, cnp.ndarray out) except? True:
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    cdef Py_ssize_t stride = stride_of(x)
    cdef bint past_caches = cnp.PyArray_NBYTES(out) > cache
    cdef bint made_nan = False
    cdef int dtype = computed_in(x)
    cdef void* from_ = cnp.PyArray_DATA(x)
    cdef void* to = cnp.PyArray_DATA(out)
    cdef Operand first, second
    if dtype == cnp.NPY_DOUBLE:
        with nogil:
            reduce(operation, <const double*>from_, <double*>to, outer, n, inner, stride, past_caches, &made_nan)
    elif dtype != cnp.NPY_FLOAT:
        raise TypeError("kernels take halves, float32 or float64")
    elif cnp.PyArray_TYPE(x) == dtype and cnp.PyArray_TYPE(out) == dtype:
        with nogil:
            reduce(operation, <const float*>from_, <float*>to, outer, n, inner, stride, past_caches, &made_nan)
    else:
        first = operand_of(x, False)
        second = operand_of(out, operation == LOGSUMEXP)
        with nogil:
            past_caches = past_caches and second.storage == AS_COMPUTED
            reduce_halves(operation, first, second, outer, n, inner, stride, past_caches, &made_nan)
    return made_nan


def softmax(cnp.ndarray x not None, cnp.ndarray out not None):
    """Write softmax(x) over the middle axis to out. True if a slice without nan has become nan."""
    check_blocks(x, out, False)
    return dispatch(SOFTMAX, x, out)


def log_softmax(cnp.ndarray x not None, cnp.ndarray out not None):
    """Write log_softmax(x) over the middle axis to out. True if a slice without nan has become nan."""
    check_blocks(x, out, False)
    return dispatch(LOG_SOFTMAX, x, out)


def logsumexp(cnp.ndarray x not None, cnp.ndarray out not None):
    """Write logsumexp(x) over the middle axis to out. Always False: no nan is made."""
    check_blocks(x, out, True)
    return dispatch(LOGSUMEXP, x, out)


cdef struct Block:  # a contiguous array and one of its axes, or all
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner
    int axis  # -1 for all


cdef inline bint find_block(cnp.ndarray x, axis, Block* block):
    """See x as (outer, n, inner); False if the axis is not a plain one."""
    cdef int ndim = cnp.PyArray_NDIM(x)
    cdef int i
    block.outer = block.inner = 1
    block.axis = -1
    if axis is None:
        block.n = cnp.PyArray_SIZE(x)
        return True
    if type(axis) is not int or not -ndim <= axis < ndim:
        return False
    block.axis = axis
    if block.axis < 0:
        block.axis += ndim
    block.n = cnp.PyArray_DIM(x, block.axis)
    for i in range(block.axis):
        block.outer *= cnp.PyArray_DIM(x, i)
    for i in range(block.axis + 1, ndim):
        block.inner *= cnp.PyArray_DIM(x, i)
    return True


cdef struct Shape:  # of a result
    int ndim
    const cnp.npy_intp* lengths
    cnp.npy_intp[64] left  # NumPy has no more axes


cdef inline void find_shape(cnp.ndarray x, Block block, bint reduced, Shape* shape) noexcept:
    """The shape of x, or what is left of it without the reduced axis."""
    cdef int i
    shape.ndim = cnp.PyArray_NDIM(x)
    shape.lengths = cnp.PyArray_DIMS(x)
    if not reduced:
        return
    shape.ndim = shape.ndim - 1 if block.axis >= 0 else 0
    if block.axis < shape.ndim:
        for i in range(shape.ndim):
            shape.left[i] = shape.lengths[i if i < block.axis else i + 1]
        shape.lengths = shape.left


cdef object small_result(Operation operation, const real* x, cnp.ndarray array, cnp.ndarray out, Shape* shape, Block block):
    """Compute the result of a plain small call, into out or a new array; None if it would have to warn."""
    cdef bint made_nan = False
    cdef int dtype = cnp.PyArray_TYPE(array)
    cdef real number
    cdef real* y = &number
    if shape.ndim > 0:
        if out is None:
            out = <cnp.ndarray>cnp.PyArray_SimpleNew(shape.ndim, <cnp.npy_intp*>shape.lengths, dtype)
        y = <real*>cnp.PyArray_DATA(out)
    if cnp.PyArray_SIZE(array) <= BRIEF:
        reduce(operation, x, y, block.outer, block.n, block.inner, block.inner, False, &made_nan)
    else:
        with nogil:
            reduce(operation, x, y, block.outer, block.n, block.inner, block.inner, False, &made_nan)
    if made_nan:
        return None
    return out if shape.ndim > 0 else PyArray_Scalar(&number, PyArray_DescrFromType(dtype), None)


cdef object small_halves(Operation operation, cnp.ndarray array, cnp.ndarray out, int dtype, Shape* shape, Block block):
    """The same of float16 or bfloat16, with a result of this dtype."""
    cdef bint made_nan = False
    cdef float number  # or its first half
    cdef Operand x = operand_of(array, False)
    cdef Operand y = x
    if shape.ndim > 0:
        if out is None:
            out = <cnp.ndarray>cnp.PyArray_SimpleNew(shape.ndim, <cnp.npy_intp*>shape.lengths, dtype)
        y.data = <char*>cnp.PyArray_DATA(out)
    else:
        y.data = <char*>&number
    if dtype == cnp.NPY_FLOAT:
        y.storage = AS_COMPUTED
    y.reduced = operation == LOGSUMEXP
    if cnp.PyArray_SIZE(array) <= BRIEF:
        reduce_halves(operation, x, y, block.outer, block.n, block.inner, block.inner, False, &made_nan)
    else:
        with nogil:
            reduce_halves(operation, x, y, block.outer, block.n, block.inner, block.inner, False, &made_nan)
    if made_nan:
        return None
    return out if shape.ndim > 0 else PyArray_Scalar(&number, PyArray_DescrFromType(dtype), None)


cdef inline bint are_apart(cnp.ndarray x, cnp.ndarray out) noexcept:
    """Whether two contiguous arrays share no memory."""
    cdef const char* first = <const char*>cnp.PyArray_DATA(x)
    cdef const char* second = <const char*>cnp.PyArray_DATA(out)
    return first + cnp.PyArray_NBYTES(x) <= second or second + cnp.PyArray_NBYTES(out) <= first


cdef bint takes_result(cnp.ndarray out, cnp.ndarray x, const Shape* shape, int dtype) noexcept:
    """Whether out is plain, of this dtype and shape, and apart from x.

    Apart, because x is read again if there is a warning.
    """
    cdef int i
    if type(out) is not cnp.ndarray or not PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != dtype:
        return False
    if cnp.PyArray_NDIM(out) != shape.ndim:
        return False
    for i in range(shape.ndim):
        if cnp.PyArray_DIM(out, i) != shape.lengths[i]:
            return False
    return are_apart(x, out)


cdef inline bint may_be_shared(Py_ssize_t size, int dtype, workers):
    """Whether a call over so many numbers is perhaps not for this thread alone, or its `workers` have to be refused."""
    cdef bint is_large = size * (8 if dtype == cnp.NPY_DOUBLE else 4) > alone
    if workers is None and not is_large:
        return False
    return has_several_workers(workers, is_large)


cdef bint has_several_workers(workers, bint is_large):
    if workers is None:
        from fastsoftmax._workers import get_workers
        return get_workers() != 1
    return type(workers) is not int or workers < 1 or (workers != 1 and is_large)


cdef object small(Operation operation, x, axis, out, asked, workers):
    """The result of a plain small call, or None where the general path has to look closer."""
    cdef cnp.ndarray array
    cdef Block block
    cdef Shape shape
    cdef Py_ssize_t size
    cdef int dtype, result
    cdef bint of_halves
    if type(x) is not cnp.ndarray:
        return None
    array = <cnp.ndarray>x
    size = cnp.PyArray_SIZE(array)
    dtype = cnp.PyArray_TYPE(array)
    if cnp.PyArray_NDIM(array) == 0 or not 0 < size <= SMALL or not PyArray_ISCARRAY_RO(array):
        return None
    if may_be_shared(size, dtype, workers) or not find_block(array, axis, &block):
        return None
    of_halves = dtype == cnp.NPY_FLOAT16 or is_bfloat16(array)
    result = dtype
    if asked is not None:
        if asked is not FLOAT32_TYPE or not (of_halves or dtype == cnp.NPY_FLOAT):
            return None
        result = cnp.NPY_FLOAT
    find_shape(array, block, operation == LOGSUMEXP, &shape)
    if out is not None and (
        shape.ndim == 0 or not isinstance(out, cnp.ndarray) or not takes_result(<cnp.ndarray>out, array, &shape, result)
    ):
        return None
    if dtype == cnp.NPY_FLOAT:
        return small_result(operation, <const float*>cnp.PyArray_DATA(array), array, <cnp.ndarray>out, &shape, block)
    if dtype == cnp.NPY_DOUBLE:
        return small_result(operation, <const double*>cnp.PyArray_DATA(array), array, <cnp.ndarray>out, &shape, block)
    if of_halves:
        return small_halves(operation, array, <cnp.ndarray>out, result, &shape, block)
    return None


# Conversions.


cdef int convert_run(cnp.ndarray x, cnp.ndarray out, Py_ssize_t n) except -1:
    cdef Operand first = operand_of(x, False)
    cdef Operand second = operand_of(out, False)
    with nogil:
        if second.storage == AS_COMPUTED:
            as_computed(numbers_of(&first), n, <float*>second.data)
        else:
            put(<const float*>first.data, numbers_of(&second), n)
    return 0


def convert(cnp.ndarray x not None, cnp.ndarray out not None):
    """Copy halves x to float32 out, or float32 x, rounded to nearest even, to halves out; both contiguous, of one size."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    if not PyArray_ISCARRAY_RO(x) or not PyArray_ISCARRAY(out) or n != cnp.PyArray_SIZE(out):
        raise ValueError("a conversion takes aligned C-contiguous arrays of one size in native byte order")
    if computed_in(x) != cnp.NPY_FLOAT or computed_in(out) != cnp.NPY_FLOAT or (
        (cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT) == (cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT)
    ):
        raise TypeError("a conversion is between float32 and float16 or bfloat16")
    convert_run(x, out, n)


# Helping threads.


def obey(cnp.ndarray flag):
    """Stop kernels in this thread as soon as flag[0] is not 0, in place of listening for Ctrl-C; None ends that."""
    if flag is not None and (cnp.PyArray_TYPE(flag) != cnp.NPY_UINT8 or cnp.PyArray_SIZE(flag) < 1):
        raise ValueError("a flag is one uint8")
    if flag is None:
        obey_flag(NULL)
    else:
        obey_flag(<const unsigned char*>cnp.PyArray_DATA(flag))


def hear():
    """Raise KeyboardInterrupt, or what a signal's handler raises, where a kernel would be stopped."""
    hear_signals()


# Gradients.


cdef int check_gradient(Gradient gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray lse, cnp.ndarray out) except -1:
    """Guard the gradients: values is (outer, n, inner), the others have its shape, or the same without n."""
    if lse is not None:
        check_blocks(values, lse, True, False)
    check_blocks(values, g, gradient == LOGSUMEXP_VJP, False)
    return check_blocks(values, out, gradient == LOGSUMEXP_JVP)


cdef int multiply(
    Gradient gradient, stored[real] g, stored[real] values, const real* lse, stored[real] out,
    Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride, bint* made_nan,
) except -1 nogil:
    """One gradient over a block whose rows are `stride` elements apart."""
    cdef Storage storage = common_storage(g, values, out)
    cdef bint grouped = storage != DIFFERENT
    # Halves are half as much memory, and faster in groups wherever they lie.
    cdef Py_ssize_t held = cache if storage == AS_COMPUTED else <Py_ssize_t>1 << 62
    if stride == 1 and has_short_rows(gradient, <real>0, outer, n):
        return short_gradient_rows(gradient, g, values, out, outer, n, made_nan)
    if stride == 1 and grouped and has_overlapped_rows(gradient, <real>0, outer, n, held):
        return overlapped_gradient_rows(gradient, g, values, out, outer, n, made_nan)
    if stride == 1 and grouped and has_grouped_rows(gradient, <real>0, outer, n, held):
        return grouped_gradient_rows(gradient, g, values, out, outer, n, made_nan)
    if stride == 1:
        return gradient_rows(gradient, g, values, lse, out, outer, n, made_nan)
    return gradient_columns(gradient, g, values, lse, out, outer, n, inner, stride, made_nan)


cdef bint run_gradient(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out,
    Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
) except? True:
    cdef bint made_nan = False
    with nogil:
        multiply(gradient, native(g), native(values), lse, native(<const real*>out), outer, n, inner, stride, &made_nan)
    return made_nan


cdef bint run_gradient_of_halves(
    Gradient gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray out, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner,
    Py_ssize_t stride,
) except? True:
    """The same where arrays, all of the full shape, are stored in 16 bits."""
    cdef Operand[3] operands = [operand_of(g, False), operand_of(values, False), operand_of(out, False)]
    cdef bint made_nan = False
    with nogil:
        multiply(
            gradient, numbers_of(&operands[0]), numbers_of(&operands[1]), <const float*>NULL, numbers_of(&operands[2]), outer, n,
            inner, stride, &made_nan,
        )
    return made_nan


cdef bint dispatch_gradient(Gradient gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray lse, cnp.ndarray out) except? True:
    check_gradient(gradient, g, values, lse, out)
    cdef Py_ssize_t outer = cnp.PyArray_DIM(values, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(values, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(values, 2)
    cdef Py_ssize_t stride = stride_of(values)
    cdef void* lse_data = NULL if lse is None else cnp.PyArray_DATA(lse)
    cdef int dtype = computed_in(values)
    if dtype == cnp.NPY_FLOAT and lse is None and not (
        cnp.PyArray_TYPE(g) == cnp.PyArray_TYPE(values) == cnp.PyArray_TYPE(out) == dtype
    ):
        return run_gradient_of_halves(gradient, g, values, out, outer, n, inner, stride)
    if cnp.PyArray_TYPE(values) == cnp.NPY_FLOAT:
        return run_gradient(
            gradient, <const float*>cnp.PyArray_DATA(g), <const float*>cnp.PyArray_DATA(values),
            <const float*>lse_data, <float*>cnp.PyArray_DATA(out), outer, n, inner, stride,
        )
    if cnp.PyArray_TYPE(values) == cnp.NPY_DOUBLE:
        return run_gradient(
            gradient, <const double*>cnp.PyArray_DATA(g), <const double*>cnp.PyArray_DATA(values),
            <const double*>lse_data, <double*>cnp.PyArray_DATA(out), outer, n, inner, stride,
        )
    raise TypeError("kernels take float32 or float64")


def softmax_vjp(cnp.ndarray g not None, cnp.ndarray y not None, cnp.ndarray out not None):
    """Write y * (g - sum(g * y)) to out. True if a slice without nan has become nan."""
    return dispatch_gradient(SOFTMAX_VJP, g, y, None, out)


def log_softmax_vjp(cnp.ndarray g not None, cnp.ndarray logp not None, cnp.ndarray out not None):
    """Write g - exp(logp) * sum(g) to out. True if a slice without nan has become nan."""
    return dispatch_gradient(LOG_SOFTMAX_VJP, g, logp, None, out)


def log_softmax_jvp(cnp.ndarray t not None, cnp.ndarray logp not None, cnp.ndarray out not None):
    """Write t - sum(exp(logp) * t) to out. True if a slice without nan has become nan."""
    return dispatch_gradient(LOG_SOFTMAX_JVP, t, logp, None, out)


def logsumexp_vjp(cnp.ndarray g not None, cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray out not None):
    """Write g * exp(a - lse) to out; 0 where lse is -inf. True if a slice without nan has become nan."""
    return dispatch_gradient(LOGSUMEXP_VJP, g, a, lse, out)


def logsumexp_jvp(cnp.ndarray t not None, cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray out not None):
    """Write sum(exp(a - lse) * t) to out; 0 where lse is -inf. True if a slice without nan has become nan."""
    return dispatch_gradient(LOGSUMEXP_JVP, t, a, lse, out)


cdef object small_gradient(Gradient gradient, g, values, axis, given, workers):
    """The gradient of a plain small call, or None where the general path has to look closer."""
    cdef cnp.ndarray first, second, out
    cdef Block block
    cdef Shape shape
    cdef int ndim, dtype, i
    cdef bint of_halves, made_nan
    if type(g) is not cnp.ndarray or type(values) is not cnp.ndarray:
        return None
    first = <cnp.ndarray>g
    second = <cnp.ndarray>values
    ndim = cnp.PyArray_NDIM(second)
    dtype = cnp.PyArray_TYPE(second)
    if ndim == 0 or not 0 < cnp.PyArray_SIZE(second) <= SMALL:
        return None
    if not PyArray_ISCARRAY_RO(first) or not PyArray_ISCARRAY_RO(second):
        return None
    of_halves = dtype == cnp.NPY_FLOAT16 or is_bfloat16(second)
    if not (dtype == cnp.NPY_FLOAT or dtype == cnp.NPY_DOUBLE or of_halves) or cnp.PyArray_TYPE(first) != dtype:
        return None
    if may_be_shared(cnp.PyArray_SIZE(second), dtype, workers):
        return None
    if cnp.PyArray_NDIM(first) != ndim:
        return None
    for i in range(ndim):
        if cnp.PyArray_DIM(first, i) != cnp.PyArray_DIM(second, i):
            return None
    if not find_block(second, axis, &block):
        return None
    find_shape(second, block, False, &shape)
    if given is None:
        out = <cnp.ndarray>cnp.PyArray_SimpleNew(ndim, cnp.PyArray_DIMS(second), dtype)
    elif isinstance(given, cnp.ndarray) and takes_result(<cnp.ndarray>given, first, &shape, dtype) and takes_result(
        <cnp.ndarray>given, second, &shape, dtype
    ):
        out = <cnp.ndarray>given
    else:
        return None
    if dtype == cnp.NPY_FLOAT:
        made_nan = run_gradient(
            gradient, <const float*>cnp.PyArray_DATA(first), <const float*>cnp.PyArray_DATA(second), <const float*>NULL,
            <float*>cnp.PyArray_DATA(out), block.outer, block.n, block.inner, block.inner,
        )
    elif of_halves:
        made_nan = run_gradient_of_halves(gradient, first, second, out, block.outer, block.n, block.inner, block.inner)
    else:
        made_nan = run_gradient(
            gradient, <const double*>cnp.PyArray_DATA(first), <const double*>cnp.PyArray_DATA(second), <const double*>NULL,
            <double*>cnp.PyArray_DATA(out), block.outer, block.n, block.inner, block.inner,
        )
    return None if made_nan else out


# Cross-entropy.


cdef struct Rows:  # what belongs to rows of logits: see `cross_entropy`
    Py_ssize_t n
    const long long* labels
    const void* dense
    Py_ssize_t dense_stride
    const double* at_target
    const double* total
    double* losses


cdef int add_rows(
    const Rows* rows, Py_ssize_t first, const real* logits, real* grad, Py_ssize_t outer, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """Losses and gradients of the rows (outer, inner), of which the first is this one."""
    cdef const long long* labels = <const long long*>NULL if rows.labels == NULL else rows.labels + first
    cdef const real* dense = <const real*>NULL if rows.dense == NULL else <const real*>rows.dense + first * rows.dense_stride
    if stride == 1:
        return cross_entropy_rows(
            logits, outer, rows.n, labels, dense, rows.dense_stride, rows.at_target + first, rows.total + first,
            rows.losses + first, grad, made_nan,
        )
    return cross_entropy_columns(
        logits, grad, outer, rows.n, inner, stride, labels, dense, rows.dense_stride, rows.at_target + first,
        rows.total + first, rows.losses + first, made_nan,
    )


cdef int add_long_rows(const Rows* rows, Py_ssize_t count, Operand logits, Operand grad, bint* made_nan) except -1 nogil:
    """The same of labelled rows that do not fit the cache."""
    cdef Py_ssize_t row
    cdef stored[float] x, results
    for row in range(count):
        x = numbers_of(&logits) + row * rows.n
        results = numbers_of(&grad)
        if grad.data != NULL:
            results = results + row * rows.n
        cross_entropy_row(
            x, rows.n, rows.labels[row], <const float*>NULL, rows.at_target[row], rows.total[row], &rows.losses[row], results,
            made_nan,
        )
        hear_signals()
    return 0


cdef int add_rows_of_halves(
    const Rows* rows, Operand logits, Operand grad, Py_ssize_t outer, Py_ssize_t inner, Py_ssize_t stride, bint* made_nan
) except -1 nogil:
    """The same, of all rows, where logits or gradient are stored in 16 bits."""
    if stride == 1 and rows.n * sizeof(float) > RESIDENT_BYTES and rows.dense == NULL:
        return add_long_rows(rows, outer, logits, grad, made_nan)
    cdef Operand[2] operands = [logits, grad]
    cdef Chunks chunks = chunks_of(outer, rows.n, inner, stride)
    cdef void* memory = give_scratch(operands, 2, &chunks, inner > 1 or rows.n * sizeof(float) > RESIDENT_BYTES)
    cdef Py_ssize_t since = 0
    try:
        while next_chunk(&chunks):
            add_rows(
                rows, chunks.first * inner + chunks.column, <const float*>widened(&operands[0], &chunks),
                <float*>NULL if grad.data == NULL else scratch_for(&operands[1], &chunks), chunks.outers, chunks.columns,
                chunks.columns, made_nan,
            )
            if grad.data != NULL:
                narrowed(&operands[1], &chunks)
            since += chunks.outers * rows.n * chunks.columns
            if since >= SIGNAL_PERIOD:
                since = 0
                hear_signals()
    finally:
        free(memory)
    return 0


cdef int add_any_rows(
    const Rows* rows, int dtype, Operand logits, Operand grad, Py_ssize_t outer, Py_ssize_t inner, Py_ssize_t stride,
    bint* made_nan,
) except -1 nogil:
    """The same for each dtype that is computed in, however it is stored."""
    if dtype == cnp.NPY_DOUBLE:
        return add_rows(rows, 0, <const double*>logits.data, <double*>grad.data, outer, inner, stride, made_nan)
    if logits.storage == AS_COMPUTED and grad.storage == AS_COMPUTED:
        return add_rows(rows, 0, <const float*>logits.data, <float*>grad.data, outer, inner, stride, made_nan)
    return add_rows_of_halves(rows, logits, grad, outer, inner, stride, made_nan)


cdef int check_vector(cnp.ndarray x, int dtype, Py_ssize_t rows) except -1:
    if not PyArray_ISCARRAY_RO(x) or cnp.PyArray_TYPE(x) != dtype or cnp.PyArray_NDIM(x) != 1 or cnp.PyArray_DIM(x, 0) != rows:
        raise ValueError("a coefficient of each row is due, contiguous")
    return 0


def cross_entropy(
    cnp.ndarray logits not None, cnp.ndarray labels, cnp.ndarray dense, cnp.ndarray at_target not None,
    cnp.ndarray total not None, cnp.ndarray losses not None, cnp.ndarray grad,
):
    """Write the losses of the rows (outer, inner) and, with grad, their gradients. True if one without nan has become nan.

    With L = log(sum(exp(x - max))), loss = total*L + sum(dense*(max - x)) + at_target*(max - x[label]) and
    grad = total*softmax(x) - dense - at_target*[class == label]. A label of -1 marks a row to leave out.
    """
    check_blocks(logits, logits if grad is None else grad, False, grad is not None)
    cdef Py_ssize_t outer = cnp.PyArray_DIM(logits, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(logits, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(logits, 2)
    cdef Py_ssize_t stride = stride_of(logits)
    cdef Py_ssize_t rows = outer * inner
    cdef int dtype = computed_in(logits)
    cdef Py_ssize_t row
    if dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE:
        raise TypeError("kernels take halves, float32 or float64")
    check_vector(at_target, cnp.NPY_DOUBLE, rows)
    check_vector(total, cnp.NPY_DOUBLE, rows)
    check_vector(losses, cnp.NPY_DOUBLE, rows)
    if labels is not None:
        check_vector(labels, cnp.NPY_INT64, rows)
        for row in range(rows):
            if not IGNORED <= (<const long long*>cnp.PyArray_DATA(labels))[row] < n:
                raise ValueError("a label is out of range")
    elif dense is None:
        raise ValueError("labels or dense coefficients are due")
    if dense is not None and (
        not PyArray_ISCARRAY_RO(dense) or cnp.PyArray_TYPE(dense) != dtype or cnp.PyArray_NDIM(dense) != 2
        or cnp.PyArray_DIM(dense, 1) != n or (cnp.PyArray_DIM(dense, 0) != 1 and cnp.PyArray_DIM(dense, 0) != rows)
    ):
        raise ValueError("dense coefficients are (rows, n) or (1, n), contiguous, of the dtype that logits compute in")
    cdef Rows all_rows
    all_rows.n = n
    all_rows.labels = <const long long*>NULL if labels is None else <const long long*>cnp.PyArray_DATA(labels)
    all_rows.dense = <void*>NULL if dense is None else cnp.PyArray_DATA(dense)
    all_rows.dense_stride = 0 if dense is None or cnp.PyArray_DIM(dense, 0) == 1 else n
    all_rows.at_target = <const double*>cnp.PyArray_DATA(at_target)
    all_rows.total = <const double*>cnp.PyArray_DATA(total)
    all_rows.losses = <double*>cnp.PyArray_DATA(losses)
    cdef Operand first = operand_of(logits, False)
    cdef Operand second = first if grad is None else operand_of(grad, False)
    cdef bint made_nan = False
    if grad is None:
        second.data = NULL
    with nogil:
        add_any_rows(&all_rows, dtype, first, second, outer, inner, stride, &made_nan)
    return made_nan


def sum_losses(cnp.ndarray losses not None, cnp.ndarray state not None):
    """Add losses (rows,) to the running sum state[0] + state[1], from left to right by two-sum."""
    check_vector(losses, cnp.NPY_DOUBLE, cnp.PyArray_DIM(losses, 0))
    check_vector(state, cnp.NPY_DOUBLE, 2)
    cdef double* sums = <double*>cnp.PyArray_DATA(state)
    add_losses(<const double*>cnp.PyArray_DATA(losses), cnp.PyArray_DIM(losses, 0), &sums[0], &sums[1])


cdef inline long long label_at(const void* labels, int dtype, Py_ssize_t i) noexcept nogil:
    """One label of any integer dtype; what does not fit is -1, as a label out of range is."""
    if dtype == cnp.NPY_INT64 or dtype == cnp.NPY_LONGLONG:
        return (<const long long*>labels)[i]
    if dtype == cnp.NPY_INT32:
        return (<const cnp.int32_t*>labels)[i]
    if dtype == cnp.NPY_UINT8:
        return (<const cnp.uint8_t*>labels)[i]
    if dtype == cnp.NPY_INT16:
        return (<const cnp.int16_t*>labels)[i]
    if dtype == cnp.NPY_UINT16:
        return (<const cnp.uint16_t*>labels)[i]
    if dtype == cnp.NPY_INT8:
        return (<const cnp.int8_t*>labels)[i]
    if dtype == cnp.NPY_UINT32:
        return (<const cnp.uint32_t*>labels)[i]
    return -1


cdef int labelled_rows(
    Py_ssize_t count, Py_ssize_t n, const long long* labels, double coefficient, int dtype, Operand logits, Operand grad,
    void* losses, double* high, double* low, bint* made_nan,
) except -1 nogil:
    """Losses, to losses or else summed, and gradients of rows with one coefficient. Stops where a nan is made."""
    cdef double coefficients[LABELLED]
    cdef double piece[LABELLED]
    cdef Py_ssize_t logits_step = LABELLED * n * (8 if dtype == cnp.NPY_DOUBLE else 4 if logits.storage == AS_COMPUTED else 2)
    cdef Py_ssize_t grad_step = LABELLED * n * (8 if dtype == cnp.NPY_DOUBLE else 4 if grad.storage == AS_COMPUTED else 2)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t length, i
    cdef Rows rows
    rows.n = n
    rows.dense = NULL
    rows.dense_stride = 0
    rows.at_target = coefficients
    rows.total = coefficients
    rows.losses = piece
    for i in range(count if count < LABELLED else LABELLED):
        coefficients[i] = coefficient
    while start < count and not made_nan[0]:
        length = count - start if count - start < LABELLED else LABELLED
        rows.labels = labels + start
        add_any_rows(&rows, dtype, logits, grad, length, 1, 1, made_nan)
        if losses == NULL:
            add_losses(<const double*>piece, length, high, low)
        elif dtype == cnp.NPY_DOUBLE:
            for i in range(length):
                (<double*>losses)[start + i] = piece[i]
        else:
            for i in range(length):
                (<float*>losses)[start + i] = <float>piece[i]
        start += length
        logits.data += logits_step
        if grad.data != NULL:
            grad.data += grad_step
    return 0


cdef object small_cross_entropy(cnp.ndarray logits, const long long* labels, str reduction, cnp.ndarray grad):
    """Loss and, with grad, gradient of a plain small call with checked labels, or None if a nan would be made."""
    cdef int ndim = cnp.PyArray_NDIM(logits)
    cdef Py_ssize_t n = cnp.PyArray_DIM(logits, ndim - 1)
    cdef Py_ssize_t rows = 1 if ndim == 1 else cnp.PyArray_DIM(logits, 0)
    cdef int dtype = computed_in(logits)
    cdef double coefficient = 1.0 / <double>rows if reduction == "mean" else 1.0
    cdef double high = 0.0
    cdef double low = 0.0
    cdef bint made_nan = False
    cdef cnp.ndarray losses = None
    cdef void* losses_data = NULL
    cdef Operand first = operand_of(logits, False)
    cdef Operand second = first
    cdef double loss
    cdef float single_loss
    if grad is None:
        second.data = NULL
    else:
        second = operand_of(grad, False)
    if ndim == 2 and reduction == "none":
        losses = <cnp.ndarray>cnp.PyArray_SimpleNew(1, cnp.PyArray_DIMS(logits), dtype)
        losses_data = cnp.PyArray_DATA(losses)
    if rows * n <= BRIEF:
        labelled_rows(rows, n, labels, coefficient, dtype, first, second, losses_data, &high, &low, &made_nan)
    else:
        with nogil:
            labelled_rows(rows, n, labels, coefficient, dtype, first, second, losses_data, &high, &low, &made_nan)
    if made_nan:
        return None
    loss = value_of(high, low)
    single_loss = <float>loss
    if losses is not None:
        value = losses
    elif dtype == cnp.NPY_DOUBLE:
        value = PyArray_Scalar(&loss, PyArray_DescrFromType(dtype), None)
    else:
        value = PyArray_Scalar(&single_loss, PyArray_DescrFromType(dtype), None)
    return value if grad is None else (value, grad)


cdef object any_small_cross_entropy(logits, targets, axis, reduction, bint with_grad, out, workers):
    """Cross-entropy of plain small logits (n,) or (rows, n) with integer targets and no option, or None for any other call.

    Returns the loss, or (loss, gradient). The labels are copied and checked before anything is written.
    """
    cdef cnp.ndarray x
    cdef cnp.ndarray labels = None
    cdef cnp.ndarray grad = None
    cdef long long few[LABELLED]
    cdef long long* checked = few
    cdef const void* given
    cdef Block block
    cdef Shape shape
    cdef Py_ssize_t n, rows, i
    cdef int ndim, dtype
    if type(logits) is not cnp.ndarray or type(axis) is not int or axis != -1 or type(reduction) is not str:
        return None
    if reduction not in ("mean", "sum", "none"):
        return None
    x = <cnp.ndarray>logits
    ndim = cnp.PyArray_NDIM(x)
    dtype = computed_in(x)
    if not (ndim == 1 or ndim == 2) or not 0 < cnp.PyArray_SIZE(x) <= SMALL or not PyArray_ISCARRAY_RO(x):
        return None
    if dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE:
        return None
    if may_be_shared(cnp.PyArray_SIZE(x), dtype, workers):
        return None
    n = cnp.PyArray_DIM(x, ndim - 1)
    rows = 1 if ndim == 1 else cnp.PyArray_DIM(x, 0)
    if ndim == 1 and type(targets) is int:
        if not 0 <= targets < n:
            return None
        few[0] = targets
    elif type(targets) is cnp.ndarray:
        labels = <cnp.ndarray>targets
        if (
            cnp.PyArray_NDIM(labels) != ndim - 1 or not cnp.PyArray_ISINTEGER(labels) or not PyArray_ISCARRAY_RO(labels)
            or (ndim == 2 and cnp.PyArray_DIM(labels, 0) != rows)
        ):
            return None
    else:
        return None
    if out is not None:
        find_block(x, axis, &block)
        find_shape(x, block, False, &shape)
        if not isinstance(out, cnp.ndarray) or not takes_result(<cnp.ndarray>out, x, &shape, cnp.PyArray_TYPE(x)):
            return None
        if labels is not None and not are_apart(<cnp.ndarray>out, labels):
            return None
        grad = <cnp.ndarray>out
    elif with_grad:
        grad = <cnp.ndarray>cnp.PyArray_SimpleNew(ndim, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
    if rows > LABELLED:
        checked = <long long*>malloc(rows * sizeof(long long))
        if checked == NULL:
            raise MemoryError()
    try:
        if labels is not None:
            given = cnp.PyArray_DATA(labels)
            for i in range(rows):
                checked[i] = label_at(given, cnp.PyArray_TYPE(labels), i)
                if not 0 <= checked[i] < n:
                    return None
        return small_cross_entropy(x, checked, reduction, grad)
    finally:
        if checked != few:
            free(checked)


# The public functions.


cdef dict complete = {}


def set_complete(str name, function):
    """Tell what the public function of this name does with a call that is not plain."""
    complete[name] = function


cdef inline bint is_0(label_smoothing) except -1:
    return type(label_smoothing) is float and label_smoothing == 0.0


class Public:
    """The functions that users call: the short cut, and else the complete function, which is Python.

    For ten numbers a function that is itself compiled takes two thirds of the time of a Python function that calls it.
    """

    @staticmethod
    def softmax(x, axis=None, *, where=None, out=None, dtype=None, workers=None):
        if where is None:
            result = small(SOFTMAX, x, axis, out, dtype, workers)
            if result is not None:
                return result
        return complete["softmax"](x, axis, where=where, out=out, dtype=dtype, workers=workers)

    @staticmethod
    def log_softmax(x, axis=None, *, where=None, out=None, dtype=None, workers=None):
        if where is None:
            result = small(LOG_SOFTMAX, x, axis, out, dtype, workers)
            if result is not None:
                return result
        return complete["log_softmax"](x, axis, where=where, out=out, dtype=dtype, workers=workers)

    @staticmethod
    def logsumexp(
        a, axis=None, b=None, keepdims=False, return_sign=False, *, where=None, out=None, dtype=None, workers=None
    ):
        if where is None and b is None and keepdims is False and return_sign is False:
            result = small(LOGSUMEXP, a, axis, out, dtype, workers)
            if result is not None:
                return result
        return complete["logsumexp"](
            a, axis, b, keepdims, return_sign, where=where, out=out, dtype=dtype, workers=workers
        )

    @staticmethod
    def softmax_vjp(g, y, axis=None, *, out=None, workers=None):
        result = small_gradient(SOFTMAX_VJP, g, y, axis, out, workers)
        return complete["softmax_vjp"](g, y, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def softmax_jvp(t, y, axis=None, *, out=None, workers=None):
        result = small_gradient(SOFTMAX_VJP, t, y, axis, out, workers)
        return complete["softmax_jvp"](t, y, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def log_softmax_vjp(g, logp, axis=None, *, out=None, workers=None):
        result = small_gradient(LOG_SOFTMAX_VJP, g, logp, axis, out, workers)
        return complete["log_softmax_vjp"](g, logp, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def log_softmax_jvp(t, logp, axis=None, *, out=None, workers=None):
        result = small_gradient(LOG_SOFTMAX_JVP, t, logp, axis, out, workers)
        return complete["log_softmax_jvp"](t, logp, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def cross_entropy(
        logits, targets, axis=-1, *, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
        reduction="mean", workers=None,
    ):
        if weight is None and sample_weight is None and ignore_index is None and is_0(label_smoothing):
            result = any_small_cross_entropy(logits, targets, axis, reduction, False, None, workers)
            if result is not None:
                return result
        return complete["cross_entropy"](
            logits, targets, axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
            label_smoothing=label_smoothing, reduction=reduction, workers=workers,
        )

    @staticmethod
    def cross_entropy_value_and_grad(
        logits, targets, axis=-1, *, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
        reduction="mean", out=None, workers=None,
    ):
        if weight is None and sample_weight is None and ignore_index is None and is_0(label_smoothing):
            result = any_small_cross_entropy(logits, targets, axis, reduction, True, out, workers)
            if result is not None:
                return result
        return complete["cross_entropy_value_and_grad"](
            logits, targets, axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
            label_smoothing=label_smoothing, reduction=reduction, out=out, workers=workers,
        )


# States of slices that arrive in pieces.


cdef Py_ssize_t check_states(cnp.ndarray states, bint written) except -1:
    """Guard the states, (outer, inner, STATE_NUMBERS) of float64; their number."""
    if (
        not (PyArray_ISCARRAY(states) if written else PyArray_ISCARRAY_RO(states))
        or cnp.PyArray_TYPE(states) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(states) != 3
        or cnp.PyArray_DIM(states, 2) != STATE_NUMBERS
    ):
        raise ValueError("states are (outer, inner, numbers) of float64, contiguous")
    return cnp.PyArray_DIM(states, 0) * cnp.PyArray_DIM(states, 1)


cdef int check_piece(cnp.ndarray x, cnp.ndarray states, bint written) except -1:
    """Guard a piece (outer, n, inner) and its states."""
    check_states(states, written)
    if not PyArray_ISCARRAY_RO(x) or (cnp.PyArray_TYPE(x) != cnp.NPY_FLOAT and cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE):
        raise TypeError("kernels take aligned C-contiguous float32 or float64 in native byte order")
    if (
        cnp.PyArray_NDIM(x) != 3 or cnp.PyArray_DIM(x, 0) != cnp.PyArray_DIM(states, 0)
        or cnp.PyArray_DIM(x, 2) != cnp.PyArray_DIM(states, 1)
    ):
        raise ValueError("the shapes of piece and states do not fit")
    return 0


def empty_states(Py_ssize_t outer, Py_ssize_t inner):
    """States (outer, inner) that nothing has been added to."""
    cdef cnp.npy_intp[3] shape = [outer, inner, STATE_NUMBERS]
    cdef cnp.ndarray states = <cnp.ndarray>cnp.PyArray_SimpleNew(3, shape, cnp.NPY_DOUBLE)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef Py_ssize_t i
    for i in range(outer * inner):
        state[i] = no_elements()
    return states


def add_to_states(cnp.ndarray states not None, cnp.ndarray x not None, bint anchored):
    """Add a piece x (outer, n, inner) to states (outer, inner)."""
    check_piece(x, states, True)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    with nogil:
        if single:
            add_pieces(state, <const float*>data, outer, n, inner, anchored)
        else:
            add_pieces(state, <const double*>data, outer, n, inner, anchored)


def add_states(cnp.ndarray states not None, cnp.ndarray others not None, bint single):
    """Merge the others into states of the same shape; single: they are of float32."""
    cdef Py_ssize_t count = check_states(states, True)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef const State* other = <const State*>cnp.PyArray_DATA(others)
    cdef Py_ssize_t i
    if check_states(others, False) != count:
        raise ValueError("the shapes of the states do not fit")
    with nogil:
        for i in range(count):
            if single:
                merge_states(<float>0, &state[i], other[i])
            else:
                merge_states(<double>0, &state[i], other[i])


def take_over_states(cnp.ndarray states not None, bint single):
    """Make states of a target without fused multiply-add ones of a target with it, or the other way round."""
    cdef Py_ssize_t count = check_states(states, True)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef Py_ssize_t i
    for i in range(count):
        if single:
            take_over(<float>0, &state[i])
        else:
            take_over(<double>0, &state[i])


def anchored_states(cnp.ndarray states not None, bint single):
    """Empty states to add the same pieces to again, for the bits of one call; None if states have them already."""
    cdef Py_ssize_t count = check_states(states, False)
    cdef cnp.ndarray again = <cnp.ndarray>empty_states(cnp.PyArray_DIM(states, 0), cnp.PyArray_DIM(states, 1))
    cdef const State* state = <const State*>cnp.PyArray_DATA(states)
    cdef State* empty = <State*>cnp.PyArray_DATA(again)
    cdef bint due
    if single:
        due = anchor_again(<float>0, state, empty, count)
    else:
        due = anchor_again(<double>0, state, empty, count)
    return again if due else None


cdef bint apply_any_states(Operation operation, cnp.ndarray states, cnp.ndarray x, cnp.ndarray out) except? True:
    check_piece(x, states, False)
    check_piece(out, states, False)
    if (
        not PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(out)
        or cnp.PyArray_DIM(x, 1) != cnp.PyArray_DIM(out, 1)
    ):
        raise ValueError("input and output do not fit")
    cdef const State* state = <const State*>cnp.PyArray_DATA(states)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef void* results = cnp.PyArray_DATA(out)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    cdef bint made_nan = False
    cdef bint stranger = False
    with nogil:
        if single:
            apply_states(operation, state, <const float*>data, <float*>results, outer, n, inner, &made_nan, &stranger)
        else:
            apply_states(operation, state, <const double*>data, <double*>results, outer, n, inner, &made_nan, &stranger)
    if stranger:
        raise ValueError("x holds a logit that was never added: it is a nan or larger than all that were")
    return made_nan


def softmax_by_states(cnp.ndarray states not None, cnp.ndarray x not None, cnp.ndarray out not None):
    """Write softmax of a piece x to out, apart from x. True if a slice without nan has become nan."""
    return apply_any_states(SOFTMAX, states, x, out)


def log_softmax_by_states(cnp.ndarray states not None, cnp.ndarray x not None, cnp.ndarray out not None):
    """Write log_softmax of a piece x to out, apart from x. True if a slice without nan has become nan."""
    return apply_any_states(LOG_SOFTMAX, states, x, out)


def logsumexp_by_states(cnp.ndarray states not None, cnp.ndarray out not None):
    """Write logsumexp to out, (outer, inner)."""
    cdef Py_ssize_t count = check_states(states, False)
    cdef const State* state = <const State*>cnp.PyArray_DATA(states)
    if not PyArray_ISCARRAY(out) or cnp.PyArray_SIZE(out) != count:
        raise ValueError("the shapes of states and output do not fit")
    if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT:
        logsumexp_of_states(state, <float*>cnp.PyArray_DATA(out), count)
    elif cnp.PyArray_TYPE(out) == cnp.NPY_DOUBLE:
        logsumexp_of_states(state, <double*>cnp.PyArray_DATA(out), count)
    else:
        raise TypeError("kernels take float32 or float64")


# Elementary functions.


cdef object apply_to_array(Function function, cnp.ndarray x):
    cdef cnp.ndarray out
    if not PyArray_ISCARRAY_RO(x) or cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE:
        raise ValueError("elementary functions take contiguous arrays of float64")
    out = <cnp.ndarray>cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.NPY_DOUBLE)
    apply(function, <const double*>cnp.PyArray_DATA(x), <double*>cnp.PyArray_DATA(out), cnp.PyArray_SIZE(x))
    return out


def exp(cnp.ndarray x not None):
    """e^x for x between -1 and 1."""
    return apply_to_array(EXP, x)


def log1p(cnp.ndarray x not None):
    """log(1 + x) for x at least 0 and below 2^1022, within 1 ULP."""
    return apply_to_array(LOG1P, x)


def terms(cnp.ndarray x not None, cnp.ndarray K not None):
    """The terms c * 2^(bias - K) * e^x that the kernels sum, for finite x and whole K next to it in base 2; and c * 2^bias."""
    cdef int dtype = cnp.PyArray_TYPE(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef cnp.ndarray out
    if (
        not PyArray_ISCARRAY_RO(x) or not PyArray_ISCARRAY_RO(K) or (dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE)
        or cnp.PyArray_TYPE(K) != dtype or cnp.PyArray_SIZE(K) != n
    ):
        raise ValueError("terms take two contiguous arrays of one size, of float32 or float64")
    out = <cnp.ndarray>cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), dtype)
    if dtype == cnp.NPY_FLOAT:
        write_terms(<const float*>cnp.PyArray_DATA(x), <const float*>cnp.PyArray_DATA(K), <float*>cnp.PyArray_DATA(out), n)
        return out, factor_of_terms(<float>0)
    write_terms(<const double*>cnp.PyArray_DATA(x), <const double*>cnp.PyArray_DATA(K), <double*>cnp.PyArray_DATA(out), n)
    return out, factor_of_terms(<double>0)


# One row for several threads.


cdef int check_row(cnp.ndarray row, cnp.ndarray sums, cnp.ndarray x, cnp.ndarray out) except -1:
    """Guard a block (1, n, 1), its numbers, and with out its results."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef int dtype = cnp.PyArray_TYPE(x)
    if not PyArray_ISCARRAY_RO(x) or (dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE):
        raise TypeError("a row is contiguous float32 or float64")
    if out is not None and (not PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != dtype or cnp.PyArray_SIZE(out) != n):
        raise ValueError("results are as contiguous as the row, of its length and dtype")
    if (
        not PyArray_ISCARRAY(row) or cnp.PyArray_TYPE(row) != cnp.NPY_DOUBLE or cnp.PyArray_SIZE(row) != ROW_NUMBERS
        or not PyArray_ISCARRAY(sums) or cnp.PyArray_TYPE(sums) != cnp.NPY_DOUBLE
        or cnp.PyArray_SIZE(sums) != (n + BLOCK - 1) // BLOCK * BLOCK_NUMBERS
    ):
        raise ValueError("the numbers of the row are not those of its length")
    return 0


def begin_row(cnp.ndarray x not None, cnp.ndarray out not None, bint of_logarithms):
    """Arrays for the numbers of a row and for those of its blocks: of softmax, or of log_softmax or logsumexp.

    None for softmax in place of what stays in the caches: the whole kernel is as fast as two threads.
    """
    cdef cnp.npy_intp[2] shape = [(cnp.PyArray_SIZE(x) + BLOCK - 1) // BLOCK, BLOCK_NUMBERS]
    cdef cnp.npy_intp count = ROW_NUMBERS
    cdef cnp.ndarray row = <cnp.ndarray>cnp.PyArray_ZEROS(1, &count, cnp.NPY_DOUBLE, 0)
    cdef Row* numbers = <Row*>cnp.PyArray_DATA(row)
    numbers.of_logarithms = of_logarithms
    numbers.in_place = cnp.PyArray_DATA(x) == cnp.PyArray_DATA(out)
    numbers.stores_terms = not of_logarithms and cnp.PyArray_NBYTES(x) <= cache // RESIDENT_SHARE
    if numbers.stores_terms != 0.0 and numbers.in_place != 0.0:
        return None
    return row, cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)


def sum_row_blocks(
    cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None, cnp.ndarray out not None,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Sum the blocks of a row from `first` to `stop`; out may be used meanwhile."""
    check_row(row, sums, x, None)
    cdef const Row* numbers = <const Row*>cnp.PyArray_DATA(row)
    cdef void* results = NULL
    if numbers.stores_terms != 0.0:
        check_row(row, sums, x, out)
        results = cnp.PyArray_DATA(out)
    cdef BlockSum* blocks = <BlockSum*>cnp.PyArray_DATA(sums)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    if not 0 <= first <= stop <= cnp.PyArray_DIM(sums, 0):
        raise ValueError("there are no such blocks")
    with nogil:
        if single:
            sum_blocks(numbers, blocks, <const float*>data, <float*>results, n, first, stop)
        else:
            sum_blocks(numbers, blocks, <const double*>data, <double*>results, n, first, stop)


def row_needs_shift(cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None):
    """Whether all blocks have to be summed again, for the row's largest element is very large."""
    check_row(row, sums, x, None)
    cdef Row* numbers = <Row*>cnp.PyArray_DATA(row)
    cdef const BlockSum* blocks = <const BlockSum*>cnp.PyArray_DATA(sums)
    cdef Py_ssize_t count = cnp.PyArray_DIM(sums, 0)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        return needs_shift(<float>0, numbers, blocks, count)
    return needs_shift(<double>0, numbers, blocks, count)


def row_is_ordinary(cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None):
    """Merge all blocks. False if the row's results are for the whole kernel."""
    check_row(row, sums, x, None)
    cdef Row* numbers = <Row*>cnp.PyArray_DATA(row)
    cdef const BlockSum* blocks = <const BlockSum*>cnp.PyArray_DATA(sums)
    cdef Py_ssize_t count = cnp.PyArray_DIM(sums, 0)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        return merge_blocks(<float>0, numbers, blocks, count)
    return merge_blocks(<double>0, numbers, blocks, count)


def apply_row(
    cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None, cnp.ndarray out not None,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Write softmax, or log_softmax, of the blocks from `first` to `stop` to out. True if the whole kernel has to do better."""
    check_row(row, sums, x, out)
    cdef const Row* numbers = <const Row*>cnp.PyArray_DATA(row)
    cdef const BlockSum* blocks = <const BlockSum*>cnp.PyArray_DATA(sums)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef void* results = cnp.PyArray_DATA(out)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef bint past_caches = cnp.PyArray_NBYTES(out) > cache
    cdef bint any_subnormal = False
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    if not 0 <= first <= stop <= cnp.PyArray_DIM(sums, 0):
        raise ValueError("there are no such blocks")
    with nogil:
        if single and numbers.of_logarithms != 0.0:
            log_softmax_of_blocks(numbers, <const float*>data, <float*>results, n, first, stop)
        elif numbers.of_logarithms != 0.0:
            log_softmax_of_blocks(numbers, <const double*>data, <double*>results, n, first, stop)
        elif single:
            softmax_of_blocks(
                numbers, blocks, <const float*>data, <float*>results, n, first, stop, past_caches, &any_subnormal
            )
        else:
            softmax_of_blocks(
                numbers, blocks, <const double*>data, <double*>results, n, first, stop, past_caches, &any_subnormal
            )
    return any_subnormal


def logsumexp_of_row(cnp.ndarray row not None, cnp.ndarray out not None):
    """Write logsumexp of a row to out, its only element."""
    cdef const Row* numbers = <const Row*>cnp.PyArray_DATA(row)
    cdef double result = numbers.largest + numbers.logarithm
    if not PyArray_ISCARRAY(out) or cnp.PyArray_SIZE(out) != 1:
        raise ValueError("the result is one element")
    if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT:
        (<float*>cnp.PyArray_DATA(out))[0] = <float>result
    elif cnp.PyArray_TYPE(out) == cnp.NPY_DOUBLE:
        (<double*>cnp.PyArray_DATA(out))[0] = result
    else:
        raise TypeError("kernels take float32 or float64")
