"""softmax, log_softmax and logsumexp.

A plain small call is answered by the compiled front of a function (`_public`) and does not come
here; for any other `_normalize` or `_reduce` settles everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from . import _numpy_path
from ._normalize import normalize
from ._public import public
from ._reduce import reduce
from ._target import kernels
from ._workers import settle_workers

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Axis = int | tuple[int, ...] | None


@public
def softmax(
    x: ArrayLike,
    axis: Axis = None,
    *,
    where: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    dtype: DTypeLike | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Exponentials of the elements, divided by their sum.

    .. math:: \mathrm{softmax}(x)_j = \frac{e^{x_j}}{\sum_k e^{x_k}}

    Parameters
    ----------
    x : array_like
        Logits of any shape. float16, float32, float64 and `ml_dtypes.bfloat16` are computed by
        compiled kernels, the halves in float32; longdouble and complex by NumPy. Integers and bool
        are computed in float64.
    axis : int, tuple of ints or None, optional
        The axis to normalise over. Several axes are normalised over jointly; None, the default,
        means all of them.
    where : array_like of bool, optional
        Which elements take part; broadcasts to the shape of `x`. The others may hold anything, nan
        included, and get 0. A slice in which no element takes part is all 0.
    out : ndarray, optional
        Where to put the result: an array of the shape of `x` and a dtype reachable by same-kind
        casting. It may be `x` itself or overlap it.
    dtype : dtype, optional
        A floating-point or complex dtype to compute in and to return.
    workers : int, optional
        How many threads may compute, as in `scipy.fft`: -1 means all processors that this process
        may use. None, the default, means what `get_workers` returns, which is 1 unless it was set.
        The result has the same bits with any number.

    Returns
    -------
    ndarray or scalar
        Probabilities, of the shape and memory order of `x`; a NumPy scalar if `x` has no axes;
        `out` if given. For a masked array `x`, a masked array with its mask, whose masked elements
        took no part.

    Raises
    ------
    AxisError
        `axis` is out of range.
    TypeError
        `x` holds no numbers, `axis` or `workers` is no integer, `where` is not boolean, `dtype` is
        not floating-point, or `out` cannot hold the result's dtype.
    ValueError
        A reduced axis has length 0, an axis is given twice, `where` does not broadcast, `out` is
        read-only or of another shape, or `workers` is 0 or less than minus the number of
        processors.

    Warns
    -----
    RuntimeWarning
        "invalid value encountered" once per call, under the caller's `numpy.errstate`, if a slice
        without nan gives nan: one that holds +inf, or nothing but -inf.

    See Also
    --------
    log_softmax : The logarithm of the result, without its underflow.
    logsumexp : The logarithm of the denominator.

    Notes
    -----
    No element is subtracted from another. Each is reduced by itself to a power of two
    and a small remainder [2]_, and the powers, being integers, are subtracted exactly; the usual
    shift by the maximum [1]_ costs dozens of ULP where logits are far apart. The bits of a slice
    depend on its elements alone: not on its place in a batch, nor on the memory layout.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and
       softmax functions", IMA Journal of Numerical Analysis 41(4), 2021.
    .. [2] W. J. Cody, W. Waite, "Software Manual for the Elementary Functions", Prentice-Hall,
       1980.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import softmax
    >>> softmax(np.array([0.0, 2.0, 4.0])).round(4)
    array([0.0159, 0.1173, 0.8668])

    Rows of a matrix, and the same with one logit left out:

    >>> x = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    >>> softmax(x, axis=-1).round(3)
    array([[0.09 , 0.245, 0.665],
           [0.333, 0.333, 0.333]])
    >>> softmax(x, axis=-1, where=[True, True, False]).round(3)
    array([[0.269, 0.731, 0.   ],
           [0.5  , 0.5  , 0.   ]])
    """
    return normalize(
        kernels.softmax,
        _numpy_path.softmax,
        0.0,
        x,
        axis,
        where,
        out,
        dtype,
        settle_workers(workers),
    )


