"""Blocks of a feature map and their DCT coefficients, frequency by frequency."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Geometry", "Layout", "candidates", "cosines", "radial_bands"]

SIDES = (1, 4, 8, 12)  # what block sides are tried near, besides the whole map
SIDE_MAX = 64  # of a block
BLOCK_MAX = 1 << 24  # values of a block over all channels
CACHED = 1 << 16  # values transformed at a time: they and their products stay in the cache
RATIO = 2.0  # a divisor this much larger or smaller still stands for the side that was asked for


@lru_cache(maxsize=64)
def cosines(n: int) -> np.ndarray:
    """The orthonormal DCT-II of n points, float64 (n, n), rows are frequencies.

    D[k, i] = s_k cos(pi (i + 1/2) k / n), s_0 = sqrt(1/n), else sqrt(2/n) (Ahmed, Natarajan and
    Rao, IEEE Trans. Computers C-23, 1974).
    """
    k = np.arange(n)[:, None]
    matrix = np.cos(np.pi * (np.arange(n) + 0.5) * k / n) * math.sqrt(2 / n)
    matrix[0] = math.sqrt(1 / n)
    matrix.setflags(write=False)
    return matrix


@dataclass(frozen=True, slots=True)
class Layout:
    """How a sample, a tensor of ``inner_shape``, is seen: channels on a map.

    ``axis`` counts the channels inside ``inner_shape``. The axes before the last spatial one are
    one: a video of D frames is a map D * H high.
    """

    inner_shape: tuple[int, ...]
    axis: int

    @property
    def channels(self) -> int:
        return self.inner_shape[self.axis]

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.inner_shape[: self.axis] + self.inner_shape[self.axis + 1 :]

    @property
    def height(self) -> int:
        return math.prod(self.spatial[:-1])

    @property
    def width(self) -> int:
        return self.spatial[-1] if self.spatial else 1

    def fits(self, block_height: int, block_width: int) -> bool:
        """Whether the format has such blocks."""
        size = self.channels * block_height * block_width
        return max(block_height, block_width) <= SIDE_MAX and size <= BLOCK_MAX

    def geometry(self, block_height: int, block_width: int) -> "Geometry":
        """Blocks of this map."""
        return Geometry(self.channels, self.height, self.width, block_height, block_width)

    def maps(self, x: np.ndarray) -> np.ndarray:
        """x (n, *inner_shape) as (n, channels, height, width); a view if possible."""
        moved = np.moveaxis(x, self.axis + 1, 1)
        return moved.reshape(len(x), self.channels, self.height, self.width)

    def tensor(self, maps: np.ndarray) -> np.ndarray:
        """The way back from :meth:`maps`."""
        return np.moveaxis(maps.reshape(len(maps), self.channels, *self.spatial), 1, self.axis + 1)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Blocks of block_height x block_width that tile maps of height x width without padding."""

    channels: int
    height: int
    width: int
    block_height: int
    block_width: int

    @property
    def frequencies(self) -> int:
        """Number of coefficients of a block and channel."""
        return self.block_height * self.block_width

    @property
    def blocks(self) -> int:
        """Number of blocks of a map."""
        return (self.height // self.block_height) * (self.width // self.block_width)

    @property
    def radius(self) -> np.ndarray:
        """Of each frequency (u, v): sqrt((u / block_height)^2 + (v / block_width)^2)."""
        u, v = np.divmod(np.arange(self.frequencies), self.block_width)
        return np.hypot(u / self.block_height, v / self.block_width)

    def forward(self, maps: np.ndarray) -> np.ndarray:
        """Coefficients float32 (frequencies, n * blocks, channels) of maps (n, C, H, W)."""
        bh, bw = self.block_height, self.block_width
        n, channels = maps.shape[:2]
        tiles = maps.reshape(n, channels, self.height // bh, bh, self.width // bw, bw)
        tiles = tiles.transpose(3, 5, 0, 2, 4, 1)
        down, across = (cosines(side).astype(np.float32) for side in (bh, bw))
        found = np.empty((bh, bw, n, self.blocks * channels), np.float32)
        size = max(1, CACHED // maps[:1].size) if n else 1
        for start in range(0, n, size):
            part = np.ascontiguousarray(tiles[:, :, start : start + size], np.float32)
            if bh > 1:
                part = down @ part.reshape(bh, -1)
            if bw > 1:
                part = across @ part.reshape(bh, bw, -1)
            found[:, :, start : start + size] = part.reshape(bh, bw, -1, found.shape[3])
        return found.reshape(self.frequencies, n * self.blocks, channels)

    def inverse(self, coefficients: np.ndarray) -> np.ndarray:
        """Maps float32 (n, C, H, W) of coefficients (frequencies, n * blocks, channels)."""
        bh, bw = self.block_height, self.block_width
        channels = coefficients.shape[2]
        rows = cosines(bw).T.astype(np.float32) @ coefficients.reshape(bh, bw, -1)
        tiles = cosines(bh).T.astype(np.float32) @ rows.reshape(bh, -1)
        tiles = tiles.reshape(bh, bw, -1, self.height // bh, self.width // bw, channels)
        maps = tiles.transpose(2, 5, 3, 0, 4, 1)
        return maps.reshape(-1, channels, self.height, self.width)


def radial_bands(geometry: Geometry, count: int) -> np.ndarray:
    """Band of each frequency, numbered from 0 without gaps; DC is alone in the first.

    At most ``count`` bands; their edges are at t^(1/0.7), t in equal steps.
    """
    radius = geometry.radius
    edges = np.linspace(0, radius.max() ** 0.7, count) ** (1 / 0.7)
    return np.unique(np.searchsorted(edges, radius - 1e-9), return_inverse=True)[1]


def _side(n: int, want: int) -> int:
    """The divisor of n nearest to ``want``; the whole side if none is near."""
    if n <= want:
        return n
    near = [d for d in range(1, n + 1) if n % d == 0 and max(d / want, want / d) <= RATIO]
    if want == 1:
        return 1
    if near:
        return min(near, key=lambda d: (max(d / want, want / d), -d))
    return n if n <= SIDE_MAX else 1


def candidates(layout: Layout) -> list[Geometry]:
    """The geometries worth trying for a layout, from single places to the whole map.

    Where several axes make the height, blocks smaller than the map stay inside the last of them.
    """
    height, width = layout.height, layout.width
    inner = layout.spatial[-2] if len(layout.spatial) > 1 else 1
    found = [(_side(inner, want), _side(width, want)) for want in SIDES]
    if max(height, width) <= SIDE_MAX:
        found.append((height, width))
    allowed = [sides for sides in dict.fromkeys(found) if layout.fits(*sides)]
    return [layout.geometry(*sides) for sides in allowed]
