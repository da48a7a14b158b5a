"""Where there is no memory, an operation raises MemoryError: `python -m proof.out_of_memory`.

Every allocation fails in turn: memory of the kernels and data of arrays, then every object of the
interpreter as well; see `tests/allocation_sweep.py`.
"""

import argparse
import sys
import time
from collections import Counter

import allocation_sweep
import targets


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.out_of_memory", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="what the ordinary tests have time for"
    )
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    options = parser.parse_args()
    if allocation_sweep.shim() is None:
        sys.exit("out_of_memory: needs Linux, glibc and a C compiler")
    begin, total, failed = time.monotonic(), Counter(), False
    for target in options.target:
        for all_objects in (False, True):
            amount = "some" if options.quick else "whole"
            counts, failure = allocation_sweep.run(target, amount, all_objects)
            what = "objects too" if all_objects else "memory"
            found = ", ".join(f"{count:,} {text}" for text, count in sorted(counts.items()))
            print(f"{target}, {what}: {failure or found}", flush=True)
            failed |= bool(failure)
            total += counts
    print(
        f"out_of_memory: {total['places']:,} places in {total['calls']:,} calls on "
        f"{len(options.target)} targets, {total['MemoryError']:,} MemoryErrors, "
        f"{'FAILED' if failed else 'no fault'}, {time.monotonic() - begin:.0f} s"
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
