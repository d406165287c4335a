"""From statistics to a clipping range: the activation's kind, the model, the baselines.

Sources: R. A. Cohen, H. Choi, I. V. Bajic, "Lightweight Compression of Intermediate Neural Network
Features for Collaborative Intelligence" (2021) for the model; R. Banner, Y. Nahshan, D. Soudry,
"Post training 4-bit quantization of convolutional networks for rapid-deployment" (2019) for ACIQ.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ..base.errors import CalibrationWarning, ParameterError
from .activation import ActivationModel
from .design import clip_range_samples
from .moments import Moments

__all__ = ["ACTIVATIONS", "CLIPS", "RangeChoice", "choose_range", "guess_activation"]

ACTIVATIONS = ("auto", "relu", "relu6", "leaky_relu", "identity")
CLIPS = ("model", "aciq", "minmax", "percentile", "mse")


@dataclass(frozen=True, slots=True)
class RangeChoice:
    """How to choose a range, one object for all channels. Names as in ``lwfc.calibrate``."""

    levels: int
    activation: str
    slope: float
    kappa: float | None
    clip: Any
    clip_scale: float
    clip_lo: Any = None

    @property
    def lo(self) -> float | None:
        """The fixed lower end, 0 after a (leaky) ReLU unless given; None where it is free."""
        if self.clip_lo == "free" or (self.clip_lo is None and self.activation == "identity"):
            return None
        return 0.0 if self.clip_lo is None else float(self.clip_lo)


def guess_activation(moments: Moments, sample: np.ndarray) -> str:
    """The kind of activation that made these values.

    No negative values: "relu6" if none passes 6 and at least one of 10,000 is 6 (to bfloat16's
    precision), else "relu". Otherwise "leaky_relu" if negative values are on average less than a
    third as large as positive ones (leaky ReLU, SiLU, GELU), else "identity".
    """
    if moments.min >= 0:
        at_six = np.mean(sample >= 5.99) if len(sample) else 0.0
        return "relu6" if moments.max <= 6.001 and at_six >= 1e-4 else "relu"
    positive, negative = sample[sample > 0], sample[sample < 0]
    if len(positive) and len(negative) and -negative.mean() < positive.mean() / 3:
        return "leaky_relu"
    return "identity"


def _pair(clip: Any) -> tuple[float, float] | None:
    if isinstance(clip, str) or not isinstance(clip, (Sequence, np.ndarray)) or len(clip) != 2:
        return None
    if not all(isinstance(end, (Real, np.generic)) for end in clip):
        return None
    return float(clip[0]), float(clip[1])


def fallback_range(moments: Moments) -> tuple[float, float]:
    """min..max of the values; one value c: [c, c + max(1, |c|)], so that c decodes exactly.

    Where that would overflow float32: the range between c and c / 2.
    """
    lo, hi = moments.min, moments.max
    if np.float32(lo) < np.float32(hi):
        return lo, hi
    if abs(lo) > 1e38:
        return min(lo, lo / 2), max(lo, lo / 2)
    return lo, lo + max(1.0, abs(lo))


def _named_range(choice: RangeChoice, moments: Moments, sample: np.ndarray) -> tuple[float, float]:
    slope = choice.slope if choice.activation == "leaky_relu" else None
    if choice.clip == "model":
        model = ActivationModel.fit(
            moments.mean, moments.variance, choice.activation, slope, choice.kappa
        )
        return model.clip_range(choice.levels, lo=choice.lo)
    if choice.clip == "minmax":
        return moments.min if choice.lo is None else choice.lo, moments.max
    return clip_range_samples(
        sample, choice.levels, choice.clip, choice.lo, choice.activation, slope=slope
    )


def choose_range(
    choice: RangeChoice, moments: Moments, sample: np.ndarray, where: str = ""
) -> tuple[float, float]:
    """(lo, hi) with lo < hi in float32. Warns (CalibrationWarning) where statistics fit no model.

    ``sample``: some of the values, float32; ``where``: which part of the tensor, for the warning.
    Errors: ParameterError for a given range that is none.
    """
    given = _pair(choice.clip)
    if given is not None:
        lo, hi = given
        if not (np.isfinite(given).all() and np.float32(lo) < np.float32(hi)):
            raise ParameterError(f"clip=({lo}, {hi}): must be finite with lo < hi")
    elif not isinstance(choice.clip, str) or choice.clip not in CLIPS:
        names = ", ".join(map(repr, CLIPS))
        raise ParameterError(f"clip={choice.clip!r}: must be one of {names}, or a pair (lo, hi)")
    else:
        lo, hi = _range_or_fallback(choice, moments, sample, where)
    extra = (choice.clip_scale - 1) * (hi - lo)
    if choice.activation == "identity":
        return lo - extra / 2, hi + extra / 2
    return lo, hi + extra


def _range_or_fallback(
    choice: RangeChoice, moments: Moments, sample: np.ndarray, where: str
) -> tuple[float, float]:
    reason = ""
    if not moments.min < moments.max:
        reason = "all values are equal"
    elif choice.activation != "identity" and moments.mean <= 0:
        reason = f"the mean is not positive ({moments.mean:g})"
    else:
        try:
            lo, hi = _named_range(choice, moments, sample)
        except ParameterError as error:
            reason = str(error)
        else:
            if np.isfinite([lo, hi]).all() and np.float32(lo) < np.float32(hi):
                return lo, hi
            reason = f"{choice.clip!r} gives no range (lo={lo:g}, hi={hi:g})"
    lo, hi = fallback_range(moments)
    warnings.warn(
        f"{where}{reason}, so activation={choice.activation!r} has no best range; "
        f"taking [{lo:g}, {hi:g}] from the samples",
        CalibrationWarning,
        stacklevel=2,
    )
    return lo, hi
