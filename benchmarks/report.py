"""The figures as Markdown."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .goals import GOALS, IMPORT_MILLISECONDS, MAX_ULP, verdict
from .hard_inputs import Errors
from .record import Comparison, Record

PEER_WINS = "peer wins"


@dataclass
class Results:
    """All that one run measured."""

    head: list[tuple[str, str]]
    libraries: dict[str, str]  # name, version; ours first
    missing: list[str]
    headline: list[Record] = field(default_factory=list)
    groups: dict[str, list[Record]] = field(default_factory=dict)
    errors: list[Errors] = field(default_factory=list)
    imports: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)  # title, file name

    @property
    def ours(self) -> str:
        return next(iter(self.libraries))

    @property
    def peers(self) -> list[str]:
        return list(self.libraries)[1:]

    @property
    def records(self) -> list[Record]:
        return self.headline + [record for group in self.groups.values() for record in group]


def table(columns: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, its first column to the left and the rest to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(1.234e-7), duration(0.0567)
    ('123 ns', '56.7 ms')
    """
    for unit, size in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _comparison(peer: Comparison | None) -> str:
    if peer is None:
        return "no"
    ratio = f"{_number(peer.ratio)} [{_number(peer.low)}, {_number(peer.high)}]"
    error = "" if peer.ulp is None else f" · {_number(peer.ulp)} ulp"
    return f"**{ratio} {PEER_WINS}**{error}" if peer.ratio < 1 else ratio + error


def _records(records: list[Record], peers: list[str]) -> str:
    columns = ["cell", "a call", "ns/element", "cycles/element", "times a copy", "max ulp"]
    rows = (
        [
            record.cell.name,
            duration(record.seconds),
            _number(record.nanoseconds_per_element),
            _number(record.cycles_per_element),
            _number(1 / record.copy.ratio),
            _number(record.ulp),
            *(_comparison(record.peers.get(peer)) for peer in peers),
        ]
        for record in records
    )
    return table(columns + peers, rows)


def _goals(results: Results) -> str:
    by_cell = {record.cell: record for record in results.headline}
    rows = []
    for goal in GOALS:
        record = by_cell.get(goal.cell)
        if record is None:
            continue  # this cell was not asked for
        measured = record.quantity(goal.quantity)
        rows.append(
            [
                goal.cell.name,
                goal.quantity,
                _number(goal.bound),
                _number(goal.aim),
                _number(measured),
                goal.verdict(measured),
            ]
        )
    for dtype, (bound, aim) in MAX_ULP.items():
        errors = [row.ulp[results.ours] for row in results.errors if row.dtype == dtype]
        known = [error for error in errors if error is not None]
        if known:
            worst = max(known)
            outcome = verdict(worst, bound, aim, more=False)
            name = f"{dtype}, all hard inputs"
            rows.append([name, "max ulp", str(bound), str(aim), _number(worst), outcome])
    if results.ours in results.imports:
        measured = results.imports[results.ours][0]
        bound, aim = IMPORT_MILLISECONDS
        outcome = verdict(measured, bound, aim, more=False)
        name = "import, over NumPy's"
        rows.append([name, "ms", str(bound), str(aim), _number(measured), outcome])
    columns = ["goal", "quantity", "bound", "aim", "measured", ""]
    return table(columns, rows)


def _one_exp(records: list[Record]) -> str:
    tiny = [record for record in records if record.one_exp is not None]
    rows = (
        [
            record.cell.name,
            duration(record.seconds),
            duration(record.one_exp.seconds),
            _number(1 / record.one_exp.ratio),
        ]
        for record in tiny
        if record.one_exp is not None
    )
    return table(["cell", "a call", "one np.exp", "times one np.exp"], rows) if tiny else ""


def _errors(results: Results) -> str:
    names = list(results.libraries)
    rows = (
        [f"{row.op} {row.dtype}, {row.kind}"]
        + ["no" if row.ulp[name] is None else _number(row.ulp[name]) for name in names]
        for row in results.errors
    )
    return table(["input, 256x1000", *names], rows)


def _unsupported(records: list[Record]) -> str:
    kinds: dict[tuple[str, str], list[str]] = {}
    for record in records:
        cell = record.cell
        kind = f"{cell.op} {cell.dtype}" + (" out=" if cell.out else "")
        for peer, reason in record.unsupported.items():
            known = kinds.setdefault((peer, reason), [])
            if kind not in known:
                known.append(kind)
    return "\n".join(
        f"- {peer}: {reason} ({', '.join(known)})" for (peer, reason), known in kinds.items()
    )


EXPLANATION = f"""\
A peer's column holds how many times faster fastsoftmax is: the median of paired ratios and their
quartiles, then the peer's largest error. Below 1 the peer is faster, and the cell says
"{PEER_WINS}".
"times a copy" is our time over that of a copy moving as many bytes, in memory already touched.
Every library runs at one thread. The method is described in docs/benchmarking.md."""


def markdown(results: Results) -> str:
    """The whole report."""
    versions = ", ".join(f"{name} {version}" for name, version in results.libraries.items())
    head = [*results.head, ("Libraries", versions)]
    head += [("Not installed", line) for line in results.missing]
    parts = ["# Benchmark report", table(["", ""], head).replace("---:", "---"), EXPLANATION]
    wins = [
        f"- {record.cell.name}: {peer}, {_number(comparison.ratio)}"
        for record in results.records
        for peer, comparison in record.peers.items()
        if comparison.ratio < 1
    ]
    compared = sum(len(record.peers) for record in results.records)
    if compared:
        parts += [
            f"## Where a peer wins\n\n{len(wins)} of {compared} comparisons.",
            "\n".join(wins),
        ]
    if results.headline:
        parts += ["## Goals", _goals(results)]
    if results.headline:
        parts += ["## Headline", _records(results.headline, results.peers)]
    for title, records in results.groups.items():
        parts += [f"## {title}", _records(records, results.peers)]
    tiny = _one_exp(results.records)
    if tiny:
        parts += ["## Tiny arrays", tiny]
    if results.errors:
        parts += ["## Largest error, in ULP", _errors(results)]
    if results.imports:
        rows = (
            [name, _number(middle), f"{_number(low)} to {_number(high)}"]
            for name, (middle, low, high) in results.imports.items()
        )
        columns = ["library", "median", "quartiles"]
        parts += ["## Import, in ms over NumPy's", table(columns, rows)]
    for title, file in results.plots.items():
        parts.append(f"![{title}]({file})")
    unsupported = _unsupported(results.records)
    if unsupported:
        parts += ["## Not available", unsupported]
    return "\n\n".join(part for part in parts if part) + "\n"
