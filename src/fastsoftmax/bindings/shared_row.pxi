# One row for several threads.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.parts.shared_row cimport (
    BLOCK_NUMBERS, ROW_NUMBERS, BlockSum, Row, log_softmax_of_blocks, merge_blocks, needs_shift, softmax_of_blocks, sum_blocks,
)
from fastsoftmax.kernels.rows.row_groups cimport RESIDENT_SHARE


cdef Py_ssize_t check_sums(cnp.ndarray row, cnp.ndarray sums) except -1:
    """Guard the numbers of a row and of its blocks; how many blocks there are."""
    if (
        not PyArray_ISCARRAY(row) or cnp.PyArray_TYPE(row) != cnp.NPY_DOUBLE or cnp.PyArray_SIZE(row) != ROW_NUMBERS
        or not PyArray_ISCARRAY(sums) or cnp.PyArray_TYPE(sums) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(sums) != 2
        or cnp.PyArray_DIM(sums, 1) != BLOCK_NUMBERS
    ):
        raise ValueError("the numbers of a row, and those of its blocks, are float64 and contiguous")
    return cnp.PyArray_DIM(sums, 0)


cdef int check_row(cnp.ndarray row, cnp.ndarray sums, cnp.ndarray x, cnp.ndarray out) except -1:
    """Guard a block (1, n, 1), its numbers, and with out its results."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef int dtype = cnp.PyArray_TYPE(x)
    if not PyArray_ISCARRAY_RO(x) or (dtype != cnp.NPY_FLOAT and dtype != cnp.NPY_DOUBLE):
        raise TypeError("a row is contiguous float32 or float64")
    if out is not None and (not PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != dtype or cnp.PyArray_SIZE(out) != n):
        raise ValueError("results are as contiguous as the row, of its length and dtype")
    if check_sums(row, sums) != (n + BLOCK - 1) // BLOCK:
        raise ValueError("the numbers of the row are not those of its length")
    return 0


cdef tuple new_row(Py_ssize_t n, bint of_logarithms, bint in_place, bint stores_terms):
    """Arrays for the numbers of a row of this length and for those of its blocks."""
    cdef cnp.npy_intp[2] shape = [(n + BLOCK - 1) // BLOCK, BLOCK_NUMBERS]
    cdef cnp.npy_intp count = ROW_NUMBERS
    cdef cnp.ndarray row = <cnp.ndarray>cnp.PyArray_ZEROS(1, &count, cnp.NPY_DOUBLE, 0)
    cdef Row* numbers = <Row*>cnp.PyArray_DATA(row)
    numbers.of_logarithms = of_logarithms
    numbers.in_place = in_place
    numbers.stores_terms = stores_terms
    return row, cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)


def begin_row(cnp.ndarray x not None, cnp.ndarray out not None, bint of_logarithms):
    """Arrays for the numbers of a row and for those of its blocks: of softmax, or of log_softmax or logsumexp.

    None for softmax in place of what stays in the caches: the whole kernel is as fast as two threads.
    """
    cdef bint in_place = cnp.PyArray_DATA(x) == cnp.PyArray_DATA(out)
    cdef bint stores_terms = not of_logarithms and cnp.PyArray_NBYTES(x) <= cache // RESIDENT_SHARE
    if stores_terms and in_place:
        return None
    return new_row(cnp.PyArray_SIZE(x), of_logarithms, in_place, stores_terms)


def begin_packed_row(Py_ssize_t n, bint of_logarithms, bint in_place):
    """The same for a row of this length that is packed in pieces of whole blocks, each with its part of the sums."""
    if n < 0:
        raise ValueError("a row has a length")
    return new_row(n, of_logarithms, in_place, False)


def sum_row_blocks(
    cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None, cnp.ndarray out not None,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Sum the blocks of a row from `first` to `stop`; out may be used meanwhile."""
    check_row(row, sums, x, None)
    cdef const Row* numbers = <const Row*>cnp.PyArray_DATA(row)
    cdef void* results = NULL
    if numbers.stores_terms != 0.0:
        check_row(row, sums, x, out)
        results = cnp.PyArray_DATA(out)
    cdef BlockSum* blocks = <BlockSum*>cnp.PyArray_DATA(sums)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    if not 0 <= first <= stop <= cnp.PyArray_DIM(sums, 0):
        raise ValueError("there are no such blocks")
    with nogil:
        if single:
            sum_blocks(numbers, blocks, <const float*>data, <float*>results, n, first, stop)
        else:
            sum_blocks(numbers, blocks, <const double*>data, <double*>results, n, first, stop)


