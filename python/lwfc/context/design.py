"""What one channel's context model looks at, and its fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .fit import OrdinalFit, fit_ordinal
from .references import Covariances, choose_columns
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


def design(
    rows: Rows, covariances: Covariances, channel: int, earlier: Array, most: int, levels: int
) -> ChannelDesign:
    """The design of a channel that may refer to the channels `earlier`, in coding order.

    References are chosen in two steps: channels at the same place, then places around these.
    """
    q = rows.symbols[:, channel].astype(np.intp)
    mean = float(q.mean())
    local = local_features(rows, channel, mean, levels)
    near = np.sort(covariances.choose(channel, earlier, local, most))
    slots, places = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if len(near):
        around = np.concatenate([rows.place(p)[:, earlier[near]] for p in range(PLACES)], axis=1)
        chosen = choose_columns(around, local, q, most)
        # By place: fours that only look at the same position are quicker to sum.
        chosen.sort()
        slots, places = near[chosen % len(near)], chosen // len(near)
    return ChannelDesign(channel, mean, earlier[slots], slots, places)
