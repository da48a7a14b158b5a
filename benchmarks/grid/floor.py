"""The physical floor below a call at one thread, measured beside it.

(a) Memory: a copy that moves as many bytes as the call reads and writes at least once, half of them
    each, in memory that has been touched. Up to 64 kB, and beyond 128 MB, a copy of that size is
    scaled: the floor of few bytes is not the cost of another call, and memory is no faster in
    large pieces.
(b) Arithmetic: as many exponentials as the call takes, at the speed of the fastest that NumPy or
    PyTorch have on an array in cache, long enough that the cost of the call does not count. Half
    precision computes in float32. A library with a faster exponential can be below this floor.
(c) The higher of the two is the floor. Both cannot always be reached at once, and a row too long
    for the caches has to be read twice.
(d) Up to a hundred elements all time is the cost of a call; the measure is one `np.exp` on an array
    of that shape.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from time import process_time
from typing import Any

import numpy as np

from ..arrays import dtype_named
from ..call import Call
from ..cell import Cell
from ..op import Result
from ..ops import LOSSES, OPS
from ..yardsticks import TINY, copy_of_bytes
from .contestant import Yardstick

SMALLEST_COPY = 1 << 16  # bytes
LARGEST_COPY = 1 << 27
IN_CACHE = 1 << 14  # elements
WITHOUT_EXPONENTIALS = ("softmax_vjp",)


@dataclass(frozen=True)
class Level:
    """A yardstick, and how many of it are the floor."""

    yardstick: Yardstick
    times: float


def bytes_moved(cell: Cell) -> int:
    """Read and written at least: arrays of the logits' size in, the result out."""
    result = OPS[cell.op]
    item = dtype_named(cell.dtype).itemsize
    full = cell.size * item
    read = 2 * full if cell.op.endswith("_vjp") else full
    if cell.op in LOSSES:
        read += cell.size // cell.shape[cell.axis or 0] * np.dtype(np.int64).itemsize
    if result.result is Result.FULL:
        return read + full
    return read + int(np.prod(result.result_shape(cell.shape, cell.axis))) * item


def _exponentials(dtype: str) -> list[Call]:
    x = np.random.default_rng(0).standard_normal(IN_CACHE).astype(dtype)
    out = np.empty_like(x)
    found = [Call("exp(x, out=out)", {"exp": np.exp, "x": x, "out": out})]
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return found
    names = {"exp": torch.exp, "x": torch.from_numpy(x), "out": torch.from_numpy(out.copy())}
    return [*found, Call("exp(x, out=out)", names)]


@lru_cache
def _fastest_exponential(dtype: str) -> Yardstick:
    calls = _exponentials(dtype)
    return Yardstick(
        "exp", min(calls, key=lambda call: min(call.timer(process_time).repeat(50, 20)))
    )


@lru_cache(maxsize=4)
def _copy(size: int) -> Yardstick:
    return Yardstick("copy", copy_of_bytes(size))


def levels(cell: Cell) -> list[Level]:
    """The levels whose highest is the floor; none where several threads work."""
    if cell.workers > 1:
        return []
    if cell.size <= TINY:
        x = np.ones(cell.shape, dtype_named(cell.dtype))
        return [Level(Yardstick("call", Call("exp(x)", {"exp": np.exp, "x": x})), 1.0)]
    moved = bytes_moved(cell)
    copied = min(max(moved, SMALLEST_COPY), LARGEST_COPY)
    found = [Level(_copy(copied), moved / copied)]
    if cell.op not in WITHOUT_EXPONENTIALS:
        computed = "float64" if cell.dtype == "float64" else "float32"
        found.append(Level(_fastest_exponential(computed), cell.size / IN_CACHE))
    return found
