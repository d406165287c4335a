"""Gradients through a codec: straight through where a value lies inside the codec's range."""

from typing import Any

import numpy as np

from ..base.checks import channel_axis_of
from .value import CodecValue

__all__ = ["clip_ends", "stop_outside", "straight_through"]


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


def stop_outside(x: Any, codec: CodecValue) -> Any:
    """x, a PyTorch tensor, through which gradients pass inside the codec's range only."""
    return x.where(_inside(x, codec), x.detach())


def straight_through(x: Any, coded: Any, codec: CodecValue) -> Any:
    """``coded``, a PyTorch tensor, with the gradient of ``x`` inside the codec's range."""
    inside = x.where(_inside(x, codec), x.new_zeros(()))
    return coded - (inside.detach() - inside)  # minus +0 keeps every bit, those of -0 too


def _inside(x: Any, codec: CodecValue) -> Any:
    lo, hi = clip_ends(codec)
    if len(lo) == 1:
        return (x >= float(lo[0])) & (x <= float(hi[0]))
    shape = [1] * x.dim()
    shape[channel_axis_of(x.dim(), codec.channel_axis) or 0] = -1
    lo, hi = (x.new_tensor(end).reshape(shape) for end in (lo, hi))
    return (x >= lo) & (x <= hi)
