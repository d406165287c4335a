"""Choosing settings on the tune split, again in each redraw of its samples.

A setting is allowed if the upper end of its loss's one-sided 95 % interval is within the bound, as
in :func:`lwfc.tune`: the fewest bits among losses measured as small are too often small by luck.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..base.unbeaten import unbeaten
from .bootstrap import interval

__all__ = ["between", "chosen", "curve", "frontier", "gain", "redrawn_choices"]

Record = dict[str, Any]
SLACK = 1e-9


def frontier(records: Iterable[Record], quality: str = "loss") -> list[Record]:
    """Records no other beats in both bits and ``quality``, by rising bits."""
    return unbeaten(records, lambda r: r["bits"], lambda r: r[quality])


def chosen(records: Sequence[Record], bound: float) -> int | None:
    """The index of the fewest bits whose loss is surely within a bound."""
    within = [i for i, record in enumerate(records) if record["upper"] <= bound + SLACK]
    return min(within, key=lambda i: records[i]["bits"], default=None)


def redrawn_choices(records: Sequence[Record], bound: float) -> np.ndarray:
    """The same in each redraw of the samples, -1 for none; the margins stay the samples' own."""
    upper = [np.add(r["draws"], r["upper"] - r["loss"]) for r in records]
    bits = np.where(np.less_equal(upper, bound + SLACK), [[r["bits"]] for r in records], np.inf)
    return np.where(np.isfinite(bits).any(0), bits.argmin(0), -1)


def curve(records: Sequence[Record], bounds: Sequence[float], most: float, count: int
          ) -> list[Record]:  # fmt: skip
    """The records of a family worth measuring on more samples: the choice for every bound, and at
    most ``count`` in all, evenly spread, of those with a loss up to ``most`` that no other beats in
    bits and the loss's upper end, or in bits and squared error, which is known without noise.
    """
    whole = frontier(records, "upper")
    if all(r["error"] is not None for r in records):
        rest = [r for r in frontier(records, "error") if r not in whole]
        whole = sorted([*whole, *rest], key=lambda r: r["bits"])
    front = [r for r in whole if r["loss"] <= most] or whole[-1:]
    picks = {chosen(front, bound) for bound in bounds} - {None}
    spare = [i for i in range(len(front)) if i not in picks]
    room = max(0, min(len(spare), count - len(picks)))
    spread = {spare[int(i)] for i in np.linspace(0, len(spare) - 1, room)} if room else set()
    return [front[i] for i in sorted(picks | spread)]


def between(front: Sequence[Record], tried: Sequence[Record], bound: float) -> Record | None:
    """The record of ``front`` (by rising bits) to try next for a bound: half way from the choice
    among those tried down to the next that was; None where nothing lies between.
    """
    places = [[r["setting"] for r in front].index(r["setting"]) for r in tried]
    best = chosen(tried, bound)
    high = len(front) if best is None else places[best]
    low = max((place for place in places if place < high), default=-1)
    return front[(low + high) // 2] if high - low > 1 else None


@functools.lru_cache(maxsize=4)  # a table is draws x streams; networks are judged in turn
def _redraws(count: int, draws: int) -> np.ndarray:
    """(draws, count) indices of streams; equal for equal arguments."""
    return np.array([np.random.default_rng([draw, count]).integers(count, size=count)
                     for draw in range(draws)])  # fmt: skip


def _redrawn_bits(record: Record, draws: int) -> np.ndarray:
    """The bits in each redraw of the streams."""
    streams = np.asarray(record["streams"], np.float64)
    if not streams.any():
        return np.zeros(draws)
    return record["bits"] * streams[_redraws(len(streams), draws)].sum(1) / streams.sum()


def gain(
    mine: Sequence[tuple[Record, Record]],
    theirs: Sequence[tuple[Record, Record]],
    bound: float,
) -> dict[str, Any] | None:
    """Percent of bits saved against another family, each at its own choice within a bound.

    Both are (tune record, test record) of the same settings. The choice is made again in every
    redraw of the tune samples, and the streams of the test split are redrawn: the interval covers
    the luck of both. None where either has no setting within the bound, or the other sends nothing.
    """
    sides = [list(zip(*side, strict=True)) for side in (mine, theirs)]
    if not all(sides):
        return None
    places = [chosen(tune, bound) for tune, _ in sides]
    if None in places:
        return None
    here, there = (test[i]["bits"] for (_, test), i in zip(sides, places, strict=True))
    if not there:
        return None
    draws = len(sides[0][0][0]["draws"])
    picks = [redrawn_choices(tune, bound) for tune, _ in sides]
    bits = [np.stack([_redrawn_bits(record, draws) for record in test])[pick, np.arange(draws)]
            for (_, test), pick in zip(sides, picks, strict=True)]  # fmt: skip
    known = (np.minimum(*picks) >= 0) & (bits[1] > 0)
    saved = 100 * (1 - bits[0][known] / bits[1][known])
    low, high = interval(saved) if len(saved) else (None, None)
    return {"saved": 100 * (1 - here / there), "low": low, "high": high, "draws": len(saved)}
