# States of slices that arrive in pieces.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.simd cimport native
from fastsoftmax.kernels.parts.states cimport (
    STATE_NUMBERS, State, add_pieces, anchor_again, apply_states, logsumexp_of_states, merge_states, no_elements, take_over,
)
from fastsoftmax.kernels.rows.row_blocks cimport LOG_SOFTMAX, SOFTMAX, Operation


cdef Py_ssize_t check_states(cnp.ndarray states, bint written) except -1:
    """Guard the states, (outer, inner, STATE_NUMBERS) of float64; their number."""
    if (
        not (PyArray_ISCARRAY(states) if written else PyArray_ISCARRAY_RO(states))
        or cnp.PyArray_TYPE(states) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(states) != 3
        or cnp.PyArray_DIM(states, 2) != STATE_NUMBERS
    ):
        raise ValueError("states are (outer, inner, numbers) of float64, contiguous")
    return cnp.PyArray_DIM(states, 0) * cnp.PyArray_DIM(states, 1)


cdef int check_piece(cnp.ndarray x, cnp.ndarray states, bint written) except -1:
    """Guard a piece (outer, n, inner) and its states."""
    check_states(states, written)
    if not PyArray_ISCARRAY_RO(x) or (cnp.PyArray_TYPE(x) != cnp.NPY_FLOAT and cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE):
        raise TypeError("kernels take aligned C-contiguous float32 or float64 in native byte order")
    if (
        cnp.PyArray_NDIM(x) != 3 or cnp.PyArray_DIM(x, 0) != cnp.PyArray_DIM(states, 0)
        or cnp.PyArray_DIM(x, 2) != cnp.PyArray_DIM(states, 1)
    ):
        raise ValueError("the shapes of piece and states do not fit")
    return 0


def empty_states(Py_ssize_t outer, Py_ssize_t inner):
    """States (outer, inner) that nothing has been added to."""
    cdef cnp.npy_intp[3] shape = [outer, inner, STATE_NUMBERS]
    cdef cnp.ndarray states = <cnp.ndarray>cnp.PyArray_SimpleNew(3, shape, cnp.NPY_DOUBLE)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef Py_ssize_t i
    for i in range(outer * inner):
        state[i] = no_elements()
    return states


def add_to_states(cnp.ndarray states not None, cnp.ndarray x not None, bint anchored):
    """Add a piece x (outer, n, inner) to states (outer, inner)."""
    check_piece(x, states, True)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    with nogil:
        if single:
            add_pieces(state, <const float*>data, outer, n, inner, anchored)
        else:
            add_pieces(state, <const double*>data, outer, n, inner, anchored)


def add_states(cnp.ndarray states not None, cnp.ndarray others not None, bint single):
    """Merge the others into states of the same shape; single: they are of float32."""
    cdef Py_ssize_t count = check_states(states, True)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef const State* other = <const State*>cnp.PyArray_DATA(others)
    cdef Py_ssize_t i
    if check_states(others, False) != count:
        raise ValueError("the shapes of the states do not fit")
    with nogil:
        for i in range(count):
            if single:
                merge_states(<float>0, &state[i], other[i])
            else:
                merge_states(<double>0, &state[i], other[i])


def take_over_states(cnp.ndarray states not None, bint single):
    """Make states of a target without fused multiply-add ones of a target with it, or the other way round."""
    cdef Py_ssize_t count = check_states(states, True)
    cdef State* state = <State*>cnp.PyArray_DATA(states)
    cdef Py_ssize_t i
    for i in range(count):
        if single:
            take_over(<float>0, &state[i])
        else:
            take_over(<double>0, &state[i])


def anchored_states(cnp.ndarray states not None, bint single):
    """Empty states to add the same pieces to again, for the bits of one call; None if states have them already."""
    cdef Py_ssize_t count = check_states(states, False)
    cdef cnp.ndarray again = <cnp.ndarray>empty_states(cnp.PyArray_DIM(states, 0), cnp.PyArray_DIM(states, 1))
    cdef const State* state = <const State*>cnp.PyArray_DATA(states)
    cdef State* empty = <State*>cnp.PyArray_DATA(again)
    cdef bint due
    if single:
        due = anchor_again(<float>0, state, empty, count)
    else:
        due = anchor_again(<double>0, state, empty, count)
    return again if due else None


cdef bint apply_any_states(Operation operation, cnp.ndarray states, cnp.ndarray x, cnp.ndarray out) except? True:
    check_piece(x, states, False)
    check_piece(out, states, False)
    if (
        not PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(out)
        or cnp.PyArray_DIM(x, 1) != cnp.PyArray_DIM(out, 1)
    ):
        raise ValueError("input and output do not fit")
    cdef const State* state = <const State*>cnp.PyArray_DATA(states)
    cdef const void* data = cnp.PyArray_DATA(x)
    cdef void* results = cnp.PyArray_DATA(out)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    cdef Py_ssize_t outer = cnp.PyArray_DIM(x, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(x, 2)
    cdef bint made_nan = False
    cdef bint stranger = False
    with nogil:
        if single:
            apply_states(operation, state, <const float*>data, <float*>results, outer, n, inner, &made_nan, &stranger)
        else:
            apply_states(operation, state, <const double*>data, <double*>results, outer, n, inner, &made_nan, &stranger)
    if stranger:
        raise ValueError("x holds a logit that was never added: it is a nan or larger than all that were")
    return made_nan


def softmax_by_states(cnp.ndarray states not None, cnp.ndarray x not None, cnp.ndarray out not None):
    """Write softmax of a piece x to out, apart from x. True if a slice without nan has become nan."""
    return apply_any_states(SOFTMAX, states, x, out)


def log_softmax_by_states(cnp.ndarray states not None, cnp.ndarray x not None, cnp.ndarray out not None):
    """Write log_softmax of a piece x to out, apart from x. True if a slice without nan has become nan."""
    return apply_any_states(LOG_SOFTMAX, states, x, out)


def logsumexp_by_states(cnp.ndarray states not None, cnp.ndarray out not None):
    """Write logsumexp to out, (outer, inner)."""
    cdef Py_ssize_t count = check_states(states, False)
    cdef const State* state = <const State*>cnp.PyArray_DATA(states)
    if not PyArray_ISCARRAY(out) or cnp.PyArray_SIZE(out) != count:
        raise ValueError("the shapes of states and output do not fit")
    if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT:
        logsumexp_of_states(state, <float*>cnp.PyArray_DATA(out), count)
    elif cnp.PyArray_TYPE(out) == cnp.NPY_DOUBLE:
        logsumexp_of_states(state, <double*>cnp.PyArray_DATA(out), count)
    else:
        raise TypeError("kernels take float32 or float64")
