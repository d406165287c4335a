"""From statistics to a clipping range: the activation's kind, the model, the samples' own law.

Sources: R. A. Cohen, H. Choi, I. V. Bajic, "Lightweight Compression of Intermediate Neural Network
Features for Collaborative Intelligence" (2021) for the model; R. Banner, Y. Nahshan, D. Soudry,
"Post training 4-bit quantization of convolutional networks for rapid-deployment" (2019) for ACIQ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from .activation import ActivationModel
from .design import clip_range_samples
from .empirical import CLOSE, MASS, Ends, SampleLaw, snap
from .moments import Moments

__all__ = ["ACTIVATIONS", "CLIPS", "Range", "RangeChoice", "choose_range", "guess_activation"]

ACTIVATIONS = ("auto", "relu", "relu6", "leaky_relu", "identity")
CLIPS = ("model", "aciq", "minmax", "percentile", "mse")
MISFIT = 1.5  # of the least error: where the model's range is said not to fit
FROM_ZERO = 0.1  # of the mean's distance from the smallest value: how far from 0 a ReLU's may lie


@dataclass(frozen=True, slots=True)
class RangeChoice:
    """How to choose a range, one object for all channels. Names as in ``lwfc.calibrate``.

    ``auto``: ``activation`` was guessed, so the samples may overrule its model.
    """

    levels: int
    activation: str
    slope: float
    kappa: float | None
    clip: Any
    clip_scale: float
    clip_lo: Any = None
    auto: bool = False

    @property
    def lo(self) -> float | None:
        """The fixed lower end, 0 after a named (leaky) ReLU unless given; None where it is free."""
        if self.clip_lo is not None:
            return None if self.clip_lo == "free" else float(self.clip_lo)
        return None if self.auto or self.activation == "identity" else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """A range, unscaled; where it is stretched from; whose law it follows; what was wrong.

    ``law``: "model", "samples", "given" or the clip's name. ``trouble``: (kind, sentence) or None.
    """

    ends: Ends
    about: float
    law: str
    trouble: tuple[str, str] | None = None

    def scaled(self, choice: RangeChoice) -> Ends:
        """The ends stretched by ``clip_scale``."""
        return self.ends.scaled(choice.clip_scale, self.about, choice.levels).clamped()


def guess_activation(moments: Moments, sample: np.ndarray) -> str:
    """The kind of activation that made these values.

    No negative values: "relu6" if none passes 6 and at least one of 10,000 is 6 (to bfloat16's
    precision), else "relu"; but "identity" if they stop well above 0, which no ReLU does.
    Otherwise "leaky_relu" if negative values are on average less than a third as large as
    positive ones (leaky ReLU, SiLU, GELU), else "identity".
    """
    if moments.min >= 0:
        if moments.min > FROM_ZERO * (moments.mean - moments.min):
            return "identity"
        at_six = np.mean(sample >= 5.99) if len(sample) else 0.0
        return "relu6" if moments.max <= 6.001 and at_six >= 1e-4 else "relu"
    positive, negative = sample[sample > 0], sample[sample < 0]
    if len(positive) and len(negative):
        below, above = negative.mean(dtype=np.float64), positive.mean(dtype=np.float64)
        return "leaky_relu" if -below < above / 3 else "identity"
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


def _is_range(ends: Ends | None) -> bool:
    """Whether the ends are finite and differ in float32."""
    if ends is None or not np.isfinite([ends.lo, ends.hi]).all():
        return False
    ends = ends.clamped()
    return bool(np.float32(ends.lo) < np.float32(ends.hi))


def choose_range(choice: RangeChoice, moments: Moments, sample: np.ndarray) -> Range:
    """The range for values with these moments; ``sample``: some of them, float32.

    clip="model" takes the activation model's range. Where the activation was guessed and that
    range costs over 4 % more squared error than the best one for the samples, or misses a mass
    point of theirs, it is the best one for the samples. A named activation keeps its range, and
    the trouble says where it costs half as much again.
    Errors: ParameterError for a given range that is none.
    """
    given = _pair(choice.clip)
    if given is not None:
        if not (np.isfinite(given).all() and np.float32(given[0]) < np.float32(given[1])):
            raise ParameterError(f"clip={given}: must be finite with lo < hi")
        return _anchored(choice, Ends(*given), "given")
    if not isinstance(choice.clip, str) or choice.clip not in CLIPS:
        names = ", ".join(map(repr, CLIPS))
        raise ParameterError(f"clip={choice.clip!r}: must be one of {names}, or a pair (lo, hi)")
    if not moments.min < moments.max:
        return _fallback(choice, moments, "constant", "all values are equal")
    zeros = moments.zeros / moments.count
    if choice.clip == "model":
        return _by_model(choice, moments, SampleLaw(sample), zeros)
    if choice.clip == "mse":
        law = SampleLaw(sample)
        found = _by_samples(choice, law, zeros)
        if _is_range(found):
            return _anchored(choice, found, "samples", law)
        return _fallback(choice, moments, "range", f"no sample lies above lo={choice.lo}")
    try:
        found = _by_name(choice, moments, sample, zeros)
    except ParameterError as error:
        return _fallback(choice, moments, "range", str(error))
    if _is_range(found):
        return _anchored(choice, found, choice.clip)
    reason = f"{choice.clip!r} gives no range (lo={found.lo:g}, hi={found.hi:g})"
    return _fallback(choice, moments, "range", reason)


def _anchored(choice: RangeChoice, ends: Ends, name: str, law: SampleLaw | None = None) -> Range:
    """Stretching spares a mass point; else a floor, by the activation's name or the samples."""
    if ends.keep is not None:
        return Range(ends, ends.keep, name)
    floored = choice.activation != "identity"
    if law is not None and choice.auto and choice.lo is None:
        floored = law.floored
    return Range(ends, ends.lo if floored else (ends.lo + ends.hi) / 2, name)


