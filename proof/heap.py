"""Call every operation on ordinary arrays, for a checker that watches: `python -m proof.heap`.

Under valgrind, or with kernels built for sanitizers, an access beside an array or to memory that
nobody has written is reported. Values are those of `tests/guard_sweep.py`.
"""

import argparse
import sys
from collections import Counter

import guard_sweep
import numpy as np
import targets
from formats import FLOATS
from guard_operations import OPERATIONS


def call(fs, operation, values, shape, axis):
    """One operation: into a new result, into `out`, and in place."""
    rows = shape[:axis] + shape[axis + 1 :]
    arrays = {letter: values[letter] for letter in operation.letters}
    operation(fs, arrays, axis, None)
    dtype = values["x"].dtype
    outs = tuple(np.empty(shape if kind == "f" else rows, dtype) for kind in operation.out)
    if outs:
        operation(fs, arrays, axis, outs[0] if len(outs) == 1 else outs)
    for letter in operation.over:
        over = arrays[letter].copy()
        operation(fs, arrays | {letter: over}, axis, over)
    return 1 + bool(outs) + len(operation.over)


def sweep(fs, lengths):
    """All operations and dtypes, along rows, columns and a middle axis; how many calls."""
    counts = Counter()
    for form in FLOATS:
        for n in lengths:
            few = guard_sweep.NEIGHBOURS[n % len(guard_sweep.NEIGHBOURS)]
            columns = guard_sweep.COLUMNS[n % len(guard_sweep.COLUMNS)]
            for shape, axis in (((few, n), 1), ((n, columns), 0), ((2, n, 1 + n % 9), 1)):
                values = guard_sweep.values_of(fs, n + axis, shape, axis, form.dtype)
                for operation in OPERATIONS:
                    counts[form.name] += call(fs, operation, values, shape, axis)
    return counts


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.heap", description=__doc__)
    parser.add_argument("--target", choices=targets.ALL, required=True)
    parser.add_argument("--lengths", type=int, nargs="+", required=True)
    options = parser.parse_args()
    with np.errstate(all="ignore"):
        counts = sweep(targets.activate(options.target), options.lengths)
    print(f"heap: {counts.total():,} calls on {options.target}")
    sys.exit(counts.total() == 0)


if __name__ == "__main__":
    main()
