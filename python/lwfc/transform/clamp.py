"""Whether decoded values should be held inside the activation's range: seldom."""

from collections.abc import Sequence

import numpy as np

from .survey import Survey
from .trial import Trial

__all__ = ["GAIN", "clamp_of", "ends_of"]

PILED = 0.01  # share of samples' values at an end of the range that makes it one of the activation
GAIN = 0.9  # the clamp must bring distortion to this part


def ends_of(found: Survey) -> tuple[float, float] | None:
    """The activation's range, where values pile up at an end of it; a free end lies far beyond."""
    x, far = found.kept.features, found.high - found.low
    free = found.low - far, found.high + far
    piled = [np.mean(x == np.float32(end)) >= PILED for end in (found.low, found.high)]
    if not any(piled):
        return None
    return found.low if piled[0] else free[0], found.high if piled[1] else free[1]


def clamp_of(found: Survey, trials: Sequence[Trial], step: float) -> tuple[float, float] | None:
    """(low, high) if that lowers the outputs' distortion on held-out samples by a tenth, or None.

    After a ReLU it makes things worse: the errors that the second half does not see are large,
    and clamping turns a part of them into errors that it does see. ReLU6 may gain. Nothing is
    known without gradients, nor in a subspace of the channels.
    """
    x, ends = found.kept.features, ends_of(found)
    if found.kept.gradients is None or trials[0].shape.geometry.channels != x.shape[1]:
        return None
    if ends is None:
        return None
    costs = np.mean([trial.clamped(step, *ends) for trial in trials], axis=0)
    return ends if costs[1] < GAIN * costs[0] else None
