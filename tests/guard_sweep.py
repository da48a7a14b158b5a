"""Call every operation on arrays between guard pages: `python guard_sweep.py AMOUNT RECORD`.

(a) A case is a shape, an axis and values. Its expected results come from plain arrays. Each
    placement then puts the arrays and `out` into rooms of their own, or `out` over an input, and
    calls the operations: the process dies at the first byte beyond a room. Else the results have
    the expected bits, inputs are as they were, and nothing was written beside `out`.
(b) Placements: arrays and `out` at either edge in all combinations; at every distance from it
    that a vector register knows; at addresses that no element should have; and strided, reversed,
    with gaps, in Fortran order, byte-swapped.
(c) Lengths from 0 to 1,024, as rows, as columns and along a middle axis, among few or many
    neighbours, and some beyond, with workers and past the caches. What follows from the length
    alone (neighbours, values, distance) takes turns.
(d) RECORD is a file that says what is being called, for whoever finds the process dead. AMOUNT is
    "whole" or "some": what the ordinary tests have time for.
"""

import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import families
import numpy as np
import targets
from formats import FLOATS, of
from guard_operations import FULL, OPERATIONS, REDUCED
from guarded_memory import POISON, Room, strides_of

BRIEF = tuple(operation for operation in OPERATIONS if operation.is_brief)
LONG = tuple(operation for operation in OPERATIONS if not operation.is_brief)
LETTERS = FULL + REDUCED + "w"
LABELS = tuple(np.dtype(kind) for kind in ("i8", "i4", "u1", "i2", "u2", "i1", "u4", "u8"))
NEIGHBOURS = (2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33)
COLUMNS = (1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17, 24, 31, 33, 47, 63, 64, 65, 70)
SHORT = 40  # up to which there are all small numbers of neighbours
RECORD, OPERATION = 512, 256  # bytes of the record, the first of its operation


# Layouts: the strides of a shape, and what becomes of the dtype.


def _plain(shape, dtype):
    return strides_of(shape, dtype.itemsize), dtype


def _fortran(shape, dtype):
    return strides_of(shape, dtype.itemsize, "F"), dtype


def _every_other(shape, dtype):
    spread = strides_of([2 * n for n in shape], dtype.itemsize)
    return tuple(2 * stride for stride in spread), dtype


def _reversed(shape, dtype):
    return tuple(-stride for stride in strides_of(shape, dtype.itemsize)), dtype


def _gaps(shape, dtype):
    return strides_of((*shape[:-1], shape[-1] + 3), dtype.itemsize), dtype


def _swapped(shape, dtype):
    swaps = dtype.name != "bfloat16"
    return strides_of(shape, dtype.itemsize), dtype.newbyteorder() if swaps else dtype


LAYOUTS = (_fortran, _every_other, _reversed, _gaps, _swapped)


# Values.


def _special(rng, shape, form):
    """A few infinities and nans."""
    x = rng.standard_normal(shape)
    return np.where(rng.random(shape) < 0.02, rng.choice([np.inf, -np.inf, np.nan], shape), x)


def values_of(fs, turn, shape, axis, dtype, letters=LETTERS):
    """Plain arrays of a case by their letters; along a reduced axis of length 0, only logits."""
    rng = np.random.default_rng(turn)
    form = of(dtype)
    kinds = [k for k in (*families.ALL, _special) if k is _special or families.fits(k, dtype)]
    kind = kinds[turn % len(kinds)] if turn % 3 else families.normal
    n = shape[axis]
    rows = shape[:axis] + shape[axis + 1 :]
    count = int(np.prod(rows))
    if n == 0 or count == 0:
        return {"x": np.zeros(shape, dtype)}
    x = np.moveaxis(kind(rng, (count, n), form).astype(dtype).reshape(*rows, n), -1, axis)
    x = np.ascontiguousarray(x)
    make = {
        "x": lambda: x,
        "p": lambda: fs.softmax(x, axis),
        "q": lambda: fs.log_softmax(x, axis),
        "g": lambda: rng.standard_normal(shape).astype(dtype),
        "b": lambda: (rng.standard_normal(shape) * (rng.random(shape) < 0.9)).astype(dtype),
        "m": lambda: rng.random(shape) < 0.8,
        "r": lambda: np.asarray(fs.logsumexp(x, axis)),
        "s": lambda: rng.standard_normal(rows).astype(dtype),
        "l": lambda: rng.integers(min(n, 127), size=rows).astype(LABELS[turn % len(LABELS)]),
        "w": lambda: rng.random(n),
    }
    return {letter: make[letter]() for letter in letters}


