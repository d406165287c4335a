"""The samples' own law: errors of quantizers, and ranges of least error, without a model."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..base.errors import ParameterError

__all__ = ["MASS", "Ends", "SampleLaw", "snap", "sort_samples"]

MASS = 0.01  # share of values from which one value is a mass point of the law
CLOSE = 1.04  # of the least error: what an evenly spaced quantizer may cost to hold a mass point
MASS_COST = 1.05  # what holding one may cost at most, unless it is 0 and
FIRM = 0.1  # has this share
LARGEST = float(np.finfo(np.float32).max)
PASSES = 40  # of Lloyd's iteration at most
NEAR = 2  # how many other numbers of levels below 0 are tried, in either direction


def sort_samples(samples: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted float64 samples and their running sums, as the extension takes them."""
    y = _sorted(samples)
    return y, *_running_sums(y)


def _sorted(samples: Any) -> np.ndarray:
    y = np.asarray(samples)
    y = y if y.dtype == np.float32 else y.astype(np.float64)  # which sorts faster
    if not y.size:
        raise ParameterError("samples is empty")
    if not np.isfinite(y).all():
        raise ParameterError("samples hold NaN or infinity")
    return np.sort(y, axis=None).astype(np.float64)


def _running_sums(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums, squares = np.empty(y.size + 1), np.empty(y.size + 1)
    _core.samples_sum((y, sums, squares))
    return sums, squares


def snap(values: np.ndarray, point: float) -> np.ndarray:
    """Tables (..., levels) whose level nearest to ``point`` is moved there; they stay ascending."""
    moved = values.copy()
    nearest = np.abs(values - point).argmin(-1)[..., None]
    np.put_along_axis(moved, nearest, point, -1)
    return moved


def _round_step(step: float) -> float:
    """step to 16 bits, so that float32 holds its multiples and a level lies exactly on 0."""
    mantissa, exponent = np.frexp(step)
    return float(np.ldexp(np.round(mantissa * 65536) / 65536, exponent))


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """The outer levels of a quantizer.

    ``error``: mean squared error on the samples. ``keep``: a mass point that is a level.
    ``values``: all levels, float64, where they are not evenly spaced.
    """

    lo: float
    hi: float
    error: float = np.nan
    keep: float | None = None
    values: np.ndarray | None = None

    def scaled(self, scale: float, about: float, levels: int) -> "Ends":
        """Every level's distance from ``about`` times scale."""
        if scale == 1:
            return self
        if self.keep == 0 and self.values is None:  # 0 stays exact
            step = (self.hi - self.lo) / (levels - 1)
            below, step = round(-self.lo / step), _round_step(step * scale)
            return Ends(-below * step, (levels - 1 - below) * step, np.nan, 0.0)
        lo, hi = about + (self.lo - about) * scale, about + (self.hi - about) * scale
        values = None if self.values is None else about + (self.values - about) * scale
        return Ends(lo, hi, np.nan, self.keep, values)

    def clamped(self) -> "Ends":
        """Levels that float32 holds: masks are filled with its largest numbers."""
        if self.lo >= -LARGEST and self.hi <= LARGEST:
            return self
        values = None if self.values is None else self.values.clip(-LARGEST, LARGEST)
        return Ends(max(self.lo, -LARGEST), min(self.hi, LARGEST), np.nan, self.keep, values)


def _two_sided(lo: float, hi: float, levels: int, below: int) -> np.ndarray:
    """``below`` evenly spaced values from lo up to 0, then 0, then the others up to hi."""
    down = np.linspace(min(lo, 0.0), 0, below, endpoint=False)
    return np.append(down, np.linspace(0, max(hi, 0.0), levels - below))


class SampleLaw:
    """The law that gives every sample equal weight. samples: array_like, finite."""

    def __init__(self, samples: Any) -> None:
        y = _sorted(samples)
        self.low, self.high = float(y[0]), float(y[-1])
        self._centre = float(y.mean())  # a common offset would cost digits
        self._y = y - self._centre
        self._sums, self._squares = _running_sums(self._y)

    @property
    def floor_share(self) -> float:
        """The share of samples that equal the smallest one."""
        return float(np.searchsorted(self._y, self._y[0], "right")) / self._y.size

    @property
    def top_share(self) -> float:
        """The share of samples that equal the largest one."""
        return 1 - float(np.searchsorted(self._y, self._y[-1])) / self._y.size

    @property
    def floored(self) -> bool:
        """Whether values reach less than a third as far below the median as above it."""
        below, middle, above = np.quantile(self._y, (0.001, 0.5, 0.999))
        return bool(3 * (middle - below) < above - middle)

    def _cells(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number, sum and sum of squares of the samples nearest to each of v, about the mean."""
        edges = np.zeros((*v.shape[:-1], v.shape[-1] + 1), np.intp)
        edges[..., 1:-1] = np.searchsorted(self._y, (v[..., 1:] + v[..., :-1]) / 2)
        edges[..., -1] = self._y.size
        total, squares = (np.diff(a[edges], axis=-1) for a in (self._sums, self._squares))
        return np.diff(edges, axis=-1), total, squares

    def _means(self, values: np.ndarray) -> np.ndarray:
        """The mean of each value's cell; the value itself where no sample is nearest to it."""
        count, total, _ = self._cells(values - self._centre)
        return np.where(count > 0, total / np.maximum(count, 1) + self._centre, values)

    def error(self, values: Any) -> np.ndarray:
        """Mean squared error of rounding to the nearest of the ascending values (..., levels)."""
        v = np.asarray(values, np.float64) - self._centre
        count, total, squares = self._cells(v)
        return (squares - 2 * v * total + v * v * count).sum(-1) / self._y.size

    def best(self, levels: int, lo: float | None = None) -> Ends | None:
        """The range of least error, its lower end given or free; None if no sample lies above.

        The error has many valleys, so the search is exhaustive on a grid before it descends. Those
        of mass points at the ends are narrow where levels are many: they are tried by name.
        """
        found = self._searched(levels, lo)
        if found is None:
            return None
        tries = [found]
        top = self.top_share >= MASS
        if top:
            tries.append(self._even(self.low if lo is None else lo, self.high, levels))
        if lo is None and self.floor_share >= MASS:
            tries.append(self._searched(levels, self.low))
        if lo is None and top:
            tries.append(self._to_top(levels))
        return min((e for e in tries if e is not None), key=lambda ends: ends.error)

    def _even(self, lo: float, hi: float, levels: int) -> Ends:
        return Ends(lo, hi, float(self.error(np.linspace(lo, hi, levels))))

    def _to_top(self, levels: int) -> Ends | None:
        """The best range that ends in the largest value."""
        mirrored = SampleLaw(-(self._y + self._centre))
        found = mirrored._searched(levels, -self.high)
        return None if found is None else Ends(-found.hi, self.high, found.error)

    def _searched(self, levels: int, lo: float | None) -> Ends | None:
        data = (self._y, self._sums, self._squares)
        found = _core.samples_range(data, levels, None if lo is None else lo - self._centre)
        if found is None:
            return None
        lo = found[0] + self._centre if lo is None else lo
        return self._even(lo, found[1] + self._centre, levels)

    def best_with_mass(self, levels: int, zeros: float) -> Ends | None:
        """The same with free ends and the law's mass points as levels: 0, of which there is a
        share of ``zeros``, and the floor, which is the smallest value.

        A mass point may cost 5 % of the error. 0 may cost anything where values stop at it, and
        where it has a tenth of them and there are more than two levels; these may be uneven.
        """
        if zeros >= MASS and self.low >= 0:
            return self._from_floor(levels, 0.0)
        if zeros >= MASS and self.high <= 0:
            found = self._to_top(levels)
            return None if found is None else Ends(found.lo, 0.0, found.error, 0.0)
        free = self.best(levels)
        if free is None:
            return None
        if zeros >= MASS:
            found = self._with_zero(levels, free)
            firm = levels > 2 and zeros >= FIRM
            return found if firm or found.error <= MASS_COST * free.error else free
        if self.floor_share < MASS:
            return free
        found = self._from_floor(levels, self.low)
        if found is None or found.error > CLOSE * free.error:
            found = self._uneven(np.linspace(free.lo, free.hi, levels), self.low, free)
        return found if found.error <= MASS_COST * free.error else free

    def _from_floor(self, levels: int, floor: float) -> Ends | None:
        found = self.best(levels, floor)
        return None if found is None else Ends(floor, found.hi, found.error, floor)

    def _with_zero(self, levels: int, free: Ends) -> Ends:
        """Evenly spaced levels through 0 if they are close to the best, else uneven ones."""
        step = (free.hi - free.lo) / (levels - 1)
        middle = int(np.clip(np.rint(-free.lo / step), 0, levels - 1))
        numbers = np.arange(max(0, middle - NEAR), min(levels, middle + NEAR + 1))
        places = np.arange(levels) - numbers[:, None, None]
        steps = step * np.geomspace(0.6, 1.7, 105)
        errors = self.error(places * steps[:, None])
        row, column = np.unravel_index(errors.argmin(), errors.shape)
        step, below = _round_step(steps[column]), int(numbers[row])
        lo, hi = -below * step, (levels - 1 - below) * step
        even = Ends(lo, hi, float(self.error(np.linspace(lo, hi, levels))), 0.0)
        if even.error <= CLOSE * free.error:
            return even
        starts = [np.linspace(free.lo, free.hi, levels)]
        starts += [_two_sided(0.7 * self.low, free.hi, levels, int(k)) for k in numbers]
        return min((self._uneven(start, 0.0, free) for start in starts), key=lambda e: e.error)

    def _uneven(self, start: np.ndarray, point: float, free: Ends) -> Ends:
        """``start`` with its level nearest to ``point`` moved there; then, until the error is close
        to the best of evenly spaced levels, the others move to the means of their cells (Lloyd)."""
        values = snap(start, point)
        error = float(self.error(values))
        for _ in range(PASSES):
            if error <= CLOSE * free.error:
                break
            moved = self._means(values)
            moved[values == point] = point
            after = float(self.error(moved))
            if not after < error:
                break
            values, error = moved, after
        return Ends(float(values[0]), float(values[-1]), error, point, values)
