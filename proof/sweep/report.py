"""The tables of a sweep: `docs/accuracy.md` has one section a machine, each written by its own run.

A cell has the largest error of each group of targets. Targets are one group if all results that
were judged had the same bits.
"""

import datetime
import platform
import re
import subprocess
from pathlib import Path

import numpy as np

from . import elementary, functions, halves
from .record import Kind, Record

DTYPES = ("float16", "bfloat16", "float32", "float64")
TITLE = """# Measured accuracy

Written by `python -m proof.sweep --write docs/accuracy.md`; the notes of its modules say what is
swept. [method.md](method.md) explains the method, and the README and [gradients.md](gradients.md)
give the bounds. Errors are in units in the last place (ULP) of the result's dtype, at the exact
result or at the scale that the bound is relative to. Below the smallest normal number an ULP is the
smallest subnormal.
"""


def _groups(record):
    return " / ".join(" = ".join(group) for group in record.groups())


def _cell(record, kinds, show_family=False):
    """The largest errors of the groups of targets, or nothing where nothing was judged."""
    found = [record.largest(kinds, group[0]) for group in record.groups()]
    if not any(found):
        return ""
    errors = " / ".join("-" if pair is None else f"{pair[1].error:.3f}" for pair in found)
    if show_family:
        worst = max((pair for pair in found if pair), key=lambda pair: pair[1].error)
        errors += f" ({worst[0].family})"
    return errors


def _limits(record, kinds):
    limits = [worst.limit for kind in kinds for worst in record.kinds[kind].values()]
    low, high = min(limits), max(limits)
    return f"{low:g}" if low == high else f"{low:g}, generic {high:g}"


def _results(record, kinds):
    """How many results of one target, the first."""
    first = record.targets[0]
    return sum(record.kinds[k][first].results for k in kinds if first in record.kinds[k])


def _table(rows):
    width = len(rows[0])
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + "---|" * width
    for row in rows[1:]:
        yield "| " + " | ".join(row) + " |"


def _largest(record, part):
    """One row for each operation and dtype: how many, the largest errors, the bounds."""
    rows = [
        ("operation", "dtype", "results", "largest error, ULP", "bound", "below normal", "bound")
    ]
    kinds = [k for k in record.kinds if k.part == part]
    for name, dtype in dict.fromkeys((k.operation, k.dtype) for k in kinds):
        of_it = [k for k in kinds if (k.operation, k.dtype) == (name, dtype)]
        normal = [k for k in of_it if not k.subnormal]
        below = [k for k in of_it if k.subnormal]
        rows.append(
            (
                f"{name}",
                dtype,
                f"{_results(record, of_it):,}",
                _cell(record, normal, show_family=True),
                _limits(record, normal) if normal else "",
                _cell(record, below),
                _limits(record, below) if below else "",
            )
        )
    return _table(rows)


def _by_family(record, operation):
    kinds = [k for k in record.kinds if k.part == functions.PART and k.operation == operation]
    rows = [("family", *DTYPES)]
    for family in sorted({k.family for k in kinds}):
        cells = [[k for k in kinds if k.family == family and k.dtype == d] for d in DTYPES]
        rows.append((family, *(_cell(record, chosen) for chosen in cells)))
    return _table(rows)


def _counts(record, part):
    counts = record.counts[part]
    return "; ".join(f"{number:,} {what}" for what, number in counts.items()) + "."


def summary(record: Record):
    """The largest errors, for the terminal."""
    for kind, errors in record.kinds.items():
        if kind.part == functions.PART:
            continue
        shown = ", ".join(f"{t} {w.error:.3f}" for t, w in errors.items())
        yield f"{kind.part}: {_named(kind)}: {shown}"
    kinds = [k for k in record.kinds if k.part == functions.PART]
    for name, dtype, low in dict.fromkeys((k.operation, k.dtype, k.subnormal) for k in kinds):
        of_it = [k for k in kinds if (k.operation, k.dtype, k.subnormal) == (name, dtype, low)]
        cell = _cell(record, of_it, show_family=True)
        yield f"functions: {name}, {dtype}{', below normal' if low else ''}: {cell}"
    yield f"groups of targets with the same bits: {_groups(record)}"


def _named(kind: Kind):
    return (
        f"{kind.operation}, {kind.dtype}, {kind.family}{', below normal' if kind.subnormal else ''}"
    )


def figures(record: Record):
    """One line."""
    results = sum(w.results for errors in record.kinds.values() for w in errors.values())
    return (
        f"{results:,} results judged on {', '.join(record.targets)}; "
        f"{len(record.failures)} calls beyond a bound"
    )


def _git(*words):
    run = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    return run.stdout.strip()


def _processor():
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found.group(1)
    return platform.processor() or "an unnamed processor"


def _section(record, share, machine):
    changed = ", with changes" if _git("status", "--porcelain", "--", "src") else ""
    yield f"## {machine}"
    yield ""
    commit, tree = (_git("rev-parse", "--short=12", name) for name in ("HEAD", "HEAD:src"))
    yield (
        f"{datetime.datetime.now(datetime.UTC).date()}, commit {commit} "
        f"(`src` is tree {tree}{changed}), {_processor()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}."
    )
    if share < 1:
        yield f"A share of {share:.3g}: not the whole sweep."
    yield ""
    yield f"Targets, in the order of the cells, `=` between those of same bits: {_groups(record)}."
    yield ""
    verdict = f"{len(record.failures)} calls went beyond a bound." if record.failures else "None."
    yield f"Beyond a bound: {verdict}"
    for part, title in (
        (elementary.PART, "The exponential and the logarithm"),
        (functions.PART, "Public functions"),
        (halves.PART, "Every number of 16 bits"),
    ):
        yield from ("", f"### {title}", "", _counts(record, part), "")
        yield from _largest(record, part)
    yield from ("", "### By families of inputs", "", "As `tests/families.py` names them.")
    names = dict.fromkeys(k.operation for k in record.kinds if k.part == functions.PART)
    for name in names:
        yield from ("", f"#### {name}", "")
        yield from _by_family(record, name)


def write(path: Path, record: Record, share: float) -> None:
    """Put the section of this machine into the file, in place of an older one."""
    machine = platform.machine()
    old = path.read_text() if path.exists() else ""
    sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)[1:]
    kept = [section for section in sections if not section.startswith(f"## {machine}\n")]
    kept.append("\n".join(_section(record, share, machine)) + "\n")
    kept.sort(key=lambda section: section.startswith("## aarch64"))
    path.write_text("\n".join([TITLE, *(s.rstrip("\n") + "\n" for s in kept)]))
