"""Choosing the transform's shape and step on samples that were held out of the fit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .basis import BANDS, Second, Shape
from .geometry import Geometry
from .survey import Kept
from .trial import Coefficients, Point, Trial, coefficients, moments_of, power

__all__ = ["Goal", "Halves", "choose_shape", "find_step", "folded", "vectors_of"]

SMALL_FILES = 100  # channels from which matrices are shared by bands
MATRIX_VALUES = 1 << 25  # float64 of one set of second moments
FILE_BYTES = 320_000  # a codec file beyond this must earn its size
FILE_PENALTY = 0.2  # exponent: twice the size must save 13 % of the bits
SLOPE = 0.7  # bits fall like distortion^-SLOPE: compares points of nearly equal distortion
REMEMBERED = 1 << 21  # likewise of what is kept for a second look
FIRST_VALUES, FINAL_VALUES = 1 << 21, 1 << 23  # feature values coded of each half
USUAL = 64  # frequencies of a block of 8x8
FINALISTS = 2
MARGIN = 0.1  # by how much of its bits a finalist may lie behind
MAP_SHARE = 0.3  # of the codec file: a mean map below it is not questioned
FEW = 64  # samples up to which both halves take turns
FOLDS = 8
EVALUATIONS = 12
NEAR = 0.005  # relative, of the wanted value
ROUGHLY = 0.2  # the same where only a neighbourhood is wanted
EQUAL = 0.3  # log of the ratio of distortions within which SLOPE is good enough
APPROACHES, FARTHEST = 6, 2.0
HARDLY, PATIENCE = 0.02, 3  # log: a step that comes no nearer than this; so many, and none will
FLOOR = 0.15  # log: so far above what no step gets below a search that fails may end

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What the step must meet: a given ``step``, a ``distortion`` or ``bits`` per element."""

    step: float | None = None
    distortion: float | None = None
    bits: float | None = None

    def beyond(self, point: Point) -> float:
        """How far a point's step is too large, as a logarithm; negative: too small."""
        if self.distortion is not None:
            return math.log(max(point.distortion, 1e-30) / self.distortion)
        return math.log(self.bits * (1 - NEAR) / max(point.bits, 1e-30))