def _outcome(call):
    """The bytes of all results, or the kind of error."""
    try:
        results = call()
    except ValueError as error:
        return str(error)
    if not isinstance(results, tuple):
        results = (results,)
    return tuple(_native(result).tobytes() for result in results)


def _native(result):
    return result if result.dtype.isnative else result.byteswap()


class Sweep:
    """The calls of one target and dtype."""

    def __init__(self, fs, dtype, record, largest):
        self.fs, self.dtype, self.record = fs, dtype, record
        self.poison = np.full(dtype.itemsize, POISON, np.uint8).view(dtype)[0]
        self.rooms = {letter: Room(largest) for letter in LETTERS + "fF"}
        self.counts = Counter()

    def run(self, turn, shape, axis, placements, operations):
        """All placements of one case."""
        letters = sorted({letter for operation in operations for letter in operation.letters})
        values = values_of(self.fs, turn, shape, axis, self.dtype, letters)
        rows = shape[:axis] + shape[axis + 1 :]
        operations = [o for o in operations if all(letter in values for letter in o.letters)]
        expected = [_outcome(lambda o=o: o(self.fs, values, axis, None)) for o in operations]
        for at_end, out_at_end, shift, layout in placements:
            arrays, parts = {}, {}
            for letter, array in values.items():
                arrays[letter], parts[letter] = self._place(
                    letter, array.shape, array.dtype, layout, at_end, shift
                )
                arrays[letter][...] = array
            self._say(shape, axis, turn, at_end, out_at_end, shift, layout.__name__)
            for operation, right in zip(operations, expected, strict=True):
                shapes = [shape if kind == "f" else rows for kind in operation.out]
                placed = [
                    self._place(room, s, self.dtype, layout, out_at_end, shift)
                    for room, s in zip("fF", shapes, strict=False)
                ]
                self._call(operation, arrays, axis, placed, right)
                for letter in operation.over:
                    placed[0][0][...] = values[letter]
                    over = arrays | {letter: placed[0][0]}
                    self._call(operation, over, axis, placed, right)
                if operation.is_brief and layout is _plain:
                    self._call(operation, arrays, axis, [], right)
            for letter, array in values.items():
                assert _native(arrays[letter]).tobytes() == array.tobytes(), f"{letter} was changed"
                self.rooms[letter].clear(parts[letter])
                assert self.rooms[letter].is_clear(parts[letter]), f"written beside {letter}"

    def _place(self, room, shape, dtype, layout, at_end, shift):
        strides, dtype = layout(shape, dtype) if shape else ((), dtype)
        return self.rooms[room].place(shape, dtype, strides, at_end, shift)

    def _say(self, *what):
        text = f"{self.dtype.name} {what}".encode()[:OPERATION]
        self.record[:OPERATION] = text.ljust(OPERATION)

    def _call(self, operation, arrays, axis, placed, expected):
        """One call, with everything that was written looked at."""
        text = operation.text.encode()
        self.record[OPERATION : OPERATION + len(text) + 1] = text + b"\0"
        outs = tuple(array for array, _ in placed)
        out = outs[0] if len(outs) == 1 else outs or None
        actual = _outcome(lambda: operation(self.fs, arrays, axis, out))
        self.counts[operation.text] += 1
        assert actual == expected, f"{operation.text} has other results"
        for room, (array, part) in zip("fF", placed, strict=False):
            array[...] = self.poison
            assert self.rooms[room].is_clear(part), f"{operation.text} has written beside out"


# What is called.


SIDES = ((True, True), (False, False), (True, False), (False, True))  # at an end: inputs, out


