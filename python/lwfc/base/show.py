"""Showing results on terminals and in notebooks."""

import html
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["field_text", "html_fields", "html_table", "text_fields", "text_table"]


def html_table(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """A table of text cells as HTML."""

    def row(tag: str, cells: Sequence[Any]) -> str:
        inner = "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    return f"<table>{row('th', head)}{''.join(row('td', cells) for cells in body)}</table>"


def field_text(value: Any) -> str:
    """A field for people: six digits of floats, of long lists their length."""
    if isinstance(value, list):
        few = len(value) <= 4
        return f"[{', '.join(map(field_text, value))}]" if few else f"{len(value)} values"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def html_fields(title: str, fields: Mapping[str, Any]) -> str:
    """A mapping as an HTML table of two columns."""
    return html_table((title, ""), [(name, field_text(value)) for name, value in fields.items()])


def text_fields(title: str, fields: Mapping[str, Any]) -> str:
    """A mapping as lines, one a field."""
    return "\n".join([title, *(f"  {name}: {field_text(value)}" for name, value in fields.items())])


def text_table(lines: Sequence[Sequence[str]], left: Collection[int] = ()) -> str:
    """Lines of text cells with their columns aligned, to the right but for those in ``left``."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