def row_needs_shift(cnp.ndarray row not None, cnp.ndarray sums not None, bint single):
    """Whether all blocks have to be summed again, for the row's largest element is very large; single: it is float32."""
    cdef Py_ssize_t count = check_sums(row, sums)
    cdef Row* numbers = <Row*>cnp.PyArray_DATA(row)
    cdef const BlockSum* blocks = <const BlockSum*>cnp.PyArray_DATA(sums)
    if single:
        return needs_shift(<float>0, numbers, blocks, count)
    return needs_shift(<double>0, numbers, blocks, count)


def row_is_ordinary(cnp.ndarray row not None, cnp.ndarray sums not None, bint single):
    """Merge all blocks. False if the row's results are for the whole kernel."""
    cdef Py_ssize_t count = check_sums(row, sums)
    cdef Row* numbers = <Row*>cnp.PyArray_DATA(row)
    cdef const BlockSum* blocks = <const BlockSum*>cnp.PyArray_DATA(sums)
    if single:
        return merge_blocks(<float>0, numbers, blocks, count)
    return merge_blocks(<double>0, numbers, blocks, count)


def apply_row(
    cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None, cnp.ndarray out not None,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Write softmax, or log_softmax, of the blocks from `first` to `stop` to out. True if the whole kernel has to do better."""
    check_row(row, sums, x, out)
    cdef const Row* numbers = <const Row*>cnp.PyArray_DATA(row)
    cdef const BlockSum* blocks = <const BlockSum*>cnp.PyArray_DATA(sums)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef void* results = cnp.PyArray_DATA(out)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef bint past_caches = cnp.PyArray_NBYTES(out) > cache
    cdef bint any_subnormal = False
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    if not 0 <= first <= stop <= cnp.PyArray_DIM(sums, 0):
        raise ValueError("there are no such blocks")
    with nogil:
        if single and numbers.of_logarithms != 0.0:
            log_softmax_of_blocks(numbers, <const float*>data, <float*>results, n, first, stop)
        elif numbers.of_logarithms != 0.0:
            log_softmax_of_blocks(numbers, <const double*>data, <double*>results, n, first, stop)
        elif single:
            softmax_of_blocks(
                numbers, blocks, <const float*>data, <float*>results, n, first, stop, past_caches, &any_subnormal
            )
        else:
            softmax_of_blocks(
                numbers, blocks, <const double*>data, <double*>results, n, first, stop, past_caches, &any_subnormal
            )
    return any_subnormal


def logsumexp_of_row(cnp.ndarray row not None, cnp.ndarray out not None):
    """Write logsumexp of a row to out, its only element."""
    cdef const Row* numbers = <const Row*>cnp.PyArray_DATA(row)
    cdef double result = numbers.largest + numbers.logarithm
    if not PyArray_ISCARRAY(out) or cnp.PyArray_SIZE(out) != 1:
        raise ValueError("the result is one element")
    if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT:
        (<float*>cnp.PyArray_DATA(out))[0] = <float>result
    elif cnp.PyArray_TYPE(out) == cnp.NPY_DOUBLE:
        (<double*>cnp.PyArray_DATA(out))[0] = result
    else:
        raise TypeError("kernels take float32 or float64")
