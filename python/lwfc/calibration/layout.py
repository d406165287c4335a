"""Where samples and channels are in arrays that nobody has named the axes of: measured.

Whether axis 0 counts samples is seen from what samples are: in no order, and none of them special.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.checks import channel_axis_of
from ..base.errors import CalibrationWarning, OptionWarning
from ..base.warn import warn_caller
from ..codec.codec import Codec
from .channels import (
    ALIKE,
    CLEAR,
    LEAST,
    LIKELY,
    OWN,
    axis_costs,
    cropped,
    own_means,
    preferred_axis,
    unlike_neighbours,
    usual_axes,
)

__all__ = ["Layout", "find_layout", "one_sample_each"]

LOOKED_AT = 1 << 17  # elements
ORDERED = 0.85  # squared distance of neighbours to that of strangers: an axis with an order
CONSISTENT = 6.0  # standard deviations


@dataclass(frozen=True, slots=True)
class Layout:
    """``channel_axis`` as a Codec takes it, ``axis`` of (n, ...) samples, or None, words about
    them, and whether all is one sample."""

    channel_axis: int | None
    axis: int | None
    note: str
    one: bool = False


def _probe(x: np.ndarray) -> Codec:
    """A quantizer of four levels whose thresholds are quartiles: blind to scale and outliers."""
    some = x[np.isfinite(x) & (x != 0)].astype(np.float64)  # the largest have no difference
    thresholds = np.quantile(some, (0.25, 0.5, 0.75)) if some.size else (1.0, 2.0, 3.0)
    return Codec(np.asarray(thresholds, np.float32), (0.0, 1.0, 2.0, 3.0))


def _is_ordered(symbols: np.ndarray, axis: int) -> bool:
    """Whether neighbours along an axis are more alike than strangers."""
    lines = np.moveaxis(symbols, axis, 0).astype(np.int16)
    if len(lines) < 4:
        return False
    near = np.square(lines[1:] - lines[:-1]).mean()
    return bool(near < ORDERED * np.square(lines - np.roll(lines, len(lines) // 2, 0)).mean())


def _is_consistent(items: Sequence[np.ndarray]) -> bool:
    """Whether index i of axis 0 is of its own kind in all items, as a channel is; a sample is not.

    One-way analysis of variance of the mean symbols, items as repetitions; the ratio of variances
    becomes a standard normal by E. Paulson, "An approximate normalization of the analysis of
    variance distribution" (1942).
    """
    count, length = len(items), len(items[0])
    if count < 3 or length < 2 or np.array_equal(items[0], items[1]):
        return False
    axes = tuple(range(2, items[0].ndim + 1))
    codec = _probe(np.stack(items))
    means = np.stack([codec.symbols(item) for item in items]).mean(axis=axes)
    centre = means.mean(axis=0)
    within = np.square(means - centre).sum() / ((count - 1) * length)
    if within == 0:
        return bool(centre.var() > 0)
    root = np.cbrt(count * centre.var(ddof=1) / within)
    a, b = 2 / (9 * (length - 1)), 2 / (9 * (count - 1) * length)
    return bool(((1 - b) * root - (1 - a)) / np.sqrt(b * root * root + a) > CONSISTENT)


def one_sample_each(items: Sequence[np.ndarray], stacks: bool) -> bool:
    """Whether the items of an iterable, its first ones, are single samples, not batches of them.

    Warns where nothing tells; ``stacks`` then decides: a list of arrays stands for their stack.
    """
    shapes = [item.shape for item in items]
    rank = len(shapes[0]) if shapes else 0
    if len(set(map(len, shapes))) > 1 or not rank or min(map(min, shapes)) == 0:
        return False
    first, rest = [s[0] for s in shapes], {s[1:] for s in shapes}
    if rank == 1:
        return len(first) > 1 and len(set(first)) == 1
    if len(set(first)) > 1:  # the last batch may be smaller; sequences differ everywhere
        return rank == 2 and len(set(first[:-1])) > 1
    if len(rest) > 1:
        return rank == 3 and (len(items) > 1 and first[0] > 1)
    small = [cropped(item, LOOKED_AT // 8) for item in items]
    if _is_consistent(small):
        if rank > 3:
            _warn(
                f"items of shape {shapes[0]}: index i of axis 0 is of one kind in all of them, so "
                "each was taken for one sample; say batched=True if axis 0 counts samples"
            )
        return True
    if rank != 3 or first[0] == 1:
        return False
    symbols = np.stack([_probe(item).symbols(item) for item in small])
    zero, one, two = (_is_ordered(symbols, axis) for axis in (1, 2, 3))
    if one and zero != two:
        return True  # rows and columns, channels first or last
    if one != two and not zero:
        return False  # samples, and one axis of tokens or time
    what = "one sample each" if stacks else "batches of samples"
    _warn(
        f"items of shape {shapes[0]} could be batches or single samples; taken for {what}: "
        "say batched=True (axis 0 counts samples) or batched=False"
    )
    return stacks


def find_layout(head: Sequence[np.ndarray], channel_axis: int | None, is_array: bool) -> Layout:
    """The channels' axis, given or measured on the first batches; axis 0 counts their samples.

    ``is_array``: the source is one array of which nobody said that axis 0 counts samples. Warns
    where two axes code alike, and where axis 0 looks like no samples' axis.
    """
    rank = head[0].ndim if head else 0
    if rank < 2:
        if channel_axis is not None and head:
            channel_axis_of(rank, channel_axis)
            warn_caller(
                f"channel_axis={channel_axis} has no effect: samples of one axis have no channels",
                OptionWarning,
            )
        return Layout(channel_axis, None, "none")
    shape = ", ".join(map(str, head[0].shape[1:]))
    if channel_axis is not None:
        axis = channel_axis_of(rank, channel_axis)
        if axis == 0 and is_array:
            return Layout(-rank, 1, f"axis 0 of {head[0].shape}, given", one=True)
        return Layout(channel_axis, axis, f"axis {axis} of (n, {shape}), given")
    alike = [x for x in head if x.shape[1:] == head[0].shape[1:] and len(x)]
    x = np.concatenate(alike) if len(alike) > 1 else head[0]
    x = cropped(x, LOOKED_AT)
    usual = channel_axis_of(rank, None)
    if x.size < LEAST:
        return Layout(
            None, usual, f"axis {usual} of (n, {shape}), by rank: too few samples to measure"
        )
    codec = _probe(x)
    costs = axis_costs(x, codec, usual_axes(rank))
    if is_array and rank < 4 and _is_one_sample(x, codec, costs):
        text = f"axis 0 of {head[0].shape}, measured; all taken for one sample"
        _warn(
            f"samples of shape {head[0].shape}: axis 0 codes best as channels, so all was taken "
            "for one sample; pass (n, channels, ...), or batched=True if axis 0 counts samples"
        )
        return Layout(-rank, 1, text, one=True)
    symbols = codec.symbols(x)
    unlike, own = unlike_neighbours(symbols), own_means(symbols)
    axis = preferred_axis(costs, unlike, own)
    _warn_if_close(axis, costs, unlike, own, symbols, head[0].shape)
    note = f"axis {axis} of (n, {shape}), measured"
    return Layout(None if axis == usual else axis - rank, axis, note)


def _warn(text: str) -> None:
    warn_caller(text, CalibrationWarning)


def _is_one_sample(x: np.ndarray, codec: Codec, costs: dict[int, int]) -> bool:
    """Whether axis 0 are the channels of one sample; warns of other signs that it is no batch."""
    symbols = codec.symbols(x)
    ordered = [_is_ordered(symbols, axis) for axis in range(x.ndim)]
    first = axis_costs(x, codec, [0])[0] < min(costs.values()) * (1 - LIKELY)
    if x.ndim == 3 and ordered[1:] == [True, True] and not ordered[0]:
        return first
    if x.ndim == 2 and ordered == [False, True] and first:
        _warn(
            f"samples of shape {x.shape} looked at: axis 1 has an order, as time has and channels "
            "have not: pass one (channels, time) sample as x[None], flattened maps unflattened; "
            "batched=True if axis 0 counts samples and axis 1 channels"
        )
    if x.ndim == 2:
        return False
    if ordered[0]:
        _warn(
            f"axis 0 of the samples, shape {x.shape} looked at, has an order, as time and rows "
            "have and samples have not: pass one sample as x[None]; sample_axis=1 if axis 1 "
            "counts samples; batched=True if axis 0 does"
        )
    return False


def _warn_if_close(
    axis: int,
    costs: dict[int, int],
    unlike: list[float],
    own: list[float],
    symbols: np.ndarray,
    shape: tuple,
) -> None:
    """Nothing tells two axes apart where both code alike though neighbours matter, and have means
    of their own or have none."""
    other = next((a for a in usual_axes(symbols.ndim)[:2] if a != axis), axis)
    counts = np.bincount(symbols.ravel())
    shares = counts[counts > 0] / symbols.size
    unaware = -(shares * np.log2(shares)).sum() * symbols.size / 8
    close = (
        abs(costs[other] - costs[axis]) <= CLEAR * costs[axis] < CLEAR * (1 - LIKELY) * unaware
        and ALIKE * unlike[axis] < unlike[other]
        and OWN * own[axis] <= own[other]
    )
    if other != axis and close:
        _warn(
            f"samples of shape {shape}: axes {axis} and {other} code alike as channels; took "
            f"{axis}: name the right one with channel_axis"
        )
