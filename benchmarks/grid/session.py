"""A run of the grid from end to end.

(a) First all cells at one thread, in this process: every library can be held to one. Then those at
    all CPUs, each library in a process of its own.
(b) Every cell is saved as soon as it is done, and the report is written in any case, so that an
    interrupted run loses nothing; `--resume` goes on with it.
"""

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import machine, threads
from ..cell import Cell
from ..libraries import load_ours, load_peers
from ..libraries.ours import takes_workers
from ..markdown import duration
from .arrays import forget
from .budget import Budget
from .cells import cells
from .contest import LARGE, hold
from .contestant import Contestant, Here
from .record import Record, to_json
from .report import markdown
from .slow_peers import SlowPeers
from .station import Station
from .store import Head, Store

ORIGIN = ("CPU", "System", "Python", "Target", "Libraries")


@dataclass(frozen=True)
class Plan:
    """What the command line asked for."""

    cpu: int | None
    quick: bool
    parts: list[str]
    minutes: float
    workers: str
    resume: bool
    output: Path


def chosen(plan: Plan, cpus: int) -> list[Cell]:
    """The cells of the plan, in their order."""
    counts = {"1": [1], "all": [cpus], "both": [1, cpus]}[plan.workers]
    found = [cell for count in counts for cell in cells(quick=plan.quick, workers=count)]
    return [cell for cell in dict.fromkeys(found) if cell.matches(plan.parts)]


class _Run:
    """What the two halves of a run share."""

    def __init__(self, plan: Plan, asked: list[Cell], store: Store) -> None:
        self.store = store
        self.left_out: dict[str, str] = {}
        self.left = [cell for cell in asked if cell not in store.records]
        seconds = 60 * plan.minutes * len(self.left) / max(1, len(asked))
        self.budget = Budget(seconds, self.left)
        self._slow = SlowPeers()
        self._asked = len(asked)
        self._started = time.perf_counter()
        for record in store.records.values():
            self._slow.learn(record)

    def measure(self, cell: Cell, ours: Contestant, peers: list[Contestant]) -> None:
        share = self.budget.share(cell)
        record = hold(cell, ours, peers, share, self._slow.reason)
        self._slow.learn(record)
        self.store.add(record)
        if cell.size >= LARGE:
            forget()
        self._say(record)

    def _say(self, record: Record) -> None:
        seconds = time.perf_counter() - self._started
        ratio = "no peer" if record.ratio is None else f"{record.ratio.median:.2f} {record.best}"
        print(
            f"[{seconds:4.0f} s, {len(self.store.records)}/{self._asked}] {record.cell.name}: "
            f"{duration(record.seconds)}; {ratio}",
            file=sys.stderr,
        )


def run(plan: Plan) -> None:
    """Measure, save and report."""
    ours = load_ours()
    peers, missing = load_peers()
    cpus = threads.available()
    asked = chosen(plan, cpus)
    if not asked:
        raise SystemExit("no cell has such a name")
    versions = ", ".join(f"{library.name} {library.version}" for library in (ours, *peers))
    head: Head = {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **dict(machine.describe(plan.cpu)),
        "Libraries": versions,
        "Not installed": "; ".join(missing) or "none",
        "Time for the run": f"{plan.minutes:g} minutes for {len(asked)} cells",
    }
    for key, value in head.items():
        print(f"{key}: {value}", file=sys.stderr)
    store = Store(plan.output / "cells.jsonl", head, ORIGIN, resume=plan.resume)
    state = _Run(plan, asked, store)
    started = time.perf_counter()
    try:
        _one_thread(state, [Here(ours, judged=True), *(Here(peer) for peer in peers)])
        _all_cpus(state, [library.name for library in (ours, *peers)], cpus)
    except KeyboardInterrupt:
        print("interrupted; --resume goes on from here", file=sys.stderr)
    finally:
        store.close()
        elapsed = f"{(time.perf_counter() - started) / 60:.1f} minutes"
        records = [store.records[cell] for cell in asked if cell in store.records]
        _write(store.head | {"Time taken": elapsed}, records, state.left_out, plan.output)


def _one_thread(state: _Run, contestants: list[Here]) -> None:
    for cell in state.left:
        if cell.workers == 1:
            state.measure(cell, contestants[0], list(contestants[1:]))
    forget()


def _all_cpus(state: _Run, names: list[str], cpus: int) -> None:
    due = [cell for cell in state.left if cell.workers > 1]
    for cell in due:
        if not takes_workers(cell.op):
            state.left_out[cell.name] = "takes no workers"
    due = [cell for cell in due if cell.name not in state.left_out]
    if not due:
        return
    threads.unpin()
    with ExitStack() as stack:
        stations = [Station(name, cpus) for name in names]
        for station in stations:
            stack.callback(station.close)
        for station in stations:
            station.release()  # answers when the library has been imported
        for cell in due:
            state.measure(cell, stations[0], list(stations[1:]))


def _write(head: Head, records: list[Record], left_out: dict[str, str], output: Path) -> None:
    plots: dict[str, str] = {}
    try:
        from .plots import draw
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
    else:
        plots = draw(records, output)
    report = output / "grid.md"
    report.write_text(markdown(head, records, left_out, plots), encoding="utf-8")
    data = {"head": head, "left out": left_out, "cells": [to_json(record) for record in records]}
    (output / "grid.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    print(report)
