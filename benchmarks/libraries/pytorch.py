"""PyTorch on tensors that share memory with NumPy's arrays.

(a) The backward passes of softmax and log-softmax are called as its autograd calls them, without
    the cost of a graph. That of logsumexp is composed of three steps there, and so it is here.
(b) A training step makes a graph and runs it backward, so both are timed in cross-entropy's
    gradient.
"""

from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from .. import threads
from ..arrays import dtype_named
from ..cell import Cell
from ..op import Inputs
from .library import Library, Spelling, Unsupported

SPELLINGS = {
    op: Spelling(f"torch.{op}(x, {{axis}})", f"torch.{op}(x, {{axis}}, out=out)")
    for op in ("softmax", "log_softmax", "logsumexp")
} | {
    "softmax_vjp": Spelling(
        "torch._softmax_backward_data(g, y, {axis}, g.dtype)",
        "torch._softmax_backward_data(g, y, {axis}, g.dtype, grad_input=out)",
    ),
    "log_softmax_vjp": Spelling(
        "torch._log_softmax_backward_data(g, logp, {axis}, g.dtype)",
        "torch._log_softmax_backward_data(g, logp, {axis}, g.dtype, out=out)",
    ),
    "logsumexp_vjp": Spelling(
        "logsumexp_vjp(g, x, lse, {axis})", "logsumexp_vjp(g, x, lse, {axis}, out)"
    ),
    "cross_entropy": Spelling("cross_entropy(x, targets)"),
    "cross_entropy_value_and_grad": Spelling("value_and_grad(x, targets)", judged=itemgetter(1)),
}


def logsumexp_vjp(
    g: torch.Tensor,
    x: torch.Tensor,
    lse: torch.Tensor,
    axis: int,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    terms = torch.sub(x, lse.unsqueeze(axis), out=out).exp_()
    return terms.mul_(g.unsqueeze(axis))


def value_and_grad(x: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss = cross_entropy(x, targets)
    loss.backward()
    gradient, x.grad = x.grad, None  # or the next call would add to it
    return loss, gradient


FUNCTIONS = {
    "torch": torch,
    "cross_entropy": cross_entropy,
    "logsumexp_vjp": logsumexp_vjp,
    "value_and_grad": value_and_grad,
}


def _tensor(array: np.ndarray) -> torch.Tensor:
    if array.dtype.name == "bfloat16":  # unknown to torch.from_numpy by this name
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _array(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(dtype_named("bfloat16"))
    return tensor.numpy()


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    tensors = {name: _tensor(array) for name, array in inputs.items()}
    if "targets" in tensors and cell.axis not in (1, 1 - len(cell.shape)):
        raise Unsupported("takes classes along the second axis")
    if cell.op == "cross_entropy_value_and_grad":
        tensors["x"].requires_grad_()
    return {**FUNCTIONS, "out": None if out is None else _tensor(out), **tensors}


def load() -> Library:
    torch.set_num_threads(threads.count())
    return Library("PyTorch", torch.__version__, SPELLINGS, _namespace, _array)
