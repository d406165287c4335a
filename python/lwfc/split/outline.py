"""About how many bits a transform takes, from a sample or two: too few for channel matrices."""

import math

import numpy as np

from ..calibration.layout import find_layout
from ..transform.geometry import Geometry, Layout, candidates
from ..transform.metric import fall_off

__all__ = ["outlined_bits", "usual_blocks"]

VALUES = 1 << 15  # that are looked at, whole channels
SIDE = 8  # of blocks, where they fit
TRIALS = 10


def usual_blocks(layout: Layout) -> Geometry:
    """Blocks nearest to 8x8."""
    return min(candidates(layout), key=lambda g: abs(math.log(g.frequencies / SIDE**2)))


def outlined_bits(x: np.ndarray, allowed: float, channel_axis: int | None = None) -> float:
    """Bits an element of samples x (n, ...), at a mean squared error that the outputs see.

    ``channel_axis``: None measures it.
    Errors count by frequency, as they do without gradients; each frequency's symbols are coded by
    their own entropy.
    """
    if x.ndim < 2 or not x.size:
        return 32.0
    axis = find_layout([x], channel_axis, False).axis or 1
    layout = Layout(x.shape[1:], axis - 1)
    step = max(1, x[0].size // VALUES)
    maps = layout.maps(x[: max(1, VALUES // x[0].size)])[:, ::step]
    geometry = usual_blocks(layout)
    y = geometry.forward(np.ascontiguousarray(maps - maps.mean((0, 2, 3), keepdims=True)))
    weight = fall_off(geometry.radius)
    y *= np.sqrt(weight / weight.mean())[:, None, None].astype(np.float32)
    y = y.reshape(geometry.frequencies, -1)
    low, high = math.log(max(allowed, 1e-30)) / 2, math.log(float(np.abs(y).max()) * 2 + 1e-15)
    for _ in range(TRIALS):  # the largest step that is fine enough
        middle = (low + high) / 2
        symbols = np.rint(y / math.exp(middle))
        error = np.square(symbols * np.float32(math.exp(middle)) - y, dtype=np.float64).mean()
        low, high = (middle, high) if error <= allowed else (low, middle)
    symbols = np.rint(y / math.exp(low))
    return sum(_entropy(row) * row.size for row in symbols) / symbols.size


def _entropy(symbols: np.ndarray) -> float:
    share = np.unique(symbols, return_counts=True)[1] / symbols.size
    return float(-(share * np.log2(share)).sum())
