"""Fit the calibrated context model of the `context` coder.

Every channel gets an ordinal (cumulative) logistic model of its symbol: P(q >= k) =
sigmoid(eta + b_k), where eta adds weights of the neighbours already coded in the same channel
(left, left-left, and five of the rows above) and of up to `MAX_REFERENCES` other channels at the
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

from ._context_fit import channel_order, choose, covariance, fit_ordinal, sigmoid

__all__ = ["ContextFitter", "MAX_LEVELS", "MAX_REFERENCES"]

Array = npt.NDArray[Any]

MAX_LEVELS = 16
MAX_REFERENCES = 16
MAX_CHANNELS = 65535
LANES = 32
VERSION = 1

# Offsets (row, column) of the symbols a row of the design needs, the symbol itself first.
_OFFSETS = ((0, 0), (0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0))
_SELF, _L, _LL, _U, _UL, _UR, _UU = range(7)
_MOST_ROWS = 6144
_MOST_BYTES = 64 << 20
_LOCAL = 9  # features of the channel's own neighbours


def unit(levels: int) -> int:
    """Steps per unit of the logistic link in the integer model: few levels need less range."""
    return 16 if levels == 2 else 8 if levels <= 4 else 6


def _coarse(levels: int) -> int:
    """Bits dropped from a score before the look-up in the link table."""
    return 2 if levels == 2 else 1


def link_table(levels: int) -> Array:
    """The link, 32 bytes: 256 * sigmoid(-v / unit) at the middle of each bin, >= levels - 1."""
    width = 1 << _coarse(levels)
    v = (np.arange(32) * width + (width - 1) / 2) / unit(levels)
    return np.clip(np.rint(256 * sigmoid(-v)), levels - 1, 128).astype(np.uint8)


class ContextFitter:
    """Collects calibration symbols and fits the context model.

    levels: number of symbols, 2..16. channels: size of the channel axis, 1..65535.
    """

    def __init__(self, levels: int, channels: int) -> None:
        if not 2 <= levels <= MAX_LEVELS:
            raise ValueError(f"the context model needs 2..{MAX_LEVELS} levels, not {levels}")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ValueError(f"the context model needs 1..{MAX_CHANNELS} channels")
        self.levels = levels
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
            self._rows = [(i, r[:, :share].copy() if r.shape[1] > share else r)
                          for i, r in self._rows]

    def finish(self, progress: Callable[[float], None] | None = None) -> bytes:
        """Fit and return the model, canonical bytes (see `read_model`).

        About (10 + 2 levels + references * (2 + min(levels, 3))) bytes per channel.
        `progress` is called with the share done, 0..1.
        """
        if not self._rows:
            raise ValueError("no calibration symbols")
        data = np.concatenate([r for _, r in self._rows], axis=1)
        order = channel_order(data[_SELF])
        matrix = covariance(data[_SELF])
        most = min(MAX_REFERENCES, 2 + len(self._rows))
        body = bytearray()
        shift = 2
        for slot in range(self.channels):
            candidates = order[: self._group_start(slot)]
            channel = int(order[slot])
            body += self._fit_channel(data, channel, candidates, order, matrix, most, shift)
            if progress is not None:
                progress((slot + 1) / self.channels)
        head = bytearray([VERSION, self.levels, shift, _coarse(self.levels)])
        head += int(self.channels).to_bytes(2, "little")
        head += link_table(self.levels).tobytes()
        head += order.astype("<u2").tobytes()
        return bytes(head + body)

    def _group_start(self, slot: int) -> int:
        """First slot of the group of `slot`: groups of 32, the first takes what is left over."""
        first = (self.channels - 1) % LANES + 1
        return 0 if slot < first else first + (slot - first) // LANES * LANES

    def _fit_channel(self, data: Array, channel: int, candidates: Array, order: Array,
                     matrix: Array, most: int, shift: int) -> bytes:
        """The record of one channel."""
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
        return self._record(weights, biases, mean, slots, shift)

    def _record(self, weights: Array, biases: Array, mean: Array, slots: Array,
                shift: int) -> bytes:
        """Round one channel's model to integers; `biases` belong to centred features."""
        scale = unit(self.levels)
        steps = np.arange(1, self.levels)
        n = len(slots)
        w1 = weights[_LOCAL:_LOCAL + n]
        w2 = weights[_LOCAL + n:] if self.levels > 2 else np.zeros(n)
        m2 = mean[_LOCAL + n:] if self.levels > 2 else np.zeros(n)
        base = _int8(-scale * (w1 * mean[_LOCAL:_LOCAL + n] + w2 * m2), 63)
        first = _int8(scale * (w1 + w2), 63)
        room = 127 - np.abs(base + first)
        slope = np.rint(scale * w1).astype(int)
        if self.levels > 2:
            slope = np.clip(slope, -(room // (self.levels - 2)), room // (self.levels - 2))
        above = _int8((scale << shift) * weights[4:_LOCAL], 127)
        left = np.clip(np.rint(scale * (weights[0] * steps + weights[1])), -127, 127)
        left2 = np.clip(np.rint(scale * (weights[2] * steps + weights[3])), -127, 127)
        local_mean = weights[:_LOCAL] @ mean[:_LOCAL]
        thresholds = scale * (biases - local_mean)
        centre = float(thresholds.mean())
        pre = int(np.clip(np.rint(centre * (1 << shift)), -16000, 16000))
        rest = np.clip(np.rint(thresholds - pre / (1 << shift)), -127, 127).astype(int)
        rest = np.minimum.accumulate(rest)
        record = bytearray(pre.to_bytes(2, "little", signed=True))
        for values in (above, rest, np.diff(left, prepend=0), np.diff(left2, prepend=0)):
            record += np.clip(values, -128, 127).astype(np.int8).tobytes()
        record += bytes([n])
        for i in range(n):
            record += int(slots[i]).to_bytes(2, "little")
            params = [base[i], first[i], slope[i]][: min(self.levels, 3)]
            record += np.array(params).astype(np.int8).tobytes()
        return bytes(record)


def _int8(values: Array, limit: int) -> Array:
    return np.clip(np.rint(values), -limit, limit).astype(int)


def _local_features(data: Array, channel: int) -> Array:
    """float32 (rows, 9): left, left > 0, left-left, left-left > 0, then the rows above."""
    at = data[:, :, channel].astype(np.float32)
    one = np.float32(1.0)
    return np.stack([at[_L], np.minimum(at[_L], one), at[_LL], np.minimum(at[_LL], one), at[_U],
                     at[_UL], at[_UR], at[_UU], np.minimum(at[_U], one)], axis=1)
