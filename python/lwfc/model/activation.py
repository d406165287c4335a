"""The model of an activation layer's output, and the clipping range it calls best.

Before the activation a value is asymmetric Laplace, ``Y`` is what the activation makes of it. Mean
and variance of the samples fix the model; density, error of clipping and quantising, and the best
range follow in closed form or from one safeguarded search. Formulas: R. A. Cohen, H. Choi,
I. V. Bajic, "Lightweight Compression of Intermediate Neural Network Features for Collaborative
Intelligence" (2021), derived anew for any slope, either sign of the location, and a cap.
"""

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..base.checks import shown
from ..base.errors import ParameterError

__all__ = ["ActivationModel", "range_constant"]

_SLOPES = {"relu": 0.0, "relu6": 0.0, "leaky_relu": 0.1, "identity": 1.0}
_CAPS = {"relu6": 6.0}


def check_one_levels(levels: Any) -> int:
    """levels as an int, if it is an integer 2..256."""
    try:
        number = operator.index(levels)
    except TypeError:
        number = 0
    if not 2 <= number <= 256:
        raise ParameterError(f"levels={shown(levels)}: must be an integer from 2 to 256")
    return number


def check_ends(lo: Any, hi: Any) -> tuple[float, float]:
    """lo and hi as finite floats with lo < hi."""
    lo, hi = float(lo), float(hi)
    if not (math.isfinite(lo) and math.isfinite(hi) and lo < hi):
        raise ParameterError(f"the range lo={lo}, hi={hi} must be finite with lo < hi")
    return lo, hi


def check_lower(lo: Any) -> float | None:
    """lo as a finite float, or None for an end that is free."""
    if lo is None:
        return None
    if not math.isfinite(lo):
        raise ParameterError(f"lo={lo}: must be finite, or None for a free lower end")
    return float(lo)


def activation_shape(activation: str, slope: float | None) -> tuple[float, float]:
    """(slope, cap) of a named activation.

    Raises
    ------
    ParameterError
        For an unknown name, a slope outside 0..1, or a slope for any but ``"leaky_relu"``.
    """
    if activation not in _SLOPES:
        raise ParameterError(
            f"activation={activation!r}: must be one of {', '.join(map(repr, _SLOPES))}"
        )
    if slope is not None:
        if activation != "leaky_relu":
            raise ParameterError(f"slope={slope}: only activation='leaky_relu' has one")
        if not 0.0 <= slope <= 1.0:
            raise ParameterError(f"slope={slope}: must be from 0 to 1")
        return float(slope), math.inf
    return _SLOPES[activation], _CAPS.get(activation, math.inf)


def range_constant(levels: int) -> float:
    """K_N: ``lo=0`` and ``location <= 0`` make ``hi = K_N / (rate * skew)`` the best range.

    It depends on the number of levels alone: 2 for 2 levels, 2.89785 for 3 (section 4 of the
    paper, derived anew).
    """
    return _core.model_range_constant(check_one_levels(levels))


