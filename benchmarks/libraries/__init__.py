"""The libraries that are compared, and which of them this machine has.

A new library is a module with a function that loads it, and a row of `PEERS`; a new operation is an
entry in `ops.OPS` and a spelling in each library that has it.
"""

from importlib import import_module

from .library import Library, Spelling, Unsupported
from .ours import load as load_ours

__all__ = ["Library", "Spelling", "Unsupported", "load_ours", "load_peer", "load_peers"]

PEERS = {
    "NumPy": ("numpy_formula", "load"),
    "SciPy": ("scipy_special", "load"),
    "PyTorch": ("pytorch", "load"),
    "ONNX Runtime": ("onnx_runtime", "load"),
    "JAX": ("jax_nn", "load"),
    "scikit-learn gradient_proba": ("scikit_learn", "load_gradient_proba"),
    "scikit-learn loss_gradient": ("scikit_learn", "load_loss_gradient"),
}


def load_peer(name: str) -> Library:
    """Load one; raises `ImportError` where it is not installed."""
    module, function = PEERS[name]
    return getattr(import_module(f".{module}", __package__), function)()


def load_peers() -> tuple[list[Library], list[str]]:
    """The peers that are installed, and a line on each that is not."""
    found: list[Library] = []
    missing: list[str] = []
    for name in PEERS:
        try:
            found.append(load_peer(name))
        except ImportError as error:
            missing.append(f"{name}: {error}")
    return found, missing
