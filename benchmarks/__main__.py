"""The command line: ``python -m benchmarks``."""

import argparse
from pathlib import Path

from . import threads

MINUTES = 15.0
QUICK_MINUTES = 1.2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time fastsoftmax beside every other library that is installed: the grid of "
        "shapes, dtypes and operations, or the cells that have goals.",
    )
    parser.add_argument("--quick", action="store_true", help="a sample, in under two minutes")
    parser.add_argument(
        "--headline",
        action="store_true",
        help="the cells that have goals, accuracy, memory and the import",
    )
    parser.add_argument(
        "--filter",
        metavar="TEXT",
        action="append",
        default=[],
        help='only cells whose name contains this, e.g. "logsumexp float64"; given several times, '
        "all of them",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"the grid's time, shared out among its cells (default: {MINUTES:g}; quick "
        f"{QUICK_MINUTES:g})",
    )
    parser.add_argument(
        "--workers",
        choices=("1", "all", "both"),
        default="both",
        help="the grid at one thread, at as many as there are CPUs, or both (the default)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the cells that an earlier run has saved"
    )
    parser.add_argument("--cpu", type=int, help="the CPU to run on (default: the last)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "results",
        metavar="DIR",
        help="where reports, data and plots go (default: benchmarks/results)",
    )
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    cpu = threads.enforce(arguments.cpu)
    if arguments.headline:
        from .session import run  # not before the thread pools are limited

        run(cpu=cpu, quick=arguments.quick, parts=arguments.filter, output=arguments.output)
        return
    from .grid import session

    session.run(
        session.Plan(
            cpu=cpu,
            quick=arguments.quick,
            parts=arguments.filter,
            minutes=arguments.minutes or (QUICK_MINUTES if arguments.quick else MINUTES),
            workers=arguments.workers,
            resume=arguments.resume,
            output=arguments.output,
        )
    )


if __name__ == "__main__":
    main()
