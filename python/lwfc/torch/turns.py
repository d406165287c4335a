"""A transform of few inputs: each is held out of one fit, which finds the step; all are fitted."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calibration.calibrate import calibrate
from ..calibration.pairs import Pairs
from ..calibration.rivals import Rival, cheapest_rival, doubtful, measured_bits
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
from ..transform.choice import foldable
from ..transform.steps import Goal, bisected
from ..transform.trial import Point
from .gradients import Projections
from .heldout import NEAR, HeldOut, Picked

__all__ = ["calibrate_few"]

# So many inputs of a classifier may well be of a kind that bears much: of 24 draws of eight, three
# for each of eight layers, one that was held to 0.02 nats let others' outputs move by 0.2.
ALIKE = 16
LARGE = 2  # turns of fits that take much time and memory


def calibrate_few(
    parts: Sequence[tuple[Any, int]],
    wishes: TransformOptions,
    projections: Projections,
    held_out: HeldOut,
) -> Codec:
    """The codec of batches, each with its turn to be held out.

    Its step is the largest within the upper confidence bound of the outputs' distortion and, of
    logits, within the gradients': outputs of a few inputs may all be certain, and bear anything.
    """
    turns: list[int] = []  # of each array of features

    def stacked() -> Iterator[np.ndarray]:
        for batch, turn in parts:
            arrays = [x.numpy() for x in projections.run(batch)]
            if arrays:
                held_out.add(batch, turn)
            turns.extend([turn] * len(arrays))
            yield from arrays

    with projections.opened(stacked(), wishes) as (batches, pairs):
        prepared = prepare(pairs, wishes)
        if len(set(turns)) < 2:
            return decided(calibrate, prepared, prepared.find_step())
        found = _Turns(prepared, batches, turns, held_out)
        point = found.find_step()
        rival = found.smaller_rival(point)
        if rival is not None:
            return fallen_back(calibrate, prepared, rival)
        warn_of_missed(prepared, point)
        notes = {"distortion": found.distortion(point.step), "distortion_measure": held_out.kind}
        return prepared.codec(point.step, **notes)


class _Turns:
    """Fits of one shape, each to the batches of all turns but one."""

    def __init__(
        self, prepared: Prepared, batches: Samples, turns: Sequence[int], held_out: HeldOut
    ) -> None:
        self._prepared, self._held_out = prepared, held_out
        axis = prepared.pairs.channel_axis
        count = max(turns) + 1
        fitted = prepared.fitted
        small = foldable(fitted.shape, fitted.survey.kept.features.shape[1])
        if not small and len({t % LARGE for t in turns}) == LARGE:
            turns, count = [t % LARGE for t in turns], LARGE
        self._pairs = [
            [
                Pairs(Picked(batches, chosen), None, axis, stacked=True, measured=False)
                for chosen in ([t != turn for t in turns], [t == turn for t in turns])
            ]
            for turn in range(count)
        ]
        self._fits = [prepared.refitted(fit).fitted.light() for fit, _ in self._pairs]

    def _codecs(self, step: float) -> list[Codec]:
        prepared = replace(self._prepared, clamp=self._prepared.fitted.clamp(step))
        return [replace(prepared, fitted=fitted).codec(step) for fitted in self._fits]

    def distortion(self, step: float) -> float:
        """That of the outputs at a step, each input's with the fit that it was held out of."""
        return self._held_out.distortion(*self._codecs(step))

    def find_step(self) -> Point:
        """The largest step within the goal's distortion; the distortion is its upper bound."""
        prepared, held_out = self._prepared, self._held_out

        def at(step: float) -> Point:
            return Point(step, math.nan, held_out.bound(*self._codecs(step)))

        goal, logits = prepared.goal, held_out.kind == "kl"
        if logits:
            goal = Goal(distortion=goal.distortion / (1 + ALIKE / held_out.inputs))
        limit = replace(prepared, goal=goal).find_step()
        found = bisected(at, goal.beyond, limit.step, NEAR)
        bounded = logits and prepared.fitted.survey.kept.gradients is not None
        return at(limit.step) if bounded and limit.step < found.step else found

    def smaller_rival(self, point: Point) -> Rival | None:
        """The plain profile if it codes all samples smaller at no more distortion."""
        prepared, missed = self._prepared, self._prepared.missed(point)
        unsure = doubtful(prepared.fitted.shape, prepared.fitted.survey.nsamples)
        if prepared.wishes.transform == "dct" and not missed and not unsure:
            return None
        turns = [(fit.samples(), list(own.samples())) for fit, own in self._pairs]
        ours = measured_bits(self._codecs(point.step), [own for _, own in turns])
        wanted = prepared.goal.distortion if missed else None
        return cheapest_rival(
            calibrate, turns, prepared.wishes.common, ours,
            lambda codecs: self._held_out.bound(*codecs),
            nearest=point.distortion, allowed=point.distortion if wanted is None else wanted,
            wanted=wanted,
        )  # fmt: skip
