"""What one channel's context model looks at, and its fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .fit import Candidates, OrdinalFit, fit_ordinal
from .rows import PLACES, Rows, local_features

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ChannelDesign:
    """A channel, its mean symbol, and its references: channels, their slots and places."""

    channel: int
    mean: float
    channels: Array
    slots: Array
    places: Array

    def references(self, rows: Rows) -> Array:
        """Symbols (rows, references), uint8."""
        symbols = np.zeros((len(rows), len(self.channels)), np.uint8)
        for place in range(PLACES):
            here = self.places == place
            if here.any():
                symbols[:, here] = rows.place(place)[:, self.channels[here]]
        return symbols

    def features(self, rows: Rows, levels: int) -> Array:
        """float32 (rows, d): local features, references, and whether those are above 0."""
        references = self.references(rows).astype(np.float32)
        columns = [local_features(rows, self.channel, self.mean, levels), references]
        if levels > 2:
            columns.append(np.minimum(references, np.float32(1.0)))
        return np.concatenate(columns, axis=1)

    def fit(self, rows: Rows, levels: int, spread: bool) -> OrdinalFit:
        q = rows.symbols[:, self.channel].astype(np.intp)
        return fit_ordinal(self.features(rows, levels), q, levels - 1, spread)


def design_group(
    rows: Rows, order: Array, start: int, end: int, most: int, levels: int
) -> list[ChannelDesign]:
    """Designs of slots start..end - 1, whose references are among the slots before `start`.

    References are chosen in two steps: channels at the same place, then places around these.
    """
    earlier = order[:start]
    same = Candidates(rows.symbols[:, earlier])
    return [
        _design(rows, int(channel), earlier, same, most, levels) for channel in order[start:end]
    ]


def _design(
    rows: Rows, channel: int, earlier: Array, same: Candidates, most: int, levels: int
) -> ChannelDesign:
    q = rows.symbols[:, channel].astype(np.intp)
    mean = float(q.mean())
    local = local_features(rows, channel, mean, levels)
    near = np.sort(same.choose(local, q, most))
    slots, places = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if len(near):
        around = np.concatenate([rows.place(p)[:, earlier[near]] for p in range(PLACES)], axis=1)
        chosen = Candidates(around).choose(local, q, most)
        # By place: fours that only look at the same position are quicker to sum.
        chosen.sort()
        slots, places = near[chosen % len(near)], chosen // len(near)
    return ChannelDesign(channel, mean, earlier[slots], slots, places)
