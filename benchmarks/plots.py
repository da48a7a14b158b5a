"""The figures as pictures.

(a) Colours are Okabe and Ito's, which colour-blind readers can tell apart; markers differ as well.
(b) Both axes are logarithmic: a ratio of 2 and one of 1/2 are equally far from 1.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from .record import Comparison, Record

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

Curve = Callable[[Record], Comparison | None]


def _draw(axes: Axes, records: list[Record], curve: Curve, label: str, place: int) -> None:
    points = [(record.cell.shape[-1], curve(record)) for record in records]
    known = sorted((n, comparison) for n, comparison in points if comparison is not None)
    if not known:
        return
    lengths = [n for n, _ in known]
    style = {"color": COLOURS[place % len(COLOURS)], "linewidth": 1.6}
    marker = MARKERS[place % len(MARKERS)]
    axes.plot(lengths, [c.ratio for _, c in known], marker, ls="-", ms=4.5, label=label, **style)
    axes.fill_between(
        lengths,
        [c.low for _, c in known],
        [c.high for _, c in known],
        color=style["color"],
        alpha=0.18,
        linewidth=0,
    )


def _plain(value: float, _: int | None = None) -> str:
    return f"{value:g}"


def _dress(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_yticks(ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _ordered(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    entries = {}
    for axes in panels:
        entries |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=6, frameon=False
    )


def ratios(title: str, records: list[Record], peers: list[str], file: Path) -> None:
    """How many times faster than each peer, over the length of a row."""
    ops = _ordered(record.cell.op for record in records)
    dtypes = _ordered(record.cell.dtype for record in records)
    size = (1.2 + 3.6 * len(dtypes), 1.2 + 2.7 * len(ops))
    figure, panels = plt.subplots(
        len(ops), len(dtypes), figsize=size, squeeze=False, sharex=True, layout="constrained"
    )
    for row, op in zip(panels, ops, strict=True):
        for axes, dtype in zip(row, dtypes, strict=True):
            shown = [r for r in records if (r.cell.op, r.cell.dtype) == (op, dtype)]
            for place, peer in enumerate(peers):
                _draw(axes, shown, lambda r, peer=peer: r.peers.get(peer), peer, place)
            axes.axhline(1, color="black", linewidth=1.2)
            _dress(axes)
            bottom = min(axes.get_ylim()[0], 0.8)
            axes.set_ylim(bottom=bottom)
            axes.axhspan(bottom, 1, color="#f3e6e6", zorder=0)
            axes.set_title(f"{op}, {dtype}", fontsize=10)
        row[0].set_ylabel("times faster than the peer")
    for axes in panels[-1]:
        axes.set_xlabel("elements in a row")
    _legend(figure, panels.flat)
    figure.suptitle(f"{title} (shaded: the peer is faster)", fontsize=12)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def floor(title: str, records: list[Record], file: Path) -> None:
    """How many times a copy of as many bytes a call takes, over the length of a row."""
    dtypes = _ordered(record.cell.dtype for record in records)
    figure, panels = plt.subplots(
        1,
        len(dtypes),
        figsize=(1.2 + 4.2 * len(dtypes), 4),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for axes, dtype in zip(panels[0], dtypes, strict=True):
        for place, op in enumerate(_ordered(record.cell.op for record in records)):
            shown = [r for r in records if (r.cell.op, r.cell.dtype) == (op, dtype)]
            _draw(axes, shown, _times_a_copy, op, place)
        axes.axhline(1, color="black", linewidth=1.2)
        _dress(axes)
        axes.set_title(dtype, fontsize=10)
        axes.set_xlabel("elements in a row")
    panels[0][0].set_ylabel("times a copy of as many bytes")
    _legend(figure, panels.flat)
    figure.suptitle(title, fontsize=12)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _times_a_copy(record: Record) -> Comparison:
    copy = record.copy
    return Comparison(1 / copy.ratio, 1 / copy.high, 1 / copy.low, copy.seconds)
