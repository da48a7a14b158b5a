"""The libraries that are compared, and which of them this machine has.

A new library is a module with a `load` function and a row of `PEERS`; a new operation is an entry
in `ops.OPS` and a spelling in each library that has it.
"""

from importlib import import_module

from .library import Library, Spelling, Unsupported
from .ours import load as load_ours

__all__ = ["Library", "Spelling", "Unsupported", "load_ours", "load_peers"]

PEERS = {
    "NumPy": "numpy_formula",
    "SciPy": "scipy_special",
    "PyTorch": "pytorch",
    "ONNX Runtime": "onnx_runtime",
    "JAX": "jax_nn",
}


def load_peers() -> tuple[list[Library], list[str]]:
    """The peers that are installed, and a line on each that is not."""
    found: list[Library] = []
    missing: list[str] = []
    for name, module in PEERS.items():
        try:
            found.append(import_module(f".{module}", __package__).load())
        except ImportError as error:
            missing.append(f"{name}: {error}")
    return found, missing
