"""The interface of every `_kernels_<target>` extension.

Blocks are C-contiguous, aligned, native arrays (outer, n, inner) of float32 or float64, all of one
dtype, or all the same columns of such blocks; for the functions that `_packing` lists, any of them
may be float16 or bfloat16 in place of float32. Row-shaped ones are (outer, inner). An output may be
exactly one of the full-shape inputs. A returned bool means: a slice without nan has become nan.
States are (outer, inner, numbers) of float64. `Public` has the functions that users call.
"""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]

def set_alone(size: int) -> None: ...
def set_cache(size: int) -> None: ...
def softmax(x: _Array, out: _Array) -> bool: ...
def log_softmax(x: _Array, out: _Array) -> bool: ...
def logsumexp(x: _Array, out: _Array) -> bool: ...
def convert(x: _Array, out: _Array) -> None: ...
def softmax_vjp(g: _Array, y: _Array, out: _Array) -> bool: ...
def log_softmax_vjp(g: _Array, logp: _Array, out: _Array) -> bool: ...
def log_softmax_jvp(t: _Array, logp: _Array, out: _Array) -> bool: ...
def logsumexp_vjp(g: _Array, a: _Array, lse: _Array, out: _Array) -> bool: ...
def logsumexp_jvp(t: _Array, a: _Array, lse: _Array, out: _Array) -> bool: ...
def cross_entropy(
    logits: _Array,
    labels: _Array | None,
    dense: _Array | None,
    at_target: _Array,
    total: _Array,
    losses: _Array,
    grad: _Array | None,
) -> bool: ...
def sum_rows(x: _Array, sums: _Array) -> None: ...
def sum_losses(losses: _Array, state: _Array) -> None: ...
def set_complete(name: str, function: Callable[..., Any]) -> None: ...

class Public:
    @staticmethod
    def softmax(
        x: Any,
        axis: Any = None,
        *,
        where: Any = None,
        out: Any = None,
        dtype: Any = None,
        workers: Any = None,
    ) -> Any: ...
    @staticmethod
    def log_softmax(
        x: Any,
        axis: Any = None,
        *,
        where: Any = None,
        out: Any = None,
        dtype: Any = None,
        workers: Any = None,
    ) -> Any: ...
    @staticmethod
    def logsumexp(
        a: Any,
        axis: Any = None,
        b: Any = None,
        keepdims: Any = False,
        return_sign: Any = False,
        *,
        where: Any = None,
        out: Any = None,
        dtype: Any = None,
        workers: Any = None,
    ) -> Any: ...
    @staticmethod
    def softmax_vjp(
        g: Any, y: Any, axis: Any = None, *, out: Any = None, workers: Any = None
    ) -> Any: ...
    @staticmethod
    def softmax_jvp(
        t: Any, y: Any, axis: Any = None, *, out: Any = None, workers: Any = None
    ) -> Any: ...
    @staticmethod
    def log_softmax_vjp(
        g: Any, logp: Any, axis: Any = None, *, out: Any = None, workers: Any = None
    ) -> Any: ...
    @staticmethod
    def log_softmax_jvp(
        t: Any, logp: Any, axis: Any = None, *, out: Any = None, workers: Any = None
    ) -> Any: ...
    @staticmethod
    def cross_entropy(
        logits: Any,
        targets: Any,
        axis: Any = -1,
        *,
        weight: Any = None,
        sample_weight: Any = None,
        ignore_index: Any = None,
        label_smoothing: Any = 0.0,
        reduction: Any = "mean",
        workers: Any = None,
    ) -> Any: ...
    @staticmethod
    def cross_entropy_value_and_grad(
        logits: Any,
        targets: Any,
        axis: Any = -1,
        *,
        weight: Any = None,
        sample_weight: Any = None,
        ignore_index: Any = None,
        label_smoothing: Any = 0.0,
        reduction: Any = "mean",
        out: Any = None,
        workers: Any = None,
    ) -> Any: ...

def empty_states(outer: int, inner: int) -> _Array: ...
def add_to_states(states: _Array, x: _Array, anchored: bool) -> None: ...
def add_states(states: _Array, others: _Array, single: bool) -> None: ...
def take_over_states(states: _Array, single: bool) -> None: ...
def anchored_states(states: _Array, single: bool) -> _Array | None: ...
def softmax_by_states(states: _Array, x: _Array, out: _Array) -> bool: ...
def log_softmax_by_states(states: _Array, x: _Array, out: _Array) -> bool: ...
def logsumexp_by_states(states: _Array, out: _Array) -> None: ...
def exp(x: _Array) -> _Array: ...
def log1p(x: _Array) -> _Array: ...
def terms(x: _Array, K: _Array) -> tuple[_Array, float]: ...
def obey(flag: _Array | None) -> None: ...
def hear() -> None: ...
def begin_row(x: _Array, out: _Array, of_logarithms: bool) -> tuple[_Array, _Array] | None: ...
def sum_row_blocks(
    row: _Array, sums: _Array, x: _Array, out: _Array, first: int, stop: int
) -> None: ...
def row_needs_shift(row: _Array, sums: _Array, x: _Array) -> bool: ...
def row_is_ordinary(row: _Array, sums: _Array, x: _Array) -> bool: ...
def apply_row(row: _Array, sums: _Array, x: _Array, out: _Array, first: int, stop: int) -> bool: ...
def logsumexp_of_row(row: _Array, out: _Array) -> None: ...
def begin_gradient(gradient: int, g: _Array, values: _Array, out: _Array) -> _Array | None: ...
def sum_gradient_blocks(
    gradient: int,
    g: _Array,
    values: _Array,
    out: _Array,
    sums: _Array,
    first: int,
    stop: int,
) -> bool: ...
def finish_gradient(
    gradient: int, g: _Array, values: _Array, out: _Array, sums: _Array
) -> tuple[float, float, float] | None: ...
def write_gradient_blocks(
    gradient: int,
    g: _Array,
    values: _Array,
    out: _Array,
    numbers: tuple[float, float, float],
    first: int,
    stop: int,
) -> bool: ...
