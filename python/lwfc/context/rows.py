"""The calibration rows of the context model: symbols at some positions, with what surrounds them.

Rows of a channel's own neighbours see 0 beyond the map; references look around in raster order
(FORMAT.md 9.4), so that a step past a row's end meets the next row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# (row, column) of a channel's own neighbours, the symbol itself first.
OFFSETS = ((0, 0), (0, -1), (0, -2), (-1, 0), (-2, 0), (-1, -1), (-1, 1))
SELF, L, LL, U, UU, UL, UR = range(len(OFFSETS))
PLACES = 5  # of a reference: the same position, right, down, left, up
LOCAL = 12  # features of a channel's own neighbours, see `local_features`


@dataclass(frozen=True)
class Rows:
    """near: (7, rows, C) symbols; around: (3, rows, C) right, down and left in raster order.

    activity (rows, C) + decay (rows, 1) * mean symbol is the mean of the rows above, drawn
    towards the channel's mean by two rows' worth.
    """

    near: Array
    around: Array
    activity: Array
    decay: Array

    def __len__(self) -> int:
        return int(self.near.shape[1])

    @property
    def symbols(self) -> Array:
        return self.near[SELF]

    def place(self, place: int) -> Array:
        """Symbols (rows, C) as a reference of this place sees them."""
        if place == 0:
            return self.symbols
        return self.near[U] if place == 4 else self.around[place - 1]

    def pick(self, rows: Any) -> Rows:
        return Rows(
            self.near[:, rows].copy(),
            self.around[:, rows].copy(),
            self.activity[rows].copy(),
            self.decay[rows].copy(),
        )


def join(parts: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([p.near for p in parts], axis=1),
        np.concatenate([p.around for p in parts], axis=1),
        np.concatenate([p.activity for p in parts]),
        np.concatenate([p.decay for p in parts]),
    )


def rows_at(sample: Array, positions: Array) -> Rows:
    """The rows of one sample, uint8 (C, H, W), at flat positions."""
    channels, height, width = sample.shape
    y, x = positions // width, positions % width
    padded = np.zeros((channels, height + 2, width + 3), np.uint8)
    padded[:, 2:, 2:-1] = sample
    near = np.stack([padded[:, y + 2 + dy, x + 2 + dx].T for dy, dx in OFFSETS])
    flat = np.zeros((channels, height * width + 2 * width), np.uint8)
    flat[:, width:-width] = sample.reshape(channels, -1)
    around = np.stack([flat[:, positions + width + step].T for step in (1, width, -1)])
    sums = np.zeros((channels, height), np.float32)
    sums[:, 1:] = np.cumsum(sample.sum(axis=2, dtype=np.float32), axis=1)[:, :-1]
    activity = (sums / (width * (np.arange(height, dtype=np.float32) + 2)))[:, y].T
    decay = (2.0 / (y + 2)).astype(np.float32)[:, None]
    return Rows(near, around, activity, decay)


def local_features(rows: Rows, channel: int, mean: float, levels: int) -> Array:
    """float32 (rows, LOCAL): left, is it above 0, is it the last level; left-left the same; then
    the rows above."""
    at = rows.near[:, :, channel].astype(np.float32)
    one = np.float32(1.0)
    activity = rows.activity[:, channel] + rows.decay[:, 0] * np.float32(mean)
    columns = []
    for left in (at[L], at[LL]):
        columns += [left, np.minimum(left, one), (left == levels - 1).astype(np.float32)]
    columns += [at[U], at[UU], at[UL], at[UR], np.minimum(at[U], one), activity]
    return np.stack(columns, axis=1)
