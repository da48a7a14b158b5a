"""The report: every figure of a run, the cells where a peer wins named first."""

from .goal_table import goal_tables
from .markdown import duration, number, table
from .record import Comparison, Record
from .results import Results

PEER_FASTER = "peer faster"


def _comparison(peer: Comparison | None) -> str:
    if peer is None:
        return "no"
    ratio = f"{number(peer.ratio)} [{number(peer.low)}, {number(peer.high)}]"
    error = "" if peer.ulp is None else f" · {number(peer.ulp)} ulp"
    return f"**{ratio} {PEER_FASTER}**{error}" if peer.ratio < 1 else ratio + error


def _records(records: list[Record], peers: list[str]) -> str:
    columns = ["cell", "a call", "ns/element", "cycles/element", "times a copy", "max ulp"]
    peers = [peer for peer in peers if any(peer in record.peers for record in records)]
    rows = (
        [
            record.cell.name,
            duration(record.seconds),
            number(record.nanoseconds_per_element),
            number(record.cycles_per_element),
            number(1 / record.copy.ratio),
            number(record.ulp),
            *(_comparison(record.peers.get(peer)) for peer in peers),
        ]
        for record in records
    )
    return table(columns + peers, rows)


def _one_exp(records: list[Record]) -> str:
    tiny = [record for record in records if record.one_exp is not None]
    rows = (
        [
            record.cell.name,
            duration(record.seconds),
            duration(record.one_exp.seconds),
            number(1 / record.one_exp.ratio),
        ]
        for record in tiny
        if record.one_exp is not None
    )
    return table(["cell", "a call", "one np.exp", "times one np.exp"], rows) if tiny else ""


def _errors(results: Results) -> str:
    names = list(results.errors[0].ulp)
    rows = (
        [f"{row.op} {row.dtype}, {row.kind}"]
        + ["no" if row.ulp[name] is None else number(row.ulp[name]) for name in names]
        for row in results.errors
    )
    return table(["input, 256x1000", *names], rows)


def _memory(results: Results) -> str:
    names = list(results.memory[0].extra)
    rows = (
        [usage.cell.name]
        + ["no" if (extra := usage.extra[name]) is None else number(extra / 1e6) for name in names]
        for usage in results.memory
    )
    return table(["cell", *names], rows)


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
"{PEER_FASTER}".
"times a copy" is our time over that of a copy moving as many bytes, in memory already touched.
Every library runs at one thread. The method is described in docs/benchmarking.md."""


def markdown(results: Results) -> str:
    """The whole report."""
    versions = ", ".join(f"{name} {version}" for name, version in results.libraries.items())
    head = [*results.head, ("Libraries", versions)]
    head += [("Not installed", line) for line in results.missing]
    parts = ["# Goals", table(["", ""], head).replace("---:", "---"), EXPLANATION]
    wins = [
        f"- {record.cell.name}: {peer}, {number(comparison.ratio)}"
        for record in results.headline
        for peer, comparison in record.peers.items()
        if comparison.ratio < 1
    ]
    compared = sum(len(record.peers) for record in results.headline)
    if compared:
        parts += [
            f"## Where a peer is faster\n\n{len(wins)} of {compared} comparisons.",
            "\n".join(wins),
        ]
    if results.headline:
        parts += ["## Bounds and aims", *goal_tables(results)]
        parts += ["## Cells", _records(results.headline, results.peers)]
    tiny = _one_exp(results.headline)
    if tiny:
        parts += ["## Tiny arrays", tiny]
    if results.errors:
        parts += ["## Largest error, in ULP", _errors(results)]
    if results.memory:
        parts += ["## Memory beside inputs and gradient, in MB", _memory(results)]
    if results.imports:
        rows = (
            [name, number(middle), f"{number(low)} to {number(high)}"]
            for name, (middle, low, high) in results.imports.items()
        )
        columns = ["library", "median", "quartiles"]
        parts += ["## Import, in ms over NumPy's", table(columns, rows)]
    unsupported = _unsupported(results.headline)
    if unsupported:
        parts += ["## Not available", unsupported]
    return "\n\n".join(part for part in parts if part) + "\n"
