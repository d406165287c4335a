"""Synthetic features with the structure restoration lives on: smooth, few directions, ReLU."""

import numpy as np


def features(samples, channels=12, height=10, width=9, rank=4, seed=0):
    """float32 (samples, channels, height, width): a fixed mixture of smooth random planes."""
    mixture = np.random.default_rng(99).normal(size=(channels, rank))
    planes = np.random.default_rng(seed).normal(size=(samples, rank, height + 2, width + 2))
    smooth = sum(planes[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3))
    return np.maximum(np.einsum("cr,nrhw->nchw", mixture, smooth) / 3, 0).astype(np.float32)


def quantize(x, levels, top=3.0):
    """uint8 symbols of ``levels`` uniform levels over [0, top]."""
    return np.clip(np.floor(x * ((levels - 1) / top) + 0.5), 0, levels - 1).astype(np.uint8)
