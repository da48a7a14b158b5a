"""PyTorch on tensors that share memory with NumPy's arrays."""

from typing import Any

import numpy as np
import torch

from ..arrays import dtype_named
from ..cell import Cell
from ..ops import Inputs
from .library import Library, Spelling

SPELLINGS = {
    op: Spelling(f"torch.{op}(x, {{axis}})", f"torch.{op}(x, {{axis}}, out=out)")
    for op in ("softmax", "log_softmax", "logsumexp")
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
    return {"torch": torch, "out": None if out is None else _tensor(out), **tensors}


def load() -> Library:
    torch.set_num_threads(1)
    return Library("PyTorch", torch.__version__, SPELLINGS, _namespace, _array)
