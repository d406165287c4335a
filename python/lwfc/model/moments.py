"""One pass over values: count, range, mean and variance, exact to merge."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..base.arrays import as_tensor, widen
from ..base.threads import thread_count

__all__ = ["Moments", "moments"]


@dataclass(frozen=True, slots=True)
class Moments:
    """What one pass over values tells. NaN and infinities count in ``nonfinite`` only.

    Sums are made of fixed blocks of elements in doubles, hence equal for every thread count.
    """

    count: int = 0
    nonfinite: int = 0
    zeros: int = 0
    min: float = np.inf
    max: float = -np.inf
    sum: float = 0.0
    sum_squares: float = 0.0
    sum_magnitudes: float = 0.0

    @property
    def mean(self) -> float:
        """The mean; NaN of nothing."""
        return self.sum / self.count if self.count else np.nan

    @property
    def variance(self) -> float:
        """Mean squared deviation (divisor: count), never negative; NaN of nothing."""
        return max(self.sum_squares / self.count - self.mean**2, 0.0) if self.count else np.nan

    @property
    def mean_magnitude(self) -> float:
        """The mean of |x|; NaN of nothing."""
        return self.sum_magnitudes / self.count if self.count else np.nan

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of values together."""
        return Moments(
            self.count + other.count,
            self.nonfinite + other.nonfinite,
            self.zeros + other.zeros,
            min(self.min, other.min),
            max(self.max, other.max),
            self.sum + other.sum,
            self.sum_squares + other.sum_squares,
            self.sum_magnitudes + other.sum_magnitudes,
        )


def moments(x: Any, *, num_threads: int | None = 1) -> Moments:
    """The moments of an array or tensor of any shape, strides and real type.

    ``num_threads``: None or 0 for all cores; every count gives the same bits. Errors:
    ParameterError for types that are not real.
    """
    array, bfloat16 = as_tensor(x)
    found = _core.moments(widen(array) if bfloat16 else array, thread_count(num_threads))
    return Moments(**{name: found[name] for name in Moments.__dataclass_fields__})
