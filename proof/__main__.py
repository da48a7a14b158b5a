"""Run the proofs one after the other and keep their figures.

    python -m proof [--quick] [--write] [NAME ...]

(a) Each proof is a command of its own, `python -m proof.NAME` or tests that are not run otherwise;
    the last line it prints holds its figures, and it fails with exit code 1. Here they are only
    listed, timed and recorded.
(b) In full they take some hours and are for the night; `--quick` is for every change.
(c) `--write` replaces the lines of these proofs in the table of docs/reliability.md, with date,
    processor and commit.
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reliability.md"
HEAD = "| proof | how | figures | minutes | date | processor | commit |"


class Proof(NamedTuple):
    """A command in full and, if it has one, its quick form."""

    name: str
    full: tuple[str, ...]
    quick: tuple[str, ...] | None

    def command(self, quick: bool) -> list[str]:
        """What to run."""
        arguments = self.quick if quick and self.quick is not None else self.full
        return [sys.executable, "-m", *arguments]


def both(name: str) -> Proof:
    """A proof that has a quick form."""
    return Proof(name, (f"proof.{name}",), (f"proof.{name}", "--quick"))


PROOFS = (
    both("sweep"),
    both("every_float32"),
    Proof("guard_pages", ("proof.guard_pages",), None),  # the tests do a part of it
    Proof("sanitizers", ("proof.sanitizers",), None),
    Proof("valgrind", ("proof.valgrind",), None),
    Proof("threads", ("proof.threads",), None),
    Proof("races", ("proof.races",), None),
    both("processors"),
    both("same_bits"),
    both("errstate"),
    both("forks"),
    Proof("out_of_memory", ("proof.out_of_memory",), None),  # and of this
    both("leaks"),
    Proof("huge", ("pytest", "-q", "--run-huge", "tests/test_huge.py"), None),  # 10 GB of memory
    Proof("interrupts", ("proof.interrupts",), None),
    both("fuzz"),
    Proof("mutate", ("proof.mutate",), None),
    Proof("coverage", ("proof.coverage",), None),
    Proof("builds", ("proof.builds",), None),
)


def processor() -> str:
    """The name of the processor, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """The commit of the checkout, with a plus sign if it has been changed since."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return git("rev-parse", "--short=10", "HEAD") + ("+" if git("diff", "--name-only") else "")


def run(proof: Proof, quick: bool) -> tuple[bool, str]:
    """Run a proof; whether it held, and its line for the table."""
    begun = time.monotonic()
    command = proof.command(quick)
    print(f"== {proof.name}: {' '.join(command[1:])}", flush=True)
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    last = ""
    assert child.stdout is not None
    for line in child.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    held = child.wait() == 0
    figures = last.removeprefix(f"{proof.name}:").strip().replace("|", "/")
    minutes = (time.monotonic() - begun) / 60
    today = datetime.datetime.now(datetime.UTC).date()
    how = "quick" if quick and proof.quick is not None else "full"
    cells = (
        proof.name,
        how,
        figures if held else f"**failed**: {figures}",
        f"{minutes:.1f}",
        str(today),
        f"{processor()}, {os.cpu_count()} CPUs",
        commit(),
    )
    return held, "| " + " | ".join(cells) + " |"


def write(lines: dict[str, str]) -> None:
    """Put these lines into the table, in place of all lines of these proofs; the others stay."""
    before, _, table = PAGE.read_text().partition(HEAD)
    rule, *rows = table.strip().splitlines()
    left, kept = dict(lines), []
    for row in rows:
        name = row.split("|")[1].strip()
        if name not in lines:
            kept.append(row)
        elif name in left:
            kept.append(left.pop(name))
    PAGE.write_text(before + "\n".join([HEAD, rule, *kept, *left.values()]) + "\n")


def main() -> int:
    """Run what was asked for; 1 if anything failed."""
    names = [proof.name for proof in PROOFS]
    parser = argparse.ArgumentParser(prog="python -m proof", description="Run the proofs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="the quick form of each")
    parser.add_argument("--write", action="store_true", help="record the figures")
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [proof for proof in PROOFS if proof.name in (options.names or names)]
    if options.quick:
        chosen = [proof for proof in chosen if proof.quick is not None or options.names]
    failed = []
    lines = {}
    for proof in chosen:
        held, lines[proof.name] = run(proof, options.quick)
        if not held:
            failed.append(proof.name)
    if options.write:
        write(lines)
    print(f"proofs: {len(chosen) - len(failed)} held, {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
