# Products with the Jacobians, of blocks.

cimport numpy as cnp

from fastsoftmax.kernels.arithmetic.halves cimport Operand, numbers_of
from fastsoftmax.kernels.arithmetic.simd cimport AS_COMPUTED, DIFFERENT, Storage, common_storage, native, stored
from fastsoftmax.kernels.arithmetic.vector_math cimport real
from fastsoftmax.kernels.gradients.gradient_columns cimport gradient_columns
from fastsoftmax.kernels.gradients.gradient_groups cimport grouped_gradient_rows, has_grouped_rows
from fastsoftmax.kernels.gradients.gradient_overlap cimport has_overlapped_rows, overlapped_gradient_rows
from fastsoftmax.kernels.gradients.gradients cimport (
    LOGSUMEXP_JVP, LOGSUMEXP_VJP, LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP, Gradient, gradient_rows,
)
from fastsoftmax.kernels.gradients.short_gradients cimport has_short_rows, short_gradient_rows


cdef int check_gradient(Gradient gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray lse, cnp.ndarray out) except -1:
    """Guard the gradients: values is (outer, n, inner), the others have its shape, or the same without n."""
    if lse is not None:
        check_blocks(values, lse, True, False)
    check_blocks(values, g, gradient == LOGSUMEXP_VJP, False)
    return check_blocks(values, out, gradient == LOGSUMEXP_JVP)


cdef int multiply(
    Gradient gradient, stored[real] g, stored[real] values, const real* lse, stored[real] out,
    Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride, bint* made_nan,
) except -1 nogil:
    """One gradient over a block whose rows are `stride` elements apart."""
    cdef Storage storage = common_storage(g, values, out)
    cdef bint grouped = storage != DIFFERENT
    # Halves are half as much memory, and faster in groups wherever they lie.
    cdef Py_ssize_t held = cache if storage == AS_COMPUTED else <Py_ssize_t>1 << 62
    if stride == 1 and has_short_rows(gradient, <real>0, outer, n, held):
        return short_gradient_rows(gradient, g, values, out, outer, n, made_nan)
    if stride == 1 and grouped and has_overlapped_rows(gradient, <real>0, outer, n, held):
        return overlapped_gradient_rows(gradient, g, values, out, outer, n, made_nan)
    if stride == 1 and grouped and has_grouped_rows(gradient, <real>0, outer, n, held):
        return grouped_gradient_rows(gradient, g, values, out, outer, n, held, made_nan)
    if stride == 1:
        return gradient_rows(gradient, g, values, lse, out, outer, n, made_nan)
    return gradient_columns(gradient, g, values, lse, out, outer, n, inner, stride, made_nan)


cdef bint run_gradient(
    Gradient gradient, const real* g, const real* values, const real* lse, real* out,
    Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t stride,
) except? True:
    cdef bint made_nan = False
    with nogil:
        multiply(gradient, native(g), native(values), lse, native(<const real*>out), outer, n, inner, stride, &made_nan)
    return made_nan


cdef bint run_gradient_of_halves(
    Gradient gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray out, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner,
    Py_ssize_t stride,
) except? True:
    """The same where arrays, all of the full shape, are stored in 16 bits."""
    cdef Operand[3] operands = [operand_of(g, False), operand_of(values, False), operand_of(out, False)]
    cdef bint made_nan = False
    with nogil:
        multiply(
            gradient, numbers_of(&operands[0]), numbers_of(&operands[1]), <const float*>NULL, numbers_of(&operands[2]), outer, n,
            inner, stride, &made_nan,
        )
    return made_nan


cdef bint dispatch_gradient(Gradient gradient, cnp.ndarray g, cnp.ndarray values, cnp.ndarray lse, cnp.ndarray out) except? True:
    check_gradient(gradient, g, values, lse, out)
    cdef Py_ssize_t outer = cnp.PyArray_DIM(values, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(values, 1)
    cdef Py_ssize_t inner = cnp.PyArray_DIM(values, 2)
    cdef Py_ssize_t stride = stride_of(values)
    cdef void* lse_data = NULL if lse is None else cnp.PyArray_DATA(lse)
    cdef int dtype = computed_in(values)
    if dtype == cnp.NPY_FLOAT and lse is None and not (
        cnp.PyArray_TYPE(g) == cnp.PyArray_TYPE(values) == cnp.PyArray_TYPE(out) == dtype
    ):
        return run_gradient_of_halves(gradient, g, values, out, outer, n, inner, stride)
    if cnp.PyArray_TYPE(values) == cnp.NPY_FLOAT:
        return run_gradient(
            gradient, <const float*>cnp.PyArray_DATA(g), <const float*>cnp.PyArray_DATA(values),
            <const float*>lse_data, <float*>cnp.PyArray_DATA(out), outer, n, inner, stride,
        )
    if cnp.PyArray_TYPE(values) == cnp.NPY_DOUBLE:
        return run_gradient(
            gradient, <const double*>cnp.PyArray_DATA(g), <const double*>cnp.PyArray_DATA(values),
            <const double*>lse_data, <double*>cnp.PyArray_DATA(out), outer, n, inner, stride,
        )
    raise TypeError("kernels take float32 or float64")


def softmax_vjp(cnp.ndarray g not None, cnp.ndarray y not None, cnp.ndarray out not None):
    """Write y * (g - sum(g * y)) to out. True if a slice without nan has become nan."""
    return dispatch_gradient(SOFTMAX_VJP, g, y, None, out)


def log_softmax_vjp(cnp.ndarray g not None, cnp.ndarray logp not None, cnp.ndarray out not None):
    """Write g - exp(logp) * sum(g) to out. True if a slice without nan has become nan."""
    return dispatch_gradient(LOG_SOFTMAX_VJP, g, logp, None, out)


def log_softmax_jvp(cnp.ndarray t not None, cnp.ndarray logp not None, cnp.ndarray out not None):
    """Write t - sum(exp(logp) * t) to out. True if a slice without nan has become nan."""
    return dispatch_gradient(LOG_SOFTMAX_JVP, t, logp, None, out)


def logsumexp_vjp(cnp.ndarray g not None, cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray out not None):
    """Write g * exp(a - lse) to out; 0 where lse is -inf. True if a slice without nan has become nan."""
    return dispatch_gradient(LOGSUMEXP_VJP, g, a, lse, out)


def logsumexp_jvp(cnp.ndarray t not None, cnp.ndarray a not None, cnp.ndarray lse not None, cnp.ndarray out not None):
    """Write sum(exp(a - lse) * t) to out; 0 where lse is -inf. True if a slice without nan has become nan."""
    return dispatch_gradient(LOGSUMEXP_JVP, t, a, lse, out)
