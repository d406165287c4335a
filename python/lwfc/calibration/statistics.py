"""First walk over the samples: moments and a bounded choice of values, per tensor or channel."""

from dataclasses import dataclass

import numpy as np

from ..base.checks import channel_axis_of
from ..base.errors import ParameterError
from ..model.moments import Moments, moments
from .outliers import Slices
from .samples import Batches, Thinned

__all__ = ["Group", "Statistics", "measure"]

TENSOR_SAMPLE = 1 << 20  # values kept for designs, percentiles and searches
CHANNEL_SAMPLE = 1 << 22  # the same over all channels together
CHANNEL_SAMPLE_MIN = 1 << 10


@dataclass(frozen=True, slots=True)
class Group:
    """What is known of the values that share a quantizer."""

    moments: Moments
    sample: np.ndarray


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one walk tells. ``channels`` is empty unless asked for, and without them ``slices``
    look for outliers; ``inner_shape`` is () if the samples differ in shape."""

    tensor: Group
    channels: tuple[Group, ...]
    inner_shape: tuple[int, ...]
    nsamples: int
    slices: Slices


class _Gatherer:
    def __init__(self, capacity: int) -> None:
        self.moments = Moments()
        self.sample = Thinned(capacity)

    def add(self, values: np.ndarray, num_threads: int) -> None:
        self.moments += moments(values, num_threads=num_threads)
        self.sample.add(values)

    def group(self) -> Group:
        return Group(self.moments, self.sample.values())


def measure(
    batches: Batches, *, channels: bool, channel_axis: int | None, num_threads: int = 1
) -> Statistics:
    """Walk the samples, which remember what was found.

    Errors: ParameterError if channels are asked for and vary or lack.
    """
    known = getattr(batches, "known", {})  # quantized samples are others with each scale
    key = "statistics", channels, channel_axis
    if key not in known:
        known[key] = _measured(batches, channels, channel_axis, num_threads)
    return known[key]


def _measured(
    batches: Batches, channels: bool, channel_axis: int | None, num_threads: int
) -> Statistics:
    whole = _Gatherer(TENSOR_SAMPLE)
    parts: list[_Gatherer] = []
    shapes: set[tuple[int, ...]] = set()
    nsamples = 0
    slices = Slices()
    for x in batches.walk("statistics"):
        whole.add(x, num_threads)
        shapes.add(x.shape[1:])
        nsamples += len(x)
        if not channels:
            slices.add(x)
            continue
        axis = channel_axis_of(x.ndim, channel_axis)
        count = 0 if axis is None else x.shape[axis]
        if not parts:
            capacity = max(CHANNEL_SAMPLE_MIN, CHANNEL_SAMPLE // max(1, count))
            parts = [_Gatherer(capacity) for _ in range(count)]
        if axis is None or count != len(parts):
            raise ParameterError(
                f'granularity="channel": a batch of shape {x.shape} has {count} channels on '
                f"axis {axis}, earlier ones {len(parts)}; name the right channel_axis"
            )
        for part, plane in zip(parts, np.moveaxis(x, axis, 0), strict=True):
            part.add(plane, num_threads)
    inner = shapes.pop() if len(shapes) == 1 else ()
    return Statistics(whole.group(), tuple(part.group() for part in parts), inner, nsamples, slices)
