"""What an error of a coefficient costs the outputs, and how unsure that is: G and S, prepared."""

import numpy as np

from .geometry import Geometry

__all__ = ["FALL_OFF", "fall_off", "regularized", "smoothed"]

FALL_OFF = 0.28  # radius at which an error counts half, where no gradients are known
IDENTITY = 0.02  # share of the identity in each metric
COMMON = 0.1  # share of all frequencies' common shape in each metric
FLOOR = 1e-4  # no frequency is freer than this part of the dearest
SMOOTHING = 0.7  # share of the neighbouring frequencies' shape
WIDTH = 1.0  # of the neighbourhood, in frequencies


def fall_off(radius: np.ndarray) -> np.ndarray:
    """Weight of an error by its frequency where nothing is known of the second half."""
    return 1 / (1 + (radius / FALL_OFF) ** 2)


def regularized(metric: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The metrics (matrices, C, C) drawn towards their common shape and towards the identity.

    ``sizes``: how many frequencies share each. The mean over frequencies of trace / C becomes 1.
    """
    channels = metric.shape[-1]
    eye = np.eye(channels)
    level = np.maximum(np.trace(metric, axis1=1, axis2=2) / channels, 1e-300)
    shape = metric / level[:, None, None]
    common = np.average(shape, axis=0, weights=sizes)
    shape = (1 - COMMON) * shape + COMMON * common
    shape = (1 - IDENTITY) * shape + IDENTITY * eye
    result = shape * level[:, None, None] + FLOOR * level.max() * eye
    return result / np.average(np.trace(result, axis1=1, axis2=2) / channels, weights=sizes)


def smoothed(geometry: Geometry, matrices: np.ndarray) -> np.ndarray:
    """Matrices (frequencies, C, C), their shapes drawn to those of neighbours; traces are kept."""
    trace = np.trace(matrices, axis1=1, axis2=2)
    trace = np.maximum(trace, max(trace.max() * 1e-9, 1e-300))
    bh, bw = geometry.block_height, geometry.block_width
    shapes = (matrices / trace[:, None, None]).reshape(bh, bw, -1)

    def window(n: int) -> np.ndarray:
        distance = np.arange(n)[:, None] - np.arange(n)
        weights = np.exp(-(distance**2) / (2 * WIDTH**2))
        return weights / weights.sum(1, keepdims=True)

    average = window(bw) @ np.tensordot(window(bh), shapes, (1, 0))
    mixed = (1 - SMOOTHING) * shapes + SMOOTHING * average
    return mixed.reshape(matrices.shape) * trace[:, None, None]
