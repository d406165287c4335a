"""Redraws of samples, the same for every codec, so that all differences are paired.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 12 and 13: percentile
intervals.
"""

from typing import Any

import numpy as np

from .study import Outcome, Scores

__all__ = ["DRAWS", "indices", "interval", "losses"]

DRAWS = 400
SEED = 20


def indices(count: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, count) indices of samples; equal for equal arguments."""
    return np.random.default_rng([SEED, count]).integers(count, size=(draws, count))


def losses(reference: Outcome, outcome: Outcome, draws: int = DRAWS) -> np.ndarray:
    """What the metric loses against the reference, in each redraw of the samples."""
    drawn = indices(len(reference), draws)
    if isinstance(reference, Scores) and isinstance(outcome, Scores):
        return (reference.scores - outcome.scores)[drawn].mean(1)
    return np.array([reference.metric(one) - outcome.metric(one) for one in drawn])


def interval(values: Any) -> tuple[float, float]:
    """The 95 % percentile interval of redrawn values."""
    low, high = np.percentile(np.asarray(values, np.float64), (2.5, 97.5))
    return float(low), float(high)
