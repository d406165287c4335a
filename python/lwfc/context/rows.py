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

# (row, column) of a channel's own neighbours, the symbol itself first; then steps in raster order.
OFFSETS = ((0, 0), (0, -1), (0, -2), (-1, 0), (-2, 0), (-1, -1), (-1, 1))
SELF, L, LL, U, UU, UL, UR, RIGHT, DOWN, LEFT = range(len(OFFSETS) + 3)
PLACES = (SELF, RIGHT, DOWN, LEFT, U)  # what a reference of each place sees
LOCAL = 12  # features of a channel's own neighbours, see csrc/fit/columns.c


@dataclass(frozen=True)
class Rows:
    """planes uint8 (10, C, rows): the symbols, own neighbours, and right, down, left.

    above uint16 (C, rows), in 1/256, + decay (rows,) * mean symbol is the mean of the rows above,
    drawn towards the channel's mean by two rows' worth.
    """

    planes: Array
    above: Array
    decay: Array

    def __len__(self) -> int:
        return len(self.decay)

    @property
    def nbytes(self) -> int:
        return int(self.planes.nbytes + self.above.nbytes)

    def head(self, count: int) -> Rows:
        """A copy of the first rows."""
        return Rows(
            self.planes[:, :, :count].copy(),
            self.above[:, :count].copy(),
            self.decay[:count].copy(),
        )

    def take(self, where: Array) -> Rows:
        """A copy of some rows."""
        return Rows(*(a.take(where, axis=-1) for a in (self.planes, self.above, self.decay)))


def join(parts: list[Rows]) -> tuple[Rows, Array]:
    """All rows, in an order of which every beginning is a fair sample; and where each was."""
    count = sum(map(len, parts))
    # Steps of the golden ratio visit a circle evenly.
    step = next(s for s in range(max(1, round(0.618 * count)), count + 2) if np.gcd(s, count) == 1)
    order = np.arange(count) * step % count
    planes = np.empty((*parts[0].planes.shape[:2], count), np.uint8)
    for plane, to in enumerate(planes):
        np.take(np.concatenate([p.planes[plane] for p in parts], axis=1), order, axis=1, out=to)
    above = np.concatenate([p.above for p in parts], axis=1).take(order, axis=1)
    decay = np.concatenate([p.decay for p in parts])[order]
    return Rows(planes, above, decay), order


def rows_at(sample: Array, positions: Array) -> Rows:
    """The rows of one sample, uint8 (C, H, W), at flat positions."""
    channels, height, width = sample.shape
    y, x = positions // width, positions % width
    planes = np.empty((len(OFFSETS) + 3, channels, len(positions)), np.uint8)
    padded = np.zeros((channels, height + 2, width + 3), np.uint8)
    padded[:, 2:, 2:-1] = sample
    flat = padded.reshape(channels, -1)
    at = (y + 2) * (width + 3) + x + 2
    for plane, (dy, dx) in zip(planes, OFFSETS, strict=False):
        np.take(flat, at + dy * (width + 3) + dx, axis=1, out=plane)
    raster = np.zeros((channels, height * width + 2 * width), np.uint8)
    raster[:, width:-width] = sample.reshape(channels, -1)
    for plane, step in zip(planes[RIGHT:], (1, width, -1), strict=True):
        np.take(raster, positions + width + step, axis=1, out=plane)
    sums = np.zeros((channels, height), np.float32)
    sums[:, 1:] = np.cumsum(sample.sum(axis=2, dtype=np.float32), axis=1)[:, :-1]
    sums *= 256 / (width * (np.arange(height, dtype=np.float32) + 2))
    above = np.rint(sums).astype(np.uint16).take(y, axis=1)
    return Rows(planes, above, (2.0 / (y + 2)).astype(np.float32))
