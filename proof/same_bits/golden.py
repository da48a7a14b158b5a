"""The hashes that results have to have, in a file beside this module.

A line for each part of the rows, dtype and call: one for the targets with a fused multiply-add, and
one for plain C++, which rounds more often and so has bits of its own.
"""

from pathlib import Path

PATH = Path(__file__).with_name("golden.txt")
HEAD = """\
# Hashes of the results of python -m proof.same_bits, written by it with --write.
# Another line here means other bits: CHANGELOG has to say so.
"""


def group(target):
    """The targets that share their bits."""
    return "generic" if target == "generic" else "fma"


def read():
    """(group, part, dtype, call) -> hash."""
    if not PATH.exists():
        return {}
    lines = [line.split(maxsplit=4) for line in PATH.read_text().splitlines()]
    return {
        (whose, part, dtype, call): digest
        for whose, part, dtype, digest, call in (line for line in lines if line[0] != "#")
    }


def write(hashes):
    rows = (
        f"{whose:7} {part:5} {dtype:8} {digest} {call}\n"
        for (whose, part, dtype, call), digest in sorted(hashes.items())
    )
    PATH.write_text(HEAD + "".join(rows))
