"""First walk over samples and gradients: mean map, range, and a bounded choice kept in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..base.errors import ParameterError

__all__ = ["Kept", "Part", "Source", "Survey", "survey"]

KEPT = 1 << 25  # feature values kept in memory
CHUNK = 1 << 22  # of them worked on at a time
OUTLIER = 1e4  # times the common size; what lies beyond would leave no resolution for the rest


class Source(Protocol):
    """Samples as maps, with the gradients of a scalar of the outputs where they are known."""

    def walk(self, what: str) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Pairs of float32 (n, C, H, W) and (draws, n, C, H, W) or None, once more.

        The gradients are the caller's own: nothing else writes to them.
        """


@dataclass(frozen=True, slots=True)
class Kept:
    """Features float32 (n, C, H, W), finite; their gradients (draws, n, C, H, W) or None."""

    features: np.ndarray
    gradients: np.ndarray | None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def sample_size(self) -> int:
        """Values of a sample."""
        return self.features[0].size

    def take(self, where: np.ndarray) -> "Part":
        """Some of the samples."""
        return Part(self, where)

    def every(self, stride: int, first: int) -> "Kept":
        """Samples first, first + stride, and so on, maybe none; features are copied."""
        gradients = self.gradients
        if gradients is not None:
            gradients = np.ascontiguousarray(gradients[:, first::stride])
        return Kept(self.features[first::stride].copy(), gradients)

    def moved(self, decoded: np.ndarray) -> "Kept":
        """The errors of decoded features in place of the features."""
        return Kept(decoded - self.features, self.gradients)

    def spread(self, values: int) -> "Part":
        """Evenly spread samples of about so many values, at least two."""
        return self.take(np.arange(len(self))).spread(values)

    def chunks(self, elements: int = CHUNK) -> Iterator["Kept"]:
        """The samples in pieces of about so many values."""
        size = max(1, elements // max(1, self.features[:1].size))
        for start in range(0, len(self), size):
            gradients = self.gradients
            yield Kept(
                self.features[start : start + size],
                None if gradients is None else gradients[:, start : start + size],
            )


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the kept samples, copied when they are asked for."""

    whole: Kept
    where: np.ndarray

    def __len__(self) -> int:
        return len(self.where)

    @property
    def features(self) -> np.ndarray:
        """A copy."""
        return self.whole.features.take(self.where, axis=0)

    @property
    def gradients(self) -> np.ndarray | None:
        """A copy, if there are any."""
        gradients = self.whole.gradients
        return None if gradients is None else gradients.take(self.where, axis=1)

    def copied(self) -> Kept:
        """Both, to use them more than once."""
        return Kept(self.features, self.gradients)

    def spread(self, values: int) -> "Part":
        """Evenly spread samples of about so many values, at least two."""
        count = max(2, values // max(1, self.whole.sample_size))
        if len(self) <= count:
            return self
        return Part(self.whole, self.where[np.linspace(0, len(self) - 1, count).astype(int)])

    def chunks(self, elements: int = CHUNK) -> Iterator[Kept]:
        """The samples in pieces of about so many values."""
        size = max(1, elements // max(1, self.whole.sample_size))
        for start in range(0, len(self), size):
            yield Part(self.whole, self.where[start : start + size]).copied()

    def mean(self) -> np.ndarray:
        """Of the features at every place, float64."""
        total = np.zeros(self.whole.features.shape[1:])
        size = max(1, CHUNK // max(1, self.whole.sample_size))
        for start in range(0, len(self), size):
            features = self.whole.features.take(self.where[start : start + size], axis=0)
            total += features.sum(0, dtype=np.float64)
        return total / len(self)


@dataclass(frozen=True, slots=True)
class Survey:
    """What one walk tells: the mean at every place, the range, the samples kept.

    ``everything``: whether all samples are kept. ``absurd``: how many values lie outside the range
    that is so far narrower than theirs; ``unknown``: gradients kept that were not finite.
    """

    mean: np.ndarray
    low: float
    high: float
    nsamples: int
    nonfinite: int
    kept: Kept
    everything: bool
    absurd: int = 0
    unknown: int = 0

    def without_gradients(self) -> "Survey":
        """The same, gradients forgotten."""
        return replace(self, kept=Kept(self.kept.features, None))

    def clean(self, x: np.ndarray, gradients: np.ndarray | None) -> Kept:
        """As the encoder will see it: NaN is the mean, the rest inside the range."""
        if not np.isfinite(x).all() or x.min() < self.low or x.max() > self.high:
            mean = self.mean.astype(np.float32)
            x = np.where(np.isnan(x), mean, np.clip(x, self.low, self.high))
        if gradients is not None and not np.isfinite(gradients).all():
            gradients = np.nan_to_num(gradients, nan=0.0, posinf=0.0, neginf=0.0)
        return Kept(x, gradients)


def survey(source: Source) -> Survey:
    """Walk once. Errors: ParameterError where no value is finite or there is no sample."""
    total: np.ndarray | None = None
    count: np.ndarray | int = 0
    low, high, nsamples, nonfinite, stride = np.inf, -np.inf, 0, 0, 1
    parts: list[Kept] = []
    for x, gradients in source.walk("statistics"):
        if total is None:
            total = np.zeros(x.shape[1:])
            room = max(2, KEPT // max(1, x[:1].size))
        finite = np.isfinite(x)
        whole = bool(finite.all())
        low, high = _extended(low, high, x if whole else x[finite])
        total += (x if whole else np.where(finite, x, 0)).sum(0, dtype=np.float64)
        count = count + (len(x) if whole else finite.sum(0))
        nonfinite += 0 if whole else int(finite.size - finite.sum())
        parts.append(Kept(x, gradients).every(stride, -nsamples % stride))
        nsamples += len(x)
        while sum(map(len, parts)) > room:
            stride *= 2
            before = 0
            for i, part in enumerate(parts):
                parts[i] = part.every(2, before % 2)
                before += len(part)
    if total is None or not np.any(count):
        raise ParameterError("the samples hold no finite value: nothing to calibrate on")
    kept = _joined(parts)
    fence, absurd = _fenced(kept.features, low, high), 0
    if fence != (low, high):
        total, count, low, high, absurd = _inside(source, *fence)
    mean = np.clip(total / np.maximum(count, 1), low, high)
    unknown = 0
    if kept.gradients is not None:
        unknown = kept.gradients.size - int(np.count_nonzero(np.isfinite(kept.gradients)))
    found = Survey(mean, low, high, nsamples, nonfinite, kept, stride == 1, absurd, unknown)
    return replace(found, kept=found.clean(kept.features, kept.gradients))


def _inside(
    source: Source, low: float, high: float
) -> tuple[np.ndarray, np.ndarray, float, float, int]:
    """(sums, counts, least, largest, how many are not) of the finite values inside a range."""
    total, count, absurd = 0.0, 0, 0
    least, largest = np.inf, -np.inf
    for x, _ in source.walk("statistics"):
        inside = (x >= low) & (x <= high)
        least, largest = _extended(least, largest, x[inside])
        total = total + np.where(inside, x, 0).sum(0, dtype=np.float64)
        count = count + inside.sum(0)
        absurd += int(np.count_nonzero(np.isfinite(x) & ~inside))
    return total, count, least, largest, absurd


def _joined(parts: list[Kept]) -> Kept:
    """All samples of batches, which are given up."""
    if len(parts) == 1:
        return parts.pop()
    features = np.concatenate([part.features for part in parts])
    if parts[0].gradients is None:
        return Kept(features, None)
    return Kept(features, np.concatenate([part.gradients for part in parts], axis=1))


def _extended(low: float, high: float, values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return low, high
    return min(low, float(values.min())), max(high, float(values.max()))


def _fenced(features: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The range without values so far out that the others would all become zero."""
    sample = features.reshape(-1)[:: max(1, features.size >> 18)]
    sample = sample[np.isfinite(sample)]
    middle = float(np.median(sample)) if sample.size else 0.0
    away = np.abs(sample - middle)
    away = away[away > 0]
    if not away.size:
        return low, high
    common = float(np.quantile(away, 0.99))
    return max(low, middle - OUTLIER * common), min(high, middle + OUTLIER * common)
