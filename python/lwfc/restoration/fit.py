"""The least squares behind restoration, and the choice of ridge, rank and modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..base.least import least
from .equations import Dual, Normal, equations_of
from .rows import Rows, feature_rows
from .tables import (
    Tables,
    all_moments,
    fit_own,
    fit_tables,
    own_moments,
    scored_moments,
    squared_errors,
)

__all__ = ["MODES", "Choice", "Task", "choose", "reference_errors", "thin", "value_limits"]

RIDGES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
WIDE = 1024  # channels from which a solve takes seconds: fewer are tried
RANKS = (16, 32, 48, 64, 96, 128, 192, 256)
RANK_LOSS = 0.05  # of squared error, for a smaller and faster form
WORTH = 0.004  # of the mean squared error: what a channel must gain by a costlier form
SOME = 96  # channels on which ridge and rank are tried
WHOLE = 2048  # channels up to which weights may have full rank: their bytes grow as the square
FEW, LEAST = 2**21, 4096  # values, or at least positions, that fits of a few numbers are made on
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
    num_threads: int = 1


@dataclass
class Choice:
    """``own`` (C, 3): weights of h, v, d without other channels; ``mode`` (C,): of MODES."""

    own: np.ndarray
    mode: np.ndarray
    errors: dict[str, float]
    ridge: float = 0.0
    equations: Normal | Dual | None = None  # of the rows that are not held out
    directions: np.ndarray | None = None  # (C, rank)

    @property
    def rank(self) -> int:
        return 0 if self.directions is None else self.directions.shape[1]


def thin(rows: Rows, *others: np.ndarray) -> tuple:
    """Every k-th row of ``rows`` and the arrays beside it, enough for a few numbers a channel."""
    step = slice(None, None, -(-len(rows) // max(FEW // rows.x.shape[1], LEAST)))
    return rows[step], *(a[step] for a in others)


def reference_errors(task: Task, rows: Rows) -> np.ndarray:
    """Mean squared error per channel of the quantizer's values."""
    table = np.broadcast_to(task.reference, (task.channels, task.levels))
    tables = Tables(table, np.zeros(table.shape), table)
    anywhere = np.full((2, task.levels), [[-np.inf], [np.inf]])
    own = np.zeros((task.channels, 3))
    return squared_errors(rows, None, own, tables, anywhere, task.num_threads)


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


class _Judge:
    """Held-out errors of scores, which lines fitted on other rows turn into values."""

    def __init__(self, task: Task, train: Rows, test: Rows, channels: np.ndarray | None = None):
        self._task, self._shrink, self._limits = task, task.towards, value_limits(task)
        self.train, self.test = train, test
        if channels is not None:
            self.train, self.test = train.of(channels), test.of(channels)
            self._shrink = self._shrink[channels]
        self._nothing = np.zeros((self.train.x.shape[1], 3))

    def of_moments(
        self, moments: np.ndarray, score: np.ndarray | None, own: np.ndarray
    ) -> np.ndarray:
        """Mean squared error per channel of score + own . (h, v, d), ``moments`` of the others."""
        tables = fit_tables(moments, self._shrink)
        threads = self._task.num_threads
        return squared_errors(self.test, score, own, tables, self._limits, threads)

    def __call__(self, train_score: np.ndarray, test_score: np.ndarray) -> np.ndarray:
        levels, threads = self._task.levels, self._task.num_threads
        moments = scored_moments(self.train, train_score, self._nothing, levels, threads)
        return self.of_moments(moments, test_score, self._nothing)


def choose(task: Task, train: Rows, test: Rows, say: Callable[[str], None]) -> Choice:
    """Ridge, rank and each channel's mode by squared error on the held-out samples."""
    equations = equations_of(train, task.values) if task.linear else None
    (train,), (test,) = thin(train), thin(test)
    judge = _Judge(task, train, test)
    moments = all_moments(train, None, task.levels, task.num_threads)
    own = fit_own(moments, scored=False)[:, 1:]
    centroid, local = (
        judge.of_moments(own_moments(moments, w), None, w) for w in (np.zeros(own.shape), own)
    )
    errors = {"centroid": float(centroid.mean()), "local": float(local.mean())}
    if equations is None:
        return Choice(own, _modes(centroid, local), errors)
    inputs = [feature_rows(part, task.values) for part in (train, test)]
    some = np.unique(np.linspace(0, task.channels - 1, SOME).astype(int))
    few = _Judge(task, train, test, some)

    def of_ridge(ridge: float) -> float:
        weights = equations.solve(ridge, some)
        found = float(few(*(a @ weights for a in inputs)).mean())
        say(f"ridge {ridge:g}: held-out squared error {found:.5g}")
        return found

    def enough(rank: int, scores: list[np.ndarray]) -> bool:
        found = float(few(*scores).mean())
        say(f"rank {rank}: held-out squared error {found:.5g}")
        return task.rank != "auto" or found < (1 + RANK_LOSS) * best

    ridge, best = least(RIDGES if task.channels <= WIDE else RIDGES[1::2], of_ridge)
    directions = _directions(task, equations, ridge, inputs, some, enough)
    if directions is None:
        scores = [a @ equations.solve(ridge) for a in inputs]
    else:
        weights = equations.solve(ridge, directions)
        scores = [a @ weights @ directions.T for a in inputs]
    linear = judge(*scores)
    errors["linear"] = float(linear.mean())
    mode = _modes(centroid, local, linear)
    forms = np.stack([centroid, local, linear])
    errors["chosen"] = float(np.take_along_axis(forms, mode[None], 0).mean())
    return Choice(own, mode, errors, ridge, equations, directions)


def _directions(
    task: Task,
    equations: Normal | Dual,
    ridge: float,
    inputs: list[np.ndarray],
    some: np.ndarray,
    enough: Callable[[int, list[np.ndarray]], bool],
) -> np.ndarray | None:
    """Output directions (C, rank) of the least rank that is ``enough``; None: all are needed."""
    ranks = _ranks(task)
    if not ranks:
        return None
    found = equations.directions(ridge, ranks[-1])
    scores, done = [np.zeros((len(a), len(some)), np.float32) for a in inputs], 0
    for rank in ranks:
        more = found[:, done:rank]
        weights = equations.solve(ridge, more)
        for a, score in zip(inputs, scores, strict=True):
            score += a @ weights @ more[some].T
        if enough(rank, scores):
            return found[:, :rank]
        done = rank
    return found if task.channels > WHOLE else None


def _modes(*errors: np.ndarray) -> np.ndarray:
    """Each channel's form: the cheapest unless a costlier one is clearly better there."""
    margin = WORTH * float(np.min(np.stack(errors), axis=0).mean())
    best, mode = errors[0], np.zeros(len(errors[0]), int)
    for number, error in enumerate(errors[1:], 1):
        better = error < best - margin
        mode, best = np.where(better, number, mode), np.where(better, error, best)
    return mode
