# The public functions.

from fastsoftmax.kernels.gradients.gradients cimport LOG_SOFTMAX_JVP, LOG_SOFTMAX_VJP, SOFTMAX_VJP
from fastsoftmax.kernels.rows.row_blocks cimport LOGSUMEXP, LOG_SOFTMAX, SOFTMAX

cdef dict complete = {}


def set_complete(str name, function):
    """Tell what the public function of this name does with a call that is not plain."""
    complete[name] = function


cdef inline bint is_0(label_smoothing) except -1:
    return type(label_smoothing) is float and label_smoothing == 0.0


class Public:
    """The functions that users call: the short cut, and else the complete function, which is Python.

    For ten numbers a function that is itself compiled takes two thirds of the time of a Python function that calls it.
    """

    @staticmethod
    def softmax(x, axis=None, *, where=None, out=None, dtype=None, workers=None):
        if where is None:
            result = small(SOFTMAX, x, axis, out, dtype, workers)
            if result is not None:
                return result
        return complete["softmax"](x, axis, where=where, out=out, dtype=dtype, workers=workers)

    @staticmethod
    def log_softmax(x, axis=None, *, where=None, out=None, dtype=None, workers=None):
        if where is None:
            result = small(LOG_SOFTMAX, x, axis, out, dtype, workers)
            if result is not None:
                return result
        return complete["log_softmax"](x, axis, where=where, out=out, dtype=dtype, workers=workers)

    @staticmethod
    def logsumexp(
        a, axis=None, b=None, keepdims=False, return_sign=False, *, where=None, out=None, dtype=None, workers=None
    ):
        if where is None and b is None and keepdims is False and return_sign is False:
            result = small(LOGSUMEXP, a, axis, out, dtype, workers)
            if result is not None:
                return result
        return complete["logsumexp"](
            a, axis, b, keepdims, return_sign, where=where, out=out, dtype=dtype, workers=workers
        )

    @staticmethod
    def softmax_vjp(g, y, axis=None, *, out=None, workers=None):
        result = small_gradient(SOFTMAX_VJP, g, y, axis, out, workers)
        return complete["softmax_vjp"](g, y, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def softmax_jvp(t, y, axis=None, *, out=None, workers=None):
        result = small_gradient(SOFTMAX_VJP, t, y, axis, out, workers)
        return complete["softmax_jvp"](t, y, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def log_softmax_vjp(g, logp, axis=None, *, out=None, workers=None):
        result = small_gradient(LOG_SOFTMAX_VJP, g, logp, axis, out, workers)
        return complete["log_softmax_vjp"](g, logp, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def log_softmax_jvp(t, logp, axis=None, *, out=None, workers=None):
        result = small_gradient(LOG_SOFTMAX_JVP, t, logp, axis, out, workers)
        return complete["log_softmax_jvp"](t, logp, axis, out=out, workers=workers) if result is None else result

    @staticmethod
    def cross_entropy(
        logits, targets, axis=-1, *, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
        reduction="mean", workers=None,
    ):
        if weight is None and sample_weight is None and ignore_index is None and is_0(label_smoothing):
            result = any_small_cross_entropy(logits, targets, axis, reduction, False, None, workers)
            if result is not None:
                return result
        return complete["cross_entropy"](
            logits, targets, axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
            label_smoothing=label_smoothing, reduction=reduction, workers=workers,
        )

    @staticmethod
    def cross_entropy_value_and_grad(
        logits, targets, axis=-1, *, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
        reduction="mean", out=None, workers=None,
    ):
        if weight is None and sample_weight is None and ignore_index is None and is_0(label_smoothing):
            result = any_small_cross_entropy(logits, targets, axis, reduction, True, out, workers)
            if result is not None:
                return result
        return complete["cross_entropy_value_and_grad"](
            logits, targets, axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
            label_smoothing=label_smoothing, reduction=reduction, out=out, workers=workers,
        )
