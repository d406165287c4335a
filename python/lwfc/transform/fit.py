"""The transform's fit: from samples and gradients to sections of codec files, at any step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..base.errors import CalibrationWarning, ParameterError
from ..base.warn import warn_caller
from .basis import Basis, Second, Shape, make_basis
from .choice import Say, choose_shape, folded
from .clamp import clamp_of
from .dominant import dominant
from .geometry import Geometry, cosines
from .integer import INT16, fraction_bits, integer_matrix
from .rate import live_columns, make_tables, quantized
from .section import Parts, write_section
from .steps import Goal, find_step
from .subspace import DIRECTIONS, Subspace, find_subspace
from .survey import Source, Survey
from .trial import Point, Trial, moments_of

__all__ = ["Fitted", "finish", "fit"]

HEADROOM = 4.0  # of the 16-bit coefficients over those of calibration
LARGEST = 1e15  # magnitude of features and gradients
REACH = 8.0  # times the mean magnitude, which symbols must hold
TABLE_VALUES = 1 << 23  # feature values whose symbols make the tables
MEASURED = 1 << 22  # values of which the largest magnitudes are taken


@dataclass(frozen=True, slots=True)
class Fitted:
    """A basis of all samples, and the trials of the same shape on held-out halves.

    ``y``: coefficients of samples that make the tables; ``unit``: the feature value of 1 in the
    decoder's integers; ``sizes``: the largest input, row and coefficient less the mean.
    """

    shape: Shape
    basis: Basis
    survey: Survey
    mean: np.ndarray
    space: Subspace | None
    trials: Sequence[Trial]
    y: np.ndarray
    unit: float
    sizes: tuple[float, float, float]

    @property
    def finest(self) -> float:
        """The step below which the decoder's 16-bit integers hold few coefficients whole."""
        return REACH * float(np.mean(np.abs(self.y), dtype=np.float64)) / INT16

    def find_step(self, goal: Goal) -> Point:
        """The step that meets a goal on held-out samples; bits are symbols alone."""
        return find_step(self.trials, goal)

    def folded(self) -> list[Trial]:
        """Trials of the same shape that are fitted to most of the samples."""
        kept = self.survey.kept
        if self.space is not None:
            kept = self.space.kept(kept, self.survey.mean.astype(np.float32))
        return folded(kept, self.shape, len(self.mean))

    def light(self) -> "Fitted":
        """The same with one sample alone: all that is left are sections, the clamp being known."""
        kept = self.survey.kept
        return replace(self, survey=replace(self.survey, kept=kept.every(len(kept), 0)))

    def clamp(self, step: float) -> tuple[float, float] | None:
        """The decoder's clamp if held-out samples gain by it; see :func:`clamp_of`."""
        return clamp_of(self.survey, self.trials, step)

    def section(self, step: float, *, free: bool, clamp: tuple[float, float] | None) -> bytes:
        """The section of the codec file at a step: integer matrices, mean and tables."""
        own = self.shape.geometry
        tensor = Geometry(len(self.mean), own.height, own.width, own.block_height, own.block_width)
        groups, space, unit = self.basis.groups, self.space, self.unit
        columns = live_columns(np.mean(np.abs(self.y) > step / 2, axis=1))
        most = np.zeros(groups.max() + 1, int)
        np.maximum.at(most, groups, columns)
        matrices = []
        for synthesis, metric, count in zip(
            self.basis.synthesis, self.basis.metric, most, strict=True
        ):
            live = synthesis[:, :count]
            project = None if space is None else space.inward
            live = live if space is None else space.outward @ live
            matrices.append(integer_matrix(live, metric, step, unit, project))
        limit = min(matrix.limit for matrix in matrices)
        half = 0.5 * (self.survey.high - self.survey.low)
        mean = np.clip(np.rint(self.mean / unit), -INT16, INT16)
        parts = Parts(
            geometry=tensor,
            free=free,
            fractions=fraction_bits(unit, self.sizes),
            unit=unit,
            clip=(self.survey.low - half, self.survey.high + half),
            clamp=clamp,
            groups=groups,
            columns=columns,
            matrices=matrices,
            mean=mean if self.shape.mean_map else mean[:, 0, 0],
            tables=make_tables(quantized(self.y, step, columns, limit)),
        )
        return write_section(parts)


