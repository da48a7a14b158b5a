"""The kernels over contiguous blocks (outer, n, inner), and the short cut for small plain calls.

(a) This file only looks at arrays: it checks them, takes their addresses and picks float32 or float64. The algorithms
    are in `rows.pxd` and `columns.pxd`, over the vocabulary of `vector_math.pxd`.
(b) Everything is compiled once per target; nothing here knows which.
(c) A kernel may be given the same array as input and output. The arguments are the package's own, so errors here are
    guards, not messages for users.
"""

cimport numpy as cnp

from fastsoftmax.columns cimport reduce_columns
from fastsoftmax.rows cimport LOG_SOFTMAX, LOGSUMEXP, SOFTMAX, Operation, reduce_rows
from fastsoftmax.vector_math cimport real

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISCARRAY(cnp.ndarray) nogil
    bint PyArray_ISCARRAY_RO(cnp.ndarray) nogil
    object PyArray_Scalar(void* data, cnp.dtype descr, object base)
    cnp.dtype PyArray_DescrFromType(int)

cdef Py_ssize_t SMALL = 32768


cdef int check_blocks(cnp.ndarray x, cnp.ndarray out, bint reduced) except -1:
    """Guard the kernels: x is (outer, n, inner), out has its shape, or the same without n."""
    if not (PyArray_ISCARRAY_RO(x) and PyArray_ISCARRAY(out)):
        raise ValueError("kernels take aligned C-contiguous arrays in native byte order")
    if cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(out):
        raise TypeError("kernels take arrays of one dtype")
    if cnp.PyArray_NDIM(x) != 3 or cnp.PyArray_NDIM(out) != (2 if reduced else 3):
        raise ValueError("kernels take blocks (outer, n, inner)")
    if (
        cnp.PyArray_DIM(x, 0) != cnp.PyArray_DIM(out, 0)
        or cnp.PyArray_DIM(x, 2) != cnp.PyArray_DIM(out, 1 if reduced else 2)
        or (not reduced and cnp.PyArray_DIM(x, 1) != cnp.PyArray_DIM(out, 1))
        or cnp.PyArray_DIM(x, 1) < 1
    ):
        raise ValueError("the shapes of input and output do not fit")
    return 0


cdef bint run(
    Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, bint past_caches
) except? True:
    """One operation over a block. True if a slice without nan has become nan."""
    cdef bint made_nan = False
    with nogil:
        if inner == 1:
            reduce_rows(operation, x, y, outer, n, past_caches, &made_nan)
        else:
            reduce_columns(operation, x, y, outer, n, inner, &made_nan)
    return made_nan


cdef bint dispatch(Operation operation, cnp.ndarray x, cnp.ndarray out) except? True:
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    cdef bint past_caches = cnp.PyArray_NBYTES(out) > 33554432
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        return run(operation, <const float*>cnp.PyArray_DATA(x), <float*>cnp.PyArray_DATA(out), outer, n, inner, past_caches)
    if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        return run(operation, <const double*>cnp.PyArray_DATA(x), <double*>cnp.PyArray_DATA(out), outer, n, inner, past_caches)
    raise TypeError("kernels take float32 or float64")


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


cdef object small_result(Operation operation, const real* x, cnp.ndarray array, int ndim, Py_ssize_t outer, Py_ssize_t n):
    """Allocate and compute the result of a plain small call; None if it would have to warn."""
    cdef bint made_nan = False
    cdef cnp.ndarray out
    cdef int dtype = cnp.PyArray_TYPE(array)
    cdef real number
    if ndim == 0:
        reduce_rows(operation, x, &number, outer, n, False, &made_nan)
        return PyArray_Scalar(&number, PyArray_DescrFromType(dtype), None)
    out = <cnp.ndarray>cnp.PyArray_SimpleNew(ndim, cnp.PyArray_DIMS(array), dtype)
    reduce_rows(operation, x, <real*>cnp.PyArray_DATA(out), outer, n, False, &made_nan)
    return None if made_nan else out


cdef object small(Operation operation, x, axis):
    """The result of a plain small call, or None where the general path has to look closer."""
    cdef cnp.ndarray array
    cdef Py_ssize_t n, size
    cdef int ndim, dtype
    if type(x) is not cnp.ndarray:
        return None
    array = <cnp.ndarray>x
    ndim = cnp.PyArray_NDIM(array)
    size = cnp.PyArray_SIZE(array)
    dtype = cnp.PyArray_TYPE(array)
    if ndim == 0 or not 0 < size <= SMALL or not PyArray_ISCARRAY_RO(array):
        return None
    if axis is None:
        n = size
    elif type(axis) is int and (axis == -1 or axis == ndim - 1):
        n = cnp.PyArray_DIM(array, ndim - 1)
    else:
        return None
    if operation == LOGSUMEXP:
        ndim = 0 if axis is None else ndim - 1
    if dtype == cnp.NPY_FLOAT:
        return small_result(operation, <const float*>cnp.PyArray_DATA(array), array, ndim, size // n, n)
    if dtype == cnp.NPY_DOUBLE:
        return small_result(operation, <const double*>cnp.PyArray_DATA(array), array, ndim, size // n, n)
    return None


def softmax_small(x, axis):
    """softmax of a plain small array over its last axis, or over all axes with None; None for any other call."""
    return small(SOFTMAX, x, axis)


def log_softmax_small(x, axis):
    """log_softmax of a plain small array over its last axis, or over all axes with None; None for any other call."""
    return small(LOG_SOFTMAX, x, axis)


def logsumexp_small(x, axis):
    """logsumexp of a plain small array over its last axis, or over all axes with None; None for any other call."""
    return small(LOGSUMEXP, x, axis)