class Halves:
    """Two halves of the samples in interleaved runs: one fits, the other is coded.

    ``channels``: of the tensor, where the samples are kept in a subspace. ``folds``: so many parts
    in place of halves; each is coded in turn, and the others fit.
    """

    def __init__(self, kept: Kept, channels: int | None = None, folds: int | None = None) -> None:
        self._channels = channels or kept.features.shape[1]
        self._known: dict[tuple, tuple[Second, Second | None]] = {}
        if folds is not None:
            runs = np.arange(len(kept)) * folds // len(kept)
            self.pairs = [
                (kept.take(np.flatnonzero(runs != turn)), kept.take(np.flatnonzero(runs == turn)))
                for turn in np.unique(runs)
            ]
            return
        runs = np.arange(len(kept)) * 4 // max(4, len(kept))
        first, second = (kept.take(np.flatnonzero(runs % 2 == turn)) for turn in (0, 1))
        self.pairs = [(first, second)] if len(second) else [(first, first)]
        self.small = max(first.features.size, second.features.size) <= FIRST_VALUES
        if 1 < len(kept) <= FEW:
            self.pairs.append((second, first))

    def _moments(
        self, number: int, fit: Kept, shape: Shape, mean: np.ndarray
    ) -> tuple[Second, Second | None]:
        """Of all samples of a fitted half; those that take little memory are kept."""
        geometry = shape.geometry
        key = number, geometry, shape.mean_map
        if key in self._known:
            return self._known[key]
        found = moments_of(geometry, fit, mean, np.arange(geometry.frequencies))
        if geometry.frequencies * geometry.channels**2 <= REMEMBERED:
            self._known[key] = found
        return found

    def transformed(self, shape: Shape, values: int) -> list[Coefficients]:
        """Both sides' coefficients, once for each pair."""
        parts = []
        for number, (fit, code) in enumerate(self.pairs):
            mean = fit.features.mean(0, dtype=np.float64)
            whole = power(code.spread(values), mean.astype(np.float32))
            taken = shape.mean(mean).astype(np.float32)
            part = coefficients(
                shape.geometry,
                fit,
                code,
                taken,
                self._moments(number, fit, shape, taken),
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
        parts = halves.transformed(shapes[0], FIRST_VALUES)
        for shape in shapes:
            say(f"shape {shape}")
            trials = [Trial(shape, part) for part in parts]
            if aim is None:
                aim = find_step(trials, goal, ROUGHLY)
            score = _score(trials, aim, channels)
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


def folded(kept: Kept, shape: Shape, channels: int) -> list[Trial]:
    """Trials of a shape that are fitted to most of the samples, as the codec is to all.

    With few samples a matrix, halves leave as many directions without a column as there are
    samples fewer, and the codec takes more bits than they do.
    """
    parts = Halves(kept, channels, min(FOLDS, len(kept))).transformed(shape, FIRST_VALUES)
    return [Trial(shape, part) for part in parts]


def _final(halves: Halves, shape: Shape, aim: Point, channels: int) -> _Scored:
    trials = [Trial(shape, part) for part in halves.transformed(shape, FINAL_VALUES)]
    return _Scored(_score(trials, aim, channels), shape, trials)


def _questionable(shape: Shape, trials: Sequence[Trial], step: float, kept: Kept) -> bool:
    """Whether the mean map is a large part of the file, or the mean of few samples."""
    g = shape.geometry
    if g.height * g.width == 1:
        return False
    whole = file_bytes(shape, trials[0].columns(step), kept.features.shape[1])
    mean = 2 * kept.features[0].size
    return len(kept) <= FEW or mean > max(MAP_SHARE * whole, FILE_BYTES / 10)


def _score(trials: Sequence[Trial], aim: Point, channels: int) -> float:
    """log bits at the distortion aimed at, with a penalty for large files.

    The point measured must be near it: where a shape codes next to nothing, SLOPE says nothing.
    """
    step = aim.step
    for _ in range(APPROACHES):
        point = together(trials, step)
        far = math.log(max(point.distortion, 1e-30) / max(aim.distortion, 1e-30))
        if abs(far) < EQUAL:
            break
        step *= math.exp(-SLOPE * min(max(far, -FARTHEST), FARTHEST))
    columns = trials[0].columns(point.step)
    size = file_bytes(trials[0].shape, columns, channels)
    penalty = FILE_PENALTY * math.log(max(1.0, size / FILE_BYTES))
    bits = max(point.bits, 1e-9)
    return math.log(bits) + SLOPE * math.log(max(point.distortion, 1e-30)) + penalty


def together(trials: Sequence[Trial], step: float) -> Point:
    """The mean over trials."""
    points = [trial.at(step) for trial in trials]
    return Point(
        step,
        float(np.mean([p.bits for p in points])),
        float(np.mean([p.distortion for p in points])),
    )


def find_step(trials: Sequence[Trial], goal: Goal, near: float = NEAR) -> Point:
    """The point of the largest step that meets the goal, by bisection over log step."""
    if goal.step is not None:
        return together(trials, goal.step)
    unit = trials[0].deviation or 1.0
    return bisected(lambda step: together(trials, step), goal.beyond, 2 * unit, near)


def bisected(
    at: Callable[[float], Point],
    beyond: Callable[[Point], float],
    start: float,
    near: float = NEAR,
) -> Point:
    """The point nearest to ``beyond`` = 0 from below; distortion and bits are smooth in the step.

    Regula falsi over log step, kept inside the bracket. Where finer steps stop helping, as with
    matrices of too few samples, the coarsest point about as good as the finest.
    """
    inside: tuple[float, float, Point] | None = None
    outside: tuple[float, float, Point] | None = None
    tried: list[tuple[float, float, Point]] = []  # while nothing meets it, from coarse to fine
    where, given_up, last, idle = math.log(start), 0.0, math.inf, 0
    for _ in range(EVALUATIONS):
        point = at(math.exp(where))
        far = beyond(point) - given_up
        idle = idle + 1 if (last - far if far > 0 else abs(far - last)) < HARDLY else 0
        last = far
        if far > 0:
            outside = where, far, point
        else:
            inside = where, far, point
            if far > -near:
                break
        if inside is None:
            tried.append((where, far, point))
            if idle == PATIENCE:
                given_up = min(far for _, far, _ in tried) + FLOOR
                tried = [(where, far - given_up, point) for where, far, point in tried]
                first = next(i for i, (_, far, _) in enumerate(tried) if far <= 0)
                inside, outside = tried[first], tried[first - 1] if first else None
                where, far, idle = inside[0], inside[1], 0
        if inside is None or outside is None:
            move = min(max(0.6 * abs(far), 0.1) * 2**idle, 4.0)
            where -= math.copysign(move, far)
            continue
        share = min(max(-inside[1] / (outside[1] - inside[1]), 0.1), 0.9)
        where = inside[0] + share * (outside[0] - inside[0])
        if outside[0] - inside[0] < 1e-3:
            break
    return inside[2] if inside is not None else min(tried, key=lambda one: one[1])[2]
