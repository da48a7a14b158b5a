"""Products with the Jacobians of softmax and log_softmax: the backward and the forward derivative.

(a) As in `_forward`, a plain small call is answered by the compiled front of a function.
(b) softmax has a symmetric Jacobian, so that its jvp is its vjp under another name.
(c) The functions take what the forward pass returned, not its logits: nothing is computed twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _gradient_formulas
from ._normalize_gradient import multiply
from ._public import public
from ._target import kernels
from ._workers import settle_workers

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike, NDArray

    Axis = int | tuple[int, ...] | None


@public
def softmax_vjp(
    g: ArrayLike,
    y: ArrayLike,
    axis: Axis = None,
    *,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Gradient that reaches the logits through softmax.

    .. math:: \bar x_j = y_j \Bigl(g_j - \sum_k g_k y_k\Bigr)

    Parameters
    ----------
    g : array_like
        Gradient with respect to the probabilities.
    y : array_like
        The probabilities, ``softmax(x, axis)``, of the shape of `g`. Where they are 0, masked or
        not, the result is 0 for every finite `g`.
    axis : int, tuple of ints or None, optional
        The axis that softmax normalised over. None, the default, means all axes.
    out : ndarray, optional
        Where to put the result: an array of its shape and a dtype reachable by same-kind casting.
        It may be `g` or `y` itself, or overlap them.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    ndarray or scalar
        Gradient with respect to the logits, of the shape and memory order of `y`; `out` if given.
        Its dtype is the one `g` and `y` promote to, float64 where that is no floating-point type.
        If `g` or `y` is a masked array, a masked array in which elements masked in either took no
        part.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `softmax`. Different shapes of `g` and `y` are a ValueError.

    Warns
    -----
    RuntimeWarning
        "invalid value encountered" once per call, under the caller's `numpy.errstate`, if a slice
        without nan gives nan, as an infinite gradient does.

    See Also
    --------
    softmax_jvp : The same product, for the forward derivative.
    log_softmax_vjp : The gradient through the logarithm.

    Notes
    -----
    This is g^T J with the Jacobian J = diag(y) - y y^T [1]_. Each element is accurate to a few ULP
    of ``abs(y) * (abs(g) + sum(abs(g * y)))``; how exact `y` is, is up to the caller.

    References
    ----------
    .. [1] J. S. Bridle, "Probabilistic interpretation of feedforward classification network
       outputs, with relationships to statistical pattern recognition", Neurocomputing, NATO ASI
       Series F68, Springer, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import softmax, softmax_vjp
    >>> y = softmax(np.array([0.0, 2.0, 4.0]))
    >>> softmax_vjp(np.array([0.0, 0.0, 1.0]), y).round(4)
    array([-0.0138, -0.1017,  0.1154])

    Rows, in place of the incoming gradient:

    >>> y = softmax(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]), axis=-1)
    >>> g = np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    >>> softmax_vjp(g, y, axis=-1, out=g).round(4) + 0.0
    array([[ 0.    ,  0.    ,  0.    ],
           [ 0.6667, -0.3333, -0.3333]])
    """
    return multiply(
        kernels.softmax_vjp,
        _gradient_formulas.softmax_vjp,
        0.0,
        ("g", "y"),
        g,
        y,
        axis,
        out,
        settle_workers(workers),
    )


