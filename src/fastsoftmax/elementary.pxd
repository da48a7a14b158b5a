"""exp and log1p of arrays of float64, for the parts of the package that are NumPy code.

NumPy's own differ in their last bits between processors; these have the bits of the kernels.
"""

from fastsoftmax.simd cimport broadcast, fma, load, load_partial, store, store_partial, vec
from fastsoftmax.sums cimport power_of_two
from fastsoftmax.vector_math cimport exponential, log1p, magic_of, plain_term

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
