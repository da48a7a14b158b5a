"""The command: `python -m proof.sweep`."""

import argparse
import sys
import time
from pathlib import Path

import targets

from . import elementary, exact, functions, halves, report
from .record import Record

QUICK = 1 / 96


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.sweep", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth: less than a minute")
    parser.add_argument("--share", type=float, default=1.0, help="how much of it, up to 1")
    parser.add_argument("--target", nargs="+", help="instruction sets; all that run here")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables there")
    arguments = parser.parse_args()
    share = QUICK if arguments.quick else arguments.share
    if not 0 < share <= 1:
        parser.error("a share is above 0 and at most 1")
    names = tuple(arguments.target or targets.runnable())
    if not set(names) <= set(targets.runnable()):
        parser.error(f"this machine runs {targets.runnable()}")

    for name, error in exact.check().items():
        print(f"reference of {name}: within {error:.2g} ULP of mpmath")
    packages = {name: targets.activate(name) for name in names}
    record = Record(names)
    for part in (elementary, halves, functions):
        start = time.process_time()
        part.run(record, packages, share)
        counted = ", ".join(f"{n:,} {what}" for what, n in record.counts[part.PART].items())
        print(f"{part.PART}, {time.process_time() - start:.0f} s: {counted}", flush=True)
    print()
    print("\n".join(report.summary(record)))
    if arguments.write:
        report.write(arguments.write, record, share)
    print(f"sweep: {report.figures(record)}")
    return 1 if record.failures else 0


if __name__ == "__main__":
    sys.exit(main())
