"""calibrate with a transform: what the options mean, and falling back to the plain profile."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ParamSpec

import numpy as np

from ..base.checks import check_axis, check_number, choose
from ..base.errors import CalibrationWarning, ParameterError
from ..base.progress import Progress
from ..base.threads import blas_limit, thread_count
from ..base.warn import warn_caller
from ..codec.codec import Codec
from ..codec.names import NAN_POLICIES
from ..transform.choice import foldable
from ..transform.fit import Fitted, finish, fit
from ..transform.steps import Goal
from ..transform.survey import survey
from ..transform.trial import Point
from .blocks import geometries_of
from .decoded import decoded_distortion
from .pairs import Pairs
from .rivals import STREAM_BYTES, Rival, doubtful, measured_bits, smaller_rival
from .samples import opened

__all__ = [
    "DISTORTION",
    "TRANSFORMS",
    "Prepared",
    "TransformOptions",
    "decided",
    "fallen_back",
    "prepare",
    "warn_of_missed",
    "with_transform",
]

TRANSFORMS = ("none", "dct", "auto")
DISTORTION = 0.02  # aimed at where nothing is asked for
MISSED = 1.2  # times the distortion wished for: no longer nearly met
FINE = 1e-3  # distortion below which the decoder's integers may be too coarse
CHECKS = 6  # of the bits wished for against those of the codec itself
MEASURED = 1 << 20  # feature values that it codes for that
WISHES = ("step", "distortion", "target_bits")
OWN = ("block", "metric", *WISHES)
P = ParamSpec("P")


def with_transform(plain: Callable[P, Codec]) -> Callable[P, Codec]:
    """``plain`` with the transform's options taken care of; it is called without them."""

    @functools.wraps(plain)
    def calibrate(samples: Any, **options: Any) -> Codec:
        transform = options.pop("transform", "none")
        if transform == "none":
            for name in OWN:
                if options.pop(name, None) is not None:
                    raise ParameterError(f'{name} needs transform="dct" or "auto"')
            return plain(samples, **options)
        wishes = TransformOptions.of(transform, options)
        wishes.goal(1 << 30)
        read = {"batched": wishes.batched, "sample_axis": wishes.sample_axis}
        opening = opened(samples, wishes.progress, **read)
        with opening as batches, blas_limit(wishes.num_threads):
            prepared = prepare(Pairs(batches, wishes.metric, wishes.channel_axis), wishes)
            return decided(plain, prepared, prepared.find_step())

    return calibrate


