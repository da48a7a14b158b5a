# The gradient of one row for several threads.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.halves cimport Operand, numbers_of
from fastsoftmax.kernels.arithmetic.simd cimport DIFFERENT, Storage, common_storage, native, specialised, stored
from fastsoftmax.kernels.arithmetic.sums cimport BLOCK
from fastsoftmax.kernels.parts.shared_gradient cimport (
    BLOCK_NUMBERS as GRADIENT_BLOCK_NUMBERS, BlockSum as GradientBlockSum, GradientSum, add_blocks, sum_blocks as
    sum_blocks_of_gradient, write_blocks,
)


cdef struct GradientRow:  # the arrays of a row, in the one dtype that they compute in
    bint single
    Storage storage
    Py_ssize_t n
    stored[float] g
    stored[float] values
    stored[float] out
    stored[double] wide_g
    stored[double] wide_values
    stored[double] wide_out


cdef GradientRow gradient_row_of(int gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray out) except *:
    """Guard one row, (1, n, 1), of the gradients that have arrays of its shape alone."""
    cdef GradientRow row
    cdef Operand[3] operands
    cdef int dtype = computed_in(values)
    if not SOFTMAX_VJP <= gradient <= LOG_SOFTMAX_JVP:
        raise ValueError("there is no such gradient of a shared row")
    check_gradient(<Gradient>gradient, g, values, None, out)
    if cnp.PyArray_DIM(values, 0) != 1 or cnp.PyArray_DIM(values, 2) != 1:
        raise ValueError("a row is a block (1, n, 1)")
    row.single = dtype == cnp.NPY_FLOAT
    row.n = cnp.PyArray_DIM(values, 1)
    row.storage = AS_COMPUTED
    if row.single:
        operands = [operand_of(g, False), operand_of(values, False), operand_of(out, False)]
        row.g = numbers_of(&operands[0])
        row.values = numbers_of(&operands[1])
        row.out = numbers_of(&operands[2])
        row.storage = common_storage(row.g, row.values, row.out)
    elif dtype == cnp.NPY_DOUBLE:
        row.wide_g = native(<const double*>cnp.PyArray_DATA(g))
        row.wide_values = native(<const double*>cnp.PyArray_DATA(values))
        row.wide_out = native(<const double*>cnp.PyArray_DATA(out))
    else:
        raise TypeError("kernels take halves, float32 or float64")
    return row


cdef Py_ssize_t blocks_of(Py_ssize_t n):
    return (n + BLOCK - 1) // BLOCK


cdef GradientBlockSum* gradient_sums(cnp.ndarray sums, Py_ssize_t n, Py_ssize_t first, Py_ssize_t stop) except NULL:
    """Guard the sums of the blocks of a row, and a range of them."""
    if (
        not PyArray_ISCARRAY(sums) or cnp.PyArray_TYPE(sums) != cnp.NPY_DOUBLE
        or cnp.PyArray_SIZE(sums) != blocks_of(n) * GRADIENT_BLOCK_NUMBERS
    ):
        raise ValueError("the numbers of the row are not those of its length")
    if not 0 <= first <= stop <= blocks_of(n):
        raise ValueError("there are no such blocks")
    return <GradientBlockSum*>cnp.PyArray_DATA(sums)


def begin_gradient(int gradient, cnp.ndarray g not None, cnp.ndarray values not None, cnp.ndarray out not None):
    """An array for the sums of the blocks of a row; None if the formats of its arrays differ."""
    cdef GradientRow row = gradient_row_of(gradient, g, values, out)
    cdef cnp.npy_intp[2] shape = [blocks_of(row.n), GRADIENT_BLOCK_NUMBERS]
    if row.storage == DIFFERENT:
        return None
    return cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)


def sum_gradient_blocks(
    int gradient, cnp.ndarray g not None, cnp.ndarray values not None, cnp.ndarray out not None, cnp.ndarray sums not None,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Sum the blocks from `first` to `stop`. True if one of them makes the row unusual."""
    cdef GradientRow row = gradient_row_of(gradient, g, values, out)
    cdef GradientBlockSum* blocks = gradient_sums(sums, row.n, first, stop)
    cdef bint usual = True
    with nogil:
        if row.single:
            specialised(
                sum_blocks_of_gradient[float], <Gradient>gradient, row.storage, row.g, row.values, row.out, row.n, blocks,
                first, stop, &usual,
            )
        else:
            specialised(
                sum_blocks_of_gradient[double], <Gradient>gradient, row.storage, row.wide_g, row.wide_values, row.wide_out,
                row.n, blocks, first, stop, &usual,
            )
    return not usual


def finish_gradient(
    int gradient, cnp.ndarray g not None, cnp.ndarray values not None, cnp.ndarray out not None, cnp.ndarray sums not None
):
    """The numbers that results are made with, from the sums of all blocks; None if they are unusual."""
    cdef GradientRow row = gradient_row_of(gradient, g, values, out)
    cdef Py_ssize_t count = blocks_of(row.n)
    cdef const GradientBlockSum* blocks = gradient_sums(sums, row.n, 0, count)
    cdef GradientSum result
    cdef bint usual
    if row.single:
        usual = add_blocks(<Gradient>gradient, <float>0, blocks, count, &result)
    else:
        usual = add_blocks(<Gradient>gradient, <double>0, blocks, count, &result)
    return (result.sum, result.unit_high, result.unit_low) if usual else None


def write_gradient_blocks(
    int gradient, cnp.ndarray g not None, cnp.ndarray values not None, cnp.ndarray out not None, tuple numbers not None,
    Py_ssize_t first, Py_ssize_t stop,
):
    """Write the results of the blocks from `first` to `stop`. True if the row kernel has to do it again."""
    cdef GradientRow row = gradient_row_of(gradient, g, values, out)
    cdef GradientSum made
    cdef bint usual = True
    made.sum, made.unit_high, made.unit_low = numbers
    if not 0 <= first <= stop <= blocks_of(row.n):
        raise ValueError("there are no such blocks")
    with nogil:
        if row.single:
            specialised(
                write_blocks[float], <Gradient>gradient, row.storage, row.g, row.values, row.out, row.n, &made, first, stop,
                &usual,
            )
        else:
            specialised(
                write_blocks[double], <Gradient>gradient, row.storage, row.wide_g, row.wide_values, row.wide_out, row.n, &made,
                first, stop, &usual,
            )
    return not usual
