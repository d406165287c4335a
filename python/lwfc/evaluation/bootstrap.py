"""Redraws of samples, the same for every codec, so that all differences are paired.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 12 and 13: percentile
intervals.
"""

from typing import Any, Protocol

import numpy as np

from ..base.arrays import as_float64

__all__ = ["DRAWS", "Outcome", "Scores", "indices", "interval", "redrawn"]

DRAWS = 400
SEED = 20


class Outcome(Protocol):
    """How a network did on samples, so that the metric of any redraw of them is known."""

    def __len__(self) -> int:
        """The samples."""

    def metric(self, drawn: np.ndarray | None = None) -> float:
        """The metric in points, larger is better, of the samples at these indices; of all."""


class Scores:
    """An outcome that is a mean: one score a sample, in points."""

    def __init__(self, scores: Any) -> None:
        self.scores = as_float64(scores).reshape(-1)

    def __len__(self) -> int:
        return len(self.scores)

    def metric(self, drawn: np.ndarray | None = None) -> float:
        return float((self.scores if drawn is None else self.scores[drawn]).mean())


def indices(count: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, count) indices of samples; equal for equal arguments."""
    return np.random.default_rng([SEED, count]).integers(count, size=(draws, count))


def redrawn(outcome: Outcome, draws: int = DRAWS) -> np.ndarray:
    """The metric in each redraw of the samples."""
    drawn = indices(len(outcome), draws)
    if isinstance(outcome, Scores):
        return outcome.scores[drawn].mean(1)
    return np.array([outcome.metric(one) for one in drawn])


def interval(values: Any) -> tuple[float, float]:
    """The 95 % percentile interval of redrawn values."""
    low, high = np.percentile(np.asarray(values, np.float64), (2.5, 97.5))
    return float(low), float(high)