def cases(n, itemsize):
    """Shape, axis, placements and operations of all cases of a length."""
    few, columns = NEIGHBOURS[n % len(NEIGHBOURS)], COLUMNS[n % len(COLUMNS)]
    shapes = ((few, n), 1), ((n, columns), 0), ((2, n, 1 + n % 9), 1)
    tight = [(*side, 0, _plain) for side in SIDES]
    near = (*SIDES[n // 2 % 2], (1 + n % 15) * itemsize, _plain)
    misaligned = (*SIDES[n // 3 % 2], 1 + n % (itemsize - 1), _plain)
    elsewhere = (*SIDES[n // 5 % 2], 0, LAYOUTS[n % len(LAYOUTS)])
    yield (1, n), 1, (tight[0], tight[1 + n % 3]), BRIEF
    yield *shapes[0], (tight[n % 4], near), BRIEF
    yield *shapes[1], (tight[n % 4],), BRIEF
    yield *shapes[2], (tight[n // 2 % 4],), BRIEF
    yield *shapes[n % 3], ((*tight[:2], near, misaligned, elsewhere)[n // 3 % 5],), LONG
    yield *shapes[(n + 1) % 3], ((misaligned, elsewhere)[n // 3 % 2],), BRIEF
    if 0 < n <= SHORT:
        for neighbours in range(1, 18):
            yield (neighbours, n), 1, (tight[n % 2],), BRIEF
            yield (n, 2 * neighbours + 1), 0, (tight[neighbours % 2],), BRIEF


LENGTHS = range(1_025)
SOME_LENGTHS = (
    *range(6),
    7,
    8,
    9,
    15,
    16,
    17,
    24,
    31,
    32,
    33,
    47,
    63,
    64,
    65,
    129,
    257,
    1_000,
    1_024,
)
LONGER = (1_025, 2_047, 4_099, 16_385, 65_537, 131_073)
SHARED = (
    ((1, 3_200_001), 1),
    ((17, 100_001), 1),
    ((100_001, 17), 0),
)  # more than 6 MiB, which workers share


def long_cases(whole):
    """Shape, axis, placements and operations of long rows and columns; `whole`, or some of them."""
    tight = [(*side, 0, _plain) for side in SIDES]
    for n in LONGER if whole else LONGER[::3]:
        yield (1, n), 1, tight, BRIEF
        yield (2, n), 1, tight[:2], OPERATIONS if whole else BRIEF
        if n < 5_000:
            yield (n, 9), 0, tight[:2], OPERATIONS
        yield (3, n // 3), 0, tight[:2], BRIEF


def sweep(fs, dtype, record, lengths, whole=True):
    """All cases of these lengths, and longer ones; how often each operation was called."""
    kernels = fs._target.kernels
    calls = Sweep(fs, dtype, record, 1 << 22)
    for n in lengths:
        for turn, case in enumerate(cases(n, dtype.itemsize)):
            calls.run(n + turn, *case)
    for cache in (fs._cache.cache, 1):  # results are written past a cache of one byte
        kernels.set_cache(cache)
        for turn, case in enumerate(long_cases(whole)):
            calls.run(turn, *case)
    kernels.set_cache(fs._cache.cache)
    if whole:
        large = Sweep(fs, dtype, record, 1 << 25)
        with fs.set_workers(2):
            for turn, (shape, axis) in enumerate(SHARED):
                large.run(3 * turn, shape, axis, [(*side, 0, _plain) for side in SIDES[:2]], BRIEF)
        calls.counts.update(large.counts)
    return calls.counts


def main(amount, path):
    """Sweep the target that is imported by default; print how often each operation was called."""
    import fastsoftmax

    total = Counter()
    whole = amount == "whole"
    with (
        open(path, "r+b") as file,
        mmap.mmap(file.fileno(), RECORD) as record,
        np.errstate(all="ignore"),
    ):
        for form in FLOATS:
            lengths = LENGTHS if whole else SOME_LENGTHS
            total += sweep(fastsoftmax, form.dtype, record, lengths, whole)
    print(json.dumps(total))


# In a process of its own.


class Swept(NamedTuple):
    """How often each operation was called; `failure` says where it ended if it was too early."""

    counts: Counter
    failure: str


def run(target, amount):
    """Sweep a target in another process, which may die."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        record.write_bytes(bytes(RECORD))
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", __file__, amount, str(record)],
            env=os.environ | {targets.VARIABLE: target},
            capture_output=True,
            text=True,
            check=False,
        )
        case = record.read_bytes()
    if done.returncode == 0:
        return Swept(Counter(json.loads(done.stdout)), "")
    operation = case[OPERATION:].partition(b"\0")[0].decode()
    where = f"{operation} of {case[:OPERATION].decode().rstrip()}"
    return Swept(Counter(), f"exit status {done.returncode} in {where}\n{done.stderr[-2_000:]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
