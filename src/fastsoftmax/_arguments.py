"""The one place where arguments are understood: arrays, dtype, axis, where and out.

(a) Every function here either returns something settled or raises before anything is written.
(b) A plain ndarray passes through untouched, and an int axis in range is settled without a call:
    these are the arguments of nearly every call.
(c) Optional packages are recognised, not imported: bfloat16 by its name and size, masked arrays
    only if `numpy.ma` has been imported (nobody can hold one otherwise).
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.exceptions import AxisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    DType = np.dtype[Any]
    Mask = NDArray[np.bool_]

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)

_REAL_SCALARS = (bool, int, float)
_SCALARS = (*_REAL_SCALARS, complex)

# By type character: float16 computes in float32. longdouble has no entry even where it is as wide
# as float64.
_COMPUTE_DTYPES: dict[str, DType] = {"e": _FLOAT32, "f": _FLOAT32, "d": _FLOAT64}


def _is_bfloat16(dtype: DType) -> bool:
    return dtype.kind == "V" and dtype.itemsize == 2 and dtype.name == "bfloat16"


def is_half(dtype: DType) -> bool:
    """Whether it is float16 or bfloat16, in any byte order."""
    return dtype.itemsize == 2 and (dtype.kind == "f" or _is_bfloat16(dtype))


def is_masked(x: object) -> bool:
    """Whether x is a `numpy.ma.MaskedArray`."""
    ma = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(x, ma.MaskedArray)


def settle_array(x: Any, name: str) -> tuple[Array, Mask | None]:
    """The plain array of numbers in x, and the valid elements if x is a masked array."""
    array = x if type(x) is np.ndarray else np.asarray(x)
    if array.dtype.kind not in "fiubc" and not _is_bfloat16(array.dtype):
        raise TypeError(f"{name} must hold real or complex numbers, not {array.dtype}")
    if array is x or not is_masked(x):
        return array, None
    return array, ~np.ma.getmaskarray(x)


def as_masked(result: Array, x: Any) -> Any:
    """The result as a masked array with the mask of x."""
    return np.ma.array(result, mask=np.ma.getmaskarray(x))


def settle_dtype(given: DType, dtype: DTypeLike | None) -> DType:
    """The native dtype of the result, for input of dtype `given` and the option `dtype`."""
    if dtype is None:
        if given.char in _COMPUTE_DTYPES and given.isnative:
            return given
        if given.kind in "fc":
            return np.dtype(given.char)
        return given if given.kind == "V" else _FLOAT64
    try:
        asked = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype={dtype!r} is not understood") from error
    if asked.kind not in "fc" and not _is_bfloat16(asked):
        raise TypeError(f"dtype must be a floating-point or complex type, not {asked}")
    if given.kind == "c" and asked.kind != "c":
        raise TypeError(f"dtype={asked} cannot hold the complex values of the input")
    return asked if asked.kind == "V" else np.dtype(asked.char)


def compute_dtype(result: DType) -> DType | None:
    """The dtype in which kernels compute for this dtype of result; None if no kernel does."""
    if result.kind == "V":
        return _FLOAT32
    return _COMPUTE_DTYPES.get(result.char)


def rounding_dtype(dtype: Any, result: DType, compute: DType) -> DType | None:
    """What inputs are rounded to first: the dtype asked for, where kernels compute in another.

    As in NumPy's ufuncs, `dtype` is what the input is cast to, not the result alone.
    """
    return None if dtype is None or result == compute else result


def real_dtype(dtype: DType) -> DType:
    """The real counterpart of a complex dtype; any other dtype itself."""
    return np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype


def promote(given: Sequence[Any], arrays: Sequence[Array]) -> DType:
    """The common dtype of what was given, and became these arrays; Python scalars are weak."""
    pairs = list(zip(given, arrays, strict=True))
    dtypes = [array.dtype for value, array in pairs if type(value) not in _SCALARS]
    weak = [value for value in given if type(value) in _SCALARS]
    if any(_is_bfloat16(dtype) for dtype in dtypes):
        # NumPy lets a real Python scalar turn bfloat16 into float64.
        weak = [value for value in weak if type(value) not in _REAL_SCALARS]
    return np.result_type(*dtypes, *weak)


def broadcast(array: Array, weights: Array) -> tuple[Array, Array]:
    """Views of a and b in their common shape. NumPy's own function stops at 32 axes."""
    if array.shape == weights.shape:
        return array, weights
    shape = []
    for m, n in zip_longest(reversed(array.shape), reversed(weights.shape), fillvalue=1):
        if m != n and m != 1 and n != 1:
            raise ValueError(
                f"a of shape {array.shape} and b of shape {weights.shape} do not broadcast"
            )
        shape.append(n if m == 1 else m)
    return np.broadcast_to(array, shape[::-1]), np.broadcast_to(weights, shape[::-1])


