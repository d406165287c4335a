"""Gradients through a codec: straight through where a value lies inside the codec's range."""

from typing import Any

import numpy as np

from ..base.planes import channels_in
from .value import CodecValue

__all__ = ["clip_ends", "inside", "straight_through"]


def clip_ends(codec: CodecValue) -> tuple[np.ndarray, np.ndarray]:
    """The ends (lo, hi) that the codec clips to, float32 of shape (groups,).

    The calibrated range if the codec tells it, as restored values lie inside it; else the outer
    thresholds half a step further out, as in a uniform quantizer, or the outer values.
    """
    if codec.transform is not None:
        lo, hi = codec.clip_range
        return np.array([lo], np.float32), np.array([hi], np.float32)
    thresholds, values = codec.thresholds, codec.values
    lo, hi = values[:, 0], values[:, -1]
    if thresholds.shape[1] > 1:
        lo = np.minimum(lo, 1.5 * thresholds[:, 0] - 0.5 * thresholds[:, 1])
        hi = np.maximum(hi, 1.5 * thresholds[:, -1] - 0.5 * thresholds[:, -2])
    noted = codec.metadata.get("range")
    if len(values) == 1 and isinstance(noted, list) and len(noted) == 2:
        lo, hi = np.minimum(values[:, 0], noted[0]), np.maximum(values[:, -1], noted[1])
    return lo.astype(np.float32), hi.astype(np.float32)


def straight_through(x: Any, coded: Any, codec: CodecValue) -> Any:
    """``coded``, a PyTorch tensor, with the gradient of ``x`` inside the codec's range."""
    lo, hi = (x.new_tensor(end) for end in clip_ends(codec))
    kept = x.where(inside(x, lo, hi, codec.channel_axis, codec.inner_shape), x.new_zeros(()))
    return coded - (kept.detach() - kept)  # minus +0 keeps every bit, those of -0 too


def inside(
    x: Any, lo: Any, hi: Any, channel_axis: int | None, inner_shape: tuple[int, ...]
) -> Any:
    """Which values of a PyTorch tensor lie in lo..hi, tensors with a number for each group."""
    if len(lo) > 1:
        shape = [1] * x.dim()
        shape[channels_in(x.shape, channel_axis, inner_shape) or 0] = -1
        lo, hi = lo.reshape(shape), hi.reshape(shape)
    return (x >= lo) & (x <= hi)
