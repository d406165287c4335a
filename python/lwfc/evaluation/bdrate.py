"""BD-rate: mean difference in rate at equal quality, where that means something.

G. Bjontegaard, ITU-T VCEG-M33, 2001. The logarithm of the rate is interpolated as a function of the
quality by Akima's or the monotone cubic (pchip) spline, never by one cubic through all points: on
accuracy that saturates, such a cubic lies.
"""

from typing import Any

import numpy as np

from ..base.arrays import as_float64
from ..base.checks import check_number, choose
from ..base.errors import ParameterError

__all__ = ["bd_rate", "decibels"]

LEAST = 4  # points of a curve
COMMON = 0.25  # of the narrower curve's qualities that both must reach


def decibels(error: Any) -> np.ndarray:
    """Quality of normalised squared errors."""
    return -10 * np.log10(np.maximum(np.asarray(error, np.float64), 1e-12))


def bd_rate(
    rate: Any,
    quality: Any,
    other_rate: Any,
    other_quality: Any,
    *,
    noise: float = 0.0,
    method: str = "akima",
) -> float:
    """How much less (negative) or more rate the second curve needs at equal quality, in percent.

    Curves are four points or more, in any order. ``noise``: a rise of quality from one point to the
    next must be larger than this, in quality's units; give the half-width of its intervals.
    ``method``: "akima" or "pchip". Needs scipy.
    Errors: ParameterError where the curves do not overlap, do not rise, or rise by less than their
    noise, as accuracy does near its limit: compare rates at a bound on the loss there.
    """
    choose("method", method, ("akima", "pchip"))
    check_number("noise", noise, 0, np.inf)
    try:
        from scipy import interpolate
    except ImportError as error:
        raise ImportError("bd_rate needs scipy: pip install 'lwfc[eval]'") from error
    curves = [_curve("first", rate, quality, noise), _curve("second", other_rate, other_quality,
                                                            noise)]  # fmt: skip
    low = max(q[0] for q, _ in curves)
    high = min(q[-1] for q, _ in curves)
    narrow = min(q[-1] - q[0] for q, _ in curves)
    if high - low < COMMON * narrow:
        raise ParameterError(
            f"the curves share qualities {low:.4g} to {high:.4g} only, under {COMMON:.0%} of the "
            "narrower one: a mean over that says nothing"
        )
    kind = (interpolate.Akima1DInterpolator if method == "akima" else
            interpolate.PchipInterpolator)  # fmt: skip
    first, second = (float(kind(q, r).integrate(low, high)) / (high - low) for q, r in curves)
    return 100 * (float(np.exp(second - first)) - 1)


def _curve(which: str, rate: Any, quality: Any, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """(rising qualities, logarithms of rates), or why there is no such curve."""
    rates, qualities = (as_float64(v).reshape(-1) for v in (rate, quality))
    if len(rates) != len(qualities) or len(rates) < LEAST:
        raise ParameterError(f"the {which} curve has {len(rates)} rates and {len(qualities)} "
                             f"qualities: it takes {LEAST} points at least")  # fmt: skip
    if not (np.isfinite(rates) & np.isfinite(qualities) & (rates > 0)).all():
        raise ParameterError(f"the {which} curve holds rates or qualities that are not finite, or "
                             "rates of 0")  # fmt: skip
    order = np.argsort(rates, kind="stable")
    rates, qualities = rates[order], qualities[order]
    rises = np.diff(qualities)
    if (rises <= noise).any():
        where = int(np.argmax(rises <= noise))
        why = "falls" if rises[where] < 0 else "saturates"
        raise ParameterError(
            f"the {which} curve {why}: from rate {rates[where]:.4g} to {rates[where + 1]:.4g} its "
            f"quality changes by {rises[where]:.3g}, which must be above {noise:.3g}; compare "
            "rates at a bound on the loss instead"
        )
    return qualities, np.log(rates)
