# float16 and bfloat16 to float32 and back.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.halves cimport Operand, numbers_of
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED, as_computed, native, put


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