def _fallback(choice: RangeChoice, moments: Moments, kind: str, reason: str) -> Range:
    lo, hi = fallback_range(moments)
    text = f"{reason}, so activation={choice.activation!r} has no best range; "
    text += f"taking [{lo:g}, {hi:g}] from the samples"
    found = _anchored(choice, Ends(lo, hi), "samples")
    return Range(found.ends, found.about, found.law, (kind, text))


def _by_samples(choice: RangeChoice, law: SampleLaw, zeros: float) -> Ends | None:
    if choice.lo is not None:
        return law.best(choice.levels, choice.lo)
    return law.best_with_mass(choice.levels, zeros)


def _by_name(choice: RangeChoice, moments: Moments, sample: np.ndarray, zeros: float) -> Ends:
    """minmax, percentile, aciq; a level on 0 where that is a mass point inside a free range."""
    if choice.clip == "minmax":
        ends = Ends(moments.min if choice.lo is None else choice.lo, moments.max)
    else:
        slope = choice.slope if choice.activation == "leaky_relu" else None
        found = clip_range_samples(
            sample, choice.levels, choice.clip, choice.lo, choice.activation, slope=slope
        )
        ends = Ends(*found)
    within = ends.lo <= 0 <= ends.hi and choice.lo is None and zeros >= MASS
    if not within or choice.clip == "aciq":
        return ends
    if ends.lo == 0 or ends.hi == 0:
        return Ends(ends.lo, ends.hi, keep=0.0)
    if choice.levels == 2:
        return ends
    values = snap(np.linspace(ends.lo, ends.hi, choice.levels), 0.0)
    return Ends(float(values[0]), float(values[-1]), keep=0.0, values=values)


def _models(choice: RangeChoice, moments: Moments, law: SampleLaw) -> list[Ends]:
    """The model's ranges: the paper's, and where it may be chosen one with a free lower end."""
    slope = choice.slope if choice.activation == "leaky_relu" else None
    model = ActivationModel.fit(
        moments.mean, moments.variance, choice.activation, slope, choice.kappa
    )
    lows = [choice.lo]
    if choice.auto and choice.clip_lo is None:
        lows = {"identity": [None], "leaky_relu": [0.0, None]}.get(choice.activation, [0.0])
    ranges = [model.clip_range(choice.levels, lo=lo) for lo in lows]
    return [Ends(lo, hi, float(law.error(np.linspace(lo, hi, choice.levels)))) for lo, hi in ranges]


def _by_model(choice: RangeChoice, moments: Moments, law: SampleLaw, zeros: float) -> Range:
    if choice.clip_lo in (None, "free"):  # a named activation, too, is judged by the best there is
        own = law.best_with_mass(choice.levels, zeros)
    else:
        own = law.best(choice.levels, choice.lo)
    reason = ""
    try:
        models = [ends for ends in _models(choice, moments, law) if _is_range(ends)]
    except ParameterError as error:
        models, reason = [], str(error)
    if not models and not _is_range(own):
        return _fallback(choice, moments, "range", reason or "the model gives no range")
    if choice.auto:
        for ends in models:
            kept = own is None or own.keep is None or own.keep == ends.lo
            if kept and (own is None or ends.error <= CLOSE * own.error):
                return _anchored(choice, ends, "model")
        return _anchored(choice, own, "samples", law)
    if not models:
        found = _anchored(choice, own, "samples", law)
        text = (f"{reason}, so activation={choice.activation!r} has no best range; taking "
                f"[{own.lo:g}, {own.hi:g}], the best for the samples")  # fmt: skip
        return Range(found.ends, found.about, found.law, ("range", text))
    found = _anchored(choice, models[0], "model")
    if own is None or models[0].error <= MISFIT * own.error:
        return found
    return Range(found.ends, found.about, found.law, ("misfit", _misfit(choice, models[0], own)))


def _misfit(choice: RangeChoice, model: Ends, own: Ends) -> str:
    times = model.error / own.error if own.error > 0 else np.inf
    return (
        f"the samples do not follow the model of activation={choice.activation!r}: its range "
        f"[{model.lo:g}, {model.hi:g}] has {times:.3g} times the squared error of "
        f"[{own.lo:g}, {own.hi:g}], so more levels may even cost error; "
        'activation="auto" or clip="mse" takes the samples\' own range'
    )
