"""Which axes of a tensor the coder takes for samples, channels, height and width."""

import math
from collections.abc import Sequence

from .checks import channel_axis_of

__all__ = ["channels_in", "plane_axes"]


def channels_in(
    shape: Sequence[int], channel_axis: int | None, inner_shape: Sequence[int]
) -> int | None:
    """The axis of the channels; a tensor of the codec's inner shape is a batch without axis 0."""
    rank = len(shape)
    if rank == len(inner_shape) > 0 and tuple(shape) == tuple(inner_shape):
        axis = channel_axis_of(rank + 1, channel_axis)
        if axis:  # not samples of which each is a channel, or without channels
            return axis - 1
    return channel_axis_of(rank, channel_axis)


def plane_axes(
    shape: Sequence[int], channel_axis: int | None
) -> tuple[list[int], tuple[int, int, int, int]]:
    """(order of axes, sizes): the coder's view [samples][channels][height][width] of a batch.

    Of more than two spatial axes, the first ones count samples: frames.
    """
    rank = len(shape)
    axis = channel_axis_of(rank, channel_axis)
    if axis is None:
        return list(range(rank)), (1, 1, 1, math.prod(shape))
    others = [i for i in range(rank) if i != axis]
    count = rank - 1 - axis if axis < rank - 1 else max(1, rank - 2)
    if axis and count > 2 and min(shape[i] for i in others[-2:]) > 1:
        count = 2
    samples, spatial = others[:-count], others[-count:]
    height = math.prod(shape[i] for i in spatial[:-1])
    sizes = (math.prod(shape[i] for i in samples), shape[axis], height, shape[spatial[-1]])
    return [*samples, axis, *spatial], sizes
