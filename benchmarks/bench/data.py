"""The benchmark's tensors: four synthetic data sets, and features of real networks.

All are non-negative float32 (samples, channels, height, width), as after a ReLU, with the uniform
quantizer's top level ``hi``. Beyond the first threshold the synthetic ones fall off exponentially,
the positive side of the activation model.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import lwfc

__all__ = ["DataSet", "clustered", "features", "synthetic"]

SHAPE = (32, 256, 28, 28)  # 6,422,528 elements


@dataclass(frozen=True)
class DataSet:
    """A tensor and the quantizer it is meant for."""

    name: str
    x: np.ndarray
    levels: int
    hi: float

    def codec(self, coder: str = "rans") -> lwfc.Codec:
        steps = (np.arange(self.levels - 1) + 0.5) / (self.levels - 1)
        values = np.linspace(0, self.hi, self.levels)
        return lwfc.Codec((self.hi * steps).astype(np.float32), values, coder=coder)

    @cached_property
    def symbols(self) -> np.ndarray:
        """uint8, shape of x."""
        return self.codec().symbols(self.x)

    @cached_property
    def order0(self) -> float:
        """Entropy of single symbols, bits."""
        p = np.bincount(self.symbols.ravel()) / self.symbols.size
        return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def hi_for(tail: float, levels: int) -> float:
    """hi at which each level beyond 1 is ``tail`` times as likely to be passed: step -ln(tail)."""
    return -math.log(tail) * (levels - 1)


def independent(seed: int, zeros: float, tail: float, levels: int) -> tuple[np.ndarray, float]:
    """Asymmetric Laplace around the first threshold, then ReLU; P(symbol 0) = zeros."""
    rng = np.random.default_rng(seed)
    hi = hi_for(tail, levels)
    threshold = np.float32(hi / (levels - 1) / 2)
    x = rng.standard_exponential(SHAPE, np.float32)
    below = rng.random(SHAPE, np.float32) < zeros
    np.negative(x, out=x, where=below)
    return np.maximum(x + threshold, 0), hi


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """White noise through a Gaussian of ``sigma`` pixels, wrapped around."""
    height, width = shape[-2:]
    kernels = []
    for n in (height, width):
        d = np.minimum(np.arange(n), n - np.arange(n))
        kernels.append(np.exp(-(d**2) / (2 * sigma**2)))
    kernel = np.fft.rfft2(np.outer(*kernels))
    out = np.empty(shape, np.float32)
    for i in range(shape[0]):
        noise = np.fft.rfft2(rng.standard_normal(shape[1:], np.float32))
        out[i] = np.fft.irfft2(noise * kernel, s=(height, width))
    return out


def clustered(shape: tuple[int, ...] = SHAPE, seed: int = 2) -> DataSet:
    """Data set B: smooth fields; channel by channel 30 to 99 % zeros, N = 4."""
    rng = np.random.default_rng(seed)
    field = smooth(rng, shape, 1.5)
    hi = hi_for(0.25, 4)
    threshold = np.float32(hi / 3 / 2)
    zeros = rng.permutation(np.linspace(0.3, 0.99, shape[1]))
    n = field[:, 0].size
    for c in range(shape[1]):
        plane = field[:, c].ravel()
        rank = np.empty(n)
        rank[np.argsort(plane)] = np.arange(n)
        # Exponential in rank: the excess over the first threshold has mean 1.
        x = -np.log((1 - (rank + 0.5) / n) / (1 - zeros[c])) + threshold
        field[:, c] = np.maximum(x, 0).reshape(field[:, c].shape)
    return DataSet("B", field, 4, hi)


def synthetic() -> list[DataSet]:
    """A: independent, N = 4, 75 % zeros. B: clustered. C: independent bits, 85 % zeros.
    D: independent, N = 8, 60 % zeros."""
    a = independent(1, 0.75, 0.25, 4)
    c = independent(3, 0.85, 0.25, 2)
    d = independent(4, 0.60, 0.325, 8)
    return [
        DataSet("A", a[0], 4, a[1]),
        clustered(),
        DataSet("C", c[0], 2, c[1]),
        DataSet("D", d[0], 8, d[1]),
    ]


def features(folder: Path, levels: int = 4) -> list[DataSet]:
    """Test features that ``photo_features.py`` left in ``folder``; [] without them.

    ReLU6 layers: range [0, 4.8] (N = 4) or [0, 3] (N = 2). Linear layers are moved so that
    their quantizer, mean +- 1.75 standard deviations, starts at 0.
    """
    sets = []
    for path in sorted(Path(folder).glob("*-test.npy")):
        x = np.load(path).astype(np.float32)
        name = f"{path.stem.removesuffix('-test')} N={levels}"
        if name.startswith("relu6"):
            sets.append(DataSet(name, np.clip(x, 0, 6), levels, 4.8 if levels > 2 else 3.0))
        else:
            low, spread = x.mean() - 1.75 * x.std(), 3.5 * x.std()
            sets.append(DataSet(name, x - low, levels, float(spread)))
    return sets
