"""What the transform's decoder really loses, its integers counted."""

import numpy as np

from ..codec.codec import Codec
from ..transform.survey import Survey
from ..transform.trial import power
from .pairs import Pairs

__all__ = ["decoded_distortion"]

MEASURED = 1 << 20  # feature values that it codes


def decoded_distortion(pairs: Pairs, found: Survey, codec: Codec) -> float:
    """The distortion of the first samples, about ``MEASURED`` values: a share of sending nothing.

    They are those of the fit, so that rounding shows, and not how unlike other samples are.
    """
    mean, nothing = found.mean.astype(np.float32), np.float32(0)
    cost = whole = 0.0
    left = MEASURED
    for x, maps, gradients in pairs.beside(left):
        before = found.clean(maps, gradients)
        moved = before.moved(pairs.maps(codec.simulate(x)))
        cost += len(maps) * power(moved, nothing)
        whole += len(maps) * power(before, mean)
        left -= x.size
        if left <= 0:
            break
    return cost / whole
