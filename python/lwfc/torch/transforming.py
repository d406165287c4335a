"""calibrate with a transform on a model: gradients, and a step chosen by the outputs."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..calibration.calibrate import calibrate
from ..calibration.pairs import Pairs
from ..calibration.rivals import Rival, cheapest_rival, measured_bits
from ..calibration.samples import Batches as Samples
from ..calibration.transforming import (
    Prepared,
    TransformOptions,
    decided,
    fallen_back,
    prepare,
    warn_of_missed,
)
from ..codec.codec import Codec
from ..transform.clamp import GAIN, ends_of
from ..transform.steps import bisected
from ..transform.trial import Point
from .features import Batches
from .gradients import Projections
from .heldout import HELD_MAX, NEAR, HeldOut, held_out_batches, in_turns
from .turns import calibrate_few

__all__ = ["calibrate_transform", "collected", "judged", "with_held_out"]


@contextlib.contextmanager
def collected(
    loader: Batches,
    wishes: TransformOptions,
    projections: Projections,
    held_out: HeldOut | None,
) -> Iterator[tuple[Prepared, Pairs | None]]:
    """The fit to a loader's batches, without those held out, and these; None without any."""
    held: list[np.ndarray] = []

    def stacked() -> Iterator[np.ndarray]:
        for batch, back in held_out_batches(loader):
            parts = (x.numpy() for x in projections.run(batch))
            if back and held_out is not None and sum(map(len, held)) < HELD_MAX:
                held.extend(parts)
                held_out.add(batch)
            else:
                yield from parts

    with projections.opened(stacked(), wishes) as (_, pairs):
        own = None
        if held:
            own = Pairs(
                Samples(held, batched=True), None, pairs.channel_axis, stacked=True, measured=False
            )
        yield prepare(pairs, wishes), own


def calibrate_transform(
    loader: Batches,
    *,
    transform: str,
    projections: Projections,
    held_out: HeldOut,
    **options: Any,
) -> Codec:
    """:func:`lwfc.torch.calibrate` with ``transform`` "dct" or "auto"."""
    wishes = TransformOptions.of(transform, options)
    searching = wishes.goal(1 << 30).distortion is not None
    if searching:
        few, loader = in_turns(loader)
        if few is not None:
            return calibrate_few(few, wishes, projections, held_out)
    with collected(loader, wishes, projections, held_out if searching else None) as found:
        prepared, own = found
        if own is None:
            return decided(calibrate, prepared, prepared.find_step())
        prepared, point = judged(prepared, held_out)
        rival, missed = None, prepared.missed(point)
        if transform == "auto" or missed:
            rival = _smaller(prepared, point, held_out, own)
        if rival is not None:
            everything = dataclasses.replace(prepared, pairs=prepared.pairs.joined(own))
            return fallen_back(calibrate, everything, rival)
        warn_of_missed(prepared, point)
        notes = {"distortion": point.distortion, "distortion_measure": held_out.kind}
        return with_held_out(prepared, own).codec(point.step, **notes)


def with_held_out(prepared: Prepared, own: Pairs | None) -> Prepared:
    """The same shape fitted to all samples."""
    return prepared if own is None else prepared.refitted(prepared.pairs.joined(own))


def judged(prepared: Prepared, held_out: HeldOut) -> tuple[Prepared, Point]:
    """The fit at its step, its clamp decided by the outputs on held-out inputs.

    Gradients do not tell: clamping large errors is no small change.
    """
    free = dataclasses.replace(prepared, clamp=None)
    point = find_step(free, held_out)
    ends = ends_of(prepared.fitted.survey)
    if ends is None:
        return free, point
    clamped = dataclasses.replace(prepared, clamp=ends)
    if held_out.distortion(clamped.codec(point.step)) >= GAIN * point.distortion:
        return free, point
    return clamped, find_step(clamped, held_out, point.step)


def find_step(prepared: Prepared, held_out: HeldOut, start: float | None = None) -> Point:
    """The largest step within the goal's distortion of the outputs on held-out inputs."""
    start = start or prepared.find_step().step

    def at(step: float) -> Point:
        return Point(step, math.nan, held_out.distortion(prepared.codec(step)))

    return bisected(at, prepared.goal.beyond, start, NEAR)


def _smaller(prepared: Prepared, point: Point, held_out: HeldOut, own: Pairs) -> Rival | None:
    """The plain profile if it codes the held-out samples smaller at no more distortion.

    If the transform misses the distortion wished for, the plain settings that meet it.
    """
    x = list(own.samples())
    ours = measured_bits([prepared.codec(point.step)], [x])
    wanted = prepared.goal.distortion if prepared.missed(point) else None
    return cheapest_rival(
        calibrate, [(prepared.pairs.samples(), x)], prepared.wishes.common, ours,
        lambda codecs: held_out.distortion(*codecs),
        nearest=point.distortion, allowed=point.distortion if wanted is None else wanted,
        wanted=wanted,
    )  # fmt: skip
