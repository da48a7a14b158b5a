"""Every float32 has the same exponential and logarithm everywhere: `python -m proof.every_float32`.

(a) `proof.sweep` judges these results against float64, which is too much for an emulated processor.
    But bits can be compared: the results of all inputs go into checksums, one for each 2^27 inputs
    in the order of their bits, and these have to be those of the file beside this one. So the
    errors that the sweep found on one machine are those of all: of NEON, too, under emulation.
(b) Targets with fused multiply-add have one set of checksums, the target without another, for fewer
    inputs: there rows are shifted much earlier.
(c) A checksum is a CRC, which the C library of Python computes fast on any machine; a single result
    that differs never leaves it as it was.
"""

import argparse
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import targets

from .same_bits.golden import group
from .sweep.elementary import GENTLE, RANGES, every_float32
from .sweep.exact import LOG2_E

FILE = Path(__file__).with_suffix(".txt")
TOGETHER = 1 << 27  # inputs of a checksum
GAPS = np.uint32(188)  # the largest element of a row is at most so many powers of two above


def terms(kernels, x):
    """Terms of sums, each relative to a largest element of its own."""
    gap = (x.view(np.uint32) % GAPS).astype(np.float32)
    K = np.rint(x.astype(np.float64) * LOG2_E).astype(np.float32) + gap
    return kernels.terms(x, K)[0]


def logarithms(kernels, x):
    """log(1 + x), which float32 rows have in float64."""
    return kernels.log1p(x.astype(np.float64))


def functions(gentle):
    """What is computed: a name, the function, the first and the last input."""
    limits = RANGES["float32"]
    limit = limits.gentle_limit if gentle else limits.limit
    return (
        ("e^x", terms, 0.0, limit),
        ("e^-x", terms, -0.0, -limit - limits.lowest),
        ("log(1+x)", logarithms, 0.0, np.finfo(np.float32).max),
    )


def checksums(kernels, gentle, share):
    """The checksums by their names, and how many inputs there were; a share of each 2^27 inputs."""
    found, count = {}, 0
    for name, function, low, high in functions(gentle):
        first, last = (int(np.float32(v).view(np.uint32)) for v in (low, high))
        for start in range(first, last + 1, TOGETHER):
            stop = min(start + max(int(share * TOGETHER), 1), start + TOGETHER, last + 1)
            low_x, high_x = np.array([start, stop - 1], np.uint32).view(np.float32)
            check = 0
            for x in every_float32(low_x, high_x, 1):
                check = zlib.crc32(function(kernels, x), check)
            found[f"{name} {share:g} {start:08x}"] = f"{check:08x}"
            count += stop - start
    return found, count


def read():
    """The checksums of the file: (group, name) -> checksum."""
    lines = [line.split() for line in FILE.read_text().splitlines() if not line.startswith("#")]
    return {(whose, " ".join(name)): check for whose, *name, check in lines}


def write(found):
    """Write the file anew, with what it had."""
    known = (read() if FILE.exists() else {}) | found
    lines = [f"{whose} {name} {check}\n" for (whose, name), check in sorted(known.items())]
    FILE.write_text(
        "# targets, function, share, first input's bits, CRC of the results\n" + "".join(lines)
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.every_float32", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first thousandth of each range")
    parser.add_argument("--target", nargs="+", choices=targets.runnable(), help="not all targets")
    parser.add_argument("--write", action="store_true", help="write the checksums into the file")
    options = parser.parse_args()
    begin, total, differ, known = time.monotonic(), 0, 0, read() if FILE.exists() else {}
    chosen = options.target or targets.runnable()
    for target in chosen:
        kernels = targets.activate(target)._target.kernels
        found, count = checksums(kernels, target in GENTLE, 0.001 if options.quick else 1)
        found = {(group(target), name): check for name, check in found.items()}
        if options.write:
            known = found | known
        wrong = [name for name in found if known.get(name) != found[name]]
        total, differ = total + count, differ + len(wrong)
        print(
            f"{target}: {count:,} inputs, {len(found)} checksums, {len(wrong)} differ "
            f"{wrong[:5] or ''}; {time.monotonic() - begin:.0f} s",
            flush=True,
        )
    if options.write and not differ:
        write(known)
    print(
        f"every_float32: {total:,} inputs on {', '.join(chosen)}; {differ} checksums differ; "
        f"{time.monotonic() - begin:.0f} s"
    )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
