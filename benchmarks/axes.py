"""Bits per element of one set of features in every layout, with nobody naming an axis.

Usage: python benchmarks/axes.py [--time]

Synthetic features with what layers have: correlated neighbours, channels of different means. A
codec of four levels is calibrated on one half of the samples and codes the other; `encode` gets
one sample, or for batches the other half. --time adds what finding the axis takes. The script
runs with older versions of lwfc as well, so that two can be compared.
"""

import argparse
import time
import warnings

import numpy as np
from scipy.ndimage import gaussian_filter

import lwfc


def maps(rng: np.random.Generator) -> np.ndarray:
    """(n, c, h, w) after ReLU."""
    x = gaussian_filter(rng.normal(size=(32, 32, 28, 28)), (0, 0, 1.2, 1.2))
    return np.maximum(x / x.std() + rng.normal(size=(1, 32, 1, 1)), 0).astype(np.float32)


def video(rng: np.random.Generator) -> np.ndarray:
    """(n, c, t, h, w) after ReLU."""
    x = gaussian_filter(rng.normal(size=(12, 16, 8, 16, 16)), (0, 0, 1.2, 1.2, 1.2))
    return np.maximum(x / x.std() + rng.normal(size=(1, 16, 1, 1, 1)), 0).astype(np.float32)


def clips(rng: np.random.Generator) -> np.ndarray:
    """(n, c, t), no activation."""
    x = gaussian_filter(rng.normal(size=(32, 32, 400)), (0, 0, 2.0))
    return (x / x.std() + 2 * rng.normal(size=(1, 32, 1))).astype(np.float32)


def tokens(rng: np.random.Generator) -> np.ndarray:
    """(n, t, c), no activation; neighbouring tokens are hardly alike."""
    x = gaussian_filter(rng.normal(size=(32, 196, 96)), (0, 0.5, 0))
    x = x / x.std() * np.exp(rng.normal(size=96) / 2)
    return (x + rng.normal(size=96)).astype(np.float32)


def layouts() -> dict[str, tuple[np.ndarray, int]]:
    """Name -> features whose axis 0 counts samples, their channel axis."""
    rng = np.random.default_rng(0)
    x, v, t, c = maps(rng), video(rng), tokens(rng), clips(rng)
    frames = np.moveaxis(v, 1, 2)
    return {
        "N,C,H,W": (x, 1),
        "N,H,W,C": (np.moveaxis(x, 1, -1).copy(), 3),
        "N,T,C tokens": (t, 2),
        "N,C,T tokens": (np.moveaxis(t, 1, 2).copy(), 1),
        "N,C,T audio": (c, 1),
        "N,T,C audio": (np.moveaxis(c, 1, 2).copy(), 2),
        "N,C,T,H,W video": (v, 1),
        "N,T,C,H,W video": (frames.copy(), 2),
        "N,T,H,W,C video": (np.moveaxis(v, 1, -1).copy(), 4),
        "its frames, N,C,H,W": (frames.reshape(-1, 16, 16, 16).copy(), 1),
    }


def bits(data: bytes, x: np.ndarray) -> str:
    return f"{8 * len(data) / x.size:.3f}"


def clip(x: np.ndarray) -> tuple[float, float]:
    """The same range for all: versions choose others."""
    lo, hi = np.quantile(x, (0.005, 0.995))
    return float(lo), float(hi)


def calibrated(x: np.ndarray, coder: str, **options: int) -> str:
    half = len(x) // 2
    codec = lwfc.calibrate(x[:half], levels=4, coder=coder, clip=clip(x), **options)
    return bits(codec.encode(x[half:]), x[half:])


def extra(x: np.ndarray, axis: int) -> float:
    """Percent of encode's processor time, least of runs in turns."""
    best = {None: np.inf, axis: np.inf}
    for _ in range(60):
        for channel_axis in best:
            start = time.thread_time_ns()
            lwfc.encode(x, channel_axis=channel_axis)
            best[channel_axis] = min(best[channel_axis], time.thread_time_ns() - start)
    return 100 * (best[None] / best[axis] - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", action="store_true", help="and what finding the axis takes")
    timed = parser.parse_args().time
    warnings.simplefilter("ignore")
    head = ["layout", "rans", "named", "context", "named", "encode, a batch", "named",
            "encode, a sample", "named"] + ["finding it, % of encode"] * timed  # fmt: skip
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for name, (x, axis) in layouts().items():
        half = x[len(x) // 2 :]
        cells = []
        for coder in ("rans", "context"):
            cells += [calibrated(x, coder), calibrated(x, coder, channel_axis=axis)]
        for part, at in ((half, axis), (x[0], axis - 1)):
            cells += [bits(lwfc.encode(part, clip=clip(x)), part),
                      bits(lwfc.encode(part, clip=clip(x), channel_axis=at), part)]  # fmt: skip
        if timed:
            cells.append(f"{extra(half, axis):.0f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
