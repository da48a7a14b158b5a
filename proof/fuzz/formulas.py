"""longdouble and complex: what NumPy computes, within a tolerance of the plain formulas."""

import numpy as np

from . import values
from .arrangement import FULL, ROWS
from .banks import Bank, Variant


def _forward(name, x):
    terms = np.exp(x)
    total = terms.sum(axis=1, keepdims=True)
    if name == "softmax":
        return terms / total
    return np.log(total)[:, 0] if name == "logsumexp" else x - np.log(total)


def formula_bank(choices, fs):
    """The functions of a dtype without a kernel."""
    rows, n = values.draw_shape(choices)
    shape = rows, min(n, 300)
    bank = Bank(fs, *shape)
    dtype = np.dtype(choices.pick("gFDG"))
    rng = np.random.default_rng(choices.draw(1 << 20))
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    if dtype.kind == "c":
        x += 1j * rng.uniform(-1, 1, shape)
    y, logp = _forward("softmax", x), _forward("log_softmax", x)
    bank.data = {"x": (FULL, x), "g": (FULL, g), "y": (FULL, y), "logp": (FULL, logp)}
    tolerance = 1e-3 if dtype.char == "F" else 1e-11
    warns = np.zeros(bank.rows, bool)
    for name in ("softmax", "log_softmax", "logsumexp"):
        role, result = (ROWS if name == "logsumexp" else FULL), _forward(name, x)
        bank.variants.append(
            Variant(name, ("x",), {}, {}, (role,), (result,), warns, tolerance=tolerance)
        )
    total = g.sum(axis=1, keepdims=True)
    product = (g * y).sum(axis=1, keepdims=True)
    for name, key, result in (
        ("softmax_vjp", "y", y * (g - product)),
        ("softmax_jvp", "y", y * (g - product)),
        ("log_softmax_vjp", "logp", g - np.exp(logp) * total),
        ("log_softmax_jvp", "logp", g - (np.exp(logp) * g).sum(axis=1, keepdims=True)),
    ):
        bank.variants.append(
            Variant(name, ("g", key), {}, {}, (FULL,), (result,), warns, tolerance=tolerance)
        )
    return bank
