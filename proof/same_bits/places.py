"""Other ways to compute the same rows, each of which has to give the same bits.

A place takes a package, a call, its arrays and axis -1's results, and yields pairs of what another
call gave and which rows of the results that has to equal. Rows are given as (count, n).
"""

import contextlib
import importlib
import itertools

import layouts
import numpy as np

from .calls import CLASSES, NUMBERS, ROWS

BLOCK = 1024
ONE_OUTPUT = ("softmax", "log_softmax", "softmax_vjp", "log_softmax_vjp")


def _map(call, arrays, rows, numbers):
    """Arrays of a call in another form, by what each of them holds."""
    change = {ROWS: rows, NUMBERS: numbers, CLASSES: lambda a: a}
    return tuple(change[role](a) for role, a in zip(call.takes, arrays, strict=True))


def _back(call, results, rows, numbers):
    change = {ROWS: rows, NUMBERS: numbers}
    return tuple(change[role](np.asarray(a)) for role, a in zip(call.gives, results, strict=True))


def _take(call, arrays, index):
    return _map(call, arrays, lambda a: a[index].copy(), lambda a: a[index].copy())


def alone(package, call, arrays, chosen):
    """Each chosen row as a call of its own, of one axis."""
    for i in chosen:
        one = _take(call, arrays, i)
        yield call.run(package, one, -1, None), i


def batches(package, call, arrays, chosen):
    """Batches of other sizes, that begin at other rows."""
    count, start = len(arrays[0]), 0
    for size in (2, 3, 5, 7, 15, 16, 17, 31, 33, 64, 65):
        part = slice(start, min(start + size, count))
        if part.start >= count:
            return
        yield call.run(package, _take(call, arrays, part), -1, None), part
        start += size


def shifted(package, call, arrays, chosen):
    """Rows that begin at any distance from the start of a cache line: nothing is copied."""

    def moved(a):
        memory = np.zeros(a.size + 64, a.dtype)
        start = 1 + int(chosen[0]) % 31
        view = memory[start : start + a.size].reshape(a.shape)
        view[...] = a
        return view

    yield call.run(package, _map(call, arrays, moved, moved), -1, None), slice(None)


def columns(package, call, arrays, chosen):
    """The rows as columns."""
    turned = _map(call, arrays, lambda a: np.ascontiguousarray(a.T), lambda a: a)
    yield _back(call, call.run(package, turned, 0, None), lambda a: a.T, lambda a: a), slice(None)


def few_columns(package, call, arrays, chosen):
    """Some of the rows as columns: too few to fill the strips, or a little more than they hold."""
    for count in (2, 3, 17, 33):
        part = slice(0, min(count, len(arrays[0])))
        some = _take(call, arrays, part)
        turned = _map(call, some, lambda a: np.ascontiguousarray(a.T), lambda a: a)
        yield _back(call, call.run(package, turned, 0, None), lambda a: a.T, lambda a: a), part


def transposed(package, call, arrays, chosen):
    """The columns of a view: the memory is that of rows."""
    turned = _map(call, arrays, lambda a: a.T, lambda a: a)
    yield _back(call, call.run(package, turned, 0, None), lambda a: a.T, lambda a: a), slice(None)


def middle_axis(package, call, arrays, chosen):
    """The rows along the middle one of three axes."""
    count = len(arrays[0])
    for inner in (3, 16, 21):
        outer = count // inner
        if outer == 0:
            continue
        part = slice(0, outer * inner)

        def rows(a, shape=(outer, inner)):
            return np.ascontiguousarray(a.reshape(*shape, -1).swapaxes(1, 2))

        def numbers(a, shape=(outer, inner)):
            return a.reshape(shape)

        turned = _map(call, _take(call, arrays, part), rows, numbers)
        results = call.run(package, turned, 1, None)

        def as_rows(a, rows=outer * inner):
            return a.swapaxes(1, 2).reshape(rows, -1)

        yield _back(call, results, as_rows, np.ravel), part


