"""The least squares behind restoration, and the choice of ridge, rank and modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .equations import equations_of
from .rows import Rows, feature_rows, row_chunks

__all__ = ["MODES", "PRIOR", "Choice", "Task", "choose"]

RIDGES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
WIDE = 1024  # channels from which a solve takes seconds: fewer are tried
RANKS = (16, 32, 48, 64, 96, 128, 192, 256)
RANK_LOSS = 0.05  # of squared error, for a smaller and faster form
WORTH = 0.004  # of the mean squared error: what a channel must gain by a costlier form
PRIOR = 20.0  # a channel's own level mean counts fully from a few times this many values on
FEW = 16384  # positions that fits of a few numbers per channel are made on
MODES = ("centroid", "local", "linear")


@dataclass
class Task:
    """What to fit: ``values`` (N,) level bytes; ``low``, ``high`` (N,).

    ``centroids`` (C, N): of all samples; ``towards`` (C, N): what they are shrunk towards;
    ``reference`` (1 or C, N) or None: the quantizer's values.
    """

    channels: int
    levels: int
    linear: bool
    rank: int | str
    bounds: tuple[float, float]
    values: np.ndarray
    centroids: np.ndarray
    towards: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reference: np.ndarray | None = None


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


def own_score(rows: Rows, weights: np.ndarray) -> np.ndarray:
    """Dot product of each channel's own neighbour sums with ``weights`` (C, 3): (rows, C)."""
    w = weights.astype(np.float32)
    return rows.h * w[:, 0] + rows.v * w[:, 1] + rows.d * w[:, 2]


def thin(rows: Rows, *others: np.ndarray) -> tuple:
    """Every k-th row of ``rows`` and the arrays beside it, at most ``FEW``."""
    step = slice(None, None, -(-len(rows) // FEW))
    return rows[step], *(a[step] for a in others)


def fit_tables(rows: Rows, score: np.ndarray, levels: int, shrink: np.ndarray) -> _Tables:
    """Least squares of the values on ``score`` (rows, C) within each channel and symbol.

    ``shrink`` (C, N) is what rare symbols, whose slope is 0, are drawn towards.
    """
    channels = rows.x.shape[1]
    out = _Tables(*(np.zeros((channels, levels)) for _ in range(3)))
    center = score.mean(0, dtype=np.float64).astype(np.float32)
    for s in range(levels):
        n, sz, sx, szz, szx = (np.zeros(channels) for _ in range(5))
        for part in row_chunks(len(rows)):
            mask = (rows.s[part] == s).astype(np.float32)
            z, x = score[part] - center, rows.x[part] * mask
            zm = z * mask
            n += mask.sum(0)
            sz += zm.sum(0)
            sx += x.sum(0)
            szz += np.einsum("ij,ij->j", z, zm)
            szx += np.einsum("ij,ij->j", z, x)
        safe = np.maximum(n, 1.0)
        centroid = (sx + PRIOR * shrink[:, s]) / (n + PRIOR)
        variance = szz / safe - (sz / safe) ** 2
        covariance = szx / safe - sz * sx / safe**2
        usable = (n >= PRIOR) & (variance > 1e-9)
        slope = np.where(usable, covariance / np.where(usable, variance, 1.0), 0.0)
        slope *= n / (n + PRIOR)
        out.centroid[:, s] = centroid
        out.slope[:, s] = slope
        out.offset[:, s] = centroid - slope * (sz / safe + center)
    return out


def estimate(rows: Rows, score: np.ndarray, tables: _Tables, limits: np.ndarray) -> np.ndarray:
    channel = np.arange(rows.x.shape[1])
    out = tables.offset.astype(np.float32)[channel, rows.s]
    out += tables.slope.astype(np.float32)[channel, rows.s] * score
    return np.clip(out, limits[0][rows.s], limits[1][rows.s])


def squared_errors(rows: Rows, found: np.ndarray) -> np.ndarray:
    """Mean squared error per channel."""
    return np.mean((found - rows.x) ** 2, axis=0, dtype=np.float64)


def reference_errors(task: Task, rows: Rows) -> np.ndarray:
    """Mean squared error per channel of the quantizer's values."""
    table = np.broadcast_to(task.reference, (task.channels, task.levels))
    return squared_errors(rows, table[np.arange(task.channels), rows.s])


def fit_own(rows: Rows, score: np.ndarray | None, levels: int) -> np.ndarray:
    """Weights (C, 4) of [score, h, v, d] by least squares with an offset per symbol."""
    channels = rows.x.shape[1]
    first = 1 if score is None else 0
    gram, cross = np.zeros((channels, 4, 4)), np.zeros((channels, 4))
    for s in range(levels):
        n, sums = np.zeros(channels), np.zeros((channels, 5))
        moments = np.zeros((channels, 5, 5))
        for part in row_chunks(len(rows)):
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


def value_limits(task: Task) -> np.ndarray:
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
    levels, values, limits = task.levels, task.values, value_limits(task)
    shrink = task.towards
    every = train
    (train,), (test,) = thin(train), thin(test)

    def judge(score_train, score_test):
        tables = fit_tables(train, score_train, levels, shrink)
        return squared_errors(test, estimate(test, score_test, tables, limits))

    zero_train, zero_test = np.zeros_like(train.x), np.zeros_like(test.x)
    centroid = judge(zero_train, zero_test)
    own = fit_own(train, None, levels)[:, 1:]
    local = judge(own_score(train, own), own_score(test, own))
    errors = {"centroid": float(centroid.mean()), "local": float(local.mean())}
    if not task.linear:
        return Choice(0.0, 0, _modes(centroid, local), errors)
    equations = equations_of(every, values)
    a, b = feature_rows(train, values), feature_rows(test, values)
    best, ridge = None, 0.0
    for candidate in RIDGES if task.channels <= WIDE else RIDGES[1::2]:
        w = equations.solve(candidate)
        scores = a @ w.astype(np.float32), b @ w.astype(np.float32)
        e = judge(*scores)
        say(f"ridge {candidate:g}: held-out squared error {e.mean():.5g}")
        if best is not None and e.mean() >= best.mean():
            break
        best, ridge, weights, best_scores = e, candidate, w, scores
    linear, rank = best, 0
    vectors = equations.directions(weights).astype(np.float32)
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
    mode = _modes(centroid, local, linear)
    forms = np.stack([centroid, local, linear])
    errors["chosen"] = float(np.take_along_axis(forms, mode[None], 0).mean())
    return Choice(ridge, rank, mode, errors)


def _modes(*errors: np.ndarray) -> np.ndarray:
    """Each channel's form: the cheapest unless a costlier one is clearly better there."""
    margin = WORTH * float(np.min(np.stack(errors), axis=0).mean())
    best, mode = errors[0], np.zeros(len(errors[0]), int)
    for number, error in enumerate(errors[1:], 1):
        better = error < best - margin
        mode, best = np.where(better, number, mode), np.where(better, error, best)
    return mode
