"""No floating-point error but the one promised: every family, length, dtype, layout and worker.

(a) Each call is made under `errstate(all="ignore")` for its result, from which follows whether a
    warning is due, and under `errstate(all="raise")`, where it has to be raised or not. Warnings of
    any other kind are errors in the whole run.
(b) Families stand alone, so that one promised warning cannot hide a stray one; beside them is an
    array of slices of every family.
"""

import argparse
import sys
import time
import warnings
from collections import Counter

import formats
import layouts
import numpy as np
import operations
import targets
import warned
from sharing import forced

LARGE = ((3, 4_097), (2, 70_001), (1, 300_007), (70_001, 3), (300, 1_000))
FEW = (1, 2, 3, 7, 16, 17, 33, 64, 65, 130, 300)


def arrays(quick):
    """Shapes and how to lay them out; every length is there as rows and as columns."""
    for n in FEW if quick else range(1, 301):
        yield (16, n), None
        yield (n, 16), None
        yield (n,), None
    for layout in layouts.ALL:
        for shape in ((17, 33), (3, 16, 18)) if quick else ((16, 7), (17, 129), (3, 16, 18)):
            yield shape, layout


def calls(fs, x, axis, rng):
    found = operations.of(fs, x, axis, rng)
    # Infinite and enormous tangents, too: their products overflow, or are nan.
    return found + operations.gradients(fs, x, axis, rng, tangent=x)


class Tally:
    """Counts calls, warnings and failures, and says the first failures."""

    def __init__(self):
        self.calls = Counter()
        self.warned = 0
        self.failures = 0

    def check(self, call, axis, where, **options):
        self.calls[call.name] += 1
        try:
            self.warned += warned.check(call, axis, **options)
        except Exception as error:
            self.failures += 1
            if self.failures < 20:
                print(f"{where}: {call.name}: {error!r}", flush=True)


def examine(fs, target, form, quick, tally):
    rng = np.random.default_rng(5)
    together = (warned.silent_slices, warned.one_of_each)
    families = together if quick else (*warned.ALL, *together)
    for family in families:
        for shape, layout in arrays(quick):
            x = warned.logits(family, rng, shape, form)
            if layout is not None and not layouts.fits(layout, x):
                continue
            for axis in range(len(shape)):
                for call in calls(fs, x, axis, rng):
                    laid_out = call if layout is None else call.lay_out(layout)
                    tally.check(laid_out, axis, (target, form.name, family.__name__, shape, layout))
    with forced(fs, 1 << 15) as shared:
        for family in families:
            for shape in LARGE[:: 4 if quick else 1]:
                x = warned.logits(family, rng, shape, form)
                for axis in range(2):
                    for call in calls(fs, x, axis, rng):
                        for workers in (2,) if quick else (1, 2, 3):
                            where = (target, form.name, family.__name__, shape, workers)
                            tally.check(call, axis, where, workers=workers)
    return len(shared)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--target", nargs="+", default=targets.runnable(), choices=targets.ALL)
    asked = parser.parse_args()
    warnings.simplefilter("error")
    tally, shared = Tally(), 0
    for target in asked.target:
        fs, begin, before = targets.activate(target), time.monotonic(), tally.calls.total()
        for form in formats.FLOATS:
            shared += examine(fs, target, form, asked.quick, tally)
        seconds, made = time.monotonic() - begin, tally.calls.total() - before
        print(f"{target}: {made} calls, twice each, in {seconds:.0f} s", flush=True)
    for name, count in sorted(tally.calls.items()):
        print(f"  {count:8d}  {name}")
    if not shared or not tally.warned:
        print("nothing was shared among workers, or nothing ever warned")
        tally.failures += 1
    print(
        f"errstate: {tally.calls.total()} calls, {tally.warned} with the promised warning, "
        f"{shared} shared among workers, {tally.failures} failures"
    )
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
