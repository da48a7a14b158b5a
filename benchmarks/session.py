"""The goals from end to end: measure what was asked for, then write report and data."""

import dataclasses
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import goals, hard_inputs, import_time, machine, measure, memory
from .libraries import Library, load_ours, load_peers
from .markdown import duration
from .record import Record
from .report import markdown
from .results import Results
from .run import measure as measure_cell


def run(*, cpu: int | None, quick: bool, parts: list[str], output: Path) -> None:
    """Measure the goals; accuracy, memory and import, too, unless cells were picked."""
    head = [("Date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"), *machine.describe(cpu)]
    ours = load_ours()
    peers, missing = load_peers()
    libraries = [ours, *peers]
    effort = measure.QUICK if quick else measure.FULL
    effort_text = f"{effort.rounds} pairs of {effort.sample * 1e3:g} ms halves"
    results = Results(
        [*head, ("Effort", effort_text)],
        {library.name: library.version for library in libraries},
        missing,
    )
    results.headline = [
        _progress(measure_cell(cell, ours, peers, effort))
        for cell in goals.CELLS
        if cell.matches(parts)
    ]
    if not parts:
        measured = [ours] if quick else libraries
        results.errors = hard_inputs.errors(ours, [] if quick else peers, short=quick)
        results.memory = _memory(measured)
        results.imports = _imports(measured)
    _write(results, output)


def _progress(record: Record) -> Record:
    ratios = ", ".join(f"{name} {peer.ratio:.2f}" for name, peer in record.peers.items())
    print(f"{record.cell.name}: {duration(record.seconds)}; {ratios}", file=sys.stderr)
    return record


def _memory(libraries: list[Library]) -> list[memory.Usage]:
    op = goals.MEMORY_CELLS[0].op
    names = [library.name for library in libraries if op in library.spellings]
    return [memory.usage(cell, names) for cell in goals.MEMORY_CELLS]


def _imports(libraries: list[Library]) -> dict[str, tuple[float, float, float]]:
    return {
        library.name: import_time.milliseconds(library.name)
        for library in libraries
        if library.name in import_time.MODULES
    }


def _write(results: Results, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    report = output / "goals.md"
    report.write_text(markdown(results), encoding="utf-8")
    data = json.dumps(dataclasses.asdict(results), indent=1)
    (output / "goals.json").write_text(data, encoding="utf-8")
    print(report)
