"""The least squares behind restoration: choice of ridge, rank and modes, and integer weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ._restoration_blob import (
    LATENT_MAX,
    LINEAR,
    LOCAL,
    STRENGTH_ONE,
    Restoration,
    interleave,
)

__all__ = ["MODES", "PRIOR", "Rows", "Task", "assemble", "choose"]

RIDGES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
WIDE = 1024  # channels from which a solve takes seconds: fewer are tried
RANKS = (16, 32, 48, 64, 96, 128, 192, 256)
RANK_LOSS = 0.05  # of squared error, for a smaller and faster form
PRIOR = 20.0  # a channel's own level mean counts fully from a few times this many values on
CHUNK = 4096
FEW = 16384  # positions that fits of a few numbers per channel are made on
MODES = ("centroid", "local", "linear")


@dataclass
class Rows:
    """Positions drawn from samples: S, H, V, D uint8 and values float32, each (rows, C)."""

    s: np.ndarray
    h: np.ndarray
    v: np.ndarray
    d: np.ndarray
    x: np.ndarray

    def __getitem__(self, index) -> Rows:
        return Rows(*(a[index] for a in (self.s, self.h, self.v, self.d, self.x)))

    def __len__(self) -> int:
        return self.x.shape[0]


@dataclass
class Task:
    """What to fit: ``values`` (N,) level bytes; ``centroids``, ``low``, ``high`` (N,)."""

    channels: int
    levels: int
    linear: bool
    rank: int | str
    bounds: tuple[float, float]
    values: np.ndarray
    centroids: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass
class Choice:
    ridge: float
    rank: int
    mode: np.ndarray
    errors: dict[str, float]


@dataclass
class _Tables:
    """Per channel and symbol: offset, slope and centroid, each (C, N) float64."""

    offset: np.ndarray
    slope: np.ndarray
    centroid: np.ndarray


def _features(rows: Rows, values: np.ndarray) -> np.ndarray:
    """float32 (rows, F): level value and 3x3 sum of every channel."""
    level = values[rows.s]
    return interleave(level, level + rows.h + rows.v + rows.d).astype(np.float32)


def _own(rows: Rows, weights: np.ndarray) -> np.ndarray:
    """Dot product of each channel's own neighbour sums with ``weights`` (C, 3): (rows, C)."""
    w = weights.astype(np.float32)
    return rows.h * w[:, 0] + rows.v * w[:, 1] + rows.d * w[:, 2]


def _thin(rows: Rows, *others: np.ndarray) -> tuple:
    """Every k-th row of ``rows`` and the arrays beside it, at most ``FEW``."""
    step = slice(None, None, -(-len(rows) // FEW))
    return rows[step], *(a[step] for a in others)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK))


