"""Positions drawn from samples, and what restoration sees at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Rows", "feature_rows", "joined_rows", "row_chunks"]

CHUNK = 4096


@dataclass
class Rows:
    """Positions drawn from samples: S, H, V, D uint8 and values float32, each (rows, C)."""

    s: np.ndarray
    h: np.ndarray
    v: np.ndarray
    d: np.ndarray
    x: np.ndarray

    def __getitem__(self, index) -> Rows:
        return Rows(*(a[index] for a in self.arrays()))

    def __len__(self) -> int:
        return self.x.shape[0]

    def head(self, count: int) -> Rows:
        """A copy of the first rows; these themselves if there are no more."""
        return self if len(self) <= count else Rows(*(a[:count].copy() for a in self.arrays()))

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.s, self.h, self.v, self.d, self.x

    def of(self, channels: np.ndarray) -> Rows:
        """Some channels alone."""
        return Rows(*(a.take(channels, axis=1) for a in self.arrays()))


def feature_rows(rows: Rows, values: np.ndarray) -> np.ndarray:
    """float32 (rows, 2 C): the level values of all channels, then their 3x3 sums."""
    level, channels = values[rows.s], rows.s.shape[1]
    out = np.empty((len(rows), 2 * channels), np.float32)
    out[:, :channels] = level
    for around in (rows.h, rows.v, rows.d):
        level += around
    out[:, channels:] = level
    return out


def joined_rows(parts: list[Rows]) -> Rows:
    return Rows(*(np.concatenate(a) for a in zip(*(p.arrays() for p in parts), strict=True)))


def row_chunks(count: int) -> Iterator[slice]:
    return (slice(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK))
