"""Every number of float16 and bfloat16 through every function.

(a) Each of the 65,536 numbers is one logit of a pair, with each of a few others beside it, as the
    first and as the second one: that is a function of one variable in softmax, log_softmax,
    logsumexp (also of the number alone) and the two of cross-entropy, with either label.
(b) Finite numbers are judged by their errors, and with `dtype=np.float32` by those of float32. The
    others have to give what float32 logits of the same value give, but for the rounding.
(c) In the products with a Jacobian each number is the vector's, and then the forward result's.
"""

import backward
import numpy as np
from formats import FLOATS

from . import elementary, functions
from .functions import Operation
from .record import Record

PART = "halves"
HALVES = [f for f in FLOATS if f.dtype.itemsize == 2]
PARTNERS = (0.0, 1.0, -3.25, 20.0, -90.0)


def every_number(form):
    """All numbers of the format, and whether each is finite."""
    x = np.arange(2**16, dtype=np.uint16).view(form.dtype)
    with np.errstate(invalid="ignore"):  # what signalling nans do on some processors
        return x, np.isfinite(x.astype(np.float32))


def _pairs(form, partner):
    """All finite numbers, each beside the partner, before and after it."""
    x, finite = every_number(form)
    x = x[finite]
    other = np.full_like(x, partner)
    return np.concatenate([np.stack([x, other], axis=1), np.stack([other, x], axis=1)])


def _forward(name):
    """With the dtype kept, and with a result of float32."""
    exactly = functions._forward(name).exact

    def call(fs, x):
        return getattr(fs, name)(x, axis=-1)

    def call_widely(fs, x):
        return getattr(fs, name)(x, axis=-1, dtype=np.float32)

    return (
        Operation(name, None, call, exactly),
        Operation(f"{name} to float32", None, call_widely, exactly, lambda _: np.dtype("f4")),
    )


FORWARD = [op for name in ("softmax", "log_softmax", "logsumexp") for op in _forward(name)]
LOSS, GRADIENT = functions._with_labels()


def _judge_logits(record, packages, form, partners):
    family = "every number"
    for partner in partners:
        x = _pairs(form, partner)
        for operation in FORWARD:
            functions.judge(record, PART, operation, family, (x,), packages, form)
        for label in (0, 1):
            labelled = (x, np.full(len(x), label), {})
            functions.judge(record, PART, LOSS, family, labelled, packages, form)
            functions.judge(record, PART, GRADIENT, family, labelled, packages, form)
    alone = x[: len(x) // 2, :1]
    for operation in FORWARD:
        functions.judge(record, PART, operation, "every number alone", (alone,), packages, form)


def _judge_products(record, packages, form):
    """Each number as an element of the vector, and each one that can be as one of the result."""
    x, finite = every_number(form)
    x = x[finite]
    wide = x.astype(np.float64)
    # As far as the products stay within the range.
    vector = np.stack([x[abs(wide) <= form.largest / 4]] * 3, axis=1)
    vector[:, 1:] = np.array([0.75, -2.0], form.dtype)
    logits = np.broadcast_to(np.array([0.5, -1.0, -7.0]), vector.shape)
    for name in backward.ALL:
        is_full = backward.ROLES[name][0][0] == backward.FULL
        saved = [a.astype(form.dtype) for a in backward.forward(name, logits, -1)]
        arguments = (vector if is_full else vector[:, 0], *saved)
        operation = functions._product(name)
        functions.judge(record, PART, operation, "every vector", arguments, packages, form)

    limit = np.log(form.largest) / 2
    for name in backward.ALL:
        is_full = backward.ROLES[name][0][0] == backward.FULL
        if name.startswith("softmax"):
            kept = (wide >= 0) & (wide <= 1)
        elif name.startswith("log_softmax"):
            kept = wide <= 0
        else:
            kept = wide >= -limit
        forward = np.stack([x[kept]] * 3, axis=1)
        forward[:, 1:] = np.array([0.25, 0.5] if name.startswith("softmax") else [-1.5, -0.5])
        saved = [forward]
        if name.startswith("logsumexp"):
            saved = [np.broadcast_to(np.array([0.5, -1, -7]), forward.shape), forward[:, 0]]
        saved = [np.ascontiguousarray(a).astype(form.dtype) for a in saved]
        first = np.full(saved[0].shape if is_full else saved[-1].shape, 1.25).astype(form.dtype)
        operation = functions._product(name)
        functions.judge(
            record, PART, operation, "every forward result", (first, *saved), packages, form
        )


def _not_finite(packages, form):
    """Infinities and all nans give what float32 gives; how many there were."""
    x, finite = every_number(form)
    x = x[~finite]
    for partner in (0.0, np.inf, -np.inf, np.nan):
        pairs = np.stack([x, np.full_like(x, partner)], axis=1)
        for package in packages.values():
            for name in ("softmax", "log_softmax", "logsumexp"):
                with np.errstate(invalid="ignore"):
                    result = getattr(package, name)(pairs, axis=-1)
                    wide = getattr(package, name)(pairs.astype(np.float32), axis=-1)
                    wide = wide.astype(form.dtype).astype(np.float32)
                np.testing.assert_array_equal(result.astype(np.float32), wide)
    return len(x)


def run(record: Record, packages, share):
    """Judge all numbers of both formats, whatever the share; beside few others if it is small."""
    partners = PARTNERS if share >= elementary.WHOLE else PARTNERS[:2]
    for form in HALVES:
        _judge_logits(record, packages, form, partners)
        _judge_products(record, packages, form)
        special = _not_finite(packages, form)
        record.count(PART, f"numbers of {form.name}", 2**16)
        record.count(PART, f"of them not finite in {form.name}", special)