def _normal(rows: Rows, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred Gram matrix (F, F) and products with the values (F, C)."""
    width, channels = (rows.s.shape[1] + 1) // 2 * 4, rows.s.shape[1]
    gram, cross = np.zeros((width, width)), np.zeros((width, channels))
    total, mean = np.zeros(width), np.zeros(channels)
    for part in _chunks(len(rows)):
        a = _features(rows[part], values)
        x = rows.x[part]
        gram += a.T @ a
        cross += a.T @ x
        total += a.sum(0, dtype=np.float64)
        mean += x.sum(0, dtype=np.float64)
    n = len(rows)
    gram -= np.outer(total, total) / n
    cross -= np.outer(total, mean) / n
    return gram, cross


def _solve(gram: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge solution with penalties in proportion to each feature's own variance."""
    diagonal = np.diag(gram)
    return np.linalg.solve(gram + np.diag(ridge * diagonal + 1.0), cross)


def _low_rank(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Output directions by falling explained variance (reduced-rank regression)."""
    _, vectors = np.linalg.eigh(weights.T @ gram @ weights)
    return vectors[:, ::-1]


def _fit_tables(rows: Rows, score: np.ndarray, levels: int, shrink: np.ndarray) -> _Tables:
    """Least squares of the values on ``score`` (rows, C) within each channel and symbol.

    ``shrink`` (N,) are the tensor's centroids; a rare symbol keeps slope 0.
    """
    channels = rows.x.shape[1]
    out = _Tables(*(np.zeros((channels, levels)) for _ in range(3)))
    center = score.mean(0, dtype=np.float64).astype(np.float32)
    for s in range(levels):
        n, sz, sx, szz, szx = (np.zeros(channels) for _ in range(5))
        for part in _chunks(len(rows)):
            mask = (rows.s[part] == s).astype(np.float32)
            z, x = score[part] - center, rows.x[part] * mask
            zm = z * mask
            n += mask.sum(0)
            sz += zm.sum(0)
            sx += x.sum(0)
            szz += np.einsum("ij,ij->j", z, zm)
            szx += np.einsum("ij,ij->j", z, x)
        safe = np.maximum(n, 1.0)
        centroid = (sx + PRIOR * shrink[s]) / (n + PRIOR)
        variance = szz / safe - (sz / safe) ** 2
        covariance = szx / safe - sz * sx / safe**2
        usable = (n >= PRIOR) & (variance > 1e-9)
        slope = np.where(usable, covariance / np.where(usable, variance, 1.0), 0.0)
        slope *= n / (n + PRIOR)
        out.centroid[:, s] = centroid
        out.slope[:, s] = slope
        out.offset[:, s] = centroid - slope * (sz / safe + center)
    return out


def _estimate(rows: Rows, score: np.ndarray, tables: _Tables, limits: np.ndarray) -> np.ndarray:
    channel = np.arange(rows.x.shape[1])
    out = tables.offset.astype(np.float32)[channel, rows.s]
    out += tables.slope.astype(np.float32)[channel, rows.s] * score
    return np.clip(out, limits[0][rows.s], limits[1][rows.s])


def _errors(rows: Rows, estimate: np.ndarray) -> np.ndarray:
    """Mean squared error per channel."""
    return np.mean((estimate - rows.x) ** 2, axis=0, dtype=np.float64)


def _fit_own(rows: Rows, score: np.ndarray | None, levels: int) -> np.ndarray:
    """Weights (C, 4) of [score, h, v, d] by least squares with an offset per symbol."""
    channels = rows.x.shape[1]
    first = 1 if score is None else 0
    gram, cross = np.zeros((channels, 4, 4)), np.zeros((channels, 4))
    for s in range(levels):
        n, sums = np.zeros(channels), np.zeros((channels, 5))
        moments = np.zeros((channels, 5, 5))
        for part in _chunks(len(rows)):
            r = rows[part]
            mask = (r.s == s).astype(np.float32)
            z = np.zeros_like(r.x) if score is None else score[part]
            planes = [p * mask for p in (z, r.h, r.v, r.d, r.x)]
            n += mask.sum(0)
            for i, a in enumerate(planes):
                sums[:, i] += a.sum(0)
                for j in range(i + 1):
                    moments[:, i, j] += np.einsum("ij,ij->j", a, planes[j])
        moments += np.transpose(np.tril(moments, -1), (0, 2, 1))
        moments -= sums[:, :, None] * sums[:, None, :] / np.maximum(n, 1.0)[:, None, None]
        gram += moments[:, :4, :4]
        cross += moments[:, :4, 4]
    diagonal = np.einsum("cii->ci", gram)
    gram = gram + np.einsum("ci,ij->cij", 1e-3 * diagonal + 1.0, np.eye(4))
    weights = np.zeros((channels, 4))
    weights[:, first:] = np.linalg.solve(gram[:, first:, first:], cross[:, first:, None])[:, :, 0]
    return weights


def _limits(task: Task) -> np.ndarray:
    """float32 (2, N): the range of calibration values per symbol, within the bounds."""
    low, high = task.low, task.high
    seen = np.isfinite(low)
    low = np.where(seen, low, task.bounds[0])
    high = np.where(seen, high, task.bounds[1])
    return np.clip(np.stack([low, high]), *task.bounds).astype(np.float32)


def _ranks(task: Task) -> list[int]:
    """The ranks to try, smallest first."""
    if task.rank == "auto":
        # above half the channels, two passes cost about as much as one
        return [r for r in RANKS if r <= task.channels / 2]
    rank = min(int(task.rank), task.channels // 4 * 4)
    return [rank] if rank else []


def choose(task: Task, train: Rows, test: Rows, say: Callable[[str], None]) -> Choice:
    """Ridge, rank and each channel's mode by squared error on the held-out samples."""
    levels, values, limits = task.levels, task.values, _limits(task)
    shrink = task.centroids
    every = train
    (train,), (test,) = _thin(train), _thin(test)

    def judge(score_train, score_test):
        tables = _fit_tables(train, score_train, levels, shrink)
        return _errors(test, _estimate(test, score_test, tables, limits))

    zero_train, zero_test = np.zeros_like(train.x), np.zeros_like(test.x)
    centroid = judge(zero_train, zero_test)
    own = _fit_own(train, None, levels)[:, 1:]
    local = judge(_own(train, own), _own(test, own))
    errors = {"centroid": float(centroid.mean()), "local": float(local.mean())}
    if not task.linear:
        mode = (local < centroid).astype(int)
        return Choice(0.0, 0, mode, errors)
    gram, cross = _normal(every, values)
    a, b = _features(train, values), _features(test, values)
    best, ridge = None, 0.0
    for candidate in RIDGES if task.channels <= WIDE else RIDGES[1::2]:
        w = _solve(gram, cross, candidate)
        scores = a @ w.astype(np.float32), b @ w.astype(np.float32)
        e = judge(*scores)
        say(f"ridge {candidate:g}: held-out squared error {e.mean():.5g}")
        if best is not None and e.mean() >= best.mean():
            break
        best, ridge, weights, best_scores = e, candidate, w, scores
    linear, rank = best, 0
    vectors = _low_rank(gram, weights).astype(np.float32)
    for candidate in _ranks(task):
        u = vectors[:, :candidate]
        linear, rank = judge(*(z @ u @ u.T for z in best_scores)), candidate
        say(f"rank {candidate}: held-out squared error {linear.mean():.5g}")
        if linear.mean() < (1 + RANK_LOSS) * best.mean():
            break
    else:
        if task.rank == "auto":
            linear, rank = best, 0
    errors["linear"] = float(linear.mean())
    mode = np.argmin(np.stack([centroid, local, linear]), axis=0)
    errors["chosen"] = float(np.minimum(np.minimum(centroid, local), linear).mean())
    return Choice(ridge, rank, mode, errors)


def _integer_rows(weights: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows and int16 own weights in one unit per channel."""
    unit = np.maximum(np.abs(weights).max(1, initial=0.0) / 127, np.abs(own).max(1) / 32767)
    # without cross-channel weights, ten bits are plenty and keep sums small
    alone = ~weights.any(1) if weights.shape[1] else np.ones(len(own), bool)
    unit = np.where(alone, np.abs(own).max(1) / 1023, unit)
    unit = np.where(unit > 0, unit, 1.0)[:, None]
    return np.round(weights / unit).astype(np.int8), np.round(own / unit).astype(np.int16)


def _latent_rows(weights: np.ndarray, a: np.ndarray):
    """int8 rows, bias, shift that bring each component of ``a @ weights`` to 0..127.

    The scale of a row is chosen so that +-4.5 standard deviations just fill the 7 bits.
    """
    first = np.zeros((weights.shape[1], weights.shape[0]), np.int8)
    bias, shift = np.zeros(weights.shape[1], np.int32), np.zeros(weights.shape[1], np.uint8)
    z = a @ weights.astype(np.float32)
    spread, center = z.std(0, dtype=np.float64), a.mean(0, dtype=np.float64)
    for k in range(weights.shape[1]):
        unit = np.abs(weights[:, k]).max() / 127
        if unit == 0:
            continue
        width = 9.0 * spread[k] / unit
        bits = max(0, int(np.floor(np.log2(max(width / LATENT_MAX, 1.0)))))
        unit *= max(1.0, width / (LATENT_MAX * 2.0**bits))
        first[k] = np.round(weights[:, k] / unit)
        shift[k] = bits
        middle = float(center @ first[k])
        bias[k] = int(np.clip(np.round((LATENT_MAX + 1) / 2 * 2.0**bits - middle), -(2**30), 2**30))
    return first, bias, shift


def assemble(task: Task, rows: Rows, choice: Choice, strength: float) -> bytes:
    """Fits the chosen form on all rows, rounds it, then fits the tables to the integers."""
    channels, levels, values = task.channels, task.levels, task.values
    (few,) = _thin(rows)
    own_alone = _fit_own(few, None, levels)[:, 1:]
    first = np.zeros((0, 0), np.int8)
    bias, shift = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    second = np.zeros((channels, 0), np.int8)
    linear = (choice.mode == 2)[:, None]
    if not task.linear:
        own = np.where((choice.mode > 0)[:, None], own_alone, 0.0)
        _, own_int = _integer_rows(np.zeros((channels, 0)), own)
        score = _own(rows, own_int)
    else:
        a = _features(rows, values)
        gram, cross = _normal(rows, values)
        weights = _solve(gram, cross, choice.ridge)
        inputs = a
        if choice.rank:
            vectors = _low_rank(gram, weights)[:, : choice.rank]
            first, bias, shift = _latent_rows(weights @ vectors, a)
            inputs = np.floor((a @ first.T.astype(np.float32) + bias) / 2.0**shift)
            inputs = np.clip(inputs, 0, LATENT_MAX).astype(np.float32)
            centred = inputs - inputs.mean(0)
            weights = _solve(
                (centred.T @ centred).astype(np.float64),
                centred.T @ (a @ weights.astype(np.float32)),
                1e-5,
            )
        few, some = _thin(rows, inputs)
        w = _fit_own(few, some @ weights.astype(np.float32), levels)
        rows_float = np.where(linear, weights.T * w[:, :1], 0.0)
        own = np.where(linear, w[:, 1:], np.where(choice.mode[:, None] == 1, own_alone, 0.0))
        rows_int, own_int = _integer_rows(rows_float, own)
        score = inputs @ rows_int.T.astype(np.float32) + _own(rows, own_int)
        if choice.rank:
            second = rows_int
        else:
            first = rows_int
    tables = _fit_tables(rows, score, levels, task.centroids)
    off = choice.mode == 0
    tables.slope[off] = 0.0
    tables.offset[off] = tables.centroid[off]
    low, high = _limits(task)
    return Restoration(
        kind=LOCAL if not task.linear else LINEAR,
        strength=int(round(strength * STRENGTH_ONE)),
        values=values,
        low=low,
        high=high,
        own=own_int,
        tables=np.stack([tables.offset, tables.slope, tables.centroid], axis=-1),
        first=first,
        bias=bias,
        shift=shift,
        second=second,
    ).to_bytes()
