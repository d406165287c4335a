"""The fit of all channels' models: order, references, spread, weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .integer import TRIED_ROWS, Models, least_bits
from .references import coding_order, covariances
from .rows import Rows, join

__all__ = ["ModelFit"]

Array = npt.NDArray[Any]

_TRIED = 16  # channels on which the spread is tried
_SPREAD_GAIN = 0.025  # bits a symbol that it must save: it costs a quarter of the speed
_TURN = 64  # channels fitted between two looks at signals


class ModelFit:
    """Fits models on the rows of some samples, each with its number.

    The work on a channel is done in C, some channels a call, so that progress is told and signals
    are heard in between: `say` is called with the share done.
    """

    def __init__(
        self,
        parts: list[tuple[int, Rows]],
        levels: int,
        say: Callable[[float], None],
        num_threads: int,
    ) -> None:
        # Samples come in the order of the calibration data: neighbours are often alike.
        half = sum(len(rows) for _, rows in parts[: len(parts) // 2])
        self.samples = len(parts)
        self.levels, self._say, self._threads = levels, say, num_threads
        self.rows, where = join([rows for _, rows in parts])
        sides = (where < half, where >= half)
        self._halves = [np.flatnonzero(side).astype(np.int32) for side in sides]
        self._matrix, self._mean = covariances(self.rows.planes[0])
        self.order = coding_order(self._matrix)
        self._rows = (self.rows.planes, self.rows.above, self.rows.decay, self._mean, levels)

    def choose(self, group_end: Callable[[int], int], most: int) -> None:
        """Up to `most` references of each channel, to channels of earlier groups."""
        found, start = [], 0
        while start < len(self.order):
            group = self.order[start : group_end(start)]
            found.append(
                _core.context_choose(
                    self._rows, self._matrix, group, self.order[:start], most, self._threads
                )
            )
            start += len(group)
            self._say(0.5 * start / len(self.order))
        self._references = tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
        del self._matrix

    def _fit(self, slots: Array | slice, spread: bool, *split: Array) -> tuple[Array, ...]:
        """weights, biases, mean and, with two sets of rows, the code length of the second."""
        references = tuple(part[slots] for part in self._references)
        return _core.context_fit(
            self._rows, self.order[slots], self.order, references, spread, self._threads, *split
        )

    def spread_pays(self) -> bool:
        """Whether it saves bits on rows of samples that the fits tried here have not seen.

        In floats or as it is coded: of many levels and symbols that are nearly certain, the scores
        of a signed byte hold less without it.
        """
        if self.levels == 2 or self.samples < 2:
            return False
        slots = np.unique(np.linspace(0, len(self.order) - 1, _TRIED).astype(int))
        unseen = self._halves[1]
        found = [self._fit(slots, wide, *self._halves) for wide in (False, True)]
        plain, spread = (fits[3].sum() / (len(slots) * len(unseen)) for fits in found)
        if plain - spread > _SPREAD_GAIN:
            return True
        rows = self.rows.take(unseen[:TRIED_ROWS])
        plain, spread = (
            least_bits(rows, self.order, self._models(slots, *fits[:3])) for fits in found
        )
        return bool(plain - spread > _SPREAD_GAIN)

    def fit(self, spread: bool) -> Models:
        """The models of all channels in coding order."""
        found = []
        for start in range(0, len(self.order), _TURN):
            found.append(self._fit(slice(start, start + _TURN), spread)[:3])
            self._say(0.5 + 0.5 * min(1.0, (start + _TURN) / len(self.order)))
        parts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return self._models(slice(None), *parts)

    def _models(self, at: Array | slice, weights: Array, biases: Array, mean: Array) -> Models:
        """Of the channels in some slots."""
        slots, places, counts = (part[at] for part in self._references)
        channels = self.order[at]
        prior = self._mean[channels]
        return Models(self.levels, channels, prior, slots, places, counts, weights, biases, mean)
