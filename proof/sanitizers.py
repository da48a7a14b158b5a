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
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "sanitize"
LEFT_OUT = (
    "tests/test_memory_safety.py",  # the sanitizer catches the signal that kills the process
    "tests/test_out_of_memory.py",  # it has the allocator
    "tests/test_cross_entropy_memory.py",  # the process is larger with it
    "tests/test_memory_use.py",
    "tests/test_documentation.py",  # of the sources, not of the kernels
    "tests/test_examples.py",
    "tests/test_benchmark_grid.py",
    "tests/test_command_line.py",
    "tests/simd",
)
QUICK = ("tests/test_special_values.py", "tests/test_halves.py", "tests/test_columns.py")
LENGTHS = ("1", "3", "8", "17", "33", "65", "130", "1023", "1025", "2049")


def runtime(name):
    """The path of a library of the compiler."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    found = subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.sanitizers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some of the tests")
    parser.add_argument("--built", action="store_true", help="use the build that is there")
    parser.add_argument("--target", nargs="+", default=["avx512", "avx2", "generic", "neon"])
    parser.add_argument("arguments", nargs="*", help="tests, and options of pytest, after --")
    options = parser.parse_args()
    begin = time.monotonic()
    if not options.built:
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build", "--build-base", str(BUILD)],
            cwd=ROOT,
            env=os.environ | {"FASTSOFTMAX_INSTRUMENT": "sanitize"},
            check=True,
        )
        print(f"built in {time.monotonic() - begin:.0f} s", flush=True)
    (library,) = BUILD.glob("lib.*")
    environment = os.environ | {
        "PYTHONPATH": str(library),
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    tests = options.arguments or (QUICK if options.quick else ["tests"])
    ignored = [f"--ignore={name}" for name in LEFT_OUT]
    failed = False
    for target in options.target:
        heap = ["-m", "proof.heap", "--target", target, "--lengths", *LENGTHS]
        if not list(library.glob(f"fastsoftmax/_kernels_{target}.*")):
            continue
        done = subprocess.run([sys.executable, *heap], cwd=ROOT, env=environment, check=False)
        failed |= done.returncode != 0
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *ignored]
    command += ["-k", " or ".join(options.target), *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    failed |= done.returncode != 0
    print(f"sanitizers: {'FAILED' if failed else 'no fault'}, {time.monotonic() - begin:.0f} s")
    sys.exit(failed)


if __name__ == "__main__":
    main()
