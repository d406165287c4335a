"""Massive channels and tokens: single slices that take the range from all the others."""

import numpy as np

__all__ = ["Slices"]

LOOKED_AT = 1 << 17  # elements
MASSIVE = 10.0  # times as far from the middle as half of the slices
SPREAD = 1.5  # standard deviations: what a slice must be told apart in


class Slices:
    """Mean and deviation of each slice along each axis but the first, of the first samples.

    Samples of another shape than the first are left out.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._count = 0
        self._sums: list[np.ndarray] = []
        self._squares: list[np.ndarray] = []

    def add(self, x: np.ndarray) -> None:
        """Add a batch (samples, ...); NaN and infinities count as 0."""
        if self._count >= LOOKED_AT or x.ndim < 2 or not x.size:
            return
        self._shape = self._shape or x.shape[1:]
        if x.shape[1:] != self._shape:
            return
        step = max(1, (LOOKED_AT - self._count) // x[:1].size)
        part = x[:step].astype(np.float64)
        part = part if np.isfinite(part).all() else np.where(np.isfinite(part), part, 0)
        squares = np.square(part)
        for number, axis in enumerate(range(1, x.ndim)):
            others = tuple(i for i in range(x.ndim) if i != axis)
            if len(self._sums) <= number:
                self._sums.append(np.zeros(x.shape[axis]))
                self._squares.append(np.zeros(x.shape[axis]))
            self._sums[number] += part.sum(others)
            self._squares[number] += squares.sum(others)
        self._count += part.size

    def trouble(self, thresholds: np.ndarray, channel_axis: int | None) -> str | None:
        """What to say if one slice in few reaches so far that most others have one symbol each.

        ``thresholds`` (levels - 1,); ``channel_axis`` 0..rank - 1, or None.
        """
        for axis, (sums, squares) in enumerate(zip(self._sums, self._squares, strict=True), 1):
            count = self._count // sums.size
            mean = sums / count
            deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
            extent = np.abs(mean - np.median(mean)) + 2 * deviation
            usual = float(np.median(extent[extent > 0])) if extent.any() else 0.0
            far = np.flatnonzero(extent >= MASSIVE * usual)
            ends = np.stack([mean - SPREAD * deviation, mean + SPREAD * deviation])
            below, above = np.searchsorted(thresholds, ends)
            lost = np.flatnonzero((below == above) & (deviation > 0) & (extent < MASSIVE * usual))
            if not usual or not far.size or 2 * lost.size < np.count_nonzero(deviation):
                continue
            lo = float(np.median(mean[lost]) - 2 * usual)
            hi = float(np.median(mean[lost]) + 2 * usual)
            name = "channel" if axis == channel_axis else "slice"
            which = "" if axis == channel_axis else f" of axis {axis}"
            more = f" and {far.size - 1} more" if far.size > 1 else ""
            own = "" if axis == channel_axis else f" and channel_axis={axis}"
            return (
                f"{name} {far[0]}{more}{which} reaches {extent.max() / usual:.0f} times as far as "
                f"the others, and the range with it: {lost.size} of {sums.size} {name}s decode to "
                f'one value each; granularity="channel"{own} gives each its own range, '
                f"clip=({lo:.3g}, {hi:.3g}) one for most"
            )
        return None
