"""Whether decoded values should be held inside the activation's range: seldom."""

from collections.abc import Sequence

import numpy as np

from .survey import Survey
from .trial import Trial

__all__ = ["clamp_of"]

PILED = 0.01  # share of samples' values at an end of the range that makes it one of the activation
GAIN = 0.9  # the clamp must bring distortion to this part


def clamp_of(found: Survey, trials: Sequence[Trial], step: float) -> tuple[float, float] | None:
    """(low, high) if that lowers the outputs' distortion on held-out samples by a tenth, or None.

    After a ReLU it makes things worse: the errors that the second half does not see are large,
    and clamping turns a part of them into errors that it does see. ReLU6 may gain. Nothing is
    known without gradients, nor in a subspace of the channels.
    """
    x = found.kept.features
    if found.kept.gradients is None or trials[0].shape.geometry.channels != x.shape[1]:
        return None
    far = found.high - found.low
    ends = []
    for end, beyond in ((found.low, found.low - far), (found.high, found.high + far)):
        ends.append(end if np.mean(x == np.float32(end)) >= PILED else beyond)
    if ends == [found.low - far, found.high + far]:
        return None
    costs = np.mean([trial.clamped(step, *ends) for trial in trials], axis=0)
    return (ends[0], ends[1]) if costs[1] < GAIN * costs[0] else None
