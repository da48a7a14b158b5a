"""The goals beside what was reached."""

from .goals import GOALS, IMPORT_MILLISECONDS, MAX_ULP, verdict
from .markdown import number, table
from .results import Results


def goal_table(results: Results) -> str:
    """One line for each goal that this run has a figure for."""
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
                number(goal.bound),
                number(goal.aim),
                number(measured),
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
            rows.append([name, "max ulp", str(bound), str(aim), number(worst), outcome])
    if results.ours in results.imports:
        measured = results.imports[results.ours][0]
        bound, aim = IMPORT_MILLISECONDS
        outcome = verdict(measured, bound, aim, more=False)
        name = "import, over NumPy's"
        rows.append([name, "ms", str(bound), str(aim), number(measured), outcome])
    columns = ["goal", "quantity", "bound", "aim", "measured", ""]
    return table(columns, rows)
