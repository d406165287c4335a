"""The least of a few candidates in a row, of which not all need be tried."""

from collections.abc import Callable, Sequence

__all__ = ["least"]


def least(candidates: Sequence[float], error: Callable[[float], float]) -> tuple[float, float]:
    """The candidate of least error, which has one minimum, and its error: from the middle up, or
    else down."""
    middle = len(candidates) // 2
    best, at = error(candidates[middle]), middle
    for step in (1, -1):
        while 0 <= at + step < len(candidates):
            found = error(candidates[at + step])
            if found >= best:
                break
            best, at = found, at + step
        if at != middle:
            break
    return candidates[at], best
