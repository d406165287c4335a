"""Pareto fronts."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = ["unbeaten"]

Row = TypeVar("Row")


def unbeaten(
    rows: Iterable[Row], cost: Callable[[Row], Any], other: Callable[[Row], Any]
) -> list[Row]:
    """The rows no other beats in both numbers, of which less is better, by rising ``cost``."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (cost(row), other(row))):
        if not kept or other(row) < other(kept[-1]):
            kept.append(row)
    return kept
