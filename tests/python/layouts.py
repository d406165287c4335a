"""Features whose layout is known: smooth maps, tokens and clips, channels of different means."""

import numpy as np


def smooth(x, axes):
    """Neighbours along the axes averaged, twice: correlated as features are."""
    for axis in axes:
        for _ in range(2):
            x = x + np.roll(x, 1, axis)
    return x / x.std()


def maps(count=8, channels=12, side=16, seed=0):
    """ReLU features (n, c, h, w)."""
    rng = np.random.default_rng(seed)
    x = smooth(rng.normal(size=(count, channels, side, side)), (2, 3))
    return np.maximum(x + rng.normal(size=(1, channels, 1, 1)), 0).astype(np.float32)


def clips(count=8, channels=12, length=80, seed=0):
    """Features (n, c, t) of a convolution over time."""
    rng = np.random.default_rng(seed)
    x = smooth(rng.normal(size=(count, channels, length)), (2,))
    return (x + 2 * rng.normal(size=(1, channels, 1))).astype(np.float32)


def strided_clips(count=8, channels=32, length=60, seed=0):
    """ReLU features (n, c, t) of a first, strided convolution: only channels' means differ."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, channels, length)) + 0.15 * rng.normal(size=(channels, 1))
    return np.maximum(x, 0).astype(np.float32)


def tokens(count=8, length=40, channels=24, seed=0):
    """Features (n, t, c) of a transformer: channels differ, neighbouring tokens less."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(size=channels) / 2)
    x = smooth(rng.normal(size=(count, length, channels)), (1,)) * scale
    return (x + rng.normal(size=channels)).astype(np.float32)


def video(count=2, channels=8, frames=6, side=12, seed=0):
    """ReLU features (n, c, t, h, w)."""
    rng = np.random.default_rng(seed)
    x = smooth(rng.normal(size=(count, channels, frames, side, side)), (2, 3, 4))
    return np.maximum(x + rng.normal(size=(1, channels, 1, 1, 1)), 0).astype(np.float32)
