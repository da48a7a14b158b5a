"""No operation reads or writes outside its arrays: `python -m proof.guard_pages`.

Arrays end at, and begin behind, pages that nobody may touch; see `tests/guard_sweep.py`.
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import guard_sweep
import guarded_memory
import targets


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.guard_pages", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="what the ordinary tests have time for"
    )
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    options = parser.parse_args()
    if not guarded_memory.AVAILABLE:
        sys.exit("guard_pages: this system has no mprotect")
    begin, total, failed = time.monotonic(), Counter(), False
    amount = "some" if options.quick else "whole"
    with ThreadPoolExecutor() as pool:
        sweeps = pool.map(guard_sweep.run, options.target, [amount] * len(options.target))
        for target, swept in zip(options.target, sweeps, strict=True):
            print(f"{target}: {swept.failure or f'{swept.counts.total():,} calls'}", flush=True)
            failed |= bool(swept.failure)
            total += swept.counts
    for operation, count in sorted(total.items()):
        print(f"{count:9,}  {operation}")
    seconds = time.monotonic() - begin
    print(
        f"guard_pages: {total.total():,} calls on {len(options.target)} targets, "
        f"{'FAILED' if failed else 'no fault'}, {seconds:.0f} s"
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
