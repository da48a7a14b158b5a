# Losses of labelled rows and dense targets, and their gradients.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.halves cimport (
    Chunks, Operand, chunks_of, give_scratch, narrowed, next_chunk, numbers_of, scratch_for, widened,
)
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED, native, stored
from fastsoftmax.kernels.arithmetic.vector_math cimport real
from fastsoftmax.kernels.cross_entropy.cross_entropy cimport IGNORED, add_losses, cross_entropy_row, cross_entropy_rows
from fastsoftmax.kernels.cross_entropy.cross_entropy_columns cimport cross_entropy_columns
from fastsoftmax.kernels.gradients.gradients cimport LOG_SOFTMAX_VJP, Exponentials, exponentials_of, weighted_sum
from fastsoftmax.kernels.rows.row_blocks cimport RESIDENT_BYTES
from fastsoftmax.kernels.scratch cimport Scratch, no_scratch, release
from fastsoftmax.kernels.signals cimport SIGNAL_PERIOD, hear_signals


cdef struct Rows:  # what belongs to rows of logits: see `cross_entropy`
    Py_ssize_t n
    const long long* labels
    const void* dense
    Py_ssize_t dense_stride
    const double* at_target
    const double* total
    double* losses
    Scratch chunks  # of halves, and of columns: kept until all rows are done
    Scratch columns


cdef int add_rows(
    Rows* rows, Py_ssize_t first, const real* logits, real* grad, Py_ssize_t outer, Py_ssize_t inner, Py_ssize_t stride,
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
        rows.total + first, rows.losses + first, &rows.columns, made_nan,
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
    Rows* rows, Operand logits, Operand grad, Py_ssize_t outer, Py_ssize_t inner, Py_ssize_t stride, bint* made_nan
) except -1 nogil:
    """The same, of all rows, where logits or gradient are stored in 16 bits."""
    if stride == 1 and rows.n * sizeof(float) > RESIDENT_BYTES and rows.dense == NULL:
        return add_long_rows(rows, outer, logits, grad, made_nan)
    cdef Operand[2] operands = [logits, grad]
    cdef Chunks chunks = chunks_of(outer, rows.n, inner, stride)
    cdef Py_ssize_t since = 0
    give_scratch(operands, 2, &chunks, inner > 1 or rows.n * sizeof(float) > RESIDENT_BYTES, &rows.chunks)
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
    return 0


cdef int add_any_rows(
    Rows* rows, int dtype, Operand logits, Operand grad, Py_ssize_t outer, Py_ssize_t inner, Py_ssize_t stride,
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
    all_rows.chunks = all_rows.columns = no_scratch()
    with nogil:
        try:
            add_any_rows(&all_rows, dtype, first, second, outer, inner, stride, &made_nan)
        finally:
            release(&all_rows.chunks)
            release(&all_rows.columns)
    return made_nan


cdef int add_up_rows(const real* x, Py_ssize_t rows, Py_ssize_t n, double* sums) except -1 nogil:
    cdef stored[real] numbers = native(x)
    cdef Exponentials unused = exponentials_of(<real>0, <real>0)
    cdef Py_ssize_t row
    for row in range(rows):
        weighted_sum(LOG_SOFTMAX_VJP, numbers + row * n, numbers + row * n, n, unused, <real>1, &sums[row])
    return 0


def sum_rows(cnp.ndarray x not None, cnp.ndarray sums not None):
    """Write the sums of rows (rows, n) to sums, rounded to float64 from twice its precision, or for float32 from float64."""
    cdef int dtype = cnp.PyArray_TYPE(x)
    if not PyArray_ISCARRAY_RO(x) or cnp.PyArray_NDIM(x) != 2 or (dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE):
        raise ValueError("rows are (rows, n), contiguous, of float32 or float64")
    check_vector(sums, cnp.NPY_DOUBLE, cnp.PyArray_DIM(x, 0))
    with nogil:
        if dtype == cnp.NPY_FLOAT:
            add_up_rows(
                <const float*>cnp.PyArray_DATA(x), cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), <double*>cnp.PyArray_DATA(sums)
            )
        else:
            add_up_rows(
                <const double*>cnp.PyArray_DATA(x), cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), <double*>cnp.PyArray_DATA(sums)
            )


def sum_losses(cnp.ndarray losses not None, cnp.ndarray state not None):
    """Add losses (rows,) to the running sum state[0] + state[1], from left to right by two-sum."""
    check_vector(losses, cnp.NPY_DOUBLE, cnp.PyArray_DIM(losses, 0))
    check_vector(state, cnp.NPY_DOUBLE, 2)
    cdef double* sums = <double*>cnp.PyArray_DATA(state)
    add_losses(<const double*>cnp.PyArray_DATA(losses), cnp.PyArray_DIM(losses, 0), &sums[0], &sums[1])
