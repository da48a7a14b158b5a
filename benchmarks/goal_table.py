"""The goals beside what was reached."""

from collections.abc import Iterator

from .goals import (
    GROUPS,
    IMPORT_MILLISECONDS,
    MEMORY_BYTES_A_ROW,
    MEMORY_MEGABYTES,
    GoalGroup,
    verdict,
)
from .markdown import number, table
from .results import Results

Row = list[str]


def goal_tables(results: Results) -> Iterator[str]:
    """A table for each group: one line for each goal that this run has a figure for."""
    for group in GROUPS:
        rows = [*_cells(group, results), *_errors(group, results)]
        if rows:
            yield f"### {group.title}\n\n{_table(rows)}"
    rows = [*_memory(results), *_import(results)]
    if rows:
        yield f"### Memory and import\n\n{_table(rows)}"


def _table(rows: list[Row]) -> str:
    return table(["goal", "quantity", "bound", "aim", "measured", ""], rows)


def _cells(group: GoalGroup, results: Results) -> Iterator[Row]:
    by_cell = {record.cell: record for record in results.headline}
    for goal in group.goals:
        record = by_cell.get(goal.cell)
        if record is None:
            continue  # this cell was not asked for
        measured = record.quantity(goal.quantity)
        yield [
            goal.cell.name,
            goal.quantity,
            number(goal.bound),
            number(goal.aim),
            number(measured),
            goal.verdict(measured),
        ]


def _errors(group: GoalGroup, results: Results) -> Iterator[Row]:
    for dtype, (bound, aim) in group.max_ulp.items():
        known = [
            error
            for row in results.errors
            if row.dtype == dtype
            and row.op in group.ops
            and (error := row.ulp[results.ours]) is not None
        ]
        if known:
            worst = max(known)
            outcome = verdict(worst, bound, aim, more=False)
            name = f"{dtype}, all hard inputs"
            yield [name, "max ulp", number(bound), number(aim), number(worst), outcome]


def _memory(results: Results) -> Iterator[Row]:
    for usage in results.memory:
        extra = usage.extra[results.ours]
        if extra is not None:
            rows = usage.cell.size // usage.cell.shape[-1]
            measured = max(0.0, (extra - MEMORY_BYTES_A_ROW * rows) / 1e6)
            outcome = verdict(measured, MEMORY_MEGABYTES, None, more=False)
            quantity = f"MB beyond {MEMORY_BYTES_A_ROW} bytes a row"
            bound = number(MEMORY_MEGABYTES)
            yield [usage.cell.name, quantity, bound, "", number(measured), outcome]


def _import(results: Results) -> Iterator[Row]:
    if results.ours in results.imports:
        measured = results.imports[results.ours][0]
        bound, aim = IMPORT_MILLISECONDS
        outcome = verdict(measured, bound, aim, more=False)
        yield ["import, over NumPy's", "ms", str(bound), str(aim), number(measured), outcome]
