"""Choosing the transform's shape on samples that were held out of the fit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .basis import BANDS, Second, Shape
from .geometry import Geometry
from .steps import Goal, find_step, together
from .survey import Kept, Part
from .trial import Coefficients, Point, Trial, coefficients, moments_of, power

__all__ = ["FEW", "Halves", "choose_shape", "foldable", "folded", "vectors_of"]

SMALL_FILES = 100  # channels from which matrices are shared by bands
MATRIX_VALUES = 1 << 25  # float64 of one set of second moments
FILE_BYTES = 320_000  # a codec file beyond this must earn its size
FILE_PENALTY = 0.2  # exponent: twice the size must save 13 % of the bits
SLOPE = 0.7  # bits fall like distortion^-SLOPE: compares points of nearly equal distortion
REMEMBERED = 1 << 21  # likewise of what is kept for a second look
FIRST_VALUES, FINAL_VALUES = 1 << 20, 1 << 23  # feature values coded of each half
VECTORS = 64  # a channel and matrix: more change no choice between shapes
FIRST_SAMPLES = 12  # and at least so many samples at first
USUAL = 64  # frequencies of a block of 8x8
FINALISTS = 2
MARGIN = 0.03  # by how much of its bits a finalist may lie behind
SMOOTHS = 0.3  # no smoothing of many samples' statistics makes up for being so far behind
MAP_SHARE = 0.3  # of the codec file: a mean map below it is not questioned
FEW = 64  # samples up to which both halves take turns
FOLDS, FOLDS_OF_MANY = 8, 4
FOLDED = 1 << 22  # float64 of second moments, one set a fold
FOLDED_CHANNELS = 512  # beyond, fits of the profile with levels take long as well
ROUGHLY = 0.2  # the same where only a neighbourhood is wanted
EQUAL = 0.3  # log of the ratio of distortions within which SLOPE is good enough
APPROACHES, FARTHEST = 6, 2.0

Say = Callable[[str], None]


class Halves:
    """Two halves of the samples in interleaved runs: one fits, the other is coded.

    ``channels``: of the tensor, where the samples are kept in a subspace. ``folds``: several parts
    in place of halves; each is coded in turn, and the others fit. ``glance``: feature values that
    a first look codes.
    """

    def __init__(self, kept: Kept, channels: int | None = None, folds: bool = False) -> None:
        self._channels = channels or kept.features.shape[1]
        self.glance = max(FIRST_VALUES, FIRST_SAMPLES * kept.sample_size)
        # Gradients of a few other samples do not see what a sample's own direction takes.
        self.crossed = len(kept) > FEW
        self._known: dict[tuple, tuple[Second, Second | None]] = {}
        if folds:
            count = min(FOLDS if len(kept) <= FEW else FOLDS_OF_MANY, len(kept))
            runs = np.arange(len(kept)) * count // len(kept)
            self.pairs = [
                (kept.take(np.flatnonzero(runs != turn)), kept.take(np.flatnonzero(runs == turn)))
                for turn in np.unique(runs)
            ]
            return
        runs = np.arange(len(kept)) * 4 // max(4, len(kept))
        first, second = (kept.take(np.flatnonzero(runs % 2 == turn)) for turn in (0, 1))
        self.pairs = [(first, second)] if len(second) else [(first, first)]
        self.small = max(len(first), len(second)) * kept.sample_size <= self.glance
        if 1 < len(kept) <= FEW:
            self.pairs.append((second, first))

    def _moments(
        self, number: int, fit: Part, shape: Shape, mean: np.ndarray
    ) -> tuple[Second, Second | None]:
        """Of samples of a fitted half; those that take little memory are kept."""
        geometry = shape.geometry
        key = number, len(fit), geometry, shape.mean_map
        if key in self._known:
            return self._known[key]
        found = moments_of(geometry, fit, mean, np.arange(geometry.frequencies))
        if geometry.frequencies * geometry.channels**2 <= REMEMBERED:
            self._known[key] = found
        return found

    def transformed(self, shape: Shape, values: int, rough: bool = False) -> list[Coefficients]:
        """Both sides' coefficients, once for each pair; ``rough``: fitted to what tells shapes."""
        parts, geometry = [], shape.geometry
        enough = VECTORS * geometry.frequencies * geometry.channels**2
        for number, (fit, code) in enumerate(self.pairs):
            mean = fit.mean()
            whole = power(code.spread(values), mean.astype(np.float32))
            taken = shape.mean(mean).astype(np.float32)
            seen = fit.spread(enough) if rough else fit
            part = coefficients(
                geometry,
                fit,
                code,
                taken,
                self._moments(number, seen, shape, taken),
                values=values,
                whole=whole,
                channels=self._channels,
            )
            parts.append(part)
        return parts


@dataclass(frozen=True, slots=True)
class _Scored:
    score: float
    shape: Shape
    trials: list[Trial] | None = None


def _least(scored: Sequence[_Scored]) -> float:
    return min((one.score for one in scored), default=math.inf)


def file_bytes(shape: Shape, columns: np.ndarray, channels: int) -> float:
    """About what a codec file takes: matrices both ways, and the mean."""
    most = np.zeros(shape.groups.max() + 1)
    np.maximum.at(most, shape.groups, columns)
    g = shape.geometry
    mean = channels * (g.height * g.width if shape.mean_map else 1)
    return float(2 * most.sum() * channels + 2 * mean)


