# Elementary functions of arrays, for what is NumPy code, and for the proofs.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.elementary cimport EXP, LOG1P, Function, apply, factor_of_terms, write_terms


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
