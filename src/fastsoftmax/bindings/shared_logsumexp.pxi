# The products with the Jacobian of logsumexp over one row, for several threads.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.simd cimport native
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.parts.shared_logsumexp cimport (
    BLOCK_NUMBERS as TANGENT_NUMBERS, BlockSum as TangentSum, add_tangents, sum_tangents, weigh_blocks,
)
from fastsoftmax.kernels.rows.row_blocks cimport find_maximum


cdef bint is_single(cnp.ndarray a, tuple others, Py_ssize_t first, Py_ssize_t stop) except? True:
    """Guard a row (1, n, 1), what goes with it, and a range of its blocks; whether it is of float32."""
    cdef int dtype = cnp.PyArray_TYPE(a)
    cdef cnp.ndarray other
    if dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE:
        raise TypeError("kernels take float32 or float64")
    if cnp.PyArray_NDIM(a) != 3 or cnp.PyArray_DIM(a, 0) != 1 or cnp.PyArray_DIM(a, 2) != 1 or not PyArray_ISCARRAY_RO(a):
        raise ValueError("a row is a block (1, n, 1)")
    for other in others:
        if not PyArray_ISCARRAY_RO(other) or cnp.PyArray_TYPE(other) != dtype:
            raise TypeError("what goes with a row is contiguous, and of its dtype")
        if cnp.PyArray_SIZE(other) != (cnp.PyArray_SIZE(a) if cnp.PyArray_NDIM(other) == 3 else 1):
            raise ValueError("what goes with a row has its shape, or is one number")
    if not 0 <= first <= stop <= blocks_of(cnp.PyArray_SIZE(a)):
        raise ValueError("there are no such blocks")
    return dtype == cnp.NPY_FLOAT


def largest_of_blocks(cnp.ndarray a not None, Py_ssize_t first, Py_ssize_t stop):
    """The largest element of the blocks from `first` to `stop` of a row, passing over nan."""
    cdef bint single = is_single(a, (), first, stop)
    cdef Py_ssize_t start = first * BLOCK
    cdef Py_ssize_t count = min(stop * BLOCK, cnp.PyArray_SIZE(a)) - start
    cdef void* data = cnp.PyArray_DATA(a)
    cdef float largest
    cdef double wide_largest
    with nogil:
        if single:
            find_maximum(native(<const float*>data + start), count, &largest)
            wide_largest = largest
        else:
            find_maximum(native(<const double*>data + start), count, &wide_largest)
    return wide_largest


def weigh_row_blocks(
    cnp.ndarray g not None, cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray out not None, double largest,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Write g * exp(a - lse) of the blocks from `first` to `stop` of a row. True, and nothing written, if it is unusual."""
    cdef bint single = is_single(a, (g, lse, out), first, stop)
    cdef void* data = cnp.PyArray_DATA(a)
    cdef void* results = cnp.PyArray_DATA(out)
    cdef void* factor = cnp.PyArray_DATA(g)
    cdef void* level = cnp.PyArray_DATA(lse)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(a)
    cdef bint usual = False
    if not PyArray_ISCARRAY(out) or cnp.PyArray_NDIM(out) != 3 or cnp.PyArray_NDIM(g) != 2 or cnp.PyArray_NDIM(lse) != 2:
        raise ValueError("results have the shape of the row, and there is one g and one lse")
    with nogil:
        if single:
            weigh_blocks(
                (<const float*>factor)[0], <const float*>data, <float>largest, (<const float*>level)[0], <float*>results, n,
                first, stop, &usual,
            )
        else:
            weigh_blocks(
                (<const double*>factor)[0], <const double*>data, largest, (<const double*>level)[0], <double*>results, n,
                first, stop, &usual,
            )
    return not usual


cdef TangentSum* tangent_sums(cnp.ndarray sums, cnp.ndarray a) except NULL:
    """Guard the sums of the blocks of a row."""
    if (
        not PyArray_ISCARRAY(sums) or cnp.PyArray_TYPE(sums) != cnp.NPY_DOUBLE
        or cnp.PyArray_SIZE(sums) != blocks_of(cnp.PyArray_SIZE(a)) * TANGENT_NUMBERS
    ):
        raise ValueError("the numbers of the row are not those of its length")
    return <TangentSum*>cnp.PyArray_DATA(sums)


def begin_tangents(cnp.ndarray a not None):
    """An array for the sums of the blocks of a row."""
    cdef cnp.npy_intp[2] shape = [blocks_of(cnp.PyArray_SIZE(a)), TANGENT_NUMBERS]
    return cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)


def sum_tangent_blocks(
    cnp.ndarray t not None, cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray sums not None, double largest,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Sum t * exp(a - lse) over the blocks from `first` to `stop` of a row. True if one of them is unusual."""
    cdef bint single = is_single(a, (t, lse), first, stop)
    cdef TangentSum* blocks = tangent_sums(sums, a)
    cdef void* data = cnp.PyArray_DATA(a)
    cdef void* tangents = cnp.PyArray_DATA(t)
    cdef void* level = cnp.PyArray_DATA(lse)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(a)
    cdef bint usual = False
    if cnp.PyArray_NDIM(t) != 3 or cnp.PyArray_NDIM(lse) != 2:
        raise ValueError("t has the shape of the row, and there is one lse")
    with nogil:
        if single:
            sum_tangents(
                <const float*>tangents, <const float*>data, <float>largest, (<const float*>level)[0], n, blocks, first, stop,
                &usual,
            )
        else:
            sum_tangents(
                <const double*>tangents, <const double*>data, largest, (<const double*>level)[0], n, blocks, first, stop, &usual
            )
    return not usual


def add_tangent_blocks(
    cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray sums not None, double largest, cnp.ndarray out not None
):
    """Write the sum of t * exp(a - lse) from the sums of all blocks. True, and nothing written, if it is unusual."""
    cdef bint single = is_single(a, (lse, out), 0, 0)
    cdef const TangentSum* blocks = tangent_sums(sums, a)
    cdef Py_ssize_t count = cnp.PyArray_DIM(sums, 0)
    if not PyArray_ISCARRAY(out) or cnp.PyArray_NDIM(out) != 2 or cnp.PyArray_NDIM(lse) != 2:
        raise ValueError("there is one result, and one lse")
    if single:
        return not add_tangents(
            <float>largest, (<const float*>cnp.PyArray_DATA(lse))[0], blocks, count, <float*>cnp.PyArray_DATA(out)
        )
    return not add_tangents(
        largest, (<const double*>cnp.PyArray_DATA(lse))[0], blocks, count, <double*>cnp.PyArray_DATA(out)
    )
