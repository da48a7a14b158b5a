"""The tests in eight threads at once, also without the GIL: `python -m proof.threads`.

(a) On a free-threaded interpreter the tests run once as they are; what cannot be installed there
    is skipped, as everywhere. The GIL has to be off to the end.
(b) `proof.crowd`: every operation in eight threads, with workers, bits compared.
(c) Each test in eight threads at once, by pytest-run-parallel: all call the package with the
    fixtures' arrays at the same time, and each thread has its own verdict. Tests that have to be
    alone are left out: of the process, of other programs, of signals, and those that exchange a
    part of the package for their time.
"""

import argparse
import os
import subprocess
import sys
import time

import pytest
import targets
from interpreter import has_gil

from . import sample
from .crowd import THREADS
from .instrumented import ROOT

LEFT_OUT = (
    "tests/simd",
    "tests/test_benchmark_grid.py",
    "tests/test_built_objects.py",
    "tests/test_command_line.py",
    "tests/test_cross_entropy_memory.py",
    "tests/test_documentation.py",
    "tests/test_examples.py",
    "tests/test_forks.py",
    "tests/test_gradients_threads_and_interrupts.py",
    "tests/test_huge.py",
    "tests/test_hygiene.py",
    "tests/test_import.py",
    "tests/test_interrupts.py",
    "tests/test_memory_safety.py",
    "tests/test_memory_use.py",
    "tests/test_out_of_memory.py",
    "tests/test_scipys_own_tests.py",
    "tests/test_state_machine.py",
    "tests/test_threads_and_interrupts.py",
    "tests/test_workers.py",
)
# Tests that call these stay in one thread: they exchange modules, or parts of them, or measure the
# memory of the process.
ALONE = ("targets.activate", "sharing.forced", "tracemalloc.start")
GIL_WAS_ON = has_gil()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """As a plugin: fail if something has switched the GIL on."""
    if has_gil() != GIL_WAS_ON:
        session.exitstatus = 1
        print("\nthe GIL has been switched on")


def run_tests(chosen, cases, *arguments):
    """Run tests of some targets, with so many cases of each; whether all passed, and how many."""
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "proof.threads"]
    expression = " and ".join(f"not {name}" for name in targets.ALL if name not in chosen)
    environment = dict(os.environ)
    if cases:
        environment[sample.VARIABLE] = str(cases)
        command += ["-p", "proof.sample"]
    child = subprocess.Popen(
        [sys.executable, *command, "-k", expression or "not nothing", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    last = ""
    for line in child.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    return child.wait() == 0, last.split(" in ")[0]


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.threads", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one case of each test")
    parser.add_argument("--cases", type=int, help="how many cases of each test; all by default")
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    parser.add_argument("--tests", nargs="+", default=["tests"])
    options = parser.parse_args()
    cases = 1 if options.quick else options.cases
    begin, held, figures = time.monotonic(), True, []
    if not GIL_WAS_ON:
        passed, text = run_tests(options.target, cases, *options.tests)
        held &= passed
        figures.append(f"once: {text}")
    crowd = ["-m", "proof.crowd", "--target", *options.target]
    if options.quick:
        crowd += ["--share", "0.05"]
    done = subprocess.run([sys.executable, *crowd], cwd=ROOT, check=False)
    held &= done.returncode == 0
    ignored = [f"--ignore={name}" for name in LEFT_OUT]
    parallel = [
        f"--parallel-threads={THREADS}",
        "-o",
        "thread_unsafe_functions=" + "\n".join(ALONE),
    ]
    passed, text = run_tests(options.target, cases, *parallel, *ignored, *options.tests)
    held &= passed
    figures.append(f"in {THREADS} threads: {text}")
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"threads: CPython {version}, the GIL {'on' if GIL_WAS_ON else 'off'}, "
        f"{', '.join(options.target)}; {'; '.join(figures)}; "
        f"{'held' if held else 'FAILED'}, {time.monotonic() - begin:.0f} s"
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