@public
def log_softmax(
    x: ArrayLike,
    axis: Axis = None,
    *,
    where: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    dtype: DTypeLike | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Logarithm of the softmax.

    .. math:: \mathrm{log\_softmax}(x)_j = x_j - \log \sum_k e^{x_k}

    Parameters
    ----------
    x : array_like
        Logits of any shape and real or complex dtype, as for `softmax`.
    axis : int, tuple of ints or None, optional
        The axis to normalise over. Several axes are normalised over jointly; None, the default,
        means all of them.
    where : array_like of bool, optional
        Which elements take part; broadcasts to the shape of `x`. The others may hold anything, nan
        included, and get -inf. A slice in which no element takes part is all -inf.
    out : ndarray, optional
        Where to put the result: an array of the shape of `x` and a dtype reachable by same-kind
        casting. It may be `x` itself or overlap it.
    dtype : dtype, optional
        A floating-point or complex dtype to compute in and to return.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    ndarray or scalar
        Log-probabilities, of the shape and memory order of `x`; a NumPy scalar if `x` has no axes;
        `out` if given. For a masked array `x`, a masked array with its mask, whose masked elements
        took no part.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `softmax`.

    Warns
    -----
    RuntimeWarning
        As `softmax`.

    See Also
    --------
    softmax : The probabilities themselves.

    Notes
    -----
    The result is accurate where it is nearly 0, too: that of the largest element is
    computed by log1p from the sum of the others [1]_.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and
       softmax functions", IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import log_softmax
    >>> log_softmax(np.array([1000.0, 1.0]))
    array([   0., -999.])
    >>> print("%.6g" % log_softmax(np.array([0.0, -40.0]))[0])
    -4.24835e-18
    """
    return normalize(
        kernels.log_softmax,
        _numpy_path.log_softmax,
        float("-inf"),
        x,
        axis,
        where,
        out,
        dtype,
        settle_workers(workers),
    )


@overload
def logsumexp(
    a: ArrayLike,
    axis: Axis = ...,
    b: ArrayLike | None = ...,
    keepdims: bool = ...,
    return_sign: Literal[False] = ...,
    *,
    where: ArrayLike | None = ...,
    out: NDArray[Any] | None = ...,
    dtype: DTypeLike | None = ...,
    workers: SupportsIndex | None = ...,
) -> Any: ...
@overload
def logsumexp(
    a: ArrayLike,
    axis: Axis = ...,
    b: ArrayLike | None = ...,
    keepdims: bool = ...,
    *,
    return_sign: Literal[True],
    where: ArrayLike | None = ...,
    out: tuple[NDArray[Any], NDArray[Any]] | None = ...,
    dtype: DTypeLike | None = ...,
    workers: SupportsIndex | None = ...,
) -> tuple[Any, Any]: ...
@overload
def logsumexp(
    a: ArrayLike,
    axis: Axis,
    b: ArrayLike | None,
    keepdims: bool,
    return_sign: Literal[True],
    *,
    where: ArrayLike | None = ...,
    out: tuple[NDArray[Any], NDArray[Any]] | None = ...,
    dtype: DTypeLike | None = ...,
    workers: SupportsIndex | None = ...,
) -> tuple[Any, Any]: ...
@public
def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    *,
    where: ArrayLike | None = None,
    out: Any = None,
    dtype: DTypeLike | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Logarithm of the sum of exponentials.

    .. math:: \mathrm{logsumexp}(a) = \log \sum_k b_k e^{a_k}

    Parameters
    ----------
    a : array_like
        Exponents of any shape and real or complex dtype, as for `softmax`.
    axis : int, tuple of ints or None, optional
        The axis to sum over. Several axes are summed over jointly; None, the default, means all of
        them.
    b : array_like, optional
        Weights of the exponentials, of any sign; `a` and `b` broadcast against each other. An
        element whose weight is 0 takes no part, whatever it holds.
    keepdims : bool, optional
        Keep the reduced axes in the result, with length 1.
    return_sign : bool, optional
        Return a pair: the logarithm of the magnitude of the sum, and the sign of the sum. Otherwise
        a negative sum gives nan.
    where : array_like of bool, optional
        Which elements take part; broadcasts to the common shape of `a` and `b`. The others may hold
        anything, nan included. A slice in which no element takes part gives -inf, with sign 0.
    out : ndarray or pair of ndarrays, optional
        Where to put the result: an array of its shape and a dtype reachable by same-kind casting;
        with `return_sign` a pair of them, apart from each other.
    dtype : dtype, optional
        A floating-point or complex dtype to compute in and to return.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    result : ndarray or scalar
        Of the shape of `a` without the reduced axes, in Fortran order if `a` is; a NumPy scalar if
        no axis is left; `out` if given. Its dtype is that of `a`, or with `b` `numpy.result_type`
        of the two; float64 where that is no floating-point type.
    sign : ndarray or scalar
        Only with `return_sign`: 1, 0 or -1, or for complex input a number of magnitude 1 (the
        phase) or 0.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `softmax`, except that a reduced axis of length 0 is no error: the sum of nothing gives
        -inf. Shapes of `a` and `b` that do not broadcast are a ValueError.

    Warns
    -----
    RuntimeWarning
        "invalid value encountered" once per call, under the caller's `numpy.errstate`, if a slice
        without nan gives nan, as the difference of two infinities does. A negative sum gives its
        nan silently.

    See Also
    --------
    softmax : The gradient of this function.

    Notes
    -----
    The largest element is kept apart from the sum of the others, whose logarithm is
    taken by log1p [1]_, so that the result is accurate where it is nearly 0, too. The imaginary
    part of a complex result lies in (-pi, pi].

    With `b`, real input is computed in float64. Complex and longdouble input is computed by NumPy,
    and the last bits of these results may depend on the processor; all others do not.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and
       softmax functions", IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import logsumexp
    >>> print("%.12f" % logsumexp(np.array([1000.0, 1000.0])))
    1000.693147180560

    Weights subtract where they are negative:

    >>> value, sign = logsumexp([1.0, 2.0], b=[1, -1], return_sign=True)
    >>> print("%.10f %g" % (value, sign))
    1.5413248546 -1
    """
    return reduce(a, axis, b, keepdims, return_sign, where, out, dtype, settle_workers(workers))
