"""Fit the calibrated context model of the `context` coder.

Every channel gets an ordinal (cumulative) logistic model of its symbol: P(q >= k) =
sigmoid(eta + b_k), where eta adds weights of the neighbours already coded in the same channel
(left, left-left, and five of the rows above) and of up to `MAX_REFERENCES` other channels at the
same place. Channels are put into an order in which good predictors of the others come first, and
cut into groups of 32 (the first takes what is left over); a channel may refer to any channel of an earlier group.

The fit is Newton's method on a penalised log-likelihood, channel by channel (McCullagh,
"Regression models for ordinal data", 1980), the references are chosen by orthogonal matching
pursuit on the covariances. NumPy only; the same symbols give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

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
_RIDGE = 3.0


def unit(levels: int) -> int:
    """Steps per unit of the logistic link in the integer model: few levels need less range."""
    return 16 if levels == 2 else 8 if levels <= 4 else 6


def _coarse(levels: int) -> int:
    """Bits dropped from a score before the look-up in the link table."""
    return 2 if levels == 2 else 1


def _sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))


def link_table(levels: int) -> Array:
    """The link, 32 bytes: 256 * sigmoid(-v / unit) at the middle of each bin, >= levels - 1."""
    width = 1 << _coarse(levels)
    v = (np.arange(32) * width + (width - 1) / 2) / unit(levels)
    return np.clip(np.rint(256 * _sigmoid(-v)), levels - 1, 128).astype(np.uint8)


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
        order = _channel_order(data[_SELF])
        covariance, spread = _covariance(data[_SELF])
        most = min(MAX_REFERENCES, 2 + len(self._rows))
        body = bytearray()
        shift = 2
        for slot in range(self.channels):
            candidates = order[: self._group_start(slot)]
            channel = int(order[slot])
            body += self._fit_channel(data, channel, candidates, order, covariance, spread, most,
                                      shift)
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
                     covariance: Array, spread: Array, most: int, shift: int) -> bytes:
        """The record of one channel."""
        q = data[_SELF, :, channel].astype(np.intp)
        local = _local_features(data, channel)
        chosen = _choose(local, q, data[_SELF], candidates, covariance, spread, most)
        slots = np.argsort(order)[chosen] if len(chosen) else np.zeros(0, int)
        if len(chosen):
            keep = np.argsort(slots, kind="stable")
            slots, chosen = slots[keep], chosen[keep]
        refs = data[_SELF][:, chosen].astype(np.float32)
        columns = [local, refs]
        if self.levels > 2:
            columns.append(np.minimum(refs, 1.0))
        weights, biases, mean = _fit_ordinal(np.concatenate(columns, axis=1), q, self.levels - 1)
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


def _covariance(symbols: Array) -> tuple[Array, Array]:
    """Covariances of the channels (C, C) and their means, from symbols (rows, C)."""
    values = symbols.astype(np.float32)
    mean = values.mean(axis=0)
    values -= mean
    return (values.T @ values) / np.float32(len(values)), mean


def _channel_order(symbols: Array) -> Array:
    """Greedy facility location: each next channel explains most of those still to come."""
    covariance, _ = _covariance(symbols)
    scale = 1.0 / np.sqrt(np.diag(covariance) + 1e-3)
    gain = (covariance * scale[:, None] * scale) ** 2
    np.fill_diagonal(gain, 0.0)
    weight = np.diag(covariance) / (np.diag(covariance) + 0.05)
    gain *= weight[:, None]
    channels = len(gain)
    best = np.zeros(channels)
    left = np.ones(channels, bool)
    order = np.empty(channels, np.int64)
    for i in range(channels):
        score = np.maximum(gain[left] - best[left, None], 0.0).sum(axis=0)
        score[~left] = -1.0
        order[i] = int(np.argmax(score))
        left[order[i]] = False
        best = np.maximum(best, gain[:, order[i]])
    return order


def _choose(local: Array, q: Array, symbols: Array, candidates: Array, covariance: Array,
            mean: Array, most: int) -> Array:
    """Orthogonal matching pursuit: channels that explain q beyond its own neighbours."""
    if len(candidates) == 0 or q.min() == q.max():
        return np.zeros(0, np.int64)
    rows = len(q)
    centred = local - local.mean(axis=0)
    target = (q - q.mean()).astype(np.float32)
    basis = np.column_stack([centred, target])
    cross = (basis.T @ symbols[:, candidates].astype(np.float32)) / rows
    gram = (basis.T @ basis).astype(np.float64) / rows
    solve = np.linalg.solve(gram[:-1, :-1] + 1e-4 * np.eye(_LOCAL), np.column_stack(
        [cross[:-1].astype(np.float64), gram[:-1, -1]]))
    residual = cross[-1] - gram[-1, :-1] @ solve[:, :-1]
    variance = covariance[candidates, candidates] - (cross[:-1] * solve[:, :-1]).sum(axis=0)
    directions: list[Array] = []
    chosen: list[int] = []
    for _ in range(min(most, len(candidates))):
        score = np.where(variance > 2e-3, residual**2 / (variance + 2e-3), -1.0)
        score[chosen] = -1.0
        j = int(np.argmax(score))
        if score[j] * rows < 4.0 * gram[-1, -1]:
            break
        chosen.append(j)
        column = covariance[candidates[j], candidates] - cross[:-1, j] @ solve[:, :-1]
        for d in directions:
            column = column - d[j] * d
        direction = column / np.sqrt(variance[j])
        residual = residual - direction * (residual[j] / np.sqrt(variance[j]))
        variance = variance - direction**2
        directions.append(direction)
    return candidates[np.array(chosen, np.int64)]


def _log_likelihood(eta: Array, q: Array, biases: Array) -> float:
    edges = np.concatenate([[1e3], biases, [-1e3]])
    a, b = eta + edges[q], eta + edges[q + 1]
    return float((np.log(-np.expm1(b - a)) - np.logaddexp(0, -a) - np.logaddexp(0, b)).sum())


def _fit_ordinal(features: Array, q: Array, thresholds: int) -> tuple[Array, Array, Array]:
    """Newton's method with step halving; features (rows, d) float32, q (rows,) in 0..thresholds.

    Returns weights (d,), biases (thresholds,) of the centred features, and their means (d,).
    log P(q = k) = log F(a) + log(1 - F(b)) + log(1 - exp(b - a)) with a = eta + b_k and
    b = eta + b_{k+1}: the last term does not depend on eta.
    """
    rows, d = features.shape
    counts = np.bincount(q, minlength=thresholds + 1)
    tail = np.cumsum((counts + 0.5)[::-1])[::-1][1:] / (counts + 0.5).sum()
    biases = np.log(tail / (1 - tail))
    mean = features.mean(axis=0)
    x = features - mean
    ridge = _RIDGE * (x.std(axis=0) ** 2 + 0.02).astype(np.float64)
    weights, eta = np.zeros(d), np.zeros(rows)
    lower = np.zeros((rows, thresholds + 2), np.float32)
    upper = np.zeros((rows, thresholds + 2), np.float32)
    lower[np.arange(rows), q] = 1
    upper[np.arange(rows), q + 1] = 1
    lower, upper = lower[:, 1:-1], upper[:, 1:-1]

    def penalty(w: Array, b: Array) -> float:
        return float(0.5 * (ridge * w * w).sum() + 0.01 * (b * b).sum())

    value = _log_likelihood(eta, q, biases) - penalty(weights, biases)
    for _ in range(12):
        gradient, hessian = _derivatives(x, q, eta, biases, lower, upper, counts)
        gradient -= np.concatenate([ridge * weights, 0.02 * biases])
        hessian[np.diag_indices(d + thresholds)] += np.concatenate(
            [ridge, np.full(thresholds, 0.02)])
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        for _ in range(8):
            new_w, new_b = weights + size * step[:d], biases + size * step[d:]
            if np.all(np.diff(new_b) < -1e-3):
                new_eta = (x @ new_w.astype(np.float32)).astype(np.float64)
                new_value = _log_likelihood(new_eta, q, new_b) - penalty(new_w, new_b)
                if new_value >= value:
                    break
            size *= 0.5
        else:
            break
        gained = new_value - value
        weights, biases, eta, value = new_w, new_b, new_eta, new_value
        if gained < 1e-4 * rows:
            break
    return weights, biases, mean.astype(np.float64)


def _derivatives(x: Array, q: Array, eta: Array, biases: Array, lower: Array, upper: Array,
                 counts: Array) -> tuple[Array, Array]:
    """Gradient and negative Hessian of the log-likelihood in (weights, biases)."""
    d, thresholds = x.shape[1], len(biases)
    edges = np.concatenate([[1e3], biases, [-1e3]])
    fa, fb = _sigmoid(eta + edges[q]), _sigmoid(eta + edges[q + 1])
    fa[q == 0], fb[q == thresholds] = 1.0, 0.0
    va, vb = (fa * (1 - fa)).astype(np.float32), (fb * (1 - fb)).astype(np.float32)
    gap = np.exp(np.clip(np.diff(edges), -50.0, -1e-4))
    slope, curve = counts * gap / (1 - gap), counts * gap / (1 - gap) ** 2
    gradient = np.empty(d + thresholds)
    gradient[:d] = (1 - fa - fb).astype(np.float32) @ x
    gradient[d:] = (1 - fa) @ lower - fb @ upper + slope[1:] - slope[:-1]
    hessian = np.empty((d + thresholds, d + thresholds))
    hessian[:d, :d] = (x * (va + vb)[:, None]).T @ x
    hessian[:d, d:] = x.T @ (lower * va[:, None] + upper * vb[:, None])
    hessian[d:, :d] = hessian[:d, d:].T
    inner = np.diag(va @ lower + vb @ upper + curve[1:] + curve[:-1])
    inner -= np.diag(curve[1:-1], 1) + np.diag(curve[1:-1], -1)
    hessian[d:, d:] = inner
    return gradient, hessian
