"""Valgrind sees no invalid or uninitialised memory used: `python -m proof.valgrind`.

(a) It runs `proof.heap`, with every object of the interpreter from the C library's allocator, so
    that it knows where each ends. Errors count if a function of the kernels is among the callers:
    the interpreter and NumPy are not ours to judge.
(b) It knows no AVX-512: the guard pages are for that.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import targets

TARGETS = ("avx2", "generic")  # what valgrind can run
LENGTHS = (1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65, 127, 130, 255, 1_023, 1_025, 2_049)
FEW_LENGTHS = (1, 3, 17, 65, 1_025)


def check(target, lengths):
    """Run valgrind: what the program says, errors of the kernels, and of others."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        done = subprocess.run(
            ["valgrind", "--error-limit=no", "--num-callers=30", f"--log-file={log}"]
            + [sys.executable, "-m", "proof.heap", "--target", target, "--lengths"]
            + [str(n) for n in lengths],
            env=os.environ | {"PYTHONMALLOC": "malloc", targets.VARIABLE: target},
            check=False,
            capture_output=True,
            text=True,
        )
        text = re.sub(r"^==\d+== ?", "", log.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if done.returncode:
        return done.stderr[-2_000:] + text[-2_000:], [text], 0
    blocks = text.split("\n\n")
    errors = [block for block in blocks if re.search("^   (at|by) 0x", block, re.MULTILINE)]
    ours = [block for block in errors if re.search(r"_kernels_|fastsoftmax/_cpu", block)]
    return done.stdout.strip(), ours, len(errors) - len(ours)


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.valgrind", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few lengths")
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=TARGETS)
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind: there is none")
    begin, found = time.monotonic(), 0
    for target in options.target:
        said, ours, others = check(target, FEW_LENGTHS if options.quick else LENGTHS)
        print(f"{said}: {len(ours)} errors of the kernels, {others} of others", flush=True)
        print("\n\n".join(ours[:5]))
        found += len(ours)
    print(
        f"valgrind: {len(options.target)} targets, {found} errors, {time.monotonic() - begin:.0f} s"
    )
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
