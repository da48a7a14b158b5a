"""The command line: ``python -m benchmarks``."""

import argparse
from pathlib import Path

from . import one_thread


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time and judge fastsoftmax beside every other library that is installed.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer cells and shorter timings")
    parser.add_argument(
        "--headline", action="store_true", help="only the cells that have goals, and the import"
    )
    parser.add_argument(
        "--only",
        metavar="WORDS",
        help='only cells whose name has all these words, e.g. "logsumexp float64 256x1000"',
    )
    parser.add_argument("--cpu", type=int, help="the CPU to run on (default: the last)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "results",
        metavar="DIR",
        help="where report.md, results.json and the plots go (default: benchmarks/results)",
    )
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    cpu = one_thread.enforce(arguments.cpu)
    from .session import run  # not before the thread pools are limited

    run(
        cpu=cpu,
        quick=arguments.quick,
        headline_only=arguments.headline,
        words=(arguments.only or "").split(),
        output=arguments.output,
    )


if __name__ == "__main__":
    main()