@dataclass(frozen=True)
class ActivationModel:
    """An asymmetric Laplace law seen through an activation.

    ``X`` has its mode at ``location`` and decays at ``rate * skew`` above it, ``rate / skew`` below
    it. ``Y = X`` for ``X >= 0``, ``slope * X`` for ``X < 0``, then ``min(Y, cap)``. ``rate`` is in
    units of 1 / activation, ``location`` and ``cap`` in units of the activation.

    Raises
    ------
    ParameterError
        Unless rate > 0, location finite, 0.001 <= skew <= 1000, 0 <= slope <= 1 and cap > 0.
    """

    rate: float
    location: float
    skew: float = 0.5
    slope: float = 0.0
    cap: float = math.inf
    activation: str = "relu"

    def __post_init__(self) -> None:
        if not _core.model_valid(self._law):
            raise ParameterError(
                f"{self}: needs rate > 0, a finite location, 0.001 <= skew <= 1000, "
                "0 <= slope <= 1 and cap > 0"
            )

    @property
    def _law(self) -> tuple[float, float, float, float, float]:
        return (self.rate, self.location, self.skew, self.slope, self.cap)

    @classmethod
    def fit(
        cls,
        mean: float,
        variance: float,
        activation: str = "relu",
        slope: float | None = None,
        kappa: float | None = 0.5,
    ) -> "ActivationModel":
        """The model whose output has this mean and variance; there is at most one.

        Parameters
        ----------
        mean, variance : float
            Of the activations, zeros included.
        activation : {"relu", "leaky_relu", "relu6", "identity"}
        slope : float, optional
            Of ``"leaky_relu"``, 0 to 1; 0.1 if None.
        kappa : float or None
            The skew. The paper fixes 0.5; 1 is the ordinary Laplace law. None: 0.5, but 1 for
            ``"identity"``, whose values have no preferred sign.

        Raises
        ------
        ParameterError
            If no model has these moments: variance <= 0 or anything not finite; mean <= 0, except
            for ``"identity"``; for ``"relu6"`` also mean >= 6 or variance >= mean * (6 - mean).
        """
        slope, cap = activation_shape(activation, slope)
        if kappa is None:
            kappa = 1.0 if activation == "identity" else 0.5
        mean, variance, kappa = float(mean), float(variance), float(kappa)
        if not 1e-3 <= kappa <= 1e3:
            raise ParameterError(f"kappa={kappa}: must be from 0.001 to 1000")
        status, rate, location = _core.model_fit(mean, variance, kappa, slope, cap)
        if status:
            raise ParameterError(
                f"no {activation} model has mean {mean:.6g} and variance {variance:.6g}"
            )
        return cls(rate, location, kappa, slope, cap, activation)

    @property
    def mean(self) -> float:
        """E[Y] in closed form."""
        return _core.model_moments(self._law)[0]

    @property
    def variance(self) -> float:
        """Var Y in closed form."""
        return _core.model_moments(self._law)[1]

    @property
    def deviation(self) -> float:
        """E|Y - E[Y]|, the ``b`` of ACIQ."""
        return _core.model_moments(self._law)[2]

    @property
    def atoms(self) -> tuple[float, float]:
        """P(Y = 0), which is positive for slope 0 only, and P(Y = cap)."""
        return _core.model_moments(self._law)[3:]

    def _apply(self, function: Any, y: Any) -> Any:
        y = np.ascontiguousarray(y, np.float64) if np.ndim(y) else np.asarray(y, np.float64)
        out = np.empty(y.shape)
        function(self._law, y, out)
        return out if y.ndim else float(out)

    def pdf(self, y: Any) -> Any:
        """Density without the atoms, float64 of y's shape; at 0 the limit from above."""
        return self._apply(_core.model_pdf, y)

    def cdf(self, y: Any) -> Any:
        """P(Y <= y), atoms included, float64 of y's shape."""
        return self._apply(_core.model_cdf, y)

    def stop_loss(self, t: Any) -> Any:
        """E[max(Y - t, 0)], float64 of t's shape."""
        return self._apply(_core.model_stop_loss, t)

    def error(self, lo: float, hi: float, levels: int) -> tuple[float, float]:
        """Mean squared error of clipping to [lo, hi], and of quantising inside it.

        Both ends are levels, thresholds lie midway (section 4 of the paper); each integral is
        elementary. The sum is the mean squared error of the uniform quantizer.
        """
        lo, hi = check_ends(lo, hi)
        return _core.model_error(self._law, lo, hi, check_one_levels(levels))[:2]

    def total_error(self, lo: float, hi: float, levels: int) -> float:
        """The sum of ``error`` by the stop-loss identity (section 4 of the paper, derived anew):
        E[(Y - lo)^2] - 2 D sum_i E[max(Y - t_i, 0)] with the step D."""
        lo, hi = check_ends(lo, hi)
        return _core.model_error(self._law, lo, hi, check_one_levels(levels))[2]

    def prob(self, lo: float, hi: float, levels: int) -> np.ndarray:
        """Probability of each cell of the uniform quantizer, float64 (levels,)."""
        lo, hi = check_ends(lo, hi)
        levels = check_one_levels(levels)
        out = np.empty(levels)
        _core.model_cells(self._law, lo, hi, levels, out)
        return out

    def clip_range(self, levels: int, lo: float | None = 0.0) -> tuple[float, float]:
        """(lo, hi) of least total error; ``lo=None`` optimises both ends.

        Raises
        ------
        ParameterError
            If lo lies above the values the model gives.
        """
        ends = _core.model_range(self._law, check_one_levels(levels), check_lower(lo))
        if ends is None:
            raise ParameterError(f"lo={lo}: {self} has no best range there")
        return ends

    def aciq_range(self, levels: int) -> tuple[float, float]:
        """The range ACIQ would take for a Laplace law of this deviation, for comparison.

        [0, alpha], or mean -+ alpha for ``slope=1``; see ``lwfc.clip_range_samples``.
        """
        return aciq_ends(self.mean, self.deviation, levels, half=self.slope < 1.0)


def aciq_ends(mean: float, deviation: float, levels: int, half: bool) -> tuple[float, float]:
    """ACIQ: alpha = b W(12 N^2) over [0, alpha]; b W(3 N^2) over mean -+ alpha.

    W is Lambert's function, b the mean absolute deviation (Banner, Nahshan, Soudry 2019,
    extended to any number of levels N).
    """
    alpha = _core.model_aciq(deviation, check_one_levels(levels), half)
    return (0.0, alpha) if half else (mean - alpha, mean + alpha)
