"""A call of many seconds for each path through the library: each is made in a process of its own.

A path is a function of the number of workers that makes its arrays and returns the call. A call
with one long row is repeated, so that a signal can find it in any of its passes; so is one whose
arrays have to be real, because the path copies them.
"""

import functools

import numpy as np

import fastsoftmax as fs

from .endless import endless

TOTAL = 1 << 33  # elements of an endless call: ten seconds, and more where memory is slow
LONG_ROW = 1 << 30  # elements of a row that repeats itself; a pass takes more than 0.1 s
REAL = 1 << 26  # elements in real memory

PATHS = {}


def path(function):
    PATHS[function.__name__.replace("_", " ")] = function
    return function


def again_and_again(call):
    while True:
        call()


def forward(name, shape, dtype, axis):
    def prepare(workers):
        x = endless(shape, dtype)
        x.reshape(-1)[: 1 << 20] = np.linspace(-9, 9, 1 << 20)
        if name == "logsumexp":
            return lambda: fs.logsumexp(x, axis, workers=workers)
        out = endless(shape, dtype)
        return lambda: getattr(fs, name)(x, axis, out=out, workers=workers)

    return prepare


def gradient(name, shape, dtype, axis):
    def prepare(workers):
        g, y, out = (endless(shape, dtype) for _ in range(3))
        return lambda: getattr(fs, name)(g, y, axis, out=out, workers=workers)

    return prepare


