"""SoftmaxState: the softmax family over logits that arrive in pieces.

(a) A piece is seen as a block (outer, n, inner) in index order, and the states are an array
    (outer, inner, numbers) of float64: a slice keeps its place whatever the layout of the pieces.
(b) A change is made in a copy of the states and kept when it is complete, so an error or Ctrl-C in
    the middle leaves a state as it was.
(c) Who can read all pieces again gets the bits of one call for logits of any magnitude, too:
    `anchored` is for the package's own command line.
"""

from __future__ import annotations

from copy import deepcopy
from math import prod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.exceptions import AxisError

from ._arguments import (
    compute_dtype,
    is_masked,
    rounding_dtype,
    settle_array,
    settle_axes,
    settle_dtype,
)
from ._invalid import report_invalid
from ._layout import allocate_like
from ._pieces import Format, add, apply
from ._target import kernels
from ._target import name as target

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from ._arguments import Array, DType
    from ._pieces import Kernel

_FLOAT32 = np.dtype(np.float32)
_FUSED = target != "generic"  # these targets round alike, by fused multiply-add


class SoftmaxState:
    r"""The softmax family over logits that arrive in pieces.

    A state has seen some elements of each slice and keeps 72 bytes for it, however long it is.
    Pieces are added with `update`; what another thread, process or machine has seen, with `merge`.
    Then `logsumexp` is known, and `softmax` and `log_softmax` turn the same pieces into results
    when they are read again.

    Parameters
    ----------
    axis : int or None, optional
        The axis along which the pieces follow one another. None, the default, means that they are
        parts of a single slice, flattened.
    shape : tuple of ints, optional
        The shape of a piece without that axis. By default the first piece decides.
    dtype : dtype, optional
        A floating-point dtype to round pieces to, and of the results. By default the first piece
        decides, as in `softmax`: halves are computed in float32, integers in float64.

    Attributes
    ----------
    axis : int or None
        As given.
    shape : tuple of ints or None
        The shape of the result of `logsumexp`; None before it is known.
    dtype : dtype or None
        The dtype of results; None before it is known.
    count : int
        How many elements of each slice were added.

    Raises
    ------
    AxisError
        `axis` is out of range for the given `shape`.
    TypeError
        `axis` is no integer, or `dtype` is none that the compiled kernels know.
    ValueError
        `shape` has axes, but `axis` is None.

    See Also
    --------
    softmax, log_softmax, logsumexp : The same for an array that is there as a whole.

    Notes
    -----
    Results have the bits that one call has for the concatenation, if every `update` but the last
    adds a multiple of 1,024 elements to each slice, `merge` meets a multiple of 1,024 and brings at
    most 1,024 more, and the magnitude of a slice's largest element is at most 131,072 (float32)
    or 2^44 (float64); in plain C++ 220 and 4,096. Otherwise they are as accurate, but may differ
    from those of one call in the last bits.

    A state can be copied and pickled. Two threads must not change one state at the same time: give
    each a state of its own, and merge them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import SoftmaxState
    >>> first, second = np.array([[1.0, 2.0], [3.0, 3.0]]), np.array([[4.0], [0.0]])
    >>> state = SoftmaxState(axis=1)
    >>> state.update(first).update(second)
    SoftmaxState(axis=1, shape=(2,), dtype='float64', count=3)
    >>> state.logsumexp().round(4)
    array([4.1698, 3.7177])
    >>> np.concatenate([state.softmax(first), state.softmax(second)], axis=1).round(4)
    array([[0.042 , 0.1142, 0.8438],
           [0.4879, 0.4879, 0.0243]])
    """

    def __init__(
        self,
        axis: int | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.axis = axis
        self.shape: tuple[int, ...] | None = None
        self.dtype: DType | None = None
        self.count = 0
        self._asked = dtype
        self._states: Array | None = None
        self._anchored = False
        self._fused = _FUSED
        if dtype is not None:
            self.dtype = self._format(np.dtype(np.float16)).result
        if shape is not None:
            self.shape = tuple(shape)
            self._states = self._begin(self.shape)

    def update(self, x: ArrayLike) -> Self:
        """Add a piece of logits.

        Parameters
        ----------
        x : array_like
            Real logits. All pieces have the same shape but for the length of the axis, and the same
            dtype unless the state was given one.

        Returns
        -------
        SoftmaxState
            The state itself.

        Raises
        ------
        AxisError
            The axis is out of range for `x`.
        TypeError
            `x` holds no real numbers that the compiled kernels know, is a masked array, or of
            another dtype than the state.
        ValueError
            `x` is of another shape than the state.

        Examples
        --------
        >>> from fastsoftmax import SoftmaxState
        >>> SoftmaxState().update([1.0, 2.0]).update([3.0]).count
        3
        """
        array, form = self._settle(x)
        place = _settle_axis(self.axis, array.ndim)
        shape = _without(array.shape, place)
        states = self._begin(shape)
        add(states, _block(array, place), form, self._anchored)
        self.shape, self.dtype, self._states = shape, form.result, states
        self.count += array.shape[place]
        return self

    def merge(self, other: SoftmaxState) -> Self:
        """Add what another state has seen. The other stays as it is.

        Parameters
        ----------
        other : SoftmaxState
            A state that has seen other elements of the same slices.

        Returns
        -------
        SoftmaxState
            The state itself.

        Raises
        ------
        TypeError
            `other` is not a state, or of another dtype.
        ValueError
            `other` is of another shape.

        Examples
        --------
        >>> from fastsoftmax import SoftmaxState, logsumexp
        >>> state = SoftmaxState().update([1.0, 2.0]).merge(SoftmaxState().update([3.0]))
        >>> bool(state.logsumexp() == logsumexp([1.0, 2.0, 3.0]))
        True
        """
        if not isinstance(other, SoftmaxState):
            raise TypeError(f"other must be a SoftmaxState, not {type(other).__name__}")
        if other._states is None or other.dtype is None or other.shape is None:
            return self
        self._check_dtype("other", other.dtype)
        self._check_shape("other", other.shape)
        states = self._begin(other.shape)
        others = other._states.reshape(states.shape)
        kernels.add_states(states, others, compute_dtype(other.dtype) == _FLOAT32)
        self.shape, self.dtype, self._states = other.shape, other.dtype, states
        self.count += other.count
        return self

    def logsumexp(self) -> Any:
        """The logarithm of the sum of the exponentials of all elements.

        Returns
        -------
        ndarray or scalar
            Of the shape and dtype of the state; -inf where no elements were added.

        Raises
        ------
        ValueError
            The shape or the dtype is not known yet.

        Examples
        --------
        >>> from fastsoftmax import SoftmaxState
        >>> SoftmaxState().update([0.0, 0.0]).update([0.0]).logsumexp().round(4)
        np.float64(1.0986)
        """
        if self._states is None or self.dtype is None or self.shape is None:
            raise ValueError("the shape or the dtype is not known before something was added")
        result = np.empty(self._states.shape[:2], compute_dtype(self.dtype))
        kernels.logsumexp_by_states(self._states, result)
        with np.errstate(all="ignore"):
            return result.astype(self.dtype, copy=False).reshape(self.shape)[()]

    def softmax(self, x: ArrayLike) -> Any:
        """The probabilities of elements that were added.

        Parameters
        ----------
        x : array_like
            A piece as for `update`, of logits that were added, cut in the same way or another.

        Returns
        -------
        ndarray
            Their part of the softmax, of the shape and memory order of `x`.

        Raises
        ------
        AxisError, TypeError
            As from `update`.
        ValueError
            As from `update`; or `x` holds what cannot have been added: an element larger than all
            that were, or a nan.

        Warns
        -----
        RuntimeWarning
            As from the function `softmax`, for each call.

        Examples
        --------
        >>> from fastsoftmax import SoftmaxState
        >>> SoftmaxState().update([0.0, 1.0]).update([2.0]).softmax([2.0]).round(4)
        array([0.6652])
        """
        return self._apply(kernels.softmax_by_states, x)

    def log_softmax(self, x: ArrayLike) -> Any:
        """The logarithms of the probabilities of elements that were added.

        Parameters
        ----------
        x : array_like
            A piece as for `update`, of logits that were added, cut in the same way or another.

        Returns
        -------
        ndarray
            Their part of the log-softmax, of the shape and memory order of `x`.

        Raises
        ------
        AxisError, TypeError, ValueError
            As from `softmax`.

        Warns
        -----
        RuntimeWarning
            As from the function `log_softmax`, for each call.

        Examples
        --------
        >>> from fastsoftmax import SoftmaxState
        >>> SoftmaxState().update([0.0, 1.0]).update([2.0]).log_softmax([2.0]).round(4)
        array([-0.4076])
        """
        return self._apply(kernels.log_softmax_by_states, x)

    def copy(self) -> SoftmaxState:
        """A state of its own that has seen the same elements.

        Returns
        -------
        SoftmaxState
            The copy.

        Examples
        --------
        >>> from fastsoftmax import SoftmaxState
        >>> state = SoftmaxState().update([0.0])
        >>> state.copy().update([1.0]).count, state.count
        (2, 1)
        """
        return deepcopy(self)

    __copy__ = copy

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        if self._fused != _FUSED and self._states is not None and self.dtype is not None:
            self._states = self._states.copy()
            kernels.take_over_states(self._states, compute_dtype(self.dtype) == _FLOAT32)
        self._fused = _FUSED

    def __repr__(self) -> str:
        dtype = None if self.dtype is None else self.dtype.name
        parts = f"axis={self.axis}, shape={self.shape}, dtype={dtype!r}, count={self.count}"
        return f"{type(self).__name__}({parts})"

    def _begin(self, shape: tuple[int, ...]) -> Array:
        """A copy of the states, or new ones for slices of this shape."""
        place = _settle_axis(self.axis, len(shape) + 1)
        if self.axis is None and shape:
            raise ValueError(f"slices of shape {shape} need an axis, not axis=None")
        if self._states is not None:
            return self._states.copy()
        states: Array = kernels.empty_states(prod(shape[:place]), prod(shape[place:]))
        return states

    def _format(self, given: DType) -> Format:
        result = settle_dtype(given, self._asked)
        compute = compute_dtype(result)
        if compute is None:
            raise TypeError(f"a SoftmaxState has no kernel for {result}")
        return Format(result, compute, rounding_dtype(self._asked, result, compute))

    def _check_dtype(self, name: str, dtype: DType) -> None:
        if self.dtype is not None and dtype != self.dtype:
            raise TypeError(f"{name} has dtype {dtype}, the state has {self.dtype}")

    def _check_shape(self, name: str, shape: tuple[int, ...] | None) -> None:
        if self.shape is not None and shape != self.shape:
            raise ValueError(f"{name} has slices of shape {shape}, the state of {self.shape}")

    def _settle(self, x: Any) -> tuple[Array, Format]:
        """The piece as an array with the axis, and its dtypes."""
        if is_masked(x):
            raise TypeError("x is a masked array: fill what is masked with -inf")
        array, _ = settle_array(x, "x")
        if self.axis is None:
            array = array.reshape(-1)
        form = self._format(array.dtype)
        self._check_dtype("x", form.result)
        self._check_shape("x", _without(array.shape, _settle_axis(self.axis, array.ndim)))
        return array, form

    def _apply(self, kernel: Kernel, x: Any) -> Any:
        array, form = self._settle(x)
        if array.size == 0 or self._states is None or self.count == 0:
            if array.size:
                raise ValueError("x holds a logit that was never added: nothing was")
            return np.empty(np.shape(x), form.result)
        place = _settle_axis(self.axis, array.ndim)
        block, invalid = apply(kernel, self._states, _block(array, place), form)
        if invalid:
            report_invalid()
        result = block.reshape(array.shape)
        if array.flags.c_contiguous:
            return result.reshape(np.shape(x))
        ordered = allocate_like(array, form.result)
        ordered[...] = result
        return ordered.reshape(np.shape(x))


def anchored(state: SoftmaxState) -> SoftmaxState | None:
    """An empty state to add all pieces to again; None if this one has the bits of one call."""
    if state._states is None or state.dtype is None:
        return None
    states = kernels.anchored_states(state._states, compute_dtype(state.dtype) == _FLOAT32)
    if states is None:
        return None
    again = SoftmaxState(state.axis, shape=state.shape, dtype=state._asked)
    again.dtype, again._states, again._anchored = state.dtype, states, True
    return again


def _settle_axis(axis: Any, ndim: int) -> int:
    if axis is None:
        return 0
    if isinstance(axis, tuple):
        raise TypeError("axis must be an integer or None, not a tuple")
    if ndim == 0:
        raise AxisError(axis, 0)
    return settle_axes(axis, ndim)[0]


def _without(shape: tuple[int, ...], place: int) -> tuple[int, ...]:
    return shape[:place] + shape[place + 1 :]


def _block(array: Array, place: int) -> Array:
    """The piece as (outer, n, inner)."""
    shape = array.shape
    return array.reshape(prod(shape[:place]), shape[place], prod(shape[place + 1 :]))
