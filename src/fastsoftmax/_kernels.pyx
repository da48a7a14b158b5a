"""The kernels over contiguous blocks (outer, n, inner), and the short cut for small plain calls.

(a) This file only looks at arrays: it checks them, takes their addresses and picks float32 or float64. The algorithms
    are in `rows.pxd` and `columns.pxd`, over the vocabulary of `vector_math.pxd`.
(b) Everything is compiled once per target; nothing here knows which.
(c) A kernel may be given the same array as input and output. The arguments are the package's own, so errors here are
    guards, not messages for users.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from fastsoftmax.rows cimport log_softmax_rows, logsumexp_rows, softmax_rows
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


cdef enum Operation:
    SOFTMAX
    LOG_SOFTMAX
    LOGSUMEXP


cdef bint run(
    Operation operation, real* x, real* y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, bint past_caches
) except? True:
    """One operation over a block."""
    cdef bint made_nan = False
    with nogil:
        if operation == SOFTMAX:
            softmax_rows(x, y, outer, n, past_caches, &made_nan)
        elif operation == LOG_SOFTMAX:
            log_softmax_rows(x, y, outer, n, &made_nan)
        else:
            logsumexp_rows(x, y, outer, n)
    return made_nan


cdef bint dispatch(Operation operation, cnp.ndarray x, cnp.ndarray out) except? True:
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    cdef bint past_caches = cnp.PyArray_NBYTES(out) > 33554432
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        return run[float](operation, <float*>cnp.PyArray_DATA(x), <float*>cnp.PyArray_DATA(out), outer, n, inner, past_caches)
    if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        return run(operation, <double*>cnp.PyArray_DATA(x), <double*>cnp.PyArray_DATA(out), outer, n, inner, past_caches)
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


cdef object small(Operation operation, x, axis):
    """The result for a plain small call, or None where the general path has to look closer."""
    cdef cnp.ndarray array
    cdef cnp.ndarray out
    cdef Py_ssize_t n, size, last
    cdef int dtype
    cdef float of_float
    cdef double of_double
    if type(x) is not cnp.ndarray:
        return None
    array = <cnp.ndarray>x
    dtype = cnp.PyArray_TYPE(array)
    last = cnp.PyArray_NDIM(array) - 1
    size = cnp.PyArray_SIZE(array)
    if last < 0 or not 0 < size <= SMALL or not PyArray_ISCARRAY_RO(array):
        return None
    if dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE:
        return None
    n = cnp.PyArray_DIM(array, <int>last)
    if axis is None:
        n = size
    elif type(axis) is not int or not (axis == -1 or axis == last):
        return None
    if operation == LOGSUMEXP:
        if n == size and (last == 0 or axis is None):
            if dtype == cnp.NPY_FLOAT:
                logsumexp_rows(<float*>cnp.PyArray_DATA(array), &of_float, 1, n)
                return PyArray_Scalar(&of_float, PyArray_DescrFromType(dtype), None)
            logsumexp_rows(<double*>cnp.PyArray_DATA(array), &of_double, 1, n)
            return PyArray_Scalar(&of_double, PyArray_DescrFromType(dtype), None)
        out = <cnp.ndarray>cnp.PyArray_SimpleNew(<int>last, cnp.PyArray_DIMS(array), dtype)
    else:
        out = <cnp.ndarray>cnp.PyArray_SimpleNew(<int>last + 1, cnp.PyArray_DIMS(array), dtype)
    if dtype == cnp.NPY_FLOAT:
        return None if run_rows(operation, <float*>cnp.PyArray_DATA(array), <float*>cnp.PyArray_DATA(out), size // n, n) else out
    return None if run_rows(operation, <double*>cnp.PyArray_DATA(array), <double*>cnp.PyArray_DATA(out), size // n, n) else out


cdef bint run_rows(Operation operation, const real* x, real* y, Py_ssize_t outer, Py_ssize_t n) except? True:
    cdef bint made_nan = False
    if operation == SOFTMAX:
        softmax_rows(x, y, outer, n, False, &made_nan)
    elif operation == LOG_SOFTMAX:
        log_softmax_rows(x, y, outer, n, &made_nan)
    else:
        logsumexp_rows(x, y, outer, n)
    return made_nan


def softmax_small(x, axis):
    """softmax of a plain small array over its last axis, or over all axes with None; None for any other call."""
    return small(SOFTMAX, x, axis)


def log_softmax_small(x, axis):
    """log_softmax of a plain small array over its last axis, or over all axes with None; None for any other call."""
    return small(LOG_SOFTMAX, x, axis)


def logsumexp_small(x, axis):
    """logsumexp of a plain small array over its last axis, or over all axes with None; None for any other call."""
    return small(LOGSUMEXP, x, axis)
