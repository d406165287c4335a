"""Fitting what the decoder puts back for symbols: centroids, and restoration weights.

Both are least squares on unlabelled calibration features; no gradients and no change to the
network. A restoration estimates each float from its own symbol, the 3x3 neighbourhood of its own
channel and, for ``kind="linear"``, the symbols of all channels at the same place and their 3x3
sums: ``x = offset[c, s] + slope[c, s] * dot(weights[c], features)``, clamped to the range that
calibration values with symbol ``s`` had.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _core
from ..base.errors import ParameterError
from .blob import level_values, neighbour_sums
from .fit import MODES, Task, choose
from .integer import assemble
from .rows import Rows, joined_rows
from .tables import PRIOR

__all__ = ["CentroidFitter", "RestorationFitter"]

HOLD_OUT = 5  # every fifth calibration sample decides, the others fit


class CentroidFitter:
    """Streaming mean of the values behind each symbol, per tensor or per channel."""

    def __init__(self, levels: int, channels: int) -> None:
        self.levels, self.channels = levels, channels
        self.counts = np.zeros((channels, levels))
        self.sums = np.zeros((channels, levels))
        self.low = np.full(levels, np.inf)
        self.high = np.full(levels, -np.inf)

    def update(self, values: np.ndarray, symbols: np.ndarray, num_threads: int = 1) -> None:
        """Adds ``values`` (n, C, H, W) or (n, C) and their ``symbols``, uint8 of the same shape."""
        values, symbols = _checked(values, symbols, self.channels, self.levels)
        if not values.size:
            return
        solid = (*values.shape[:2], -1)
        values = np.ascontiguousarray(values, np.float32).reshape(solid)
        symbols = np.ascontiguousarray(symbols).reshape(solid)
        counts, sums, low, high = _core.restoration_cells(
            values, symbols, self.levels, num_threads
        )
        self.counts += counts
        self.sums += sums
        np.minimum(self.low, low.min(0), out=self.low)
        np.maximum(self.high, high.max(0), out=self.high)

    def finish(
        self, per_channel: bool = False, prior: float = PRIOR, values: np.ndarray | None = None
    ) -> np.ndarray:
        """float32 (levels,), or (channels, levels) shrunk towards the tensor's by ``prior`` counts.

        A level that calibration never met takes a value between its neighbours'. ``values``,
        (1 or channels, levels), are the quantizer's: no channel's values are further from the means
        than they, and a quantizer of each channel's own is what that channel's are shrunk towards.
        """
        counts, sums = self.counts.sum(0), self.sums.sum(0)
        seen = np.flatnonzero(counts)
        if seen.size == 0:
            raise ParameterError("no calibration values")
        tensor = np.interp(np.arange(self.levels), seen, sums[seen] / counts[seen])
        if not per_channel:
            return tensor.astype(np.float32)
        towards = tensor if values is None or len(values) == 1 else values
        drawn = (self.sums + prior * towards) / (self.counts + prior)
        if values is not None:
            mean = np.where(self.counts > 0, self.sums / np.maximum(self.counts, 1), drawn)
            reach = np.abs(values - mean)
            drawn = np.where(self.counts > 0, np.clip(drawn, mean - reach, mean + reach), drawn)
        return drawn.astype(np.float32)

    def table(
        self, values: np.ndarray, zeros: np.ndarray, zero: np.ndarray, at: np.ndarray
    ) -> np.ndarray:
        """What symbols decode to in place of ``values`` (groups, levels): float32, ascending, and
        in no group of more squared error than these.

        Groups with ``zeros`` true have ``at``, one for all or each, which stands for 0, as a mass
        point in the cell of the symbol ``zero``: that one stays there exactly, for the means of
        what is nearly always 0 light up silent places.
        """
        grouped = len(values) > 1
        found = np.atleast_2d(self.finish(grouped, values=values if grouped else None))
        axis = () if grouped else (0,)
        counts, sums = self.counts.sum(axis), self.sums.sum(axis)
        counts, sums = np.atleast_2d(counts), np.atleast_2d(sums)

        def excess(table: np.ndarray) -> np.ndarray:
            """Squared error of each cell, less what all tables share."""
            return counts * table.astype(np.float64) ** 2 - 2 * sums * table

        rows, at = np.arange(len(values)), np.broadcast_to(at, len(values))
        silent = np.broadcast_to(at[:, None], found.shape)
        pinned = zeros & (excess(silent)[rows, zero] <= excess(values)[rows, zero])
        for g in np.flatnonzero(pinned):
            found[g, : zero[g]] = np.minimum(found[g, : zero[g]], at[g])
            found[g, zero[g] :] = np.maximum(found[g, zero[g] :], at[g])
            found[g, zero[g]] = at[g]
        found = np.maximum.accumulate(found, axis=-1)
        worse = excess(found).sum(-1) > excess(values).sum(-1)
        return np.where(worse[:, None], values, found).astype(np.float32)


class RestorationFitter:
    """Fits a restoration blob on calibration features in one pass and bounded memory.

    Keeps at most ``rows`` randomly drawn positions, equally many of each sample (default: 4 million
    values or 64 positions a channel, within 16 million values and 65,536 positions). ``bounds`` are
    the activation's (0, inf) for ReLU, (0, 6) for ReLU6. ``rank``: "auto", 0 (one weight per output
    and feature) or a multiple of 4.
    ``reference``, (1 or channels, levels): the quantizer's values, of which no channel's estimates
    may have more squared error on the positions kept.
    """

    def __init__(
        self,
        levels: int,
        channels: int,
        kind: str = "linear",
        bounds: tuple[float, float] = (-np.inf, np.inf),
        rank: int | str = "auto",
        rows: int | None = None,
        seed: int = 0,
        reference: np.ndarray | None = None,
    ) -> None:
        if kind not in ("local", "linear"):
            raise ParameterError(f'kind must be "local" or "linear", not {kind!r}')
        if not 2 <= levels <= 256 or not 1 <= channels <= 16384:
            raise ParameterError(
                f"{kind} restoration takes 2..256 levels and 1..16384 channels, not {levels} and "
                f'{channels}; restore="centroid" takes more channels'
            )
        if rank != "auto" and (not 0 <= int(rank) <= 1024 or int(rank) % 4):
            raise ParameterError('rank must be "auto", 0 or a multiple of 4 up to 1024')
        self.levels, self.channels, self.kind, self.bounds = levels, channels, kind, bounds
        self.rank = rank
        wanted = max(2**22 // channels, 64 * channels)
        self.rows = rows or min(65536, wanted, 2**24 // channels)
        self.centroids = CentroidFitter(levels, channels)
        self._reference = reference
        self.samples = 0
        self._values = level_values(levels)
        self._random = np.random.default_rng(seed)
        self._kept: list[tuple[int, Rows]] = []
        self._quota = self.rows
        self._count = 0
        #: after ``finish``: ridge, rank, held-out squared errors, channels per mode
        self.report: dict[str, object] = {}

    def update(self, values: np.ndarray, symbols: np.ndarray, num_threads: int = 1) -> None:
        """Adds samples: ``values`` float (n, C, H, W), ``symbols`` uint8 of the same shape."""
        values, symbols = _checked(values, symbols, self.channels, self.levels)
        if values.ndim != 4:
            raise ParameterError("restoration needs 4-D samples: (n, channels, height, width)")
        self.centroids.update(values, symbols, num_threads)
        for x, s in zip(values, symbols, strict=True):
            self._add(x, s)
            self.samples += 1

    def _add(self, x: np.ndarray, symbols: np.ndarray) -> None:
        count = x.shape[1] * x.shape[2]
        if self._quota == 1 and len(self._kept) >= self.rows:
            victim = int(self._random.integers(self.samples + 1))
            if victim >= len(self._kept):
                return
            self._count -= len(self._kept.pop(victim)[1])
        chosen = self._random.permutation(count)[: self._quota]
        level, h, v, d = neighbour_sums(self._values[symbols][None])
        planes = (symbols, h[0], v[0], d[0], x.astype(np.float32, copy=False))
        by_place = (np.ascontiguousarray(p.reshape(self.channels, -1).T) for p in planes)
        self._kept.append((self.samples, Rows(*(p.take(chosen, axis=0) for p in by_place))))
        self._count += chosen.size
        while self._count > self.rows and self._quota > 1:
            # each sample's positions are in random order: a prefix is a fair draw
            largest = max(len(r) for _, r in self._kept)
            self._quota = max(1, min(self._quota, largest) * 3 // 4)
            self._kept = [(i, r.head(self._quota)) for i, r in self._kept]
            self._count = sum(len(r) for _, r in self._kept)

    def _gather(self) -> tuple[Rows, np.ndarray]:
        """All rows kept, and which of them are held out."""
        if self._count == 0:
            raise ParameterError("no calibration samples")
        owner = np.concatenate([np.full(len(r), i) for i, r in self._kept])
        if self.samples < HOLD_OUT:
            owner = np.arange(owner.size)
        return joined_rows([r for _, r in self._kept]), owner % HOLD_OUT == 0

    def _towards(self) -> np.ndarray:
        """What rare levels are drawn towards: the tensor's, or each channel's quantizer's."""
        own = self._reference is not None and len(self._reference) > 1
        return self._reference if own else self.centroids.finish()

    def finish(
        self,
        strength: float = 1.0,
        progress: Callable[[str], None] | None = None,
        num_threads: int = 1,
    ) -> bytes:
        """The blob. ``strength`` 0..1 blends from the centroids (0) to the estimate (1)."""
        if not 0.0 <= strength <= 1.0:
            raise ParameterError("strength must be between 0 and 1")
        say = progress or (lambda text: None)
        rows, held = self._gather()
        train, test = rows[~held], rows[held]
        if len(train) == 0 or len(test) == 0:
            train = test = rows
        say(f"{len(rows)} positions of {self.samples} samples")
        task = Task(
            channels=self.channels,
            levels=self.levels,
            linear=self.kind == "linear",
            rank=self.rank,
            bounds=self.bounds,
            values=self._values,
            centroids=self.centroids.finish(True, values=self._reference),
            towards=np.broadcast_to(self._towards(), (self.channels, self.levels)),
            reference=self._reference,
            low=self.centroids.low,
            high=self.centroids.high,
            num_threads=num_threads,
        )
        choice = choose(task, train, test, say)
        blob = assemble(task, rows, rows[held], choice, strength)
        self.report = {
            "ridge": choice.ridge,
            "rank": choice.rank,
            "samples": self.samples,
            "positions": len(rows),
            "heldout": choice.errors,
            "channels": {m: int(np.sum(choice.mode == k)) for k, m in enumerate(MODES)},
            "bytes": len(blob),
        }
        return blob


def _checked(values, symbols, channels: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    values, symbols = np.asarray(values), np.asarray(symbols)
    if values.shape != symbols.shape or values.ndim < 2 or values.shape[1] != channels:
        raise ParameterError(
            f"values {values.shape} and symbols {symbols.shape} must be (n, {channels}, ...)"
        )
    if symbols.dtype != np.uint8 or (symbols.size and int(symbols.max()) >= levels):
        raise ParameterError(f"symbols must be uint8 below {levels}")
    if not np.isfinite(values).all():
        raise ParameterError("calibration values must be finite")
    return values, symbols
