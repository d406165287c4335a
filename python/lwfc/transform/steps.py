"""The step that meets a wish for distortion or bits, on held-out samples."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .trial import Point, Trial

__all__ = ["Goal", "bisected", "find_step", "together"]

EVALUATIONS = 12
NEAR = 0.005  # relative, of the wanted value
HARDLY, PATIENCE = 0.02, 3  # log: a step that comes no nearer than this; so many, and none will
FLOOR = 0.15  # log: so far above what no step gets below a search that fails may end


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


def together(trials: Sequence[Trial], step: float, crossed: bool = False) -> Point:
    """What all trials' samples take and lose; ``crossed`` as in :meth:`Trial.at`."""
    points = [trial.at(step, crossed) for trial in trials]
    weights = np.array([trial.weight for trial in trials])
    return Point(
        step,
        float(np.mean([p.bits for p in points])),
        float(weights / weights.sum() @ [p.distortion for p in points]),
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
