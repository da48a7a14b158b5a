"""Calls that have to be refused: with a documented error, and nothing written."""

import numpy as np

from .calls import KEEPS_DIMS, LOSSES, TAKES_OUT, _source
from .failure import Failure
from .losses import BOTH

REFUSALS = (TypeError, ValueError)  # AxisError is a ValueError


def _broken_anywhere(arguments, options, shape, choices):
    """What no function accepts."""
    ndim, wrong = len(shape), choices.draw(10)
    if wrong == 0:
        options["axis"] = choices.pick([max(ndim, 1), -max(ndim, 1) - 1, 99])
    elif wrong == 1:
        options["axis"] = choices.pick([True, 1.0, "0", [0], np.float64(0)])
    elif wrong == 2:
        options["axis"] = (0, 0) if ndim else (0,)
    elif wrong == 3:
        options["workers"] = choices.pick([0, 1.5, "2", -1000, [1]])
    elif wrong == 4:
        options["nothing"] = 1
    else:
        place = choices.draw(len(arguments))
        length = np.shape(arguments[place])
        bad = choices.pick(["U3", "O", "M8[s]", "S2", [("a", "f4")]])
        arguments[place] = np.zeros(length, bad)


def _broken_out(options, due, choices):
    wrong = choices.draw(5)
    if wrong == 0:
        options["out"] = np.full((*due.shape, 2), 77, due.dtype)
    elif wrong == 1:
        options["out"] = np.full(due.shape, 77, choices.pick([np.int64, np.bool_]))
    elif wrong == 2:
        options["out"] = np.full(due.shape, 77, due.dtype)
        options["out"].flags.writeable = False
    elif wrong == 3:
        options["out"] = choices.pick([[1.0], 3, "out"])
    else:
        options["out"] = np.full((1, *due.shape), 77, due.dtype)


def _broken_loss(bank, arguments, options, choices):
    labels = np.array(arguments[1])
    wrong = choices.draw(8)
    if wrong == 0 and labels.dtype.kind in "iu" and labels.size:
        labels = labels.astype(np.int64)
        labels.flat[choices.draw(labels.size)] = choices.pick([bank.n, -7, 1 << 40])
        arguments[1] = labels
        options.pop("ignore_index", None)
        options["ignore_index"] = -100
    elif wrong == 1:
        options["reduction"] = choices.pick(["average", None, 3])
    elif wrong == 2:
        options["label_smoothing"] = choices.pick([1.5, -0.1, np.nan, "a", 1j])
    elif wrong == 3:
        weights = np.ones(bank.n)
        weights[choices.draw(bank.n)] = choices.pick([-1, np.inf, np.nan])
        options["weight"] = weights
    elif wrong == 4:
        options["weight"] = np.ones(bank.n + 1)
    elif wrong == 5:
        options["sample_weight"] = np.ones((2, *np.shape(arguments[1])))
    elif wrong == 6:
        options["ignore_index"] = choices.pick([1.5, True, "a"])
    else:
        options["axis"] = choices.pick([None, (0,)])


def _broken_forward(function, arguments, options, shape, choices):
    wrong = choices.draw(5 if function == "logsumexp" else 3)
    if wrong == 0:
        options["where"] = np.ones((2, *shape), bool)
        if not shape:
            options["where"] = np.ones((2,), bool)
    elif wrong == 1:
        options["where"] = np.ones(shape, choices.pick([np.int8, np.float64]))
    elif wrong == 2:
        options["dtype"] = choices.pick([np.int32, object, "nonsense", bool, "U2"])
    elif wrong == 3:
        if shape and shape[-1] > 1:
            options["b"] = np.ones(shape[-1] + 1)
        else:
            options["b"] = np.array("text")
    else:
        options["return_sign"] = True
        options["out"] = np.zeros(3)


def call(caller):
    """One call that has to be refused."""
    choices, bank = caller.choices, caller.bank
    variant = choices.pick(bank.variants)
    arguments, options, expected = caller.prepare(variant)
    function, shape = variant.function, caller.arrangement.shape
    due = expected[-1]
    out = None
    kind = choices.draw(3)
    if function in TAKES_OUT and kind != 1 and len(expected) == 1 + (function == BOTH):
        out = options["out"] = np.full(due.shape, 77, due.dtype)
    if kind == 0:
        _broken_anywhere(arguments, options, shape, choices)
    elif kind == 1 and function in TAKES_OUT:
        _broken_out(options, due, choices)
        out = options["out"] if isinstance(options["out"], np.ndarray) else None
    elif function in LOSSES:
        _broken_loss(bank, arguments, options, choices)
    elif function in ("softmax", "log_softmax", "logsumexp"):
        _broken_forward(function, arguments, options, shape, choices)
    else:
        # The shapes of two arguments that have to agree.
        place = 2 if function in KEEPS_DIMS else 1
        arguments[place] = np.zeros((2, *np.shape(arguments[place])), arguments[place].dtype)
    snippet = caller._snippet(variant, arguments, options)
    before = None if out is None else out.tobytes()
    try:
        getattr(bank.fs, function)(*arguments, **options)
    except REFUSALS:
        if out is not None and out.tobytes() != before:
            raise Failure(f"{function}: out was written", _source(snippet)) from None
        wrong = caller.inputs_changed()
        if wrong:
            raise Failure(f"{function}: {wrong}", _source(snippet)) from None
        return
    except Exception as error:
        message = f"{function} raised {type(error).__name__}: {error}"
        raise Failure(message, _source(snippet)) from error
    raise Failure(f"{function} accepted what is invalid", _source(snippet, "print(result)"))
