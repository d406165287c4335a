"""Squared error of calibrated codecs over that of the best range, for each kind of activation.

Usage: python benchmarks/ranges.py [--options NAME=VALUE ...]    (needs lwfc, SciPy; a minute)

"Best" is an evenly spaced quantizer, both ends levels, whose ends an exhaustive search over pairs
of quantiles and a descent from the best twelve have found: none of lwfc's own code. The samples
are normal before the activation unless the name says otherwise. Figures below 1 are those of
uneven levels around a mass point. Another revision runs with its checkout on PYTHONPATH.
"""

import argparse
import warnings

import numpy as np
from scipy.special import erf

import lwfc

SHAPE = (12, 8, 16, 16)
LEVELS = (2, 3, 4, 8)


def silu(z):
    return z / (1 + np.exp(-z))


def hard_swish(z):
    return z * np.clip(z + 3, 0, 6) / 6


def leaky(z, slope):
    return np.where(z > 0, z, slope * z)


def kinds():
    """Name -> float32 samples."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=SHAPE)
    bright = np.where(rng.random(SHAPE) < 0.2, rng.normal(4, 0.05, SHAPE), 0.015 + 0.03 * z)
    massive = rng.normal(size=SHAPE)
    massive[:, 3] *= 100
    made = {
        "ReLU": np.maximum(z, 0),
        "ReLU6, sparse": np.clip(3 * z - 2, 0, 6),
        "BatchNorm after ReLU": 0.8 * np.maximum(z - 0.5, 0) - 0.28,
        "LeakyReLU 0.01": leaky(z, 0.01),
        "LeakyReLU 0.1": leaky(z, 0.1),
        "LeakyReLU 0.3": leaky(z, 0.3),
        "PReLU 0.6": leaky(z - 0.5, 0.6),
        "SiLU": silu(2 * z),
        "SiLU, mean -1": silu(z - 1),
        "GELU": z * (1 + erf(z / np.sqrt(2))) / 2,
        "Mish": z * np.tanh(np.log1p(np.exp(z))),
        "ELU": np.where(z > 0, z, np.expm1(z)),
        "hard-swish": hard_swish(z),
        "hard-swish, a sixth 0": hard_swish(2 * z - 1),
        "softplus": np.log1p(np.exp(z)),
        "sigmoid": 1 / (1 + np.exp(-3 * z)),
        "tanh": np.tanh(z),
        "identity, normal": z,
        "identity, Laplace": rng.laplace(size=SHAPE),
        "identity, a third 0": np.where(rng.random(SHAPE) < 0.33, 0, z),
        "offset 273.15": 273.15 + z,
        "bright cells, leaky": leaky(bright, 0.1),
        "one channel 100 times": massive,
    }
    return {name: x.astype(np.float32) for name, x in made.items()}


def errors(x, tables):
    """Mean squared error of the nearest of the values (..., levels), by sums of sorted x."""
    tables = tables[..., None, :] if tables.ndim == 1 else tables
    total, squares = (np.concatenate([[0], np.cumsum(x**k)]) for k in (1, 2))
    edges = np.zeros((len(tables), tables.shape[1] + 1), int)
    edges[:, 1:-1] = np.searchsorted(x, (tables[:, 1:] + tables[:, :-1]) / 2)
    edges[:, -1] = x.size
    count, sums, powers = np.diff(edges), np.diff(total[edges]), np.diff(squares[edges])
    return (powers - 2 * tables * sums + tables**2 * count).sum(1) / x.size


def evenly(lo, hi, levels):
    return lo[:, None] + (hi - lo)[:, None] * np.arange(levels) / (levels - 1)


def best(x, levels):
    """The least error of any range."""
    x = np.sort(x.astype(np.float64).ravel())
    x -= x.mean()
    ends = np.unique(np.quantile(x, np.r_[np.linspace(0, 1, 70), 1e-4, 1e-3, 0.999, 0.9999]))
    beyond = x[-1] + np.ptp(x) * np.array([0.1, 0.3, 0.5, 1])
    lo, hi = (a.ravel() for a in np.meshgrid(ends, np.r_[ends, beyond], indexing="ij"))
    lo, hi = lo[lo < hi], hi[lo < hi]
    found = errors(x, evenly(lo, hi, levels))
    least = np.inf
    for start in np.argsort(found)[:12]:
        a, b, error = lo[start], hi[start], found[start]
        step = 0.05 * (b - a)
        while step > 1e-5 * (b - a):
            moves = step * np.linspace(-1, 1, 7)
            low, high = (m.ravel() for m in np.meshgrid(a + moves, b + moves, indexing="ij"))
            low, high = low[low < high], high[low < high]
            tried = errors(x, evenly(low, high, levels))
            if tried.min() < error * (1 - 1e-9):
                a, b, error = low[tried.argmin()], high[tried.argmin()], tried.min()
            else:
                step /= 2.5
        least = min(least, error)
    return least


def option(text):
    name, _, value = text.partition("=")
    return name, value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--options", nargs="*", type=option, default=[], help="of lwfc.calibrate")
    options = dict(parser.parse_args().options)
    print("| samples |", " | ".join(f"N = {n}" for n in LEVELS), "|")
    print("|---" * (1 + len(LEVELS)), "|", sep="")
    for name, x in kinds().items():
        cells = []
        for levels in LEVELS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                codec = lwfc.calibrate(x, levels=levels, channel_axis=1, **options)
            error = np.mean((codec.simulate(x).astype(np.float64) - x) ** 2)
            cells.append(f"{error / best(x, levels):.3f}")
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
