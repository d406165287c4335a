"""Fit the calibrated context model of the `context` coder.

Every channel gets an ordinal (cumulative) logistic model of its symbol: P(q >= k) =
sigmoid(eta + b_k), where eta adds weights of the neighbours already coded in the same channel
(left, left-left, and five of the rows above) and of up to `REFERENCES` other channels at the
same place. Channels are put into an order in which good predictors of the others come first, and
cut into groups of 32 (the first takes what is left over); a channel may refer to any channel of
an earlier group.

The statistics are in `_context_fit`. NumPy only; the same symbols give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._context_fit import channel_order, choose, covariance, fit_ordinal
from ._context_integer import (
    SHIFT,
    ChannelFit,
    best_unit,
    coarse_bits,
    link_table,
    round_channel,
)

__all__ = ["ContextFitter", "MAX_LEVELS", "REFERENCES"]

Array = npt.NDArray[Any]

MAX_LEVELS = 16
REFERENCES = 16
MAX_CHANNELS = 65535
LANES = 32
VERSION = 1

# Offsets (row, column) of the symbols a row of the design needs, the symbol itself first.
_OFFSETS = ((0, 0), (0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0))
_SELF, _L, _LL, _U, _UL, _UR, _UU = range(7)
_MOST_ROWS = 6144
_MOST_BYTES = 64 << 20


class ContextFitter:
    """Collects calibration symbols and fits the context model.

    levels: number of symbols, 2..16. channels: size of the channel axis, 1..65535. references:
    most other channels a channel's model looks at, 0..255; each costs about 1 % of the speed.
    """

    def __init__(self, levels: int, channels: int, references: int = REFERENCES) -> None:
        if not 2 <= levels <= MAX_LEVELS:
            raise ValueError(f"the context model needs 2..{MAX_LEVELS} levels, not {levels}")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ValueError(f"the context model needs 1..{MAX_CHANNELS} channels")
        if not 0 <= references <= 255:
            raise ValueError("the context model takes 0..255 references")
        self.levels = levels
        self.references = references
        self.channels = channels
        self.samples = 0
        most = _MOST_BYTES // (len(_OFFSETS) * channels) // 2
        self._most_rows = max(64, min(_MOST_ROWS, most))
        self._stride = 1
        self._rows: list[tuple[int, Array]] = []
        self._count = 0

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
        _, height, width = sample.shape
        positions = height * width
        rng = np.random.default_rng((1, self.samples))
        count = min(positions, max(16, self._most_rows // 4))
        picked = np.sort(rng.permutation(positions)[:count])
        y, x = picked // width, picked % width
        padded = np.zeros((self.channels, height + 2, width + 3), np.uint8)
        padded[:, 2:, 2:-1] = sample
        rows = np.stack([padded[:, y + 2 + dy, x + 2 + dx].T for dy, dx in _OFFSETS])
        # Rows are in random order, so that a prefix of a sample is a fair part of it.
        self._rows.append((self.samples, rows[:, rng.permutation(count)]))
        self._shrink()

    def _shrink(self) -> None:
        """Equal shares for all samples; every other sample once shares get too small."""
        share = self._most_rows // len(self._rows)
        if share < 8 and len(self._rows) > 1:
            self._stride *= 2
            self._rows = [r for r in self._rows if r[0] % self._stride == 0]
            share = self._most_rows // len(self._rows)
        total = sum(r.shape[1] for _, r in self._rows)
        if total > self._most_rows:
            self._rows = [
                (i, r[:, :share].copy() if r.shape[1] > share else r) for i, r in self._rows
            ]

    def finish(self, progress: Callable[[float], None] | None = None) -> bytes:
        """Fit and return the model, canonical bytes: csrc/entropy/context_model.h says which.

        They are 38 + channels * (10 + 3 (levels - 1)) + references * (2 + min(levels, 3)).
        `progress` is called with the share done, 0..1.
        """
        if not self._rows:
            raise ValueError("no calibration symbols")
        data = np.concatenate([r for _, r in self._rows], axis=1)
        order = channel_order(data[_SELF])
        matrix = covariance(data[_SELF])
        most = min(self.references, 2 + len(self._rows))
        fits: list[ChannelFit] = []
        for slot in range(self.channels):
            candidates = order[: self._group_start(slot)]
            fits.append(self._fit_channel(data, int(order[slot]), candidates, order, matrix, most))
            if progress is not None:
                progress((slot + 1) / self.channels)
        unit = best_unit(
            fits, data[_SELF], lambda channel: _local_features(data, channel), order, self.levels
        )
        blob = bytearray([VERSION, self.levels, SHIFT, coarse_bits(unit)])
        blob += int(self.channels).to_bytes(2, "little")
        blob += link_table(self.levels, unit).tobytes()
        blob += order.astype("<u2").tobytes()
        for fit in fits:
            blob += round_channel(fit, self.levels, unit).pack(self.levels)
        return bytes(blob)

    def _group_start(self, slot: int) -> int:
        """First slot of the group of `slot`: groups of 32, the first takes what is left over."""
        first = (self.channels - 1) % LANES + 1
        return 0 if slot < first else first + (slot - first) // LANES * LANES

    def _fit_channel(
        self, data: Array, channel: int, candidates: Array, order: Array, matrix: Array, most: int
    ) -> ChannelFit:
        q = data[_SELF, :, channel].astype(np.intp)
        local = _local_features(data, channel)
        chosen = choose(local, q, data[_SELF], candidates, matrix, most)
        slots = np.argsort(order)[chosen] if len(chosen) else np.zeros(0, int)
        if len(chosen):
            keep = np.argsort(slots, kind="stable")
            slots, chosen = slots[keep], chosen[keep]
        refs = data[_SELF][:, chosen].astype(np.float32)
        columns = [local, refs]
        if self.levels > 2:
            columns.append(np.minimum(refs, 1.0))
        weights, biases, mean = fit_ordinal(np.concatenate(columns, axis=1), q, self.levels - 1)
        return ChannelFit(weights, biases, mean, chosen, slots)


def _local_features(data: Array, channel: int) -> Array:
    """float32 (rows, 9): left, left > 0, left-left, left-left > 0, then the rows above."""
    at = data[:, :, channel].astype(np.float32)
    one = np.float32(1.0)
    return np.stack(
        [
            at[_L],
            np.minimum(at[_L], one),
            at[_LL],
            np.minimum(at[_LL], one),
            at[_U],
            at[_UL],
            at[_UR],
            at[_UU],
            np.minimum(at[_U], one),
        ],
        axis=1,
    )
