"""exp and log1p of arrays of float64, for the parts of the package that are NumPy code, and the terms themselves.

(a) NumPy's own exp and log1p differ in their last bits between processors; these have the bits of the kernels.
(b) Nothing of the package takes terms from here: they are what `proof.sweep` measures the error of every sum from.
"""

from fastsoftmax.kernels.arithmetic.simd cimport broadcast, fma, load, load_partial, store, store_partial, vec
from fastsoftmax.kernels.arithmetic.sums cimport bias_of, power_of_two
from fastsoftmax.kernels.arithmetic.vector_math cimport exponential, lanes, log1p, magic_of, plain_term, real

cdef enum Function:
    EXP  # of -1 to 1
    LOG1P  # of 0 to 2^1022


cdef inline vec[double] value(Function function, vec[double] x) noexcept nogil:
    cdef vec[double] terms
    cdef double unit = power_of_two(-512.0)
    if function == LOG1P:
        return log1p(x)
    terms = plain_term(x, magic_of(broadcast(0.0)))
    return fma(
        terms, broadcast(exponential[double].inverse_factor_high() * unit),
        terms * broadcast(exponential[double].inverse_factor_low() * unit),
    )


cdef inline void apply(Function function, const double* x, double* y, Py_ssize_t n) noexcept nogil:
    """y[:n] = the function of x[:n]."""
    cdef Py_ssize_t i = 0
    while i + 8 <= n:
        store(y + i, value(function, load(x + i)))
        i += 8
    if i < n:
        store_partial(y + i, value(function, load_partial(x + i, n - i, 0.0)), n - i)


cdef inline double factor_of_terms(real unused) noexcept nogil:
    """The c * 2^bias of the terms c * 2^(bias - K) * e^x."""
    return exponential[real].table_factor() / power_of_two(-bias_of(<real>0))


cdef inline void write_terms(const real* x, const real* K, real* y, Py_ssize_t n) noexcept nogil:
    """y[:n] = the terms of x[:n], each relative to its own K."""
    cdef Py_ssize_t width = lanes(<real>0)
    cdef Py_ssize_t i = 0
    while i + width <= n:
        store(y + i, plain_term(load(x + i), magic_of(load(K + i))))
        i += width
    if i < n:
        store_partial(
            y + i, plain_term(load_partial(x + i, n - i, <real>0), magic_of(load_partial(K + i, n - i, <real>0))), n - i
        )
