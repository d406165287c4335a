"""Markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["shown", "table"]


def shown(value: Any) -> str:
    """A cell's text: floats by size, pairs as an interval."""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    if isinstance(value, (tuple, list)):
        return " to ".join(f"{v:.2f}" for v in value)
    return "" if value is None else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table; the first column is text, the others numbers."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(map(shown, line))} |\n" for line in lines)
