# The short cut: whether a call is plain and small, so that nothing has to be settled in Python. None is its answer where the
# general path has to look closer; nothing is written then.

cimport numpy as cnp

cdef enum:
    SMALL = 1048576  # elements up to which a plain call takes the short cut
    BRIEF = 8192  # elements up to which it does not let other threads run meanwhile


cdef struct Block:  # a contiguous array and one of its axes, or all
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner
    int axis  # -1 for all


cdef inline bint find_block(cnp.ndarray x, axis, Block* block):
    """See x as (outer, n, inner); False if the axis is not a plain one."""
    cdef int ndim = cnp.PyArray_NDIM(x)
    cdef int i
    block.outer = block.inner = 1
    block.axis = -1
    if axis is None:
        block.n = cnp.PyArray_SIZE(x)
        return True
    if type(axis) is not int or not -ndim <= axis < ndim:
        return False
    block.axis = axis
    if block.axis < 0:
        block.axis += ndim
    block.n = cnp.PyArray_DIM(x, block.axis)
    for i in range(block.axis):
        block.outer *= cnp.PyArray_DIM(x, i)
    for i in range(block.axis + 1, ndim):
        block.inner *= cnp.PyArray_DIM(x, i)
    return True


cdef struct Shape:  # of a result
    int ndim
    const cnp.npy_intp* lengths
    cnp.npy_intp[64] left  # NumPy has no more axes


cdef inline void find_shape(cnp.ndarray x, Block block, bint reduced, Shape* shape) noexcept:
    """The shape of x, or what is left of it without the reduced axis."""
    cdef int i
    shape.ndim = cnp.PyArray_NDIM(x)
    shape.lengths = cnp.PyArray_DIMS(x)
    if not reduced:
        return
    shape.ndim = shape.ndim - 1 if block.axis >= 0 else 0
    if block.axis < shape.ndim:
        for i in range(shape.ndim):
            shape.left[i] = shape.lengths[i if i < block.axis else i + 1]
        shape.lengths = shape.left


cdef inline bint are_apart(cnp.ndarray x, cnp.ndarray out) noexcept:
    """Whether two contiguous arrays share no memory."""
    cdef const char* first = <const char*>cnp.PyArray_DATA(x)
    cdef const char* second = <const char*>cnp.PyArray_DATA(out)
    return first + cnp.PyArray_NBYTES(x) <= second or second + cnp.PyArray_NBYTES(out) <= first


cdef bint takes_result(cnp.ndarray out, cnp.ndarray x, const Shape* shape, int dtype) noexcept:
    """Whether out is plain, of this dtype and shape, and apart from x.

    Apart, because x is read again if there is a warning.
    """
    cdef int i
    if type(out) is not cnp.ndarray or not PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != dtype:
        return False
    if cnp.PyArray_NDIM(out) != shape.ndim:
        return False
    for i in range(shape.ndim):
        if cnp.PyArray_DIM(out, i) != shape.lengths[i]:
            return False
    return are_apart(x, out)


cdef inline bint may_be_shared(Py_ssize_t size, int dtype, workers):
    """Whether a call over so many numbers is perhaps not for this thread alone, or its `workers` have to be refused."""
    cdef bint is_large = size * (8 if dtype == cnp.NPY_DOUBLE else 4) > alone
    if workers is None and not is_large:
        return False
    return has_several_workers(workers, is_large)


cdef bint has_several_workers(workers, bint is_large):
    if workers is None:
        from fastsoftmax._workers import get_workers
        return get_workers() != 1
    return type(workers) is not int or workers < 1 or (workers != 1 and is_large)
