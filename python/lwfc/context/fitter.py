"""Fit the calibrated context model of the `context` coder.

Every channel gets an ordinal (cumulative) logistic model of its symbol: P(q >= k) =
sigmoid(eta + b_k), where eta adds weights of the neighbours already coded in the same channel
(left, left-left, four of the rows above and the mean of those rows) and of up to 24
symbols of other channels, at the same place or beside it. Where it pays, a second such sum, the
spread, moves lower and upper thresholds apart. Channels are put into an order in which good
predictors of the others come first, and cut into groups of 32 or 16 (the first takes what is
left over); a channel may refer to any channel of an earlier group.

The work on each channel is done in C (csrc/fit); the same symbols give the same bytes on any
machine and number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .fit import ModelFit
from .integer import SHIFT, best_unit, coarse_bits, link_table, pack
from .rows import Rows, rows_at

__all__ = ["ContextFitter", "MAX_LEVELS"]

Array = npt.NDArray[Any]

MAX_LEVELS = 16
MAX_CHANNELS = 65535
VERSION = 1

# Few channels get small groups: more of them have an earlier group to refer to.
_SMALL_GROUPS, _SMALL, _LARGE = 64, 16, 32
_NARROW = 128  # channels
_NARROW_REFERENCES, _WIDE_REFERENCES = 24, 16
_LEAST_ROWS, _MOST_ROWS = 6144, 24576
_MOST_SYMBOLS = 1_500_000  # more rows where channels are few: both cost time
_MOST_BYTES = 128 << 20
_ROW_BYTES = 10 + 2  # per channel


class ContextFitter:
    """Collects calibration symbols and fits the context model.

    levels: number of symbols, 2..16. channels: size of the channel axis, 1..65535. references:
    most symbols of other channels that a channel's model looks at, 0..255; each costs about 1 %
    of the speed. By default 24 up to 128 channels, which have few to choose from, else 16.
    """

    def __init__(self, levels: int, channels: int, references: int | None = None) -> None:
        if references is None:
            references = _NARROW_REFERENCES if channels <= _NARROW else _WIDE_REFERENCES
        if not 2 <= levels <= MAX_LEVELS:
            raise ValueError(f"the context model needs 2..{MAX_LEVELS} levels, not {levels}")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ValueError(f"the context model needs 1..{MAX_CHANNELS} channels")
        if not 0 <= references <= 255:
            raise ValueError("the context model takes 0..255 references")
        self.levels = levels
        self.references = references
        self.lanes = _SMALL if channels <= _SMALL_GROUPS else _LARGE
        self.channels = channels
        self.samples = 0
        most = _MOST_BYTES // (_ROW_BYTES * channels) // 2
        wanted = min(max(_LEAST_ROWS, _MOST_SYMBOLS // channels), _MOST_ROWS)
        self._most_rows = max(64, min(wanted, most))
        self._stride = 1
        self._rows: list[tuple[int, Rows]] = []

    def update(self, symbols: Array) -> None:
        """Add uint8 symbols of shape (n, C, H, W), all below `levels`."""
        symbols = np.asarray(symbols)
        if symbols.dtype != np.uint8 or symbols.ndim != 4 or symbols.shape[1] != self.channels:
            raise ValueError(f"expected uint8 symbols of shape (n, {self.channels}, H, W)")
        for sample in symbols:
            if sample.size and int(sample.max()) >= self.levels:
                raise ValueError(f"symbols must be below {self.levels}")
            if self.samples % self._stride == 0 and sample.size:
                self._add(sample)
            self.samples += 1

    def _add(self, sample: Array) -> None:
        """Keep some positions of one sample; thin the older samples when memory is full."""
        positions = sample.shape[1] * sample.shape[2]
        rng = np.random.default_rng((1, self.samples))
        # In random order, so that a prefix of a sample is a fair part of it.
        picked = rng.permutation(positions)[: self._share(1)]
        self._rows.append((self.samples, rows_at(sample, picked)))
        while self._share() < 8 and len(self._rows) > 1:
            self._stride *= 2
            self._rows = [r for r in self._rows if r[0] % self._stride == 0]
        if sum(len(r) for _, r in self._rows) > 1.25 * self._most_rows:  # seldom: it copies all
            self._shrink()

    def _share(self, more: int = 0) -> int:
        """Rows of each sample, with so many samples more."""
        return min(max(16, self._most_rows // 4), self._most_rows // (len(self._rows) + more))

    def _shrink(self) -> None:
        """Equal shares for all samples."""
        if sum(len(r) for _, r in self._rows) > self._most_rows:
            share = self._share()
            self._rows = [(i, r.head(share) if len(r) > share else r) for i, r in self._rows]

    def finish(
        self, progress: Callable[[float], None] | None = None, num_threads: int = 1
    ) -> bytes:
        """Fit and return the model, canonical bytes: csrc/entropy/context_model.h says which.

        They are 40 + channels * (3 + levels + scores * (6 + 2 levels)) + references *
        (3 + scores * min(levels, 3)), scores 2 with a spread, else 1 (of two levels, a byte less
        per channel).
        `progress` is called with the share done, 0..1.
        """
        if not self._rows:
            raise ValueError("no calibration symbols")
        self._shrink()
        fit = ModelFit(self._rows, self.levels, progress or (lambda share: None), num_threads)
        self._rows = []
        most = min(self.references, 2 + fit.samples)
        fit.choose(self._group_end, most)
        spread = fit.spread_pays()
        models = fit.fit(spread)
        unit = best_unit(fit.rows, fit.order, models)
        scores = 2 if spread else 1
        blob = bytearray([VERSION, self.levels, scores, self.lanes, SHIFT, coarse_bits(unit)])
        blob += int(self.channels).to_bytes(2, "little")
        blob += link_table(self.levels, unit).tobytes()
        blob += fit.order.astype("<u2").tobytes()
        return bytes(blob) + b"".join(pack(models, unit))

    def _group_end(self, start: int) -> int:
        """Where the group that begins at slot `start` ends: the first takes what is left over."""
        return start + self.lanes if start else (self.channels - 1) % self.lanes + 1
