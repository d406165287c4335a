"""Wide layers: the few hundred directions over all places in which anything happens that counts."""

from dataclasses import dataclass

import numpy as np

from .metric import regularized
from .survey import Kept

__all__ = ["DIRECTIONS", "Subspace", "find_subspace"]

DIRECTIONS = 512  # channels up to which matrices are fitted as they are


@dataclass(frozen=True, slots=True)
class Subspace:
    """x is about ``outward`` @ (``inward`` @ x); float64 (C, directions) and (directions, C)."""

    inward: np.ndarray
    outward: np.ndarray

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Maps (n, C, H, W), less their mean, as maps of directions."""
        return _mixed(self.inward, maps)

    def gradients(self, maps: np.ndarray) -> np.ndarray:
        """Gradients with respect to the directions."""
        return _mixed(self.outward.T, maps)

    def kept(self, kept: Kept, mean: np.ndarray) -> Kept:
        """Kept samples in this space; their mean is about 0."""
        gradients = None
        if kept.gradients is not None:
            gradients = np.stack([self.gradients(draw) for draw in kept.gradients])
        return Kept(self.features(kept.features - mean), gradients)


def _mixed(matrix: np.ndarray, maps: np.ndarray) -> np.ndarray:
    n, channels, height, width = maps.shape
    mixed = matrix.astype(np.float32) @ maps.reshape(n, channels, -1)
    return mixed.reshape(n, len(matrix), height, width)


def find_subspace(kept: Kept, mean: np.ndarray) -> Subspace:
    """The leading directions of the features in the metric, one metric for all frequencies."""
    channels = kept.features.shape[1]
    signal, gradients = np.zeros((2, channels, channels))
    for part in kept.chunks():
        signal += _pooled(part.features - mean)
        for draw in part.gradients if part.gradients is not None else ():
            gradients += _pooled(draw)
    metric = np.eye(channels)
    if gradients.any():
        metric = regularized(gradients[None], np.ones(1))[0]
    lower = np.linalg.cholesky(metric)
    vectors = np.linalg.eigh(lower.T @ signal @ lower)[1][:, : -DIRECTIONS - 1 : -1]
    return Subspace(vectors.T @ lower.T, np.linalg.solve(lower.T, vectors))


def _pooled(maps: np.ndarray) -> np.ndarray:
    vectors = maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
    return vectors @ vectors.T
