# The short cut of gradients.

cimport numpy as cnp

from fastsoftmax.kernels.gradients.gradients cimport Gradient


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
