"""The softmax family for NumPy on the CPU: fast, accurate, the same bits everywhere."""

from ._forward import log_softmax, logsumexp, softmax
from ._gradients import log_softmax_jvp, log_softmax_vjp, softmax_jvp, softmax_vjp
from ._logsumexp_gradients import logsumexp_jvp, logsumexp_vjp
from ._losses import cross_entropy, cross_entropy_value_and_grad
from ._state import SoftmaxState
from ._workers import get_workers, set_workers

__all__ = [
    "SoftmaxState",
    "cross_entropy",
    "cross_entropy_value_and_grad",
    "get_workers",
    "log_softmax",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "logsumexp",
    "logsumexp_jvp",
    "logsumexp_vjp",
    "set_workers",
    "softmax",
    "softmax_jvp",
    "softmax_vjp",
]
