"""Quantizers: thresholds and values from a range, from samples, or from the activation model."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..base.errors import ParameterError
from .activation import (
    ActivationModel,
    aciq_ends,
    activation_shape,
    check_ends,
    check_lower,
    check_one_levels,
)
from .empirical import SampleLaw, sort_samples

__all__ = [
    "QuantizerDesign",
    "clip_range_samples",
    "deadzone_quantizer",
    "design_ecsq",
    "uniform_quantizer",
]

_LENGTHS = {"entropy": 0, "truncated_unary": 1}
_TOLERANCE = 1e-9
_ITERATIONS_MAX = 500


@dataclass(frozen=True, eq=False)
class QuantizerDesign:
    """A quantizer and what it costs.

    Attributes
    ----------
    thresholds : float32 (n - 1,)
        Increasing; a value belongs to the cell above the threshold it equals.
    values : float32 (n,)
        What a symbol decodes to.
    probabilities : float64 (n,)
        Share of each cell in the samples or the model.
    rate : float
        Bits per element: the entropy of the symbols, or the mean truncated-unary length.
    distortion : float
        Mean squared error against the values as given, clipping included.
    """

    thresholds: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray
    rate: float
    distortion: float

    @property
    def levels(self) -> int:
        """Number of values; a design drops levels whose cells stay empty."""
        return self.values.size


def _float_ends(lo: float, hi: float) -> tuple[float, float]:
    """The ends as float32 sees them, for streams carry float32."""
    with np.errstate(over="ignore"):
        return check_ends(np.float32(lo), np.float32(hi))


def uniform_quantizer(lo: float, hi: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds, values), float32, of equal steps with both ends as values.

    ``values[i] = lo + i * (hi - lo) / (levels - 1)`` and thresholds midway, computed in double from
    lo and hi in float32, then rounded: the rule that streams rely on.

    Raises
    ------
    ParameterError
        Unless lo < hi in float32, both finite, and 2 <= levels <= 256.
    """
    levels = check_one_levels(levels)
    lo, hi = _float_ends(lo, hi)
    thresholds, values = np.empty(levels - 1, np.float32), np.empty(levels, np.float32)
    _core.quantizer_uniform(lo, hi, levels, thresholds, values)
    return thresholds, values


