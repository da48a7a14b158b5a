# The short cut of softmax, log_softmax and logsumexp.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.halves cimport Operand
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED
from fastsoftmax.kernels.arithmetic.vector_math cimport real
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, Operation

cdef object FLOAT32_TYPE = getattr(PyArray_DescrFromType(cnp.NPY_FLOAT), "type")  # an attribute of Python


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