@dataclass(frozen=True, slots=True)
class TransformOptions:
    """The options of calibrate that go with a transform, checked."""

    transform: str
    block: Any = None
    step: float | None = None
    distortion: float | None = None
    target_bits: float | None = None
    metric: Any = None
    channel_axis: int | None = None
    nan: str = "zero"
    bound: bool | None = None
    progress: Progress | None = None
    batched: bool | None = None
    sample_axis: int = 0
    num_threads: int | None = 1

    @classmethod
    def of(cls, transform: str, options: dict[str, Any]) -> "TransformOptions":
        """Errors: ParameterError for options of the plain profile, and for contradictions."""
        choose("transform", transform, TRANSFORMS)
        for name in options:
            if name not in cls.__dataclass_fields__:
                raise ParameterError(
                    f"{name} does nothing with transform={transform!r}, which has one step and "
                    'no levels: leave it out, or use transform="none"'
                )
        found = cls(transform, **options)
        choose("nan", found.nan, NAN_POLICIES)
        check_axis(found.channel_axis)
        if found.bound is not None and not found.bound:
            raise ParameterError("bound=False: streams of a transform always need their codec")
        return replace(found, num_threads=thread_count(found.num_threads))

    @property
    def common(self) -> dict[str, Any]:
        """Options that the plain profile has as well."""
        names = ("channel_axis", "nan", "progress", "num_threads")
        return {name: getattr(self, name) for name in names} | {"batched": True}

    def goal(self, elements: int) -> Goal:
        """The one wish among step, distortion and bits; distortion if there is none.

        ``elements`` of a sample: a small stream's own bytes are taken off the bits wished for.
        """
        given = {n: getattr(self, n) for n in WISHES if getattr(self, n) is not None}
        if len(given) > 1:
            raise ParameterError(f"{' and '.join(given)}: name only one of {', '.join(WISHES)}")
        if self.step is not None:
            return Goal(step=check_number("step", self.step, 1e-30, 1e30))
        if self.target_bits is not None:
            bits = check_number("target_bits", self.target_bits, 1e-6, 32)
            own = 8 * STREAM_BYTES / elements
            if bits <= own:
                raise ParameterError(
                    f"target_bits={bits:g}: a stream of {elements} elements takes {own:.3g} bits "
                    "an element before its first symbol"
                )
            return Goal(bits=bits - own)
        wanted = DISTORTION if self.distortion is None else self.distortion
        return Goal(distortion=check_number("distortion", wanted, 1e-9, 1))

    def say(self, what: str) -> None:
        """Report a stage."""
        if self.progress is not None:
            self.progress(0, None, what)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that does not depend on the step; codecs at any step.

    ``clamp``: what decoded values are held inside, (low, high) or None, where the network itself
    has been asked; "auto": what the gradients say.
    """

    pairs: Pairs
    fitted: Fitted
    goal: Goal
    wishes: TransformOptions
    clamp: Any = "auto"

    def find_step(self) -> Point:
        """The step that meets the goal, by the gradients alone."""
        fitted, wanted, goal = self.fitted, self.wishes.target_bits, self.goal
        few = doubtful(fitted.shape, fitted.survey.nsamples) and len(fitted.survey.kept) > 1
        if few and (goal.bits is not None or foldable(fitted.shape)):
            fitted = replace(fitted, trials=fitted.folded())
        if goal.bits is None:
            return fitted.find_step(goal)
        samples = list(self._some())
        for _ in range(CHECKS):
            point = fitted.find_step(goal)
            bits = measured_bits([self.codec(point.step)], [samples])
            if bits <= wanted:
                break
            goal = Goal(bits=goal.bits * 0.99 * wanted / bits)
        return fitted.find_step(Goal(step=point.step))

    def missed(self, point: Point) -> bool:
        """Whether a point is far from the distortion wished for."""
        wanted = self.goal.distortion
        return wanted is not None and point.distortion > MISSED * wanted

    def decoded(self, point: Point) -> Point:
        """The point with what is lost where the decoder's integers lose more than its step does."""
        lost = decoded_distortion(self.pairs, self.fitted.survey, self.codec(point.step))
        return replace(point, distortion=max(point.distortion, lost))

    def refined(self, point: Point) -> Point:
        """The point of a step that makes up for the decoder's integers, if one does."""
        found = self.decoded(point)
        rest = self.goal.distortion - (found.distortion - point.distortion)
        if found.distortion <= self.goal.distortion or rest <= 0:
            return found
        return self.decoded(replace(self, goal=Goal(distortion=rest)).find_step())

    def _some(self) -> Iterator[np.ndarray]:
        """The first samples, about ``MEASURED`` values."""
        count = 0
        for x in self.pairs.samples():
            yield x[: max(1, (MEASURED - count) * len(x) // max(1, x.size))]
            count += x.size
            if count >= MEASURED:
                break

    def refitted(self, pairs: Pairs) -> "Prepared":
        """The same shape, fitted to other samples."""
        old = self.fitted
        fitted = finish(pairs, survey(pairs), old.shape, old.trials, old.space)
        return replace(self, pairs=pairs, fitted=fitted)

    def codec(self, step: float, **notes: Any) -> Codec:
        """The codec at a step, the finest at least; ``notes`` go to its metadata."""
        step = max(step, self.fitted.finest)
        clamp = self.fitted.clamp(step) if self.clamp == "auto" else self.clamp
        section = self.fitted.section(step, free=self.pairs.free, clamp=clamp)
        found = self.fitted.survey
        known = {
            "transform": "dct",
            "shape": str(self.fitted.shape),
            "step": float(step),
            "metric": "fall-off" if found.kept.gradients is None else "gradients",
            "samples": found.nsamples,
        }
        return Codec(
            transform=section,
            channel_axis=self.pairs.channel_axis,
            inner_shape=self.pairs.inner_shape,
            nan=self.wishes.nan,
            metadata=known | notes,
        )


def prepare(pairs: Pairs, wishes: TransformOptions) -> Prepared:
    """Survey, choose, fit. Errors: ParameterError for blocks, steps and samples that cannot be."""
    goal = wishes.goal(pairs.sample_size)
    geometries = geometries_of(pairs.layout, wishes.block)
    found = survey(pairs)
    if wishes.nan == "raise" and found.nonfinite:
        raise ParameterError(
            f'the samples hold {found.nonfinite} NaN or infinities; nan="zero" leaves them out'
        )
    if found.kept.gradients is not None and not found.kept.gradients.any():
        warn_caller(
            "the gradients are all zero: errors are weighted by frequency alone instead",
            CalibrationWarning,
        )
        found = found.without_gradients()
        pairs = pairs.without_metric()
    fitted = fit(pairs, found, geometries, goal, wishes.say)
    if goal.step is not None and goal.step < fitted.finest:
        raise ParameterError(
            f"step={goal.step:g}: symbols are 16-bit integers, and those of these samples pass "
            f"them below step={fitted.finest:.3g}"
        )
    return Prepared(pairs, fitted, goal, wishes)


def decided(plain: Callable[..., Codec], prepared: Prepared, point: Point, **notes: Any) -> Codec:
    """The codec at a point, or the plain one if that is smaller on held-out halves."""
    if prepared.goal.distortion is not None and prepared.goal.distortion < FINE:
        point = prepared.refined(point)
    rival = smaller_rival(
        plain,
        prepared.fitted.survey,
        prepared.fitted.shape,
        point,
        doubtful_only=prepared.wishes.transform == "dct",
        wanted=prepared.goal.distortion if prepared.missed(point) else None,
    )
    if rival is not None:
        return fallen_back(plain, prepared, rival)
    warn_of_missed(prepared, point)
    blind = prepared.fitted.survey.kept.gradients is None
    known = {"distortion": point.distortion,
             "distortion_measure": "features" if blind else "gradients"}  # fmt: skip
    return prepared.codec(point.step, **(known | notes))


def warn_of_missed(prepared: Prepared, point: Point) -> None:
    """Say so where no step meets the distortion wished for."""
    if not prepared.missed(point):
        return
    wanted, best = prepared.goal.distortion, point.distortion
    predicted = prepared.fitted.find_step(Goal(step=point.step))
    fine = prepared.decoded(predicted).distortion > predicted.distortion
    text = "the decoder's integers lose" if fine else "held-out samples' distortion is"
    remedy = "ask for no less" if fine else "calibrate on more samples"
    warn_caller(f"{text} {best:.3g} at best, not {wanted:.3g}: {remedy}", CalibrationWarning)


def fallen_back(plain: Callable[..., Codec], prepared: Prepared, rival: Rival) -> Codec:
    """The plain profile, saying so."""
    warn_caller(rival.text, CalibrationWarning)
    samples = prepared.pairs.samples()
    return plain(samples, bound=True, **rival.options, **prepared.wishes.common)
