"""Calls of every function on arranged rows, each compared with its bank."""

import warnings

import numpy as np

from .arrangement import CLASSES, FULL, lay_out
from .banks import warned
from .failure import Failure, Snippet
from .losses import BOTH, reduced_is_right

LOSSES = ("cross_entropy", BOTH)
TAKES_OUT = {
    *("softmax", "log_softmax", "logsumexp", "softmax_vjp", "softmax_jvp"),
    *("log_softmax_vjp", "log_softmax_jvp", "logsumexp_vjp", "logsumexp_jvp", BOTH),
}
KEEPS_DIMS = {"logsumexp", "logsumexp_vjp", "logsumexp_jvp"}


class Caller:
    """The arguments of one arrangement, laid out once, and calls with them."""

    def __init__(self, choices, bank, arrangement):
        self.choices, self.bank, self.arrangement = choices, bank, arrangement
        self._laid = {key: lay_out(choices, self._arranged(key)) for key in bank.data}
        self._before = {
            key: array.tobytes() for key, array in self._laid.items() if array.nbytes < 30_000
        }

    def _arranged(self, key, may_broadcast=True):
        role, rows = self.bank.data[key]
        if role == CLASSES:
            return rows
        if role != FULL:
            return self.arrangement.reduce(rows)
        if may_broadcast and key in self.bank.common and self.choices.draw(2):
            return self.arrangement.common(rows[0])
        return self.arrangement.full(rows)

    def _argument(self, key, keepdims):
        laid = self._laid[key]
        if keepdims and self.bank.data[key][0] not in (FULL, CLASSES):
            return np.expand_dims(laid, tuple(self.arrangement.places))
        return laid

    def _plain(self, key):
        return np.array(self._arranged(key, may_broadcast=False), order="C")

    def prepare(self, variant):
        """The arguments and options of a call, and the arrays it has to return."""
        choices, arrangement = self.choices, self.arrangement
        options = dict(variant.fixed)
        keepdims = variant.function in KEEPS_DIMS and choices.once_in(3)
        if keepdims:
            options["keepdims"] = True
        arguments = [self._argument(key, keepdims) for key in variant.arguments]
        for name, key in variant.options.items():
            options[name] = self._argument(key, keepdims)
        if arrangement.axis != (-1 if variant.function in LOSSES else None) or choices.draw(2):
            options["axis"] = arrangement.axis
        if choices.once_in(6):
            options["workers"] = choices.pick([1, 2, -1, 3])
        expected = [
            arrangement.full(result)
            if role == FULL
            else arrangement.reduce(result, keepdims and variant.function != "logsumexp_vjp")
            for role, result in zip(variant.roles, variant.results, strict=True)
        ]
        return arguments, options, expected

    def call(self):
        """One call of any variant; raises Failure if it is wrong."""
        choices = self.choices
        variant = choices.pick(self.bank.variants)
        arguments, options, expected = self.prepare(variant)
        reduction = None
        if variant.function in LOSSES and choices.draw(2):
            reduction = options["reduction"] = choices.pick(["mean", "sum"])
        elif choices.once_in(3):
            self._present(variant, arguments, options)
        if reduction:
            self._call_reduced(variant, arguments, options, reduction)
            return
        outs = ()
        if variant.function in TAKES_OUT and choices.once_in(3):
            outs = self._give_out(variant, arguments, options, expected)
        self._compare(variant, arguments, options, expected, outs)

    def _present(self, variant, arguments, options):
        """The same arguments as a list, or where as a mask."""
        x = arguments[0]
        if "where" in options and len(arguments) == 1 and x.ndim and self.choices.draw(2):
            where = np.broadcast_to(options["where"], x.shape)
            if "b" in options or x.dtype.name == "bfloat16":
                return
            del options["where"]
            arguments[0] = np.ma.array(np.array(x), mask=~where)
        elif (
            x.dtype == np.float64
            and 0 < x.size < 200
            and len(arguments) == 1
            and "b" not in options
        ):
            arguments[0] = x.tolist()

    def _give_out(self, variant, arguments, options, expected):
        """Arrays for the results: of any layout, over an argument, or overlapping one."""
        choices, outs = self.choices, []
        wanted = expected if variant.function != BOTH else expected[1:]
        kind = choices.draw(4)
        for place, each in enumerate(wanted):
            x = arguments[choices.draw(len(arguments))]
            if kind == 3 and type(x) is np.ndarray and x.shape == each.shape and not place:
                outs.append(self._overlapping(variant, arguments, x, each.dtype))
                continue
            dtype = each.dtype
            if variant.casts and kind == 2:
                dtype = np.dtype(choices.pick("efd"))
            outs.append(lay_out(choices, np.full(each.shape, 77, dtype), writeable=True))
        options["out"] = outs[0] if len(wanted) == 1 else tuple(outs)
        if variant.function == BOTH:
            return (None, *outs)
        return tuple(outs)

    def _overlapping(self, variant, arguments, x, dtype):
        """An out that shares memory with an argument, which becomes a copy for this call."""
        places = [place for place, each in enumerate(arguments) if each is x]
        shift = self.choices.draw(4)
        memory = np.zeros(x.size * max(x.itemsize, dtype.itemsize) + 64 * shift + 64, np.uint8)
        moved = memory[: x.nbytes].view(x.dtype).reshape(x.shape)
        moved[...] = x
        start = shift * self.choices.pick([dtype.itemsize, 1, 64 - 64 % dtype.itemsize])
        out = memory[start : start + x.size * dtype.itemsize].view(dtype).reshape(x.shape)
        if self.choices.once_in(4) and x.ndim:
            out = out[::-1]
        for place in places:
            arguments[place] = moved
        return out

    def _call_reduced(self, variant, arguments, options, reduction):
        plain = [self._plain(key) for key in variant.arguments]
        given = {
            name: self._plain(variant.options[name]) if name in variant.options else value
            for name, value in options.items()
            if name != "workers"
        }
        snippet = self._snippet(variant, arguments, options)
        heard = len(warned)
        results = self._run(variant.function, arguments, options, snippet)
        twins = self._run(variant.function, plain, given, snippet)
        pairs = [r if isinstance(r, tuple) else (r,) for r in (results, twins)]
        wrong = reduced_is_right(self.bank, variant, self.arrangement, reduction, *pairs)
        if len(warned) > heard:
            wrong = f"an unexpected warning: {warned[heard:]}"
            del warned[heard:]
        if wrong:
            raise Failure(f"{variant.function}: {wrong}", _source(snippet, "print(result)"))

    def _snippet(self, variant, arguments, options):
        if not self.choices.is_replay:
            return None
        return Snippet(self.bank.target, variant.function, arguments, options)

    def _run(self, function, arguments, options, snippet):
        try:
            return getattr(self.bank.fs, function)(*arguments, **options)
        except Exception as error:
            message = f"{function} raised {type(error).__name__}: {error}"
            raise Failure(message, _source(snippet)) from error

    def _compare(self, variant, arguments, options, expected, outs):
        function = variant.function
        snippet = self._snippet(variant, arguments, options)
        heard = len(warned)
        result = self._run(function, arguments, options, snippet)
        results = result if isinstance(result, tuple) else (result,)
        wrong = None
        loud = bool(variant.warns[self.arrangement.index].any()) if variant.warns.any() else False
        if warned[heard:] != ["invalid value"] * loud:
            wrong = f"warnings {warned[heard:]}, due: {loud}"
            del warned[heard:]
        elif loud:
            del warned[heard:]
        if len(results) != len(expected):
            wrong = f"{len(results)} results"
        # The result is in the memory order of the point at which the product is taken.
        model = arguments[1] if function.endswith(("vjp", "jvp")) else arguments[0]
        for place, (actual, due) in enumerate(zip(results, expected, strict=False)):
            out = outs[place] if outs else None
            if out is not None and actual is not out:
                wrong = wrong or "out is not what is returned"
            cast = due if out is None else _cast(due, out.dtype)
            wrong = wrong or self._difference(variant, place, actual, cast, out, model)
        if wrong is None and self.choices.is_replay:
            wrong = self.inputs_changed()
        if wrong:
            checks = [
                f"due = np.frombuffer(bytes.fromhex({e.tobytes().hex()!r}), "
                + ("bfloat16" if e.dtype.name == "bfloat16" else repr(e.dtype.str))
                + f").reshape({e.shape})"
                for e in expected[-1:]
            ]
            raise Failure(
                f"{function} of {self.arrangement.shape}: {wrong}",
                _source(snippet, *checks, "print(result, due, sep='\\n')"),
            )

    def _difference(self, variant, place, actual, due, out, x):
        """What is wrong with a result."""
        keeps_order = variant.roles[place] == FULL
        masked = isinstance(x, np.ma.MaskedArray) and variant.roles[0] == FULL and out is None
        if masked and not (isinstance(actual, np.ma.MaskedArray) and (actual.mask == x.mask).all()):
            return "the mask is not that of the input"
        is_scalar = out is None and due.ndim == 0 and variant.function != BOTH and not masked
        if is_scalar and not isinstance(actual, np.generic):
            return f"{type(actual)} for a scalar"
        actual = np.asarray(actual)
        if actual.shape != due.shape:
            return f"shape {actual.shape} for {due.shape}"
        if out is None:
            if actual.dtype != due.dtype:
                return f"dtype {actual.dtype} for {due.dtype}"
            if keeps_order and type(x) is np.ndarray and x.ndim and not masked:
                flags = x.flags
                if flags.c_contiguous and not actual.flags.c_contiguous:
                    return "not in C order as the input"
                if flags.f_contiguous and not actual.flags.f_contiguous:
                    return "not in Fortran order as the input"
        if variant.tolerance:
            with np.errstate(all="ignore"):
                near = np.abs(actual - due) <= variant.tolerance * (1 + np.abs(due))
            return None if near.all() else f"{actual[~near][:3]} for {due[~near][:3]}"
        if not actual.dtype.isnative:
            actual = actual.astype(due.dtype)
        if actual.tobytes() == due.tobytes():
            return None
        same = np.array(
            [a.tobytes() == d.tobytes() for a, d in zip(actual.flat, due.flat, strict=True)]
        )
        return (
            f"{(~same).sum()} of {same.size} have other bits, at {int(same.argmin())}: "
            f"{actual.flat[int(same.argmin())]!r} for {due.flat[int(same.argmin())]!r}"
        )

    def inputs_changed(self):
        """What is wrong with the arguments after a call."""
        for key, before in self._before.items():
            if self._laid[key].tobytes() != before:
                return f"argument {key} was written"
        return None


def _cast(due, dtype):
    """What an out of this dtype gets."""
    if dtype == due.dtype:
        return due
    with np.errstate(all="ignore"):
        return due.astype(dtype.newbyteorder("="))


def _source(snippet, *checks):
    return "" if snippet is None else snippet.source(*checks)


def quiet():
    """Whatever NumPy reports is collected in `warned`, and nothing else is said."""
    warnings.simplefilter("ignore")
    np.seterr(all="call")
    np.seterrcall(lambda kind, flag: warned.append(kind))
