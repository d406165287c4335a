"""Bits and distortion of a shape, fitted on some samples and measured on others."""

from dataclasses import dataclass

import numpy as np

from .basis import Basis, Second, Shape, make_basis
from .geometry import Geometry
from .metric import fall_off
from .rate import Symbols, live_columns, make_tables, quantized
from .survey import Kept, Part

__all__ = ["Coefficients", "Point", "Trial", "coefficients", "moments_of", "power"]

CROSSED = 128  # samples whose errors meet one another's gradients


@dataclass(frozen=True, slots=True)
class Point:
    """One step: bits per element, and distortion as a share of what no codec at all would cost."""

    step: float
    bits: float
    distortion: float


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What trials of one geometry share: moments of the fitted half, values of both halves."""

    geometry: Geometry
    signal: Second
    gradients: Second | None
    fitted: np.ndarray
    coded: np.ndarray
    slopes: list[np.ndarray] | None
    samples: int
    whole: float
    mean: np.ndarray
    values: int


def moments_of(
    geometry: Geometry, kept: Kept | Part, mean: np.ndarray, groups: np.ndarray
) -> tuple[Second, Second | None]:
    """Second moments of features less their mean, and of gradients."""
    signal = Second(geometry, groups)
    gradients = None if kept.gradients is None else Second(geometry, groups)
    for part in kept.chunks():
        signal.add(geometry.forward(part.features - mean))
        if gradients is not None:
            for draw in part.gradients:
                gradients.add(geometry.forward(draw))
    return signal, gradients


def coefficients(
    geometry: Geometry,
    fit: Part,
    code: Part,
    mean: np.ndarray,
    moments: tuple[Second, Second | None],
    *,
    values: int,
    whole: float,
    channels: int,
) -> Coefficients:
    """Transform both halves; ``mean`` and ``moments`` are those of all of the fitted one.

    About ``values`` of each half are coded.
    ``whole``: the distortion of sending nothing, see :func:`power`; ``channels``: of the tensor,
    bits are counted by whose elements.
    """
    code = code.spread(values).copied()
    slopes = None
    if code.gradients is not None:
        slopes = [geometry.forward(draw) for draw in code.gradients]
    return Coefficients(
        geometry,
        *moments,
        geometry.forward(fit.spread(values).features - mean),
        geometry.forward(code.features - mean),
        slopes,
        len(code),
        whole,
        mean,
        code.features[:, 0].size * channels,
    )


def power(kept: Kept | Part, mean: np.ndarray) -> float:
    """What sending nothing but the mean map costs, whatever the geometry; above 0."""
    centred = kept.features - mean
    if kept.gradients is None:
        return max(_weighted(centred), 1e-300)
    products = [np.einsum("nchw,nchw->n", draw, centred) for draw in kept.gradients]
    return max(float(np.square(products, dtype=np.float64).mean()), 1e-300)


class Trial:
    """A shape's basis from the fitted half; :meth:`at` a step gives bits and distortion."""

    def __init__(self, shape: Shape, parts: Coefficients) -> None:
        self.shape = shape
        self._parts = parts
        self.basis: Basis = make_basis(shape, parts.signal, parts.gradients)
        self._fitted = self.basis.analyze(parts.fitted)
        self._coded = self.basis.analyze(parts.coded)
        self._slopes = None
        if parts.slopes is not None:
            self._slopes = [self.basis.adjoint(draw) for draw in parts.slopes]

    @property
    def weight(self) -> float:
        """What sending nothing of the coded samples costs, all in all."""
        return self._parts.whole * self._parts.samples

    @property
    def deviation(self) -> float:
        """Root mean square of the coefficients: a step beyond it leaves little."""
        return float(np.sqrt(np.mean(np.square(self._coded, dtype=np.float64))))

    def columns(self, step: float) -> np.ndarray:
        """Live columns of each frequency."""
        return live_columns(np.mean(np.abs(self._fitted) > step / 2, axis=1))

    def at(self, step: float, crossed: bool = False) -> Point:
        """Fit tables and live columns at a step on one half, code the other.

        ``crossed``: each sample's error meets the gradients of many samples. That is not quite what
        its outputs do, but of a few dozen samples far less noisy, which is what a choice needs.
        """
        columns = self.columns(step)
        tables = make_tables(quantized(self._fitted, step, columns))
        symbols = quantized(self._coded, step, columns)
        bits = tables.bits(symbols) / self._parts.values
        cost = self._cost(self._error(symbols, step), crossed)
        return Point(step, bits, cost / self._parts.whole)

    def _error(self, symbols: Symbols, step: float) -> np.ndarray:
        """Decoded less true coefficients y."""
        error = -self._coded
        row = 0
        for f, count in enumerate(symbols.columns):
            if count:
                error[f, :, :count] += symbols.values[row : row + count].T * np.float32(step)
                row += count
        return error

    def clamped(self, step: float, low: float, high: float) -> tuple[float, float]:
        """Distortion of the coded half (as it is, with decoded values held between two ends)."""
        symbols = quantized(self._coded, step, self.columns(step))
        error = self.basis.synthesize(self._error(symbols, step))
        parts = self._parts
        true = parts.geometry.inverse(parts.coded) + parts.mean
        moved = parts.geometry.inverse(error)
        held = np.clip(true + moved, low, high) - true
        gradients = [parts.geometry.inverse(draw) for draw in parts.slopes]
        costs = []
        for maps in (moved, held):
            products = [np.einsum("nchw,nchw->n", draw, maps) for draw in gradients]
            costs.append(float(np.square(products, dtype=np.float64).mean()) / parts.whole)
        return costs[0], costs[1]

    def _cost(self, error: np.ndarray, crossed: bool) -> float:
        """Mean over samples of (g . e)^2, or of the squared error under the fall-off."""
        geometry, samples = self._parts.geometry, self._parts.samples
        if self._slopes is None:
            return _weighted(geometry.inverse(self.basis.synthesize(error)))
        if crossed:
            return float(np.mean([_crossed(slope, error, samples) for slope in self._slopes]))
        total = 0.0
        for slope in self._slopes:
            product = np.einsum("fnc,fnc->n", slope, error).reshape(samples, -1).sum(1)
            total += float(np.square(product, dtype=np.float64).mean())
        return total / len(self._slopes)


def _crossed(slope: np.ndarray, error: np.ndarray, samples: int) -> float:
    """Mean (g . e)^2 over pairs of samples, those of each ``CROSSED`` samples among themselves."""
    total, pairs = 0.0, 0
    for start in range(0, samples, CROSSED):
        some = slice(start, start + CROSSED)
        count = len(range(samples)[some])
        product = np.zeros((count, count))
        for g, e in zip(slope, error, strict=True):
            product += g.reshape(samples, -1)[some] @ e.reshape(samples, -1)[some].T
        total += float(np.square(product).sum())
        pairs += count**2
    return total / pairs


def _weighted(maps: np.ndarray) -> float:
    """Mean over samples of the maps' power under the fall-off over the whole map."""
    channels, height, width = maps.shape[1:]
    whole = Geometry(channels, height, width, height, width)
    squares = np.square(whole.forward(maps), dtype=np.float64).sum(2).mean(1)
    return float((squares * fall_off(whole.radius)).sum())
