"""The options of calibrate: what each may be, which exclude each other, which do nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.checks import check_axis, check_number, choose, shown
from ..base.errors import OptionWarning, ParameterError
from ..base.warn import warn_caller
from ..codec.names import CODERS, NAN_POLICIES
from ..codec.stages import check_levels
from ..context.fitter import MAX_LEVELS
from ..model.ranges import ACTIVATIONS, CLIPS
from .quantizers import QUANTIZERS

__all__ = ["GRANULARITIES", "RESTORATIONS", "check_options", "idle", "warn_of_idle"]

RESTORATIONS = ("none", "centroid", "local", "linear")
GRANULARITIES = ("tensor", "channel")


def check_options(o: Mapping[str, Any]) -> None:
    """ParameterError for the first option of ``calibrate`` in ``o`` that cannot work."""
    check_levels(o["levels"])
    choose("quantizer", o["quantizer"], QUANTIZERS)
    choose("restore", o["restore"], RESTORATIONS)
    choose("granularity", o["granularity"], GRANULARITIES)
    choose("activation", o["activation"], ACTIVATIONS)
    choose("coder", o["coder"], CODERS)
    choose("nan", o["nan"], NAN_POLICIES)
    check_number("slope", o["slope"], 0, 1)
    if o["kappa"] is not None:
        check_number("kappa", o["kappa"], 1e-3, 1e3)
    check_clip(o["clip"])
    check_number("clip_scale", o["clip_scale"], 1e-3, 1e3)
    if o["clip_lo"] not in (None, "free"):
        check_number("clip_lo", o["clip_lo"], -1e30, 1e30)
    check_number("rate_weight", o["rate_weight"], 0, 1e6)
    check_number("restore_strength", o["restore_strength"], 0, 1)
    check_axis(o["channel_axis"])
    if o["quantizer"] == "ecsq" and o["granularity"] == "channel":
        raise ParameterError(
            'quantizer="ecsq" drops levels, so granularity="channel" cannot keep one level count; '
            'use granularity="tensor"'
        )
    if o["coder"] == "context" and o["levels"] > MAX_LEVELS:
        raise ParameterError(
            f'levels={o["levels"]}: coder="context" takes {MAX_LEVELS} at most; use coder="rans"'
        )


def check_clip(clip: Any) -> None:
    """ParameterError unless clip is a method's name, or a pair lo < hi."""
    if isinstance(clip, str):
        choose("clip", clip, CLIPS)
        return
    try:
        lo, hi = map(float, clip)
        good = np.isfinite([lo, hi]).all() and np.float32(lo) < np.float32(hi)
    except (TypeError, ValueError):
        good = False
    if not good:
        names = ", ".join(map(repr, CLIPS))
        raise ParameterError(
            f"clip={shown(clip)}: must be one of {names}, or a pair (lo, hi), lo < hi"
        )


def idle(o: Mapping[str, Any], law: str | None = None) -> dict[str, str]:
    """The options in ``o`` that have no effect beside the others, and what would give them one.

    ``activation`` may be "auto", which may still turn out to have a slope; ``law``: what the range
    was taken from, once that is known.
    """
    found = {}
    if o["slope"] != 0.1 and (
        o["activation"] not in ("auto", "leaky_relu") or law in ("samples", "given")
    ):
        found["slope"] = 'activation="leaky_relu"'
    if o["kappa"] is not None and law == "samples":
        found["kappa"] = "an activation by name"
    if o["kappa"] is not None and not _is(o["clip"], "model"):
        found["kappa"] = 'clip="model"'
    if o["clip_lo"] is not None and (not isinstance(o["clip"], str) or _is(o["clip"], "aciq")):
        found["clip_lo"] = 'clip="model", "mse", "percentile" or "minmax"'
    if o["rate_weight"] and o["coder"] != "context" and o["quantizer"] != "ecsq":
        found["rate_weight"] = 'coder="context" or quantizer="ecsq"'
    if o["restore_strength"] != 1 and o["restore"] not in ("local", "linear"):
        found["restore_strength"] = 'restore="local" or "linear"'
    return found


def warn_of_idle(o: Mapping[str, Any], law: str) -> None:
    """An OptionWarning for each."""
    for name, remedy in idle(o, law).items():
        warn_caller(f"{name}={o[name]!r} has no effect here: it needs {remedy}", OptionWarning)


def _is(clip: Any, name: str) -> bool:
    return isinstance(clip, str) and clip == name
