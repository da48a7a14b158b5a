"""The grid as pictures.

(a) Colours are Okabe and Ito's, which colour-blind readers can tell apart; markers differ as well.
(b) Both axes are logarithmic: a ratio of 2 and one of 1/2 are equally far from 1.
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..ops import OPS
from .cells import FAMILIES, family
from .record import Ratio, Record

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
TICKS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1000,
)

Value = Callable[[Record], Ratio | None]


def _to_best_peer(record: Record) -> Ratio | None:
    return record.ratio


def _over_the_floor(record: Record) -> Ratio | None:
    return None if record.floor is None else record.floor.times


def _points(
    axes: Axes, records: list[Record], value: Value, place: int, label: str, *, bars: bool = True
) -> None:
    known = sorted(
        ((record.cell.size, ratio) for record in records if (ratio := value(record)) is not None),
        key=lambda point: point[0],
    )
    if not known:
        return
    middles = [ratio.median for _, ratio in known]
    away = [
        [ratio.median - ratio.low for _, ratio in known],
        [ratio.high - ratio.median for _, ratio in known],
    ]
    axes.errorbar(
        [size for size, _ in known],
        middles,
        yerr=away if bars else None,
        fmt=MARKERS[place % len(MARKERS)],
        color=COLOURS[place % len(COLOURS)],
        ms=3.5,
        elinewidth=0.6,
        alpha=0.75,
        label=label,
    )


def _dress(axes: Axes, *, shade: bool) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    low, high = min(low, 0.8), max(high, 1.25)
    axes.set_ylim(low, high)
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axhline(1, color="black", linewidth=1)
    if shade:
        axes.axhspan(low, 1, color="#f3e6e6", zorder=0)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    entries = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=6, frameon=False
    )


def _draw(records: list[Record], value: Value, title: str, label: str, file: Path) -> None:
    """A row for each operation, a column for each dtype, a marker for each family."""
    ops = [op for op in OPS if any(record.cell.op == op for record in records)]
    dtypes = list(dict.fromkeys(record.cell.dtype for record in records))
    figure, panels = plt.subplots(
        len(ops),
        len(dtypes),
        figsize=(1.2 + 3.6 * len(dtypes), 1.2 + 2.5 * len(ops)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for row, op in zip(panels, ops, strict=True):
        for axes, dtype in zip(row, dtypes, strict=True):
            shown = [r for r in records if (r.cell.op, r.cell.dtype) == (op, dtype)]
            for place, name in enumerate(FAMILIES):
                members = [record for record in shown if family(record.cell) == name]
                _points(axes, members, value, place, name)
            axes.set_title(f"{op}, {dtype}", fontsize=9)
        row[0].set_ylabel(label)
    for axes in panels.flat:
        _dress(axes, shade=value is _to_best_peer)
    for axes in panels[-1]:
        axes.set_xlabel("elements")
    _legend(figure, list(panels.flat))
    figure.suptitle(title, fontsize=12)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _draw_overview(records: list[Record], title: str, file: Path) -> None:
    """A panel for each operation, as text that a version control can keep."""
    ops = [op for op in OPS if any(record.cell.op == op for record in records)]
    columns = min(len(ops), 3)
    figure, panels = plt.subplots(
        -(-len(ops) // columns),
        columns,
        figsize=(1.0 + 2.9 * columns, 1.2 + 2.2 * -(-len(ops) // columns)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for axes, op in zip(panels.flat, ops, strict=False):
        shown = [record for record in records if record.cell.op == op]
        for place, name in enumerate(FAMILIES):
            members = [record for record in shown if family(record.cell) == name]
            _points(axes, members, _to_best_peer, place, name, bars=False)
        axes.set_title(op, fontsize=9)
    for axes in panels.flat:
        _dress(axes, shade=True)
    for row in panels:
        row[0].set_ylabel("times faster")
    for axes in panels[-1]:
        axes.set_xlabel("elements")
    _legend(figure, list(panels.flat))
    figure.suptitle(title, fontsize=11)
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "overview"}):
        figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def draw(records: list[Record], folder: Path) -> dict[str, str]:
    """Draw what there is; returns titles and file names."""
    kinds: list[tuple[str, list[Record], Value, str, str]] = []
    for out, words in ((False, "fresh output"), (True, "output given")):
        chosen = [r for r in records if r.cell.out is out and r.cell.workers == 1 and r.ratio]
        title = f"Against the best peer, {words} (shaded: the peer is faster)"
        kinds.append((title, chosen, _to_best_peer, "times faster", f"ratio-{words}"))
    shared = [record for record in records if record.cell.workers > 1 and record.ratio]
    title = "Against the best peer, all CPUs (shaded: the peer is faster)"
    kinds.append((title, shared, _to_best_peer, "times faster", "ratio-all-cpus"))
    above = [r for r in records if r.floor is not None and r.floor.level != "call"]
    title = "Distance to the floor, more than 100 elements"
    kinds.append((title, above, _over_the_floor, "times the floor", "floor"))
    drawn = {}
    for title, chosen, value, label, stem in kinds:
        if chosen:
            name = stem.replace(" ", "-") + ".png"
            _draw(chosen, value, title, label, folder / name)
            drawn[title] = name
    single = [r for r in records if r.cell.workers == 1 and r.cell.dtype == "float32"]
    chosen = [r for r in single if not r.cell.out and r.ratio]
    if chosen:
        title = "float32 against the best peer, fresh output (shaded: the peer is faster)"
        _draw_overview(chosen, title, folder / "overview.svg")
        drawn[title] = "overview.svg"
    return drawn
