"""One run from end to end: measure what was asked for, then write report, data and plots."""

import dataclasses
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import goals, hard_inputs, import_time, machine, measure, memory
from .cell import Cell
from .grid import Group
from .grid import groups as whole_grid
from .libraries import Library, load_ours, load_peers
from .markdown import duration
from .record import Record
from .report import markdown
from .results import Results
from .run import measure as measure_cell


def run(
    *, cpu: int | None, quick: bool, headline_only: bool, words: list[str], output: Path
) -> None:
    """Do what the command line asked for."""
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
    glance = quick and not headline_only

    def timed(cells: tuple[Cell, ...]) -> list[Record]:
        chosen = [cell for cell in cells if cell.matches(words) and (cell.soon_done or not glance)]
        return [_progress(measure_cell(cell, ours, peers, effort)) for cell in chosen]

    results.headline = timed(goals.CELLS)
    grid = [] if headline_only else whole_grid(quick)
    for group in grid:
        if records := timed(group.cells):
            results.groups[group.title] = records
    if not words:
        short = quick or headline_only
        measured = [ours] if short else libraries
        results.errors = hard_inputs.errors(ours, [] if quick else peers, short=short)
        results.memory = _memory(measured)
        results.imports = _imports(measured)
    _write(results, [] if quick else grid, output)


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


def _write(results: Results, drawn: list[Group], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    _draw(results, drawn, output)
    report = output / "report.md"
    report.write_text(markdown(results), encoding="utf-8")
    data = json.dumps(dataclasses.asdict(results), indent=1)
    (output / "results.json").write_text(data, encoding="utf-8")
    print(report)


def _draw(results: Results, groups: list[Group], output: Path) -> None:
    try:
        from . import plots
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
        return
    for group in groups:
        records = results.groups.get(group.title, [])
        if not group.sweep or not records:
            continue
        stem = group.title.lower().replace(",", "").replace(" ", "-")
        plots.ratios(group.title, records, results.peers, output / f"{stem}.png")
        results.plots[group.title] = f"{stem}.png"
        if records[0].cell.out:
            title = f"{group.title}: distance to the floor"
            plots.floor(title, records, output / f"{stem}-floor.png")
            results.plots[title] = f"{stem}-floor.png"