def vectors_of(shape: Shape, samples: int) -> float:
    """How many coefficient vectors a matrix of so many samples is fitted to, on average."""
    geometry = shape.geometry
    return samples * geometry.blocks * geometry.frequencies / len(np.unique(shape.groups))


def shapes_of(geometry: Geometry) -> list[Shape]:
    """Every way to fit one geometry."""
    found = [Shape(geometry, False, False)]
    if geometry.frequencies > 1:
        found.append(Shape(geometry, False, True))
    if geometry.frequencies > BANDS:
        banded = [Shape(geometry, True, False), Shape(geometry, True, True)]
        found = banded if geometry.channels >= SMALL_FILES else found + banded
    return found


def choose_shape(
    kept: Kept, geometries: Sequence[Geometry], goal: Goal, channels: int, say: Say
) -> tuple[Shape, list[Trial]]:
    """(the cheapest shape at equal distortion, its trials), all judged on held-out halves.

    All are compared at the distortion of the usual blocks at the goal: first on few samples, then
    the best few on more, then the mean of channels against the mean map. ``channels``: of the
    tensor, which the file's size depends on.
    """
    halves = Halves(kept, channels)
    first: list[_Scored] = []
    lasting = halves.small and len(geometries) == 1  # few enough to keep: more would see the same
    aim: Point | None = None
    usable = [g for g in geometries if g.frequencies * g.channels**2 <= MATRIX_VALUES]
    usable = usable or [min(geometries, key=lambda g: g.frequencies)]
    # The usual blocks first: they tell about which distortion all are compared at.
    for geometry in sorted(usable, key=lambda g: abs(math.log(g.frequencies / USUAL))):
        shapes = shapes_of(geometry)
        parts = halves.transformed(shapes[0], halves.glance, rough=not lasting)
        rough = math.inf
        for shape in shapes:
            if shape.smooth and len(kept) > FEW and rough > _least(first) + SMOOTHS:
                continue
            say(f"shape {shape}")
            trials = [Trial(shape, part) for part in parts]
            if aim is None:
                aim = together(trials, find_step(trials, goal, ROUGHLY).step, halves.crossed)
            score = _score(trials, aim, channels, halves.crossed)
            rough = rough if shape.smooth else score
            first.append(_Scored(score, shape, trials if lasting else None))
        del parts
    first.sort(key=lambda scored: scored.score)
    near = [scored for scored in first if scored.score < first[0].score + MARGIN]
    finals = near[:1] if lasting else [
        _final(halves, scored.shape, aim, channels) for scored in near[:FINALISTS]
    ]  # fmt: skip
    best = min(finals, key=lambda final: final.score)
    if _questionable(best.shape, best.trials, aim.step, kept):
        other = _final(halves, replace(best.shape, mean_map=False), aim, channels)
        best = min(best, other, key=lambda final: final.score)
    return best.shape, best.trials


def foldable(shape: Shape, channels: int = 0) -> bool:
    """Whether several fits of a shape take little time and memory, and where ``channels`` of the
    tensor are given, of the profile with levels too.
    """
    geometry = shape.geometry
    small = geometry.frequencies * geometry.channels**2 <= FOLDED
    return small and channels <= FOLDED_CHANNELS


def folded(kept: Kept, shape: Shape, channels: int) -> list[Trial]:
    """Trials of a shape that are fitted to most of the samples, as the codec is to all.

    With few samples a matrix, halves leave as many directions without a column as there are
    samples fewer, and the codec takes more bits than they do.
    """
    halves = Halves(kept, channels, folds=True)
    return [Trial(shape, part) for part in halves.transformed(shape, halves.glance)]


def _final(halves: Halves, shape: Shape, aim: Point, channels: int) -> _Scored:
    trials = [Trial(shape, part) for part in halves.transformed(shape, FINAL_VALUES)]
    return _Scored(_score(trials, aim, channels, halves.crossed), shape, trials)


def _questionable(shape: Shape, trials: Sequence[Trial], step: float, kept: Kept) -> bool:
    """Whether the mean map is a large part of the file, or the mean of few samples."""
    g = shape.geometry
    if g.height * g.width == 1:
        return False
    whole = file_bytes(shape, trials[0].columns(step), kept.features.shape[1])
    mean = 2 * kept.sample_size
    return len(kept) <= FEW or mean > max(MAP_SHARE * whole, FILE_BYTES / 10)


def _score(trials: Sequence[Trial], aim: Point, channels: int, crossed: bool) -> float:
    """log bits at the distortion aimed at, with a penalty for large files.

    The point measured must be near it: where a shape codes next to nothing, SLOPE says nothing.
    """
    step = aim.step
    for _ in range(APPROACHES):
        point = together(trials, step, crossed)
        far = math.log(max(point.distortion, 1e-30) / max(aim.distortion, 1e-30))
        if abs(far) < EQUAL:
            break
        step *= math.exp(-SLOPE * min(max(far, -FARTHEST), FARTHEST))
    columns = trials[0].columns(point.step)
    size = file_bytes(trials[0].shape, columns, channels)
    penalty = FILE_PENALTY * math.log(max(1.0, size / FILE_BYTES))
    bits = max(point.bits, 1e-9)
    return math.log(bits) + SLOPE * math.log(max(point.distortion, 1e-30)) + penalty
