"""Mutations that are known to change no result: the first table of docs/mutants.md.

A line of the table names the file, the line of code before and after, and the reason. Where the
same line stands in the file several times, `(2nd)` behind it says which of them is meant. A line
that has been edited since is in the table no more, and judged again.
"""

import re

PAGE = "docs/mutants.md"
ROW = re.compile(r"\| `(.+)` \| `(.+)` -> `(.+)`( \(\d\w\w\))? \| .+ \|$")
ORDINAL = {1: "", 2: " (2nd)", 3: " (3rd)"}


def _one_line(text):
    return " ".join(text.split()) or "pass"


def name(root, mutation):
    """The mutation as the table has it, which does not depend on the numbers of lines."""
    lines = (root / mutation.path).read_text().split("\n")
    text = lines[mutation.line - 1]
    count = sum(_one_line(line) == _one_line(text) for line in lines[: mutation.line])
    before, after = map(_one_line, mutation.change)
    ordinal = ORDINAL.get(count, f" ({count}th)")
    return f"{mutation.path.removeprefix('src/fastsoftmax/')}: `{before}` -> `{after}`{ordinal}"


def known(root):
    """The names of all mutations in the table."""
    page = root / PAGE
    rows = map(ROW.match, page.read_text().replace("\\|", "|").split("\n"))
    return {f"{row[1]}: `{row[2]}` -> `{row[3]}`{row[4] or ''}" for row in rows if row}