@public
def softmax_jvp(
    t: ArrayLike,
    y: ArrayLike,
    axis: Axis = None,
    *,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Change of softmax when the logits move along a direction.

    .. math:: \dot y_j = y_j \Bigl(t_j - \sum_k t_k y_k\Bigr)

    Parameters
    ----------
    t : array_like
        Direction in which the logits move, their tangent.
    y : array_like
        The probabilities, ``softmax(x, axis)``, of the shape of `t`.
    axis, out, workers
        As for `softmax_vjp`.

    Returns
    -------
    ndarray or scalar
        Tangent of the probabilities; shape, dtype and masks as for `softmax_vjp`.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `softmax_vjp`.

    Warns
    -----
    RuntimeWarning
        As `softmax_vjp`.

    See Also
    --------
    softmax_vjp : The same product, since the Jacobian is symmetric.

    References
    ----------
    .. [1] A. Griewank, A. Walther, "Evaluating Derivatives", second edition, SIAM, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import softmax, softmax_jvp
    >>> x, t = np.array([0.0, 2.0, 4.0]), np.array([1.0, 0.0, 0.0])
    >>> softmax_jvp(t, softmax(x)).round(4)
    array([ 0.0156, -0.0019, -0.0138])
    >>> ((softmax(x + 1e-6 * t) - softmax(x - 1e-6 * t)) / 2e-6).round(4)
    array([ 0.0156, -0.0019, -0.0138])
    """
    return multiply(
        kernels.softmax_vjp,
        _gradient_formulas.softmax_vjp,
        0.0,
        ("t", "y"),
        t,
        y,
        axis,
        out,
        settle_workers(workers),
    )


@public
def log_softmax_vjp(
    g: ArrayLike,
    logp: ArrayLike,
    axis: Axis = None,
    *,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Gradient that reaches the logits through log_softmax.

    .. math:: \bar x_j = g_j - e^{\log p_j} \sum_k g_k

    Parameters
    ----------
    g : array_like
        Gradient with respect to the log-probabilities.
    logp : array_like
        The log-probabilities, ``log_softmax(x, axis)``, of the shape of `g`. Where they are -inf
        the result is `g`.
    axis : int, tuple of ints or None, optional
        The axis that log_softmax normalised over. None, the default, means all axes.
    out : ndarray, optional
        Where to put the result: an array of its shape and a dtype reachable by same-kind casting.
        It may be `g` or `logp` itself, or overlap them.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    ndarray or scalar
        Gradient with respect to the logits, of the shape and memory order of `logp`; `out` if
        given. Its dtype is the one `g` and `logp` promote to, float64 where that is no
        floating-point type. If `g` or `logp` is a masked array, a masked array in which elements
        masked in either took no part.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `softmax`. Different shapes of `g` and `logp` are a ValueError.

    Warns
    -----
    RuntimeWarning
        "invalid value encountered" once per call, under the caller's `numpy.errstate`, if a slice
        without nan gives nan.

    See Also
    --------
    log_softmax_jvp : The forward derivative.
    cross_entropy_value_and_grad : Loss and gradient at once, without log-probabilities in between.

    References
    ----------
    .. [1] A. Griewank, A. Walther, "Evaluating Derivatives", second edition, SIAM, 2008.

    Examples
    --------
    The gradient of one log-probability is 1 there, minus all probabilities:

    >>> import numpy as np
    >>> from fastsoftmax import log_softmax, log_softmax_vjp
    >>> logp = log_softmax(np.array([0.0, 2.0, 4.0]))
    >>> log_softmax_vjp(np.array([0.0, 0.0, 1.0]), logp).round(4)
    array([-0.0159, -0.1173,  0.1332])
    """
    return multiply(
        kernels.log_softmax_vjp,
        _gradient_formulas.log_softmax_vjp,
        float("-inf"),
        ("g", "logp"),
        g,
        logp,
        axis,
        out,
        settle_workers(workers),
    )


@public
def log_softmax_jvp(
    t: ArrayLike,
    logp: ArrayLike,
    axis: Axis = None,
    *,
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Change of log_softmax when the logits move along a direction.

    .. math:: \dot{\log p}_j = t_j - \sum_k e^{\log p_k} t_k

    Parameters
    ----------
    t : array_like
        Direction in which the logits move, their tangent.
    logp : array_like
        The log-probabilities, ``log_softmax(x, axis)``, of the shape of `t`.
    axis, out, workers
        As for `log_softmax_vjp`.

    Returns
    -------
    ndarray or scalar
        Tangent of the log-probabilities; shape, dtype and masks as for `log_softmax_vjp`.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `log_softmax_vjp`.

    Warns
    -----
    RuntimeWarning
        As `log_softmax_vjp`.

    See Also
    --------
    log_softmax_vjp : The product with the transposed Jacobian.

    References
    ----------
    .. [1] A. Griewank, A. Walther, "Evaluating Derivatives", second edition, SIAM, 2008.

    Examples
    --------
    Moving all logits alike changes nothing, and moving one of them changes all log-probabilities:

    >>> import numpy as np
    >>> from fastsoftmax import log_softmax, log_softmax_jvp
    >>> logp = log_softmax(np.array([0.0, 2.0, 4.0]))
    >>> log_softmax_jvp(np.ones(3), logp).round(4) + 0.0
    array([0., 0., 0.])
    >>> log_softmax_jvp(np.array([1.0, 0.0, 0.0]), logp).round(4)
    array([ 0.9841, -0.0159, -0.0159])
    """
    return multiply(
        kernels.log_softmax_jvp,
        _gradient_formulas.log_softmax_jvp,
        float("-inf"),
        ("t", "logp"),
        t,
        logp,
        axis,
        out,
        settle_workers(workers),
    )
