"""The softmax family for NumPy on the CPU: fast, accurate, the same bits everywhere."""

from ._forward import log_softmax, logsumexp, softmax

__all__ = ["log_softmax", "logsumexp", "softmax"]
