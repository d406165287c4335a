"""What an evaluation gives: the metric, or a score for each sample, and how sure a loss is."""

import math
from typing import Any

import numpy as np

from ..base.arrays import as_float64
from ..base.errors import ParameterError

__all__ = ["SURE", "as_loss", "loss_error", "scores_of", "upper_bound"]

SURE = 1.645  # standard errors from the mean to the upper bound of a one-sided 95 % interval


def scores_of(result: Any) -> tuple[np.ndarray, tuple[int, int] | None]:
    """(scores, (nbytes, elements) or None) of what an evaluation returned: a number, an array of
    scores whose mean is the metric, or (either, nbytes, elements). Errors: ParameterError.
    """
    metric, *rate = result if isinstance(result, tuple) else (result,)
    try:
        scores = as_float64(metric).reshape(-1)
        known = tuple(map(int, rate)) if rate else None
    except (TypeError, ValueError):
        scores, known = np.empty(0), None
    if not scores.size or (known is not None and len(known) != 2):
        raise ParameterError(
            f"evaluate returned {result!r}: must be a number or an array of scores, or "
            "(that, nbytes, elements)"
        )
    return scores, known


def loss_error(before: np.ndarray, scores: np.ndarray) -> float:
    """The standard error of the mean of paired differences; 0 for one number, which has none.

    Errors: ParameterError for other numbers of scores.
    """
    if len(scores) != len(before):
        raise ParameterError(
            f"evaluate returned {len(scores)} scores with a codec and {len(before)} without one: "
            "must be those of the same samples"
        )
    count = len(scores)
    return float((before - scores).std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0


def as_loss(loss: float) -> float:
    """The same; without bound where a metric of NaN leaves it unknown."""
    return math.inf if math.isnan(loss) else loss


def upper_bound(loss: float, error: float) -> float:
    """The upper end of a loss's one-sided 95 % interval; without end where the loss is."""
    return loss + SURE * error if math.isfinite(loss) else math.inf
