# The short cut of cross-entropy with integer targets and no option.

cimport numpy as cnp
from libc.stdlib cimport free, malloc

from fastsoftmax.kernels.arithmetic.halves cimport Operand
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED
from fastsoftmax.kernels.cross_entropy.cross_entropy cimport add_losses
from fastsoftmax.kernels.gradients.gradients cimport value_of
from fastsoftmax.kernels.scratch cimport no_scratch, release

cdef enum:
    LABELLED = 64  # rows that are given to the kernel at a time


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
    rows.chunks = rows.columns = no_scratch()
    try:
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
    finally:
        release(&rows.chunks)
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
