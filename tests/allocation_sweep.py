"""Fail each allocation of each operation in turn: `python allocation_sweep.py AMOUNT [objects]`.

(a) `failing_malloc.c`, preloaded, fails the k-th allocation of a call, or all from the k-th on, for
    k = 1, 2, ... until the call makes no more than k; of many, some are left out. The call ends in
    a MemoryError, or with the right result where what asked can do without; inputs are as they
    were, and so is `out` of a call that is not gone through in pieces, by workers, in boxes that
    are packed, or by many rows of cross-entropy; and the next call is right.
(b) All of that is repeated, and the memory from the C library does not grow, nor do reference
    counts. Objects that the interpreter keeps for later are a matter for `proof.leaks`.
(c) What fails is memory that the kernels ask for and memory that NumPy asks for: scratch and the
    data of arrays. With "objects" every object of the interpreter can fail. Then interpreter and
    NumPy have faults of their own: a leaked cell, which is not looked for, an error without an
    exception, which is counted, and a lock of the executor that stays locked, so no call is shared.
"""

import ctypes
import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import targets
from guard_operations import OPERATIONS

FOLDER = Path(__file__).parent
SET_HANDLER = 304  # place of PyDataMem_SetHandler in NumPy's table of functions
ROUNDS, REPEATS = 4, 3  # a leak shows in all rounds, at every repeat
EVERY = "from the k-th on", lambda k: (k, 1 << 40)
ONE = "the k-th", lambda k: (k, k)
WORKERS = 2
ROWS = 4_096  # of cross-entropy, that are a piece

# Shape, axis, dtype, workers: a kernel path each.
SMALL_SIZE = 20_000  # up to which there is time for operations of many steps, and in the tests
SMALL = [
    ((4, 10), 1, "f4", 1),  # the short cut
    ((40, 7), 1, "f8", 1),  # short rows
    ((3, 2_000), 1, "f4", 1),  # groups of rows, in blocks
    ((2, 200_001), 1, "f4", 1),  # rows too long for the level-2 cache
    ((300, 40), 0, "f4", 1),  # strips of columns
    ((3_000, 5), 0, "f8", 1),  # bundles of columns, in blocks
    ((9, 100), 0, "f4", 1),  # short columns
    ((2, 30, 40), 1, "f8", 1),  # a middle axis
    ((20, 300), 1, "f2", 1),  # halves
    ((1_100, 70), 0, "f2", 1),
    ((100, 30), 1, "f2", 1),  # in several portions
    ((9, 700), 0, "f4", 1),  # short columns, several vectors of them
    ((150, 2_100), 0, "f4", 1),  # more than one strip
    ((150, 2_100), 0, "f2", 1),
    ((70, 4_200), 0, "f8", 1),
    ((8, 40, 130), 1, "f4", 1),
]
LARGE = [
    ((3_200_001,), 0, "f4", WORKERS),  # one row, shared
    ((17, 100_001), 1, "f4", WORKERS),
    ((1_000, 1_700), 0, "f4", WORKERS),
]