def _scale(found: Survey, mean: np.ndarray, block: Geometry) -> tuple[float, tuple]:
    """(unit, largest magnitudes of centred input, of its rows' transforms, of coefficients)."""
    rows = coefficients = 0.0
    across = cosines(block.block_width).T.astype(np.float32)
    for part in found.kept.spread(MEASURED).chunks():
        centred = part.features - mean.astype(np.float32)
        tiles = centred.reshape(*centred.shape[:3], -1, block.block_width)
        rows = max(rows, float(np.abs(tiles @ across).max()))
        coefficients = max(coefficients, float(np.abs(block.forward(centred)).max()))
    size = max(coefficients, float(np.abs(mean).max()))
    unit = float(np.float32(max(HEADROOM * size / INT16, 2.0**-100)))
    return unit, (found.high - found.low, rows, coefficients)


def fit(
    source: Source, found: Survey, geometries: Sequence[Geometry], goal: Goal, say: Say
) -> Fitted:
    """Choose a shape on held-out halves, and fit it to all samples.

    ``found``: the :func:`lwfc.transform.survey.survey` of the source; ``geometries``: the
    candidates. Errors: ParameterError for numbers beyond squaring.
    """
    _check_samples(found)
    channels = found.mean.shape[0]
    space, kept = None, found.kept
    if channels > DIRECTIONS:
        say("subspace")
        space = find_subspace(kept, found.mean.astype(np.float32))
        kept = space.kept(kept, found.mean.astype(np.float32))
        geometries = [Geometry(DIRECTIONS, g.height, g.width, g.block_height, g.block_width)
                      for g in geometries]  # fmt: skip
    shape, trials = choose_shape(kept, geometries, goal, channels, say)
    say("matrices")
    return finish(source, found, shape, trials, space)


def _check_samples(found: Survey) -> None:
    """Warn of samples that mislead, refuse numbers beyond squaring."""
    if found.nsamples == 1:
        warn_caller(
            "one sample does not tell how others differ, and this transform gives its values "
            "again for every other: calibrate on several, at best hundreds, or with "
            'transform="none"',
            CalibrationWarning,
        )
    if found.absurd:
        warn_caller(
            f"values ten thousand times as far out as others, {found.absurd} of them, are left "
            f"out, and inputs are clipped to about [{found.low:.3g}, {found.high:.3g}]; use "
            'transform="none" if the model needs them',
            CalibrationWarning,
        )
    if found.unknown:
        warn_caller(
            f"gradients that are NaN or infinite, {found.unknown} of them, count as 0, as if "
            "errors there cost nothing: run the model in float32, or leave their samples out",
            CalibrationWarning,
        )
    named = ("samples", found.kept.features), ("gradients", found.kept.gradients)
    for name, values in named:
        most = 0.0 if values is None else max(-float(values.min()), float(values.max()))
        if most > LARGEST:
            raise ParameterError(
                f"the {name} reach {most:.3g}, whose squares no float32 holds: scale them to at "
                f"most {LARGEST:g}, or leave such numbers out"
            )
    for text in dominant(found):
        warn_caller(text, CalibrationWarning)


def finish(
    source: Source,
    found: Survey,
    shape: Shape,
    trials: Sequence[Trial],
    space: Subspace | None,
) -> Fitted:
    """A chosen shape fitted to all samples of a source; ``found`` is its survey."""
    mean = np.ascontiguousarray(shape.mean(found.mean))
    mean32 = mean.astype(np.float32)
    signal, gradients = _moments(source, found, shape, mean32, space)
    basis = make_basis(shape, signal, gradients)
    centred = found.kept.spread(TABLE_VALUES).features - mean32
    if space is not None:
        centred = space.features(centred)
    y = basis.analyze(shape.geometry.forward(centred))
    unit, sizes = _scale(found, mean, shape.geometry)
    return Fitted(shape, basis, found, mean, space, trials, y, unit, sizes)


def _moments(
    source: Source, found: Survey, shape: Shape, mean: np.ndarray, space: Subspace | None
) -> tuple[Second, Second | None]:
    """Second moments of all samples, from memory where they are kept."""
    geometry = shape.geometry
    groups = np.arange(geometry.frequencies)
    if found.everything:
        kept = found.kept if space is None else space.kept(found.kept, mean)
        return moments_of(geometry, kept, 0.0 if space is not None else mean, groups)
    signal, gradients = Second(geometry, groups), None
    for x, own in source.walk("matrices"):
        for part in found.clean(x, own).chunks():
            inside = part if space is None else space.kept(part, mean)
            centre = 0.0 if space is not None else mean
            signal.add(geometry.forward(inside.features - centre))
            if inside.gradients is not None:
                gradients = gradients or Second(geometry, groups)
                for draw in inside.gradients:
                    gradients.add(geometry.forward(draw))
    return signal, gradients
