"""A checker of threads sees no two of them at one place without order: `python -m proof.races`.

(a) FASTSOFTMAX_INSTRUMENT=threads builds the kernels with the thread sanitizer, into a folder of
    their own. It watches `proof.crowd`: calls of eight threads, with workers. A report ends it.
(b) The interpreter and NumPy are not built so. Their own accesses are not seen; their locks are,
    for they are functions of the C library. So every report is about two accesses of the kernels,
    and nothing is suppressed. On a free-threaded interpreter locks are not such functions, and the
    checker would report what they protect; `proof.threads` is for that.
(c) It does not see masked vector loads and stores, of which `proof.crowd` compares the results:
    the generic target has none.
(d) First it has to see a planted race on each target: eight calls that write the same array.
"""

import argparse
import os
import subprocess
import sys
import time

import targets
from interpreter import has_gil

from . import instrumented

REPORTED = 66  # exit status of the checker
PLANTED = """
import numpy as np
from proof import crowd
import fastsoftmax
x = np.ones((300, 400))
out = np.empty_like(x)
crowd.at_once(lambda number: [fastsoftmax.softmax(x, 1, out=out) for _ in range(50)])
"""


def watched(library, target, arguments, **options):
    """Run Python with the kernels of a build under the checker."""
    options = {"halt_on_error": 1, "exitcode": REPORTED} | options
    environment = os.environ | {
        "PYTHONPATH": str(library),
        "LD_PRELOAD": " ".join(map(instrumented.runtime, ("libtsan.so", "libstdc++.so"))),
        "TSAN_OPTIONS": ":".join(f"{name}={value}" for name, value in options.items()),
        targets.VARIABLE: target,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=instrumented.ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.races", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the calls")
    parser.add_argument("--built", action="store_true", help="use the build that is there")
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    options = parser.parse_args()
    if not has_gil():
        sys.exit("races: needs an interpreter whose locks the checker knows, one with a GIL")
    begin, calls, failed = time.monotonic(), 0, []
    if options.built:
        library = instrumented.built("threads")
    else:
        library = instrumented.build_apart("threads", options.target)
    for target in options.target:
        planted = watched(library, target, ["-c", PLANTED], symbolize=0)
        if planted.returncode != REPORTED or "data race" not in planted.stderr:
            failed.append(f"{target} is blind")
        share = "0.05" if options.quick else "1"
        crowd = ["-m", "proof.crowd", "--target", target, "--share", share]
        done = watched(library, target, crowd)
        print(f"{target}: {done.stdout.strip()}", done.stderr[-8_000:], sep="\n", flush=True)
        if done.returncode:
            failed.append(f"{target} has a race" if done.returncode == REPORTED else target)
        else:
            calls += int(done.stdout.split("crowd: ")[1].split()[0].replace(",", ""))
    print(
        f"races: {calls:,} calls in 8 threads on {len(options.target)} targets; "
        f"planted races seen; {', '.join(failed) or 'no report'}; {time.monotonic() - begin:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
