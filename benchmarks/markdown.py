"""Tables and numbers as Markdown text."""

from collections.abc import Iterable


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


def number(value: float | None) -> str:
    """Three digits, whole thousands with commas, and nothing for None.

    >>> number(0.70123), number(45678.9), number(None)
    ('0.701', '45,679', '')
    """
    return "" if value is None else f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"
