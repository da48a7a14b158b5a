# What arrays are to the kernels: blocks (outer, n, inner), in a dtype that is computed in.

cimport numpy as cnp
from libc.string cimport strcmp, strrchr

from fastsoftmax.kernels.arithmetic.halves cimport Operand
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED, BFLOAT16, FLOAT16, native

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
