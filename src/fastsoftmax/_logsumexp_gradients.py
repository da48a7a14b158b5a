"""Products with the Jacobian of logsumexp, weights and signs included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _reduce_gradient
from ._workers import settle_workers

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike, NDArray

    Axis = int | tuple[int, ...] | None


def logsumexp_vjp(
    g: ArrayLike,
    a: ArrayLike,
    lse: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    sign: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Gradient that reaches the exponents through logsumexp.

    .. math:: \bar a_j = g \, b_j e^{a_j - \mathrm{lse}} \, \mathrm{sign}

    Parameters
    ----------
    g : array_like
        Gradient with respect to the result of logsumexp, and of its shape.
    a : array_like
        The exponents.
    lse : array_like
        The result, ``logsumexp(a, axis, b, keepdims)``. Slices whose result is -inf get 0.
    axis : int, tuple of ints or None, optional
        The axis that was summed over. None, the default, means all axes.
    b : array_like, optional
        The weights of the exponentials; `a` and `b` broadcast against each other. A weight of 0
        removes its element, whatever it holds.
    keepdims : bool, optional
        Whether `g`, `lse` and `sign` keep the summed axes with length 1.
    sign : array_like, optional
        The sign that ``logsumexp(..., return_sign=True)`` returned with `lse`.
    out : ndarray, optional
        Where to put the result: an array of the shape of `a` and a dtype reachable by same-kind
        casting. It may be `a` itself or overlap any argument.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    ndarray or scalar
        Gradient with respect to `a`, of its shape and memory order, summed over the axes along
        which `b` broadcast it; `out` if given. Its dtype is the one `g`, `a`, `lse` and `b` promote
        to, float64 where that is no floating-point type. If `a` is a masked array, a masked array
        with its mask.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `logsumexp`. A ValueError names two shapes that have to be equal and are not.

    Warns
    -----
    RuntimeWarning
        "invalid value encountered" once per call, under the caller's `numpy.errstate`, if a slice
        without nan gives nan, as `lse` = inf does.

    See Also
    --------
    logsumexp_jvp : The forward derivative.

    Notes
    -----
    With `b`, float32 is computed in float64. A complex `sign` enters as its conjugate, which makes
    the result the derivative of the complex logarithm; for real signs this is the same.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and
       softmax functions", IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    The gradient of logsumexp is softmax:

    >>> import numpy as np
    >>> from fastsoftmax import logsumexp, logsumexp_vjp
    >>> a = np.array([0.0, 2.0, 4.0])
    >>> logsumexp_vjp(1.0, a, logsumexp(a)).round(4)
    array([0.0159, 0.1173, 0.8668])

    A difference of two exponentials:

    >>> a, b = np.array([1.0, 2.0]), np.array([1, -1])
    >>> lse, sign = logsumexp(a, b=b, return_sign=True)
    >>> logsumexp_vjp(1.0, a, lse, b=b, sign=sign).round(4)
    array([-0.582,  1.582])
    """
    return _reduce_gradient.logsumexp_vjp(
        g, a, lse, axis, b, keepdims, sign, out, settle_workers(workers)
    )


def logsumexp_jvp(
    t: ArrayLike,
    a: ArrayLike,
    lse: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    sign: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Change of logsumexp when the exponents move along a direction.

    .. math:: \dot{\mathrm{lse}} = \mathrm{sign} \sum_j b_j e^{a_j - \mathrm{lse}} \, t_j

    Parameters
    ----------
    t : array_like
        Direction in which the exponents move, their tangent, of the shape of `a`.
    a, lse, axis, b, keepdims, sign
        As for `logsumexp_vjp`.
    out : ndarray, optional
        Where to put the result: an array of the shape of `lse` and a dtype reachable by same-kind
        casting.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    ndarray or scalar
        Tangent of the result, of the shape of `lse`; a NumPy scalar if no axis is left; `out` if
        given. Its dtype is the one `t`, `a`, `lse` and `b` promote to, float64 where that is no
        floating-point type.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `logsumexp_vjp`.

    Warns
    -----
    RuntimeWarning
        As `logsumexp_vjp`.

    See Also
    --------
    logsumexp_vjp : The product with the transposed Jacobian.

    References
    ----------
    .. [1] A. Griewank, A. Walther, "Evaluating Derivatives", second edition, SIAM, 2008.

    Examples
    --------
    The tangent is the mean of `t` under the softmax of `a`:

    >>> import numpy as np
    >>> from fastsoftmax import logsumexp, logsumexp_jvp
    >>> a = np.array([[0.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    >>> t = np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 6.0]])
    >>> logsumexp_jvp(t, a, logsumexp(a, axis=-1), axis=-1).round(4)
    array([1., 3.])
    """
    return _reduce_gradient.logsumexp_jvp(
        t, a, lse, axis, b, keepdims, sign, out, settle_workers(workers)
    )