def deadzone_quantizer(
    lo: float, hi: float, levels: int, fraction: float = 1 / 6
) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds, values), float32: uniform values, every threshold moved up.

    The thresholds lie ``fraction`` of a step above the midpoints, so more values fall on the lower,
    likelier levels: a lower rate for a little more error. ``fraction`` 0 is uniform; 1/6 is the
    usual rounding offset of 1/3 of video encoders.

    Raises
    ------
    ParameterError
        As uniform_quantizer, and unless 0 <= fraction < 0.5.
    """
    if not 0.0 <= fraction < 0.5:
        raise ParameterError(f"fraction={fraction}: must be at least 0 and below 0.5")
    thresholds, values = uniform_quantizer(lo, hi, levels)
    lo, hi = _float_ends(lo, hi)
    steps = np.arange(1, values.size) - 0.5 + fraction
    return (lo + steps * (hi - lo) / (values.size - 1)).astype(np.float32), values


def clip_range_samples(
    samples: Any,
    levels: int,
    method: str = "model",
    lo: float | None = 0.0,
    activation: str = "relu",
    *,
    slope: float | None = None,
    kappa: float | None = 0.5,
    percentile: float = 99.9,
) -> tuple[float, float]:
    """The clipping range (lo, hi) that a method takes for these samples.

    Parameters
    ----------
    samples : array_like
        Any shape, finite.
    levels : int
    method : {"model", "aciq", "minmax", "percentile", "mse"}
        "model": best range of the activation model with the samples' mean and variance.
        "aciq": [0, b W(12 N^2)], for "identity" mean -+ b W(3 N^2), b = E|y - mean|; takes no other
        lo. "minmax": the largest value. "percentile": the given percentile. "mse": least squared
        error on the samples themselves.
    lo : float or None
        The lower end; None: chosen by the method (the smallest value, the mirrored percentile, or
        the best pair of ends).
    activation, slope, kappa
        As in ``ActivationModel.fit``.
    percentile : float
        Above 50 and at most 100.

    Raises
    ------
    ParameterError
        For a bad argument; if no model has the samples' moments, or no sample lies above lo.
    """
    levels = check_one_levels(levels)
    lo = check_lower(lo)
    full = activation_shape(activation, slope)[0] == 1.0
    sorted_samples, sums, _ = sort_samples(samples)
    mean = sums[-1] / sorted_samples.size
    if method == "model":
        variance = np.square(sorted_samples - mean).mean()
        model = ActivationModel.fit(mean, variance, activation, slope, kappa)
        return model.clip_range(levels, lo)
    if method == "aciq":
        ends = aciq_ends(mean, np.abs(sorted_samples - mean).mean(), levels, half=not full)
    elif method == "minmax":
        ends = (sorted_samples[0] if lo is None else lo, sorted_samples[-1])
    elif method == "percentile":
        if not 50.0 < percentile <= 100.0:
            raise ParameterError(f"percentile={percentile}: must be above 50 and at most 100")
        lower, upper = np.percentile(sorted_samples, [100.0 - percentile, percentile])
        ends = (lower if lo is None else lo, upper)
    elif method == "mse":
        found = SampleLaw(sorted_samples).best(levels, lo)
        ends = None if found is None else (found.lo, found.hi)
    else:
        raise ParameterError(
            f"method={method!r}: must be 'model', 'aciq', 'minmax', 'percentile' or 'mse'"
        )
    if ends is None or not ends[0] < ends[1]:
        raise ParameterError(f"method={method!r}, lo={lo}: the samples span no range above lo")
    return float(ends[0]), float(ends[1])


def design_ecsq(
    samples_or_model: Any,
    levels: int,
    lo: float,
    hi: float,
    rate_weight: float,
    pinned: bool = True,
    lengths: str = "entropy",
) -> QuantizerDesign:
    """The paper's modified entropy-constrained quantizer.

    Lowers E[(y - value)^2] + rate_weight * E[length] of the values clipped to [lo, hi], from the
    uniform quantizer on, until a pass gains less than 1e-9 of it (500 passes at most). Levels whose
    cell dies are dropped, so that the result may have fewer; two always stay, one of them perhaps
    out of reach behind an infinite-like threshold (the largest float32).

    Parameters
    ----------
    samples_or_model : array_like or ActivationModel
        Finite samples of any shape, or a model, whose integrals are in closed form.
    levels : int
        2 to 256, to begin with.
    lo, hi : float
        The clipping range, rounded to float32.
    rate_weight : float
        Squared error per bit, >= 0.
    pinned : bool
        Keep the outer values at lo and hi, the paper's modification.
    lengths : {"entropy", "truncated_unary"}
        Code length of a level: -log2 of its probability, or of its unary code.

    Raises
    ------
    ParameterError
        For a bad argument.
    """
    levels = check_one_levels(levels)
    lo, hi = _float_ends(lo, hi)
    if not 0.0 <= rate_weight < math.inf:
        raise ParameterError(f"rate_weight={rate_weight}: must be finite and not negative")
    if lengths not in _LENGTHS:
        raise ParameterError(f"lengths={lengths!r}: must be 'entropy' or 'truncated_unary'")
    options = (
        levels, lo, hi, rate_weight, pinned, _LENGTHS[lengths], _TOLERANCE, _ITERATIONS_MAX,
    )  # fmt: skip
    if isinstance(samples_or_model, ActivationModel):
        result = _core.model_design(samples_or_model._law, *options)
    else:
        result = _core.samples_design(sort_samples(samples_or_model), *options)
    if result is None:
        raise ParameterError("the squares of the samples overflow")
    thresholds, values, probabilities, rate, distortion = result[:5]
    return QuantizerDesign(
        np.array(thresholds, np.float32),
        np.array(values, np.float32),
        np.array(probabilities),
        rate,
        distortion,
    )
