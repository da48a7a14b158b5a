"""Every public operation as calls on given logits, for claims that are about all of them.

(a) A call is prepared once and can be repeated with other options, `workers` above all.
(b) `came` says in which slices a nan came in. With it the one promised warning can be predicted
    from the arguments and the result.
(c) The state is one operation, too: a piece is added and read again; it has no workers.
"""

from typing import Any, NamedTuple

import numpy as np


class Call(NamedTuple):
    """A function with its arguments, and which slices of the arguments hold a nan."""

    name: str
    function: Any
    arguments: tuple
    options: dict
    came: np.ndarray | None  # per slice; None where a nan may come up in silence

    def __call__(self, **options):
        return self.function(*self.arguments, **self.options, **options)

    def lay_out(self, layout):
        """The same call with its arrays elsewhere in memory."""

        def moved(value):
            return layout(value) if isinstance(value, np.ndarray) and value.ndim else value

        options = {name: moved(value) for name, value in self.options.items()}
        return self._replace(arguments=tuple(map(moved, self.arguments)), options=options)


def _any_nan(axis, *arrays):
    return np.logical_or.reduce(
        [np.isnan(np.asarray(a, np.float64)).any(axis=axis) for a in arrays]
    )


def state(fs):
    """A function that adds a piece to a new state and reads everything there is to read."""

    def results(x, axis, workers=1):
        found = fs.SoftmaxState(axis).update(x)
        return found.logsumexp(), found.softmax(x), found.log_softmax(x)

    return results


def forward(fs, x, axis):
    """The three functions of logits, and the state."""
    came = _any_nan(axis, x)
    functions = [(name, getattr(fs, name)) for name in ("softmax", "log_softmax", "logsumexp")]
    if x.ndim and x.shape[axis]:
        functions.append(("state", state(fs)))
    return [Call(name, function, (x, axis), {}, came) for name, function in functions]


def optional(fs, x, axis, rng):
    """The same with where=, b= and dtype=."""
    inside = rng.random(x.shape) < 0.7
    wide = {"axis": axis, "dtype": np.float64}
    masked = {"axis": axis, "where": inside}
    came_inside = _any_nan(axis, np.where(inside, x.astype(np.float64), 0))
    calls = [
        Call(f"{name} {kind}", getattr(fs, name), (x,), options, came)
        for name in ("softmax", "log_softmax", "logsumexp")
        for kind, options, came in (
            ("where", masked, came_inside),
            ("dtype", wide, _any_nan(axis, x)),
        )
    ]
    weights = rng.integers(0, 3, x.shape).astype(x.dtype)
    came_weighed = _any_nan(axis, np.where(weights != 0, x.astype(np.float64), 0))
    signed = {"axis": axis, "b": weights - 1, "return_sign": True}
    return [
        *calls,
        Call("logsumexp b", fs.logsumexp, (x,), {"axis": axis, "b": weights}, came_weighed),
        Call("logsumexp signed b", fs.logsumexp, (x,), signed, None),
    ]


def gradients(fs, x, axis, rng, tangent=None):
    """The six products with Jacobians, at what the forward functions give for the logits."""
    with np.errstate(all="ignore"):
        y, logp = fs.softmax(x, axis), fs.log_softmax(x, axis)
        lse = np.asarray(fs.logsumexp(x, axis))
    g = rng.standard_normal(x.shape).astype(x.dtype) if tangent is None else tangent
    reduced = rng.standard_normal(lse.shape).astype(x.dtype)
    came = {name: _any_nan(axis, g, a) for name, a in (("softmax", y), ("log_softmax", logp))}
    calls = [
        Call(name, getattr(fs, name), (g, saved, axis), {}, came[name[:-4]])
        for saved, names in (
            (y, ("softmax_vjp", "softmax_jvp")),
            (logp, ("log_softmax_vjp", "log_softmax_jvp")),
        )
        for name in names
    ]
    at_lse = _any_nan(axis, x) | np.isnan(lse.astype(np.float64))
    return [
        *calls,
        Call("logsumexp_vjp", fs.logsumexp_vjp, (reduced, x, lse, axis), {}, at_lse),
        Call("logsumexp_jvp", fs.logsumexp_jvp, (g, x, lse, axis), {}, at_lse | _any_nan(axis, g)),
    ]


def losses(fs, x, axis, rng):
    """Cross-entropy of labels, of weighted and smoothed labels, and of probabilities."""
    n, rows = x.shape[axis], np.delete(x.shape, axis)
    labels = rng.integers(n, size=rows)
    weighted = {
        "weight": rng.random(n),
        "sample_weight": rng.standard_normal(rows),
        "label_smoothing": 0.1,
        "ignore_index": 0,
    }
    probabilities = rng.random(x.shape).astype(x.dtype)
    calls = []
    for kind, targets, options in (
        ("labels", labels, {}),
        ("weighted labels", labels, weighted),
        ("probabilities", probabilities, {}),
    ):
        for reduction in ("none", "mean"):
            given = {"axis": axis, "reduction": reduction, **options}
            for name in ("cross_entropy", "cross_entropy_value_and_grad"):
                call = Call(f"{name} {kind}", getattr(fs, name), (x, targets), given, None)
                if kind == "labels" and reduction == "none":
                    call = call._replace(came=_any_nan(axis, x))
                calls.append(call)
    return calls


def of(fs, x, axis, rng):
    """All of them."""
    calls = forward(fs, x, axis) + optional(fs, x, axis, rng) + gradients(fs, x, axis, rng)
    return calls + losses(fs, x, axis, rng)


def makes_nan(call, result, axis):
    """Whether the promised warning is due for this result; None where it may be or not."""
    if call.came is None:
        return None
    results = result if isinstance(result, tuple) else (result,)
    made = False
    for each in results:
        nan = np.isnan(np.asarray(each, np.float64))
        if nan.ndim > call.came.ndim:
            nan = nan.any(axis=axis)
        made |= bool((nan & ~call.came).any())
    return made
