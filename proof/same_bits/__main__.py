"""python -m proof.same_bits [--quick] [--write] [--target TARGET ...] [--call NAME ...]

(a) Rows of each length, family and dtype are computed by each call, as blocks of one family. The
    hashes of the results have to be those of the golden file: so every machine compares itself with
    all machines, those with AVX-512 and those with NEON, which no machine has both.
(b) The same rows in other places have to give the same bits. There they stand among the rows of
    other families. Every length, call and dtype has its turn in some of the places, and every place
    has its turn with all of them.
(c) Nothing here uses NumPy's exp, log or random distributions: inputs and hashes are a matter of
    integer arithmetic.
(d) Each call draws from streams of its own, so some of the calls have the hashes that all of them
    have.
"""

import argparse
import hashlib
import sys
import time
from typing import NamedTuple

import numpy as np
import targets
from formats import FLOATS, bits

from . import golden, places
from .calls import CALLS, CLASSES, Ingredients
from .inputs import FAMILIES, Stream

EDGES = (255, 256, 257, 300, 511, 512, 513, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4097, 5000)
SHORT = range(1, 131)
LONG = (16_385, 65_537, 300_001)


class Part(NamedTuple):
    """How many rows of a length each family has, and whose turn it is."""

    rows: int  # of a length up to 130, and beyond that a tenth of it
    elements: int  # which add rows to the shortest
    lengths: tuple[int, ...]
    families_in_turn: int
    places_in_turn: int

    def rows_of(self, n):
        if n > SHORT[-1]:
            return max(self.rows // (10 if n <= EDGES[-1] else 100), 1)
        return self.rows + self.elements // n


PARTS = {
    "quick": Part(8, 0, (*SHORT, *EDGES), 5, 12),
    "full": Part(40, 3_200, (*SHORT, *EDGES, *LONG), 1, 3),
}
REPORT = 20  # lengths
SHARED = (3, 10, 33, 64, 130, *EDGES[7:], *LONG)  # where threads are tried: calling them takes long


class Run:
    """One target: hashes, counts, and what differed."""

    def __init__(self, target, names):
        self.target = target
        self.names = names
        self.package = targets.activate(target)
        self.rows = self.compared = 0
        self.hashes = {}
        self.differences = []

    def part(self, name, with_places):
        for turn, form in enumerate(FLOATS):
            calls = [c for c in CALLS if not c.only_halves or form.dtype.itemsize == 2]
            hashers = {call.name: hashlib.sha256() for call in calls if call.name in self.names}
            hashers["inputs"] = hashlib.sha256()
            for number, n in enumerate(PARTS[name].lengths, 1):
                self._length(name, turn, form, n, calls, hashers, with_places)
                if name == "full" and with_places and number % REPORT == 0:
                    print(
                        f"{self.target} {form.name}: up to {n} elements, {self.compared:,} rows of "
                        f"results elsewhere, {len(self.differences)} differ",
                        flush=True,
                    )
            for call, hasher in hashers.items():
                key = (golden.group(self.target), name, form.name, call)
                self.hashes[key] = hasher.hexdigest()[:32]

    def _length(self, name, turn, form, n, calls, hashers, with_places):
        part = PARTS[name]
        count = part.rows_of(n)
        blocks = []
        for place, family in enumerate(FAMILIES):
            if (place + turn + n) % part.families_in_turn == 0:
                x = family(Stream(family.__name__, form.name, n, name), (count, n), form)
                hashers["inputs"].update(x)
                blocks.append((family, x))
        rows = count * len(blocks)
        self.rows += rows
        order = np.argsort(Stream("order", n).words(rows), kind="stable")
        for number, call in enumerate(calls):
            if call.name not in hashers:
                continue
            every, results = [], []
            for family, x in blocks:
                stream = Stream(call.name, family.__name__, form.name, n, name)
                arrays = call.make(Ingredients(self.package, x, family, form, stream))
                found = [np.asarray(a) for a in call.run(self.package, arrays, -1, None)]
                for a in found:
                    hashers[call.name].update(np.ascontiguousarray(a))
                every.append(arrays)
                results.append(found)
            if not with_places:
                continue
            mixed = tuple(
                same[0] if role == CLASSES else np.concatenate(same)[order]
                for role, same in zip(call.takes, zip(*every, strict=True), strict=True)
            )
            actual = call.run(self.package, mixed, -1, None)
            if call.whole:
                expected = actual
            else:
                expected = [np.concatenate(same)[order] for same in zip(*results, strict=True)]
                self._check(call, form, n, "among others", actual, expected, slice(None))
            self._places(part, turn + number, call, form, n, mixed, expected)

    def _places(self, part, turn, call, form, n, mixed, expected):
        words = Stream("chosen", call.name, n).words(6 if part is PARTS["quick"] else 40)
        chosen = (words >> np.uint64(8)).astype(np.int64) % len(mixed[0])
        for number, place in enumerate(places.ALL):
            if (number + turn + n) % part.places_in_turn:
                continue
            if call.whole and place not in places.OF_ALL_ROWS:
                continue
            if place is places.workers and n not in SHARED:
                continue
            for actual, index in place(self.package, call, mixed, chosen):
                self._check(call, form, n, place.__name__, actual, expected, index)

    def _check(self, call, form, n, name, actual, expected, index):
        for found, given in zip(actual, expected, strict=True):
            a = np.asarray(found)
            e = np.asarray(given if call.whole else given[index])
            self.compared += len(np.atleast_1d(e))
            if a.dtype.name != e.dtype.name or a.shape != e.shape:
                what = f"{a.dtype}{a.shape} for {e.dtype}{e.shape}"
            elif a.dtype == e.dtype and a.tobytes() == e.tobytes():
                continue
            elif (different := bits(a) != bits(e)).any():
                first = tuple(np.argwhere(different)[0].tolist())
                what = (
                    f"{different.sum()} of {e.size} differ, {first}: {a[first]!r} for {e[first]!r}"
                )
            else:
                continue
            self.differences.append(f"{self.target} {form.name} {call.name} n={n} {name}: {what}")


def arguments():
    parser = argparse.ArgumentParser(prog="python -m proof.same_bits", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows of each length")
    parser.add_argument("--write", action="store_true", help="write the golden file anew")
    parser.add_argument("--hashes", action="store_true", help="nothing but the hashes")
    parser.add_argument("--target", nargs="+", choices=targets.runnable(), help="not all targets")
    names = [call.name for call in CALLS]
    parser.add_argument("--call", nargs="+", choices=names, default=names, help="not all calls")
    return parser.parse_args()


def main():
    options = arguments()
    known = {} if options.write else golden.read()
    recorded = {key[:2] for key in known}  # a part that was never written compares targets alone
    failures = []
    hashes, rows = {}, {}
    compared = 0
    for target in options.target or targets.runnable():
        begin = time.monotonic()
        run = Run(target, options.call)
        with np.errstate(all="ignore"):
            for part in ("quick",) if options.quick else ("quick", "full"):
                run.part(part, not options.hashes)
        for key, digest in run.hashes.items():
            right = known.get(key) or hashes.get(key)
            is_new = right is None and (options.write or key[:2] not in recorded)
            if right != digest and not is_new:
                failures.append(f"{target} {' '.join(key[1:])}: hash {digest}, not {right}")
        hashes |= {key: hashes.get(key, digest) for key, digest in run.hashes.items()}
        failures += run.differences
        rows[target] = run.rows
        compared += run.compared
        print(
            f"{target}: {run.rows:,} rows by {len(options.call)} calls; {run.compared:,} rows of "
            f"results elsewhere; {time.monotonic() - begin:.0f} s",
            flush=True,
        )
    print(*failures[:40], sep="\n")
    if options.write and not failures:
        golden.write(golden.read() | hashes)
    known_before = sum(key in known for key in hashes)
    told = "written" if options.write else f"{known_before} of them in the golden file"
    names = ", ".join(rows)
    print(
        f"same_bits: {max(rows.values()):,} rows hashed on each of {names}, {len(hashes)} hashes "
        f"({told}); {compared:,} rows of results compared in {len(places.ALL) + 1} other places; "
        f"{len(failures)} differ"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