def _settle_one_axis(axis: Any, ndim: int) -> int:
    if isinstance(axis, bool | np.bool_):
        raise TypeError("axis must be an integer, a tuple of integers or None, not a bool")
    try:
        number = index(axis)
    except TypeError:
        kind = type(axis).__name__
        raise TypeError(
            f"axis must be an integer, a tuple of integers or None, not {kind}"
        ) from None
    if not -ndim <= number < ndim:
        raise AxisError(number, ndim)
    return number % ndim


def settle_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The reduced axes in increasing order; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    if isinstance(axis, tuple):
        axes = tuple(sorted(_settle_one_axis(each, ndim) for each in axis))
        if len(set(axes)) < len(axes):
            raise ValueError("duplicate value in axis")
        return axes
    if ndim == 0:
        # As in NumPy's reductions, a scalar has an axis 0 to name, though not to reduce.
        _settle_one_axis(axis, 1)
        return ()
    return (_settle_one_axis(axis, ndim),)


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the reduced axes kept at length 1."""
    kept = list(shape)
    for axis in axes:
        kept[axis] = 1
    return tuple(kept)


def check_shape(name: str, shape: tuple[int, ...], of: str, due: tuple[int, ...]) -> None:
    """Refuse an array whose shape is not the one `of` has."""
    if shape != due:
        raise ValueError(f"{name} has shape {shape}, {of} has {due}: they must be equal")


def settle_where(where: Any, valid: Mask | None, shape: tuple[int, ...]) -> Mask | None:
    """The elements that take part, of the full shape; None if all do."""
    if where is None or where is True:
        inside = valid
    else:
        inside = np.asarray(where)
        if inside.dtype != np.bool_:
            raise TypeError(f"where must be boolean, not {inside.dtype}")
        if valid is not None:
            inside = inside & valid
    if inside is None or inside.shape == shape:
        return inside
    try:
        return np.broadcast_to(inside, shape)
    except ValueError:
        raise ValueError(
            f"where of shape {inside.shape} does not broadcast to the shape {shape}"
        ) from None


def settle_out(out: Any, shape: tuple[int, ...], dtype: DType, name: str = "out") -> Array:
    """The plain array behind `out`, if it can take a result of this shape and dtype."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be an array, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name} has shape {out.shape}, the result has {shape}")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"{name} has dtype {out.dtype}, to which {dtype} cannot be cast safely")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    return np.asarray(out)


def settle_outs(out: Any, shape: tuple[int, ...], dtypes: Sequence[DType]) -> list[Array]:
    """The plain arrays behind an `out` for one result, or a pair for two."""
    if len(dtypes) == 1:
        return [settle_out(out, shape, dtypes[0])]
    if not isinstance(out, (tuple, list)) or len(out) != len(dtypes):
        raise TypeError("with return_sign=True, out must be a pair of arrays")
    arrays = [
        settle_out(each, shape, dtype, f"out[{i}]")
        for i, (each, dtype) in enumerate(zip(out, dtypes, strict=True))
    ]
    if np.shares_memory(arrays[0], arrays[1]):
        raise ValueError("out[0] and out[1] share memory: the one would overwrite the other")
    return arrays
