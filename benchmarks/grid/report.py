"""The grid as Markdown: the summary first, the cells where a peer is faster named plainly."""

from collections.abc import Iterable, Iterator

from ..markdown import duration, number, table
from . import summary
from .cells import FAMILIES, family
from .record import Ratio, Record
from .store import Head

WORST = 10

EXPLANATION = """\
"ratio" is how many times faster fastsoftmax is than the best peer of the cell: the median of
ratios taken within rounds, with their quartiles. Below 1 the peer is faster; such a cell is bold.
"floor" is our time over the floor: a copy of the bytes moved, as many exponentials at full speed,
or on tiny arrays one call of `np.exp`. "~" marks a peer that a first look showed to be far behind
and that was not measured further.
The method is described in docs/benchmarking.md."""


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "no peer"
    text = f"{number(ratio.median)} [{number(ratio.low)}, {number(ratio.high)}]"
    return f"**{text} peer faster**" if ratio.median < 1 else text


def _floor(record: Record) -> str:
    if record.floor is None:
        return ""
    return f"{number(record.floor.times.median)} {record.floor.level}"


def _others(record: Record) -> str:
    paired = {name: ratio.median for name, ratio in record.paired.items() if name != record.best}
    texts = [f"{name} {number(ratio)}" for name, ratio in sorted(paired.items())]
    texts += [f"{name} ~{number(ratio)}" for name, ratio in sorted(record.estimated.items())]
    return ", ".join(texts)


def _cells(records: Iterable[Record]) -> str:
    rows = (
        [
            record.cell.name,
            duration(record.seconds),
            record.best or "",
            _ratio(record.ratio),
            _floor(record),
            str(record.rounds),
            _others(record),
        ]
        for record in records
    )
    return table(["cell", "ours", "best peer", "ratio", "floor", "rounds", "other peers"], rows)


def _groups(found: Iterable[summary.Group]) -> str:
    rows = (
        [one.name, str(one.cells), number(one.mean), number(one.smallest), str(one.peer_faster)]
        for one in found
    )
    return table(["", "cells", "geometric mean", "smallest", "peer faster"], rows)


def _summary(records: list[Record]) -> Iterator[str]:
    whole = summary.group("all", records)
    if whole is None:
        return
    yield "## Ratio to the best peer"
    yield _groups([whole])
    for title, of in summary.GROUPINGS.items():
        yield f"### By {title}"
        yield _groups(summary.groups(records, of))
    yield "### By operation, dtype and output"
    output = summary.GROUPINGS["output"]
    yield _groups(
        summary.groups(records, lambda r: f"{r.cell.op} {r.cell.dtype}, {output(r)} output")
    )
    yield f"## The {WORST} worst cells"
    yield _cells(summary.worst(records, WORST))
    faster = summary.peer_faster(records)
    yield f"## Where a peer is faster\n\n{len(faster)} of {whole.cells} cells."
    if faster:
        yield _cells(faster)


def _listed(what: dict[str, list[str]]) -> str:
    return "\n".join(f"- {reason} ({_some(cells)})" for reason, cells in sorted(what.items()))


def _some(cells: list[str]) -> str:
    return cells[0] if len(cells) == 1 else f"{len(cells)} cells, the first {cells[0]}"


def _unavailable(records: list[Record], left_out: dict[str, str]) -> str:
    found: dict[str, list[str]] = {}
    for record in records:
        for peer, reason in record.unsupported.items():
            found.setdefault(f"{peer}: {reason}", []).append(record.cell.name)
    for name, reason in left_out.items():
        found.setdefault(f"left out, fastsoftmax: {reason}", []).append(name)
    return _listed(found)


def _spared(records: list[Record]) -> str:
    rows = [
        f"- {record.cell.name}: {peer}, {reason}"
        for record in records
        for peer, reason in record.spared.items()
    ]
    return "\n".join(rows)


def markdown(
    head: Head, records: list[Record], left_out: dict[str, str], plots: dict[str, str]
) -> str:
    """The whole report; `left_out` are cells that ours has no call for."""
    entries = table(["", ""], ([key, str(value)] for key, value in head.items()))
    parts = ["# Benchmark grid", entries.replace("---:", "---"), EXPLANATION, *_summary(records)]
    parts += [f"![{title}]({file})" for title, file in plots.items()]
    for name in FAMILIES:
        if cells := [record for record in records if family(record.cell) == name]:
            parts += [f"## {name}", _cells(cells)]
    for title, text in (
        ("Not available", _unavailable(records, left_out)),
        ("Peers spared a large array", _spared(records)),
    ):
        if text:
            parts += [f"## {title}", text]
    return "\n\n".join(parts) + "\n"
