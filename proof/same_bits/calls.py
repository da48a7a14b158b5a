"""Every function of the package as a call over rows, with arguments from the same few ingredients.

A call takes arrays that hold a row (count, n), a number (count,) or a class (n,) for each, and says
which; so `places` can lay the same rows out in any other way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import inputs

ROWS, NUMBERS, CLASSES = "rows", "numbers", "classes"


@dataclass(frozen=True)
class Call:
    """`run(package, arrays, axis, workers)` gives a tuple of arrays with the roles `gives`.

    A call with `whole` is one of all rows together: no row of it can be taken apart.
    """

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    make: Callable[..., tuple[np.ndarray, ...]] = field(repr=False)
    run: Callable[..., tuple[Any, ...]] = field(repr=False)
    whole: bool = False
    only_halves: bool = False


@dataclass(frozen=True)
class Ingredients:
    """What arguments are made of: logits, and a stream for the rest."""

    package: Any
    x: np.ndarray
    family: Callable[..., np.ndarray]
    form: Any
    stream: inputs.Stream

    def like(self, shape):
        """Numbers as wild as the logits."""
        family = self.family if self.family in inputs.WILD and len(shape) == 2 else inputs.uniform
        return family(self.stream, shape, self.form)

    def saved(self, name):
        """What the forward function gave for the logits, or something as wild as they."""
        if self.family in inputs.WILD and name != "logsumexp":
            return self.x[::-1].copy()
        return getattr(self.package, name)(self.x, axis=-1)

    def labels(self):
        return self.stream.below(self.x.shape[1], self.x.shape[:1])

    @property
    def classes(self):
        """A stream for what families share that stand in one block."""
        return inputs.Stream("classes", self.form.name, self.x.shape[1])


def _forward(name):
    def run(package, arrays, axis, workers):
        return (getattr(package, name)(*arrays, axis=axis, workers=workers),)

    return run


def _in_float32(package, arrays, axis, workers):
    return (package.softmax(*arrays, axis=axis, dtype=np.float32, workers=workers),)


def _masked(name):
    def run(package, arrays, axis, workers):
        x, inside = arrays
        return (getattr(package, name)(x, axis=axis, where=inside, workers=workers),)

    return run


def _weighted(package, arrays, axis, workers):
    a, b = arrays
    return package.logsumexp(a, axis=axis, b=b, return_sign=True, workers=workers)


def _weighted_product(name):
    def run(package, arrays, axis, workers):
        vector, a, lse, b = arrays
        function = getattr(package, name)
        return (function(vector, a, lse, axis=axis, b=b, workers=workers),)

    return run


def _losses(reduction="none", **options):
    def run(package, arrays, axis, workers):
        logits, targets, *more = arrays
        given = dict(zip(("weight", "sample_weight"), more, strict=False)) | options
        return package.cross_entropy_value_and_grad(
            logits, targets, axis, reduction=reduction, workers=workers, **given
        )

    return run


def _state(cut):
    """Pieces that end in the middle of a block."""

    def run(package, arrays, axis, workers):
        (x,) = arrays
        n = x.shape[axis]
        state = package.SoftmaxState(axis)
        pieces = [np.take(x, range(*pair), axis) for pair in ((0, n // cut), (n // cut, n))]
        for piece in pieces:
            state.update(piece)
        results = [state.logsumexp()]
        for function in (state.softmax, state.log_softmax):
            results.append(np.concatenate([function(piece) for piece in pieces], axis))
        return tuple(results)

    return run


def _mask(i):
    return i.stream.below(4, i.x.shape) > 0


def _weights(i):
    b = i.like(i.x.shape)
    b[i.stream.below(8, b.shape) == 0] = 0
    return b


def _options(i):
    rows, n = i.x.shape
    sample_weight = inputs.uniform(i.stream, (rows,), i.form)
    return i.x, i.labels(), inputs.fractions(i.classes, (n,), i.form), sample_weight


def _of_row_vector(i, name="logsumexp"):
    return i.like(i.x.shape[:1]), i.x, i.saved(name)


FULL = (ROWS,)
CALLS = (
    Call("softmax", FULL, FULL, lambda i: (i.x,), _forward("softmax")),
    Call("log_softmax", FULL, FULL, lambda i: (i.x,), _forward("log_softmax")),
    Call("logsumexp", FULL, (NUMBERS,), lambda i: (i.x,), _forward("logsumexp")),
    Call("softmax dtype", FULL, FULL, lambda i: (i.x,), _in_float32, only_halves=True),
    Call("softmax where", FULL * 2, FULL, lambda i: (i.x, _mask(i)), _masked("softmax")),
    Call("logsumexp where", FULL * 2, (NUMBERS,), lambda i: (i.x, _mask(i)), _masked("logsumexp")),
    Call(
        "logsumexp b",
        FULL * 2,
        (NUMBERS, NUMBERS),
        lambda i: (i.x, _weights(i)),
        _weighted,
    ),
    Call(
        "softmax_vjp",
        FULL * 2,
        FULL,
        lambda i: (i.like(i.x.shape), i.saved("softmax")),
        _forward("softmax_vjp"),
    ),
    Call(
        "softmax_jvp",
        FULL * 2,
        FULL,
        lambda i: (i.like(i.x.shape), i.saved("softmax")),
        _forward("softmax_jvp"),
    ),
    Call(
        "log_softmax_vjp",
        FULL * 2,
        FULL,
        lambda i: (i.like(i.x.shape), i.saved("log_softmax")),
        _forward("log_softmax_vjp"),
    ),
    Call(
        "log_softmax_jvp",
        FULL * 2,
        FULL,
        lambda i: (i.like(i.x.shape), i.saved("log_softmax")),
        _forward("log_softmax_jvp"),
    ),
    Call(
        "logsumexp_vjp",
        (NUMBERS, ROWS, NUMBERS),
        FULL,
        _of_row_vector,
        _forward("logsumexp_vjp"),
    ),
    Call(
        "logsumexp_jvp",
        (ROWS, ROWS, NUMBERS),
        (NUMBERS,),
        lambda i: (i.like(i.x.shape), i.x, i.saved("logsumexp")),
        _forward("logsumexp_jvp"),
    ),
    Call(
        "logsumexp_vjp b",
        (NUMBERS, ROWS, NUMBERS, ROWS),
        FULL,
        lambda i: (*_of_row_vector(i), _weights(i)),
        _weighted_product("logsumexp_vjp"),
    ),
    Call(
        "logsumexp_jvp b",
        (ROWS, ROWS, NUMBERS, ROWS),
        (NUMBERS,),
        lambda i: (i.like(i.x.shape), i.x, i.saved("logsumexp"), _weights(i)),
        _weighted_product("logsumexp_jvp"),
    ),
    Call(
        "cross_entropy labels",
        (ROWS, NUMBERS),
        (NUMBERS, ROWS),
        lambda i: (i.x, i.labels()),
        _losses(),
    ),
    Call(
        "cross_entropy options",
        (ROWS, NUMBERS, CLASSES, NUMBERS),
        (NUMBERS, ROWS),
        _options,
        _losses(label_smoothing=0.125, ignore_index=0),
    ),
    Call(
        "cross_entropy probabilities",
        FULL * 2,
        (NUMBERS, ROWS),
        lambda i: (i.x, inputs.fractions(i.stream, i.x.shape, i.form)),
        _losses(),
    ),
    Call(
        "cross_entropy mean",
        (ROWS, NUMBERS, CLASSES, NUMBERS),
        (NUMBERS, ROWS),
        _options,
        _losses("mean"),
        whole=True,
    ),
    Call("state", FULL, (NUMBERS, ROWS, ROWS), lambda i: (i.x,), _state(3)),
)