def _code_of(name):
    """The first and the last address of a loaded module's code."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        lines = [line.split() for line in maps if name in line and " r-xp " in line]
    edges = [int(edge, 16) for line in lines for edge in line[0].split("-")]
    return min(edges), max(edges)


def _handle_data(library):
    """Let NumPy allocate the data of arrays through the library, in this thread."""
    new_capsule, pointer = ctypes.pythonapi.PyCapsule_New, ctypes.pythonapi.PyCapsule_GetPointer
    new_capsule.restype, pointer.restype = ctypes.py_object, ctypes.POINTER(ctypes.c_void_p)
    new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = pointer(np._core._multiarray_umath._ARRAY_API, None)
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER])
    handler = ctypes.addressof(ctypes.c_char.in_dll(library, "data_handler"))
    set_handler(new_capsule(handler, b"mem_handler", None))


def _strided(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def _arrays(fs, shape, axis, dtype, hard):
    """Arrays of a case by their letters; hard ones have subnormal results."""
    rng = np.random.default_rng(5)
    rows = shape[:axis] + shape[axis + 1 :]
    x = rng.standard_normal(shape)
    if hard:
        x[..., ::2] -= 10 if dtype == "f2" else 95 if dtype == "f4" else 720
    x = x.astype(dtype)
    return {
        "x": x,
        "p": fs.softmax(x, axis),
        "q": fs.log_softmax(x, axis),
        "g": rng.standard_normal(shape).astype(dtype),
        "b": rng.standard_normal(shape).astype(dtype),
        "m": rng.random(shape) < 0.8,
        "r": np.asarray(fs.logsumexp(x, axis)),
        "s": np.asarray(rng.standard_normal(rows).astype(dtype)),
        "l": np.asarray(rng.integers(shape[axis], size=rows)),
        "w": rng.random(shape[axis]),
    }


class Sweep:
    """All failures of all calls."""

    def __init__(self, fs, whole, all_objects):
        library = ctypes.CDLL(None)
        self.fs, self.whole, self.all_objects = fs, whole, all_objects
        self.fail, self.failed = library.fail_allocations, library.failed_allocations
        self.live = library.live_allocations
        self.fail.argtypes, self.fail.restype = [ctypes.c_long] * 2, None
        self.failed.restype = self.live.restype = ctypes.c_long
        self.counts = Counter()
        library.watch_module(*map(ctypes.c_void_p, _code_of("_kernels_")))
        _handle_data(library)
        if all_objects:
            library.hook_objects(
                ctypes.pythonapi.PyMem_GetAllocator, ctypes.pythonapi.PyMem_SetAllocator
            )

    def case(self, operation, shape, axis, dtype, workers, how):
        """One operation on arrays of one kind; `how` is plain, strided, hard, or in place."""
        fs = self.fs
        boxes = how == "strided" and np.prod(shape) > SMALL_SIZE
        pieces = "cross_entropy" in operation.function and np.prod(shape) // shape[axis] > ROWS
        self.may_touch = self.all_objects or workers > 1 or boxes or pieces
        arrays = _arrays(fs, shape, axis, dtype, how in ("hard", "in place"))
        arrays = {letter: arrays[letter] for letter in operation.letters}
        if how == "strided":
            arrays = {letter: _strided(a) if a.ndim else a for letter, a in arrays.items()}
        over = operation.over[:1] if how == "in place" else ""
        rows = shape[:axis] + shape[axis + 1 :]
        shapes = [shape if kind == "f" else rows for kind in operation.out]
        outs = [np.empty(s, dtype) for s in shapes] if all(shapes) else []
        if over:
            original, outs = arrays[over], [arrays[over].copy()]
            arrays[over] = outs[0]
        out = outs[0] if len(outs) == 1 else tuple(outs) or None
        before = {letter: a.tobytes() for letter, a in arrays.items()}

        def call():
            return operation(fs, arrays, axis, out)

        def restore():
            for each in outs:
                each.view(np.uint8)[...] = 0xFF
            if over:
                outs[0][...] = original

        def fail_each(numbers, every):
            """Fail allocations until there are no more; how many calls that took."""
            k, calls = 1, 1
            while self._hit(call, numbers(k), restore, outs, over, arrays, before, expected):
                k += 1 if every else 1 + k // 8
                calls += 1
            return calls

        with fs.set_workers(workers):
            restore()
            expected = _bytes(call())
            for mode, numbers in (EVERY, ONE):
                if workers > 1 and mode == EVERY[0]:
                    continue  # threads cannot be started
                if self.all_objects and mode == EVERY[0]:
                    continue  # without memory for a number, CPython tries to note one for ever
                places = fail_each(numbers, self.whole and mode == ONE[0]) - 1
                self.counts["places"] += places
                self.counts["calls"] += places
                if self.all_objects:
                    continue  # what grows is the interpreter's
                growth = []
                for _ in range(ROUNDS):
                    live = self.live()
                    references = [sys.getrefcount(a) for a in (*arrays.values(), *outs)]
                    for _ in range(REPEATS):
                        self.counts["calls"] += fail_each(numbers, False)
                    kept = references != [sys.getrefcount(a) for a in (*arrays.values(), *outs)]
                    assert not kept, f"{mode}: a reference is kept"
                    growth.append(self.live() - live)
                    if growth[-1] < REPEATS:
                        break
                assert min(growth) < REPEATS, f"{mode}: {growth} pieces of memory more"

    def _hit(self, call, numbers, restore, outs, over, arrays, before, expected):
        """One call with failures; whether there were any."""
        restore()
        untouched = [each.tobytes() for each in outs]
        kind, found, text = None, None, ""
        self.fail(*numbers)
        try:
            found = call()
        except BaseException as error:
            self.failed()
            kind, text = type(error), repr(error)
        failed = self.failed()
        if kind is None:
            assert _bytes(found) == expected, "another result"
            self.counts["absorbed"] += failed > 0
            return failed > 0
        assert failed, text
        of_memory = issubclass(kind, MemoryError)
        by_numpy = kind is SystemError and "cyfunction" not in text
        assert of_memory or by_numpy or self.all_objects, text
        self.counts["MemoryError" if of_memory else kind.__name__] += 1
        for letter, content in before.items():
            if letter != over:
                assert arrays[letter].tobytes() == content, f"{letter} was changed"
        touched = [each.tobytes() for each in outs] != untouched
        assert not touched or self.may_touch, "`out` was written in part"
        self.counts["out touched"] += touched
        return True


def _bytes(results):
    results = results if isinstance(results, tuple) else (results,)
    return [np.asarray(each).tobytes() for each in results]


def _state_case(sweep, dtype):
    """A state is as it was after an update or a merge that found no memory."""
    fs = sweep.fs
    x = np.random.default_rng(6).standard_normal((50, 30)).astype(dtype)
    for axis in (0, 1):
        for change in ("update", "merge"):
            k, failed = 1, 1
            while failed:
                state = fs.SoftmaxState(axis=axis).update(x)
                argument = x if change == "update" else state.copy()
                before = state.logsumexp().tobytes(), state.count
                sweep.fail(k, k)
                try:
                    getattr(state, change)(argument)
                except MemoryError:
                    failed = sweep.failed()
                    assert (state.logsumexp().tobytes(), state.count) == before, change
                    sweep.counts["MemoryError"] += 1
                failed = sweep.failed()
                sweep.counts["calls"] += 1
                k += 1


def sweep(fs, amount, all_objects):
    """All cases of an amount: some, or the whole."""
    whole = amount == "whole"
    allocations = Sweep(fs, whole, all_objects)
    shared = LARGE * (whole and not all_objects)
    for turn, (shape, axis, dtype, workers) in enumerate(SMALL + shared):
        for place, operation in enumerate(OPERATIONS):
            ways = ["plain", "strided", "hard", *(["in place"] if operation.over else [])]
            if workers > 1:
                ways = ways[:1] if operation.is_brief else []
            elif np.prod(shape) > SMALL_SIZE:
                ways = ways if operation.is_brief and whole else []
            elif not whole:
                ways = [ways[(turn + place) % len(ways)]]
            for how in ways:
                try:
                    allocations.case(operation, shape, axis, dtype, workers, how)
                except AssertionError as error:
                    where = f"{operation.text} of {shape} {dtype} over {axis}, {how}"
                    raise AssertionError(f"{where}: {error}") from error
    for dtype in ("f4", "f8", "f2"):
        if not allocations.all_objects:
            _state_case(allocations, dtype)
    return allocations.counts


# In a process of its own.


@functools.cache
def shim():
    """The library to preload, compiled; None without a compiler, or where nothing preloads."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if sys.platform != "linux" or not shutil.which(compiler):
        return None
    folder = tempfile.TemporaryDirectory()
    library = str(Path(folder.name) / "failing_malloc.so")
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", library, str(FOLDER / "failing_malloc.c")],
        check=False,
        capture_output=True,
    )
    loaded = built.returncode == 0 and subprocess.run(
        [sys.executable, "-c", "import ctypes; ctypes.CDLL(None).live_allocations"],
        env=os.environ | {"LD_PRELOAD": library},
        check=False,
        capture_output=True,
    )
    return (folder, library) if loaded and loaded.returncode == 0 else None


def run(target, amount, all_objects=False):
    """Sweep a target in another process: what was counted, and what went wrong."""
    _, library = shim()
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, amount, *["objects"] * all_objects],
        env=os.environ | {"LD_PRELOAD": library, targets.VARIABLE: target},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return Counter(json.loads(done.stdout)), ""
    return Counter(), f"exit status {done.returncode}\n{done.stderr[-2_000:]}"


def main(amount, objects=""):
    import fastsoftmax

    with np.errstate(all="ignore"):
        print(json.dumps(sweep(fastsoftmax, amount, objects != "")))


if __name__ == "__main__":
    main(*sys.argv[1:])
