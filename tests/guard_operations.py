"""Every public operation as a row of a table: which arrays it takes, and what it can write into.

The arrays of a call have one letter each:

    x  logits       p  probabilities    q  their logarithms    g  any numbers    of the full shape
    b  weights      m  a mask                                                    of the full shape
    r  logsumexp    s  any numbers      l  labels                                without the axis
    w  weights of the classes                                                    of the axis alone
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

FULL, REDUCED = "xpqgbm", "rsl"


@dataclass(frozen=True)
class Operation:
    """A function with its arrays and its options, whose values are letters where they are arrays.

    `out` has a letter for each result that can be written into an array: f of the full shape,
    r reduced. `over` are the arrays that the result may be written over.
    """

    function: str
    arrays: str
    out: str = ""
    over: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def optional(self):
        """The letters of arrays among the options."""
        return {k: v for k, v in self.options.items() if isinstance(v, str) and len(v) == 1}

    @cached_property
    def letters(self):
        """All its arrays."""
        return self.arrays + "".join(self.optional.values())

    @cached_property
    def is_brief(self):
        """Whether small contiguous arrays take the short cut, or nearly so."""
        return not self.options and self.arrays in ("x", "gp", "gq", "xl") and self.out != ""

    @cached_property
    def text(self):
        options = "".join(f", {name}={value}" for name, value in self.options.items())
        return f"{self.function}({', '.join(self.arrays)}{options})"

    def __call__(self, fs, arrays, axis, out):
        """The results, with arrays by their letters."""
        if self.function == "SoftmaxState":
            return _of_state(fs, arrays["x"], axis)
        options = self.options
        if options or out is not None:
            options = options | {name: arrays[letter] for name, letter in self.optional.items()}
            if self.out:
                options["out"] = out
        return getattr(fs, self.function)(
            *(arrays[letter] for letter in self.arrays), axis, **options
        )


def _of_state(fs, x, axis):
    """What a state gives for pieces that are cut in the middle."""
    state = fs.SoftmaxState(axis=axis)
    half = x.shape[axis] // 2
    for piece in (slice(half), slice(half, None)):
        state.update(x[(slice(None),) * axis + (piece,)])
    other = fs.SoftmaxState(axis=axis).update(x).merge(state)
    return other.logsumexp(), state.softmax(x), state.log_softmax(x)


OPERATIONS = (
    Operation("softmax", "x", "f", "x"),
    Operation("softmax", "x", "f", "x", {"where": "m"}),
    Operation("log_softmax", "x", "f", "x"),
    Operation("log_softmax", "x", "f", "x", {"where": "m"}),
    Operation("logsumexp", "x", "r"),
    Operation("logsumexp", "x", "r", options={"where": "m"}),
    Operation("logsumexp", "x", "rr", options={"b": "b", "return_sign": True}),
    Operation("softmax_vjp", "gp", "f", "gp"),
    Operation("softmax_jvp", "gp", "f", "gp"),
    Operation("log_softmax_vjp", "gq", "f", "gq"),
    Operation("log_softmax_jvp", "gq", "f", "gq"),
    Operation("logsumexp_vjp", "sxr", "f", "x"),
    Operation("logsumexp_vjp", "sxr", "f", "x", {"b": "b"}),
    Operation("logsumexp_jvp", "gxr", "r"),
    Operation("logsumexp_jvp", "gxr", "r", options={"b": "b"}),
    Operation("cross_entropy", "xl"),
    Operation("cross_entropy", "xl", options={"reduction": "none"}),
    Operation("cross_entropy", "xp"),
    Operation("cross_entropy_value_and_grad", "xl", "f", "x"),
    Operation("cross_entropy_value_and_grad", "xp", "f", "x", {"label_smoothing": 0.1}),
    Operation(
        "cross_entropy_value_and_grad",
        "xl",
        "f",
        "x",
        {"weight": "w", "sample_weight": "s", "ignore_index": 0, "label_smoothing": 0.1},
    ),
    Operation("SoftmaxState", "x"),
)
