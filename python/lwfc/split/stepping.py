"""The transform at a cut: each tensor fitted once, and the step that the outputs allow."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..base.arrays import as_float32
from ..calibration.pairs import Pairs
from ..calibration.samples import Batches
from ..calibration.transforming import Prepared, TransformOptions, prepare
from ..transform.geometry import Geometry
from ..transform.steps import bisected
from ..transform.trial import Point
from .cuts import Cut
from .losses import Loss
from .outline import usual_blocks
from .profiles import Profile

__all__ = ["Found", "Samples", "stepped"]

NEAR = 0.03  # relative, of the loss allowed
LEAST = 1e-3  # a tensor's sensitivity, of the largest at the cut: no step grows beyond all bounds


class Found(NamedTuple):
    """Codecs by tensor name, what they lose, the options of calibrate that made them."""

    codecs: Mapping[str, Any]
    loss: Loss
    settings: Mapping[str, Any]


class Samples(Protocol):
    """What is known of a cut: see :class:`lwfc.split.exact.Halves`."""

    cut: Cut
    fitting: list[Mapping[str, Any]]

    def gradients(self) -> list[Mapping[str, np.ndarray]] | None: ...

    def loss(self, codecs: Mapping[str, Any]) -> Loss: ...


def stepped(halves: Samples, profile: Profile, max_loss: float) -> Found:
    """The largest step, or the first of the profile's, whose measured loss is allowed.

    Tensors that cross together share one step in units of what their errors cost the outputs; the
    step and the block named are those of the first. Without gradients nothing tells at which
    distortion to compare sizes of blocks: the usual one is taken unless the profile names one.
    """
    if not any(tensor.coded for tensor in halves.cut.tensors):
        return Found({}, halves.loss({}), profile.options)
    fits = _fitted(halves, profile, max_loss)
    tried: dict[float, tuple[Mapping[str, Any], Loss]] = {}

    def at(step: float) -> Point:
        codecs = {name: prepared.codec(step * unit) for name, (prepared, unit) in fits.items()}
        tried[step] = codecs, halves.loss(codecs)
        return Point(step, math.nan, tried[step][1].relative)

    if profile.ladder:
        allowed = (step for step in profile.ladder if at(step).distortion <= max_loss)
        step = next(allowed, profile.ladder[-1])
    else:
        start = min(prepared.find_step().step / unit for prepared, unit in fits.values())
        allowed = max(max_loss, 1e-30)
        point = bisected(at, lambda p: math.log(max(p.distortion, 1e-30) / allowed), start, NEAR)
        step = point.step
    first, _ = next(iter(fits.values()))
    settings = {**profile.options, "block": _sides(first.fitted.shape.geometry), "step": step}
    return Found(*tried[step], settings)


def _sides(geometry: Geometry) -> int | tuple[int, int]:
    """As calibrate takes it."""
    height, width = geometry.block_height, geometry.block_width
    return height if height == width else (height, width)


def _fitted(
    halves: Samples, profile: Profile, max_loss: float
) -> dict[str, tuple[Prepared, float]]:
    """Of each tensor worth a codec, the fit and its step for a step of one in the first."""
    options = {name: v for name, v in profile.options.items() if name != "transform"}
    options["distortion"] = min(max(max_loss, 1e-9), 1.0)
    wishes = TransformOptions.of("dct", options)
    gradients = halves.gradients()
    fits: dict[str, Prepared] = {}
    costs: dict[str, float] = {}
    for tensor in halves.cut.tensors:
        if not tensor.coded:
            continue
        batches = [as_float32(features[tensor.name])[:, None] for features in halves.fitting]
        if gradients is not None:
            slopes = [found[tensor.name] for found in gradients]
            costs[tensor.name] = _size(slopes)
            batches = [np.concatenate(pair, 1) for pair in zip(batches, slopes, strict=True)]
        else:
            costs[tensor.name] = 1 / max(_size([x - x.mean() for x in batches]), 1e-30)
        samples = Batches(batches, batched=True)
        pairs = Pairs(samples, None, wishes.channel_axis, stacked=True)
        own = wishes
        if gradients is None and wishes.block is None:
            own = dataclasses.replace(wishes, block=_sides(usual_blocks(pairs.layout)))
        fits[tensor.name] = prepare(pairs, own)
    least = LEAST * max(costs.values()) or 1.0
    first = max(next(iter(costs.values())), least)
    return {name: (fit, first / max(costs[name], least)) for name, fit in fits.items()}


def _size(batches: list[np.ndarray]) -> float:
    """Root mean square of all values."""
    squares = sum(float(np.square(x, dtype=np.float64).sum()) for x in batches)
    return math.sqrt(squares / max(1, sum(x.size for x in batches)))
