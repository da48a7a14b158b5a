"""Cross-entropy, and cross-entropy together with its gradient.

As in `_forward`, a plain small call without options is answered by the compiled front of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from . import _cross_entropy
from ._public import public
from ._workers import settle_workers

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import ArrayLike, NDArray


@public
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
    workers: SupportsIndex | None = None,
) -> Any:
    r"""Cross-entropy between softmax of the logits and the targets.

    .. math:: \ell = -\sum_c w_c \, q_c \log \mathrm{softmax}(x)_c

    for each row x, a slice of the logits along the classes, with target probabilities q and class
    weights w. Index targets are the case where q is 1 for the class of the target.

    Parameters
    ----------
    logits : array_like
        float16, float32, float64 or `ml_dtypes.bfloat16`, the halves computed in float32; integers
        and bool are computed in float64. Masked elements count as -inf.
    targets : array_like
        Class indices: integers of the shape of `logits` without `axis`, from 0 to below the number
        of classes. Or probabilities: floating-point, of the shape of `logits`. Rows with a masked
        index are ignored.
    axis : int, optional
        The axis of the classes; the last one by default.
    weight : array_like, optional
        A weight for each class, finite and not negative.
    sample_weight : array_like, optional
        A factor for the loss of each row, of the shape of `logits` without `axis`. It may be
        negative: an upstream gradient of the losses of ``reduction="none"`` is passed here.
    ignore_index : int, optional
        Rows whose target is this index contribute nothing, whatever they hold. Only for index
        targets.
    label_smoothing : float, optional
        From 0 to 1: this part of every target is spread evenly over all classes [1]_.
    reduction : {"mean", "sum", "none"}, optional
        What to return: the mean, the sum, or the losses of all rows. The mean is weighted: the sum
        of the losses is divided by the sum of ``weight[target] * sample_weight`` over the rows that
        are not ignored; with probabilities, by the sum of `sample_weight` or the number of rows.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    ndarray or scalar
        The loss: float32 for half-precision logits, else of the dtype of the logits (float64 for
        integers). The mean of no rows, or of ignored rows alone, is nan.

    Raises
    ------
    AxisError
        `axis` is out of range.
    TypeError
        Class indices are no integers, probabilities no floating-point numbers, `logits` complex or
        longdouble, or another argument is of the wrong kind.
    ValueError
        Shapes do not match, a class index is out of range (the message names the first one and its
        position), there are no classes, a class weight is negative or not finite, `label_smoothing`
        lies outside [0, 1], `reduction` is unknown, or `ignore_index` is given with probabilities.

    Warns
    -----
    RuntimeWarning
        "invalid value encountered" once per call, under the caller's `numpy.errstate`, if a row
        without nan gives nan.

    See Also
    --------
    cross_entropy_value_and_grad : The loss with its gradient.
    log_softmax : The log-probabilities of all classes.

    Notes
    -----
    The loss of a row with index target is log(sum(exp(x - max))) + (max - x[target]), two terms
    that are not negative, so that a loss near 0 keeps its relative accuracy. The mean is
    summed in float64 in the order of the rows, and the loss of a row does not depend on the
    others.

    The options have the meaning that `torch.nn.functional.cross_entropy` gives them. A few things
    differ on purpose, above all that a term whose probability or weight is 0 contributes 0,
    whatever its logit; "Differences from PyTorch" in docs/gradients.md lists them.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
       architecture for computer vision", IEEE Conference on Computer Vision and Pattern
       Recognition, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import cross_entropy
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.0, 3.0, 0.0]])
    >>> labels = np.array([0, 2])
    >>> cross_entropy(logits, labels, reduction="none").round(4)
    array([0.417 , 3.0949])
    >>> print("%.6f" % cross_entropy(logits, labels))
    1.755976
    >>> print("%.6f" % cross_entropy(logits, labels, weight=[1, 1, 3], label_smoothing=0.1))
    2.360069

    Probabilities as targets:

    >>> print("%.6f" % cross_entropy(logits, np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])))
    1.255976
    """
    return _cross_entropy.cross_entropy(
        logits,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing,
        reduction,
        False,
        None,
        settle_workers(workers),
    )


@public
def cross_entropy_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
    out: NDArray[Any] | None = None,
    workers: SupportsIndex | None = None,
) -> tuple[Any, Any]:
    r"""Cross-entropy and its gradient with respect to the logits, at once.

    .. math:: \frac{\partial \ell}{\partial x_c}
        = \mathrm{softmax}(x)_c \sum_k w_k q_k - w_c \, q_c

    Parameters
    ----------
    logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, reduction
        As for `cross_entropy`.
    out : ndarray, optional
        Where to put the gradient: an array of the shape of `logits` and a dtype reachable by
        same-kind casting. It may be `logits` itself, which are then overwritten.
    workers : int, optional
        How many threads may compute, as for `softmax`.

    Returns
    -------
    loss : ndarray or scalar
        The loss, as from `cross_entropy`, and with the same bits.
    grad : ndarray
        The gradient of the loss, or for ``reduction="none"`` of the sum of the losses: of the
        shape, dtype and memory order of `logits` (float64 for integers); `out` if given. Ignored
        rows have gradient 0. For masked logits a masked array with their mask.

    Raises
    ------
    AxisError, TypeError, ValueError
        As `cross_entropy`, before anything is written.

    Warns
    -----
    RuntimeWarning
        As `cross_entropy`, for the gradient as well.

    See Also
    --------
    cross_entropy : The loss alone.

    Notes
    -----
    The logits are read from memory once (twice if a row is longer than 512 KiB) and the
    gradient is written once. Nothing else of that size is allocated: beside the gradient the call
    takes at most 1 MB for each worker and 8 bytes a row, unless a single row of scratch is longer
    than that. Only masked logits, and an argument that `out` partly overlaps, are copied whole.

    At the target the gradient is computed as minus the sum of the other probabilities, which keeps
    its relative accuracy where p - 1 would cancel.

    References
    ----------
    .. [1] J. S. Bridle, "Probabilistic interpretation of feedforward classification network
       outputs, with relationships to statistical pattern recognition", Neurocomputing, NATO ASI
       Series F68, Springer, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import cross_entropy_value_and_grad
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.0, 3.0, 0.0]])
    >>> loss, grad = cross_entropy_value_and_grad(logits, np.array([0, 2]))
    >>> print("%.6f" % loss)
    1.755976
    >>> grad.round(4)
    array([[-0.1705,  0.1212,  0.0493],
           [ 0.0226,  0.4547, -0.4774]])

    A step of gradient descent, with the gradient in the memory of the logits:

    >>> before = logits.copy()
    >>> _, step = cross_entropy_value_and_grad(logits, np.array([0, 2]), out=logits)
    >>> step is logits
    True
    >>> print("%.6f" % cross_entropy_value_and_grad(before - step, np.array([0, 2]))[0])
    1.292824
    """
    pair: tuple[Any, Any] = _cross_entropy.cross_entropy(
        logits,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing,
        reduction,
        True,
        out,
        settle_workers(workers),
    )
    return pair