def views(package, call, arrays, chosen):
    """Strided, reversed, misaligned, byte-swapped, and other views of the same values."""
    for layout in layouts.ALL:
        if layout is layouts.axes_in_other_order:  # of two axes: `transposed`
            continue

        def laid(a, layout=layout):
            return layout(a) if layouts.fits(layout, a) else a

        yield call.run(package, _map(call, arrays, laid, laid), -1, None), slice(None)


def in_place(package, call, arrays, chosen):
    """The result over the logits, or over the vector of a product."""
    if call.name in ONE_OUTPUT:
        first = arrays[0].copy()
        function = getattr(package, call.name)
        yield (function(first, *arrays[1:], axis=-1, out=first),), slice(None)


def past_the_caches(package, call, arrays, chosen):
    """As if no result fitted the last-level cache."""
    kernels = package._target.kernels
    kernels.set_cache(1)
    try:
        yield call.run(package, arrays, -1, None), slice(None)
        yield from columns(package, call, arrays, chosen)
    finally:
        kernels.set_cache(importlib.import_module("fastsoftmax._cache").cache)


@contextlib.contextmanager
def four_workers(package):
    """A machine of four processors that shares every call, however small."""
    kernels = package._target.kernels
    modules = [
        importlib.import_module(f"fastsoftmax.{name}") for name in ("_packing", "_cross_entropy")
    ]
    sharing = importlib.import_module("fastsoftmax._sharing")
    limits, count = [m.ALONE for m in modules], sharing.cpu_count
    kernels.set_alone(0)
    for module in modules:
        module.ALONE = 0
    sharing.cpu_count = lambda: 4
    try:
        yield
    finally:
        for module, limit in zip(modules, limits, strict=True):
            module.ALONE = limit
        sharing.cpu_count = count
        kernels.set_alone(importlib.import_module("fastsoftmax._workers").ALONE)


def workers(package, call, arrays, chosen):
    """Several workers: over rows, over columns, and over the blocks of one row."""
    with four_workers(package):
        yield call.run(package, arrays, -1, 3), slice(None)
        turned = _map(call, arrays, lambda a: np.ascontiguousarray(a.T), lambda a: a)
        results = call.run(package, turned, 0, 2)
        yield _back(call, results, lambda a: a.T, lambda a: a), slice(None)
        if arrays[0].shape[-1] > BLOCK:
            one = _take(call, arrays, int(chosen[0]))
            yield call.run(package, one, -1, 3), int(chosen[0])


def pieces(package, call, arrays, chosen):
    """A SoftmaxState that gets its pieces at the ends of blocks has the bits of one call."""
    if call.name not in ("softmax", "log_softmax", "logsumexp"):
        return
    x = arrays[0]
    fused = package._target.name != "generic"
    with np.errstate(all="ignore"):
        magnitude = abs(x.astype(np.float64))
    limit = (2.0**44 if fused else 4096) if x.dtype == np.float64 else (2.0**17 if fused else 220)
    kept = ~((magnitude > limit) & (magnitude < np.inf)).any(axis=1)
    x, n = x[kept], x.shape[1]
    for ends in ((0, BLOCK, n), (0, *range(BLOCK, n, 3 * BLOCK), n)):
        state = package.SoftmaxState(1)
        cuts = [x[:, a:b] for a, b in itertools.pairwise(ends) if a < n]
        for cut in cuts:
            state.update(cut)
        if call.name == "logsumexp":
            results = state.logsumexp()
        else:
            results = np.concatenate([getattr(state, call.name)(cut) for cut in cuts], axis=1)
        yield (results,), kept
        if n <= BLOCK:
            return


ALL = (
    alone,
    batches,
    shifted,
    columns,
    few_columns,
    transposed,
    middle_axis,
    views,
    in_place,
    past_the_caches,
    workers,
    pieces,
)

# Those that leave a call of all rows together one of all rows.
OF_ALL_ROWS = (shifted, columns, transposed, views, past_the_caches)
