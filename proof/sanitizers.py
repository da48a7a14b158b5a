"""The tests pass with kernels that check every access and step: `python -m proof.sanitizers`.

(a) FASTSOFTMAX_INSTRUMENT=sanitize builds the kernels with the address sanitizer, which ends the
    process at an access outside an array or to memory given back, and the undefined-behaviour
    sanitizer: signed overflow, misaligned access, shifts, conversions out of range. The build is in
    a folder of its own.
(b) The interpreter is not built so. Its leaks are none of ours, and where memory does not suffice,
    the allocator returns NULL as the C library's does.
(c) LEFT_OUT are the tests of what the checkers themselves change.
"""

import argparse
import os
import subprocess
import sys
import time

import targets

from . import instrumented, sample
from .instrumented import ROOT, runtime

LEFT_OUT = (
    "tests/test_memory_safety.py",  # the sanitizer catches the signal that kills the process
    "tests/test_out_of_memory.py",  # it has the allocator
    "tests/test_cross_entropy_memory.py",  # the process is larger with it
    "tests/test_memory_use.py",
    "tests/test_built_objects.py",  # it is another object
    "tests/test_documentation.py",  # of the sources, not of the kernels
    "tests/test_examples.py",
    "tests/test_benchmark_grid.py",
    "tests/test_command_line.py",
    "tests/simd",
)
QUICK = ("tests/test_special_values.py", "tests/test_halves.py", "tests/test_columns.py")
LENGTHS = ("1", "3", "8", "17", "33", "65", "130", "1023", "1025", "2049")


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.sanitizers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some of the tests")
    parser.add_argument("--built", action="store_true", help="use the build that is there")
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    parser.add_argument("--cases", type=int, help="of each test; all of them by default")
    parser.add_argument("arguments", nargs="*", help="tests, and options of pytest, after --")
    options = parser.parse_args()
    begin = time.monotonic()
    if options.built:
        library = instrumented.built("sanitize")
    else:
        library = instrumented.build_apart("sanitize", options.target)
        print(f"built in {time.monotonic() - begin:.0f} s", flush=True)
    environment = os.environ | {
        "PYTHONPATH": str(library),
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        targets.VARIABLE: options.target[0],  # others may not be built
    }
    tests = options.arguments or (QUICK if options.quick else ["tests"])
    ignored = [f"--ignore={name}" for name in LEFT_OUT]
    failed = False
    for target in options.target:
        heap = ["-m", "proof.heap", "--target", target, "--lengths", *LENGTHS]
        done = subprocess.run([sys.executable, *heap], cwd=ROOT, env=environment, check=False)
        failed |= done.returncode != 0
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *ignored]
    if options.cases:
        environment[sample.VARIABLE] = str(options.cases)
        command += ["-p", "proof.sample"]
    command += ["-k", " or ".join(options.target), *tests]
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    last = ""
    for line in child.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    failed |= child.wait() != 0
    print(
        f"sanitizers: {', '.join(options.target)}; {last.split(' in ')[0]}; "
        f"{'FAILED' if failed else 'no fault'}, {time.monotonic() - begin:.0f} s"
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
