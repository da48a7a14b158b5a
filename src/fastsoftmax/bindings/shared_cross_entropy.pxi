# Cross-entropy of one row for several threads.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.parts.shared_cross_entropy cimport (
    BLOCK_NUMBERS as LOSS_BLOCK_NUMBERS, LossBlock, LossRow, ROW_NUMBERS as LOSS_ROW_NUMBERS, merge_blocks as merge_loss_blocks,
    sum_blocks as sum_blocks_of_loss, write_blocks as write_blocks_of_loss,
)


cdef LossBlock* loss_blocks(cnp.ndarray sums, cnp.ndarray x) except NULL:
    """Guard the sums of the blocks of a row, of which there are several."""
    if (
        not PyArray_ISCARRAY(sums) or cnp.PyArray_TYPE(sums) != cnp.NPY_DOUBLE
        or cnp.PyArray_SIZE(sums) != blocks_of(cnp.PyArray_SIZE(x)) * LOSS_BLOCK_NUMBERS
    ):
        raise ValueError("the numbers of the row are not those of its length")
    if cnp.PyArray_SIZE(x) <= BLOCK:
        raise ValueError("a shared row has several blocks")
    return <LossBlock*>cnp.PyArray_DATA(sums)


def begin_loss(cnp.ndarray x not None):
    """Arrays for the numbers of a row and for those of its blocks."""
    cdef cnp.npy_intp[2] shape = [blocks_of(cnp.PyArray_SIZE(x)), LOSS_BLOCK_NUMBERS]
    cdef cnp.npy_intp count = LOSS_ROW_NUMBERS
    return cnp.PyArray_ZEROS(1, &count, cnp.NPY_DOUBLE, 0), cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)


def sum_loss_blocks(cnp.ndarray sums not None, cnp.ndarray x not None, Py_ssize_t first, Py_ssize_t stop):
    """Sum the blocks from `first` to `stop` of a row."""
    cdef bint single = is_single(x, (), first, stop)
    cdef LossBlock* blocks = loss_blocks(sums, x)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    with nogil:
        if single:
            sum_blocks_of_loss(<const float*>data, n, blocks, first, stop)
        else:
            sum_blocks_of_loss(<const double*>data, n, blocks, first, stop)


cdef LossRow* loss_row(cnp.ndarray row) except NULL:
    if not PyArray_ISCARRAY(row) or cnp.PyArray_TYPE(row) != cnp.NPY_DOUBLE or cnp.PyArray_SIZE(row) != LOSS_ROW_NUMBERS:
        raise ValueError("the numbers of the row are not those of a loss")
    return <LossRow*>cnp.PyArray_DATA(row)


cdef int check_label(cnp.ndarray x, Py_ssize_t label) except -1:
    if not 0 <= label < cnp.PyArray_SIZE(x):
        raise ValueError("a label is out of range")
    return 0


def finish_loss(
    cnp.ndarray row not None, cnp.ndarray sums not None, cnp.ndarray x not None, Py_ssize_t label, double at_target,
    double total, cnp.ndarray grad,
):
    """The loss, from the sums of all blocks; None if the row is unusual."""
    cdef bint single = is_single(x, () if grad is None else (grad,), 0, 0)
    cdef LossRow* numbers = loss_row(row)
    cdef const LossBlock* blocks = loss_blocks(sums, x)
    cdef Py_ssize_t count = cnp.PyArray_DIM(sums, 0)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef bint in_place = grad is not None and cnp.PyArray_DATA(grad) == data
    cdef bint usual
    cdef double loss = 0.0
    check_label(x, label)
    if single:
        usual = merge_loss_blocks(
            blocks, count, (<const float*>data)[label], at_target, total, grad is not None, in_place, numbers, &loss
        )
    else:
        usual = merge_loss_blocks(
            blocks, count, (<const double*>data)[label], at_target, total, grad is not None, in_place, numbers, &loss
        )
    return loss if usual else None


def write_loss_blocks(
    cnp.ndarray row not None, cnp.ndarray x not None, cnp.ndarray grad not None, Py_ssize_t first, Py_ssize_t stop
):
    """Write total * softmax of the blocks from `first` to `stop`. True if the whole kernel has to do better."""
    cdef bint single = is_single(x, (grad,), first, stop)
    cdef const LossRow* numbers = loss_row(row)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef void* results = cnp.PyArray_DATA(grad)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef bint any_subnormal = False
    if not PyArray_ISCARRAY(grad) or cnp.PyArray_NDIM(grad) != 3:
        raise ValueError("the gradient has the shape of the row")
    with nogil:
        if single:
            write_blocks_of_loss(numbers, <const float*>data, <float*>results, n, first, stop, &any_subnormal)
        else:
            write_blocks_of_loss(numbers, <const double*>data, <double*>results, n, first, stop, &any_subnormal)
    return any_subnormal


def finish_loss_gradient(cnp.ndarray row not None, cnp.ndarray grad not None, Py_ssize_t label):
    """Write the gradient at the target."""
    cdef const LossRow* numbers = loss_row(row)
    cdef bint single = is_single(grad, (), 0, 0)
    check_label(grad, label)
    if not PyArray_ISCARRAY(grad):
        raise ValueError("the gradient can be written")
    if single:
        (<float*>cnp.PyArray_DATA(grad))[label] = <float>numbers.at_target
    else:
        (<double*>cnp.PyArray_DATA(grad))[label] = numbers.at_target
