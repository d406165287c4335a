"""Checks of parameters, each raising ParameterError with what would work."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import ParameterError

__all__ = ["channel_axis_of", "check_axis", "check_function", "check_number", "check_shape",
           "check_table", "choose", "finite_or_none", "shown"]  # fmt: skip

RANK_MAX = 8


def shown(value: Any) -> str:
    """value for an error's text: of an array or another long value what it is."""
    text = repr(value) if getattr(value, "shape", ()) == () else ""
    if 0 < len(text) <= 80:
        return text
    shape = f" of shape {tuple(value.shape)}" if not text else ""
    return f"<a {type(value).__name__}{shape}>"


def check_function(name: str, value: Any, what: str) -> None:
    """Refuses what cannot be called; ``what`` it is to be a function of."""
    if not callable(value):
        raise ParameterError(f"{name}={shown(value)}: must be a function of {what}")


def choose(name: str, value: Any, names: Sequence[str]) -> int:
    """The index of value in names."""
    if not isinstance(value, str) or value not in names:
        raise ParameterError(f"{name}={shown(value)}: must be one of {', '.join(map(repr, names))}")
    return names.index(value)


def check_number(name: str, value: Any, least: float, most: float) -> float:
    """value as a float from least to most."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not least <= number <= most:
        raise ParameterError(f"{name}={shown(value)}: must be a number from {least:g} to {most:g}")
    return number


def check_table(name: str, rows: Any, count: int) -> np.ndarray:
    """rows as contiguous float32 of shape (groups, count), ascending and finite in each group."""
    try:
        with np.errstate(over="ignore"):
            table = np.ascontiguousarray(rows, np.float32)
    except (TypeError, ValueError):
        raise ParameterError(f"{name}: must be numbers, {count} for each group") from None
    table = table[None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] != count or not len(table):
        raise ParameterError(
            f"{name} of shape {table.shape}: must be ({count},), or (channels, {count})"
        )
    if not np.isfinite(table).all() or (table[:, 1:] < table[:, :-1]).any():
        raise ParameterError(f"{name}: must be finite float32 numbers in ascending order")
    return table


def check_axis(axis: Any, name: str = "channel_axis") -> int | None:
    """axis as an int that some tensor may have, or None."""
    if axis is None:
        return None
    try:
        number = operator.index(axis)
    except TypeError:
        number = RANK_MAX
    if not -RANK_MAX <= number < RANK_MAX:
        raise ParameterError(f"{name}={shown(axis)}: must be None or from -8 to 7")
    return number


def channel_axis_of(rank: int, channel_axis: int | None) -> int | None:
    """Which axis 0..rank-1 holds channels, as the stream format has it; None: no channels."""
    if channel_axis is None:
        return None if rank < 2 else 1 if rank >= 4 else rank - 1
    if not -rank <= channel_axis < rank:
        raise ParameterError(f"channel_axis={channel_axis}: the tensors have {rank} axes")
    return None if rank < 2 else channel_axis % rank


def check_shape(name: str, shape: Any) -> tuple[int, ...]:
    """shape as a tuple of at most 7 dimensions."""
    try:
        dimensions = tuple(operator.index(n) for n in shape)
    except TypeError:
        dimensions = (-1,)
    if len(dimensions) >= RANK_MAX or any(not 0 <= n < 2**62 for n in dimensions):
        raise ParameterError(f"{name}={shown(shape)}: must be at most 7 dimensions, none negative")
    return dimensions


def finite_or_none(value: Any) -> Any:
    """The same; None for a float without end or value, which JSON has not."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