SHAPES = {
    "rows": ((TOTAL // 1_000, 1_000), 1),
    "short rows": ((TOTAL // 10, 10), 1),
    "longer rows": ((TOTAL // 1_000_000, 1_000_000), 1),
    "a long row": ((1, LONG_ROW), 1),
    "columns": ((1_000, TOTAL // 1_000), 0),
    "tall columns": ((TOTAL // 100, 100), 0),
    "a few tall columns": ((TOTAL // 7, 7), 0),
    "short columns": ((10, TOTAL // 10), 0),
}
for place, (shape, axis) in SHAPES.items():
    for name in ("softmax", "log_softmax", "logsumexp"):
        PATHS[f"{name}, {place}"] = forward(name, shape, np.float32, axis)
    for name in ("softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"):
        PATHS[f"{name}, {place}"] = gradient(name, shape, np.float32, axis)
    for name in ("softmax", "log_softmax", "logsumexp"):
        PATHS[f"{name}, {place}, float16"] = forward(name, shape, np.float16, axis)
    for name in ("softmax_vjp", "log_softmax_vjp"):
        PATHS[f"{name}, {place}, float16"] = gradient(name, shape, np.float16, axis)
    if place != "a long row":
        PATHS[f"softmax, {place}, float64"] = forward("softmax", shape, np.float64, axis)


for name in ("log_softmax_vjp", "log_softmax_jvp"):
    PATHS[f"{name}, an endless row"] = gradient(name, (1, TOTAL), np.float32, 1)


def special(value, name, dtype=np.float32):
    def prepare(workers):
        """Whatever is in the first piece, is everywhere."""
        x = endless((1, LONG_ROW), dtype)
        x[0, 1000] = value
        if name == "logsumexp":
            return lambda: fs.logsumexp(x, 1, workers=workers)
        out = endless(x.shape, x.dtype)
        return lambda: getattr(fs, name)(x, 1, out=out, workers=workers)

    return prepare


for value in (np.inf, np.nan, 3e38, -95.0):
    for name in ("softmax", "log_softmax", "logsumexp"):
        PATHS[f"{name}, a long row with {value}"] = special(value, name)
        if value != 3e38:
            PATHS[f"{name}, a long row of float16 with {value}"] = special(value, name, np.float16)


def lse_gradient(name, shape, axis):
    def prepare(workers):
        a = endless(shape, np.float32)
        kept = tuple(n for i, n in enumerate(shape) if i != axis)
        lse = endless(kept, np.float32)
        if name == "logsumexp_vjp":
            out = endless(shape, np.float32)
            return lambda: fs.logsumexp_vjp(lse, a, lse, axis, out=out, workers=workers)
        return lambda: fs.logsumexp_jvp(a, a, lse, axis, workers=workers)

    return prepare


for place in ("rows", "a long row", "columns"):
    for name in ("logsumexp_vjp", "logsumexp_jvp"):
        PATHS[f"{name}, {place}"] = lse_gradient(name, *SHAPES[place])


def loss(shape, axis, dtype=np.float32, dense=False, **options):
    def prepare(workers):
        x, out = endless(shape, dtype), endless(shape, dtype)
        kept = tuple(n for i, n in enumerate(shape) if i != axis)
        targets = endless(shape, dtype) if dense else np.broadcast_to(np.int64(0), kept)
        call = functools.partial(fs.cross_entropy_value_and_grad, x, targets, axis, **options)
        return lambda: call(out=out, workers=workers)

    return prepare


FEWER = 1 << 31  # a label costs 8 bytes
PATHS["cross_entropy, rows"] = loss((FEWER // 1_000, 1_000), 1)
PATHS["cross_entropy, short rows"] = loss((FEWER // 10, 10), 1)
PATHS["cross_entropy, a long row"] = loss((1, LONG_ROW), 1)
PATHS["cross_entropy, a long row of probabilities"] = loss((1, LONG_ROW), 1, dense=True)
PATHS["cross_entropy, columns"] = loss((1_000, FEWER // 1_000), 0)
PATHS["cross_entropy, float16"] = loss((FEWER // 1_000, 1_000), 1, np.float16)
PATHS["cross_entropy, a long row of float16"] = loss((1, LONG_ROW), 1, np.float16)
PATHS["cross_entropy, a long row of float16, smoothed"] = loss(
    (1, LONG_ROW // 4), 1, np.float16, label_smoothing=0.1
)
PATHS["cross_entropy, probabilities"] = loss((FEWER // 1_000, 1_000), 1, dense=True)
PATHS["cross_entropy, smoothed"] = loss((FEWER // 1_000, 1_000), 1, label_smoothing=0.1)


def repeated(function):
    """The call, again and again: each alone is too short to be interrupted surely."""

    @functools.wraps(function)
    def prepare(workers):
        call = function()

        return functools.partial(again_and_again, functools.partial(call, workers=workers))

    return prepare


def packed(layout, shape, axis, dtype=np.float32, **options):
    def prepare(workers):
        x = endless(shape, dtype)
        view = layout(x)
        given = {name: make(view.shape) for name, make in options.items()}
        out = endless(view.shape, view.dtype.newbyteorder("="))
        return lambda: fs.softmax(view, axis, out=out, workers=workers, **given)

    return prepare


def every_other(x):
    return x[..., ::2]


def as_it_is(x):
    return x


def inside(shape):
    return np.broadcast_to(np.arange(shape[-1]) % 3 > 0, shape)


PATHS["softmax, strided rows"] = packed(every_other, (TOTAL // 2_000, 2_000), 1)
PATHS["softmax, strided columns"] = packed(every_other, (1_000, TOTAL // 1_000), 0)
PATHS["softmax, other byte order"] = packed(as_it_is, (TOTAL // 1_000, 1_000), 1, ">f4")
PATHS["softmax, where, rows"] = packed(as_it_is, (TOTAL // 1_000, 1_000), 1, where=inside)
PATHS["softmax, where, columns"] = packed(as_it_is, (1_000, TOTAL // 1_000), 0, where=inside)


@path
@repeated
def one_row_of_float16():
    return functools.partial(fs.softmax, np.zeros(REAL, np.float16))


@path
@repeated
def one_strided_row():
    x = np.zeros(2 * REAL, np.float32)[::2]
    return functools.partial(fs.softmax, x)


@path
@repeated
def one_strided_row_into_strided_memory():
    x, out = np.zeros(2 * REAL, np.float32)[::2], np.zeros(2 * REAL, np.float32)[::2]
    return functools.partial(fs.softmax, x, out=out)


@path
@repeated
def one_strided_row_reduced():
    x = np.zeros(2 * REAL, np.float32)[::2]
    return functools.partial(fs.logsumexp, x)


@path
@repeated
def one_strided_row_with_a_nan_reduced():
    x = np.zeros(2 * REAL, np.float32)[::2]
    x[REAL // 2] = np.nan
    return functools.partial(fs.logsumexp, x)


@path
@repeated
def one_row_with_where():
    x, where = np.zeros(REAL, np.float32), np.ones(REAL, bool)
    where[::3] = False
    return functools.partial(fs.logsumexp, x, where=where)


@path
@repeated
def one_row_with_weights():
    x, b = np.zeros(REAL, np.float32), np.ones(REAL, np.float32)
    return functools.partial(fs.logsumexp, x, b=b)


@path
@repeated
def gradient_of_one_row_with_weights():
    x, b = np.zeros(REAL, np.float32), np.ones(REAL, np.float32)
    return functools.partial(fs.logsumexp_vjp, 1.0, x, 18.0, b=b, out=np.empty_like(x))


@path
@repeated
def tangent_of_one_row_with_weights():
    x, b = np.zeros(REAL, np.float32), np.ones(REAL, np.float32)
    return functools.partial(fs.logsumexp_jvp, b, x, 18.0, b=b)


@path
@repeated
def one_row_computed_in_float64():
    x = np.zeros(REAL, np.float32)
    return functools.partial(fs.softmax, x, dtype=np.float64)


@path
@repeated
def integers():
    x = np.zeros((REAL // 1_000, 1_000), np.int64)
    return functools.partial(fs.softmax, x, 1)


def weighted(shape, axis):
    def prepare(workers):
        a = endless(shape, np.float32)
        b = np.broadcast_to(np.float32(1), shape)
        return lambda: fs.logsumexp(a, axis, b=b, workers=workers)

    return prepare


PATHS["logsumexp, b, rows"] = weighted((FEWER // 1_000, 1_000), 1)
PATHS["logsumexp, b, columns"] = weighted((1_000, FEWER // 1_000), 0)


def update(shape, axis):
    def prepare(workers):
        x = endless(shape, np.float32)
        state = fs.SoftmaxState(axis).update(x[:, :1] if axis else x[:1])
        before = np.copy(state.logsumexp())

        def call():
            try:
                state.update(x)
            finally:
                assert np.array_equal(state.logsumexp(), before) and state.count == 1

        return call

    return prepare


PATHS["state.update, rows"] = update((1_000, TOTAL // 1_000), 1)
PATHS["state.update, a long row"] = update((1, TOTAL), 1)
PATHS["state.update, columns"] = update((TOTAL // 1_000, 1_000), 0)


@path
def state_softmax(workers):
    x = np.zeros((64, REAL // 64), np.float32)
    state = fs.SoftmaxState(1).update(x)

    return functools.partial(again_and_again, functools.partial(state.softmax, x))
