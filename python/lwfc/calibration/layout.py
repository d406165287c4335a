"""Where samples and channels are in arrays that nobody has named the axes of: measured.

The channel axis is the one along which the neighbours differ in kind: the `rans` coder, whose
contexts are neighbours of one channel, needs the fewest bytes when it is named right. That is
tried on a part of the samples, with each axis; where axes code alike, channels have means of their
own, and places and moments hardly. Whether axis 0 counts samples is seen from what
samples are: in no order, and none of them special.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.checks import channel_axis_of
from ..base.errors import CalibrationWarning, OptionWarning
from ..base.planes import plane_axes
from ..base.warn import warn_caller
from ..codec.codec import Codec

__all__ = ["Layout", "find_layout", "one_sample_each", "one_shot_axis", "planes"]

LOOKED_AT = 1 << 17  # elements
GLIMPSE = 1 << 12  # the same, where one tensor is coded and time is short
LEAST = 1 << 9  # elements from which bytes tell anything
CLEAR = 0.02  # part of the bytes that another axis must save
LIKELY = 0.05  # the same, where what else axis 0 may be is likelier
ORDERED = 0.85  # squared distance of neighbours to that of strangers: an axis with an order
ALIKE = 0.85  # share of unlike neighbours to that of another axis
CONSISTENT = 6.0  # standard deviations
OWN = 0.5  # share of variance between an axis' indices to that of another axis


@dataclass(frozen=True, slots=True)
class Layout:
    """``channel_axis`` as a Codec takes it, ``axis`` of (n, ...) samples, or None, words about
    them, and whether all is one sample."""

    channel_axis: int | None
    axis: int | None
    note: str
    one: bool = False


def planes(array: np.ndarray, channel_axis: int | None) -> np.ndarray:
    """array as [samples][channels][height][width], the coder's view of it; a view if possible."""
    order, sizes = plane_axes(array.shape, channel_axis)
    return array.transpose(order).reshape(sizes)


def cropped(x: np.ndarray, most: int) -> np.ndarray:
    """A contiguous part of at most ``most`` elements: the longest axis is halved until it fits."""
    shape = list(x.shape)
    size = x.size
    while size > most:
        longest = max(range(len(shape)), key=shape.__getitem__)
        size = size // shape[longest] * (shape[longest] // 2)
        shape[longest] //= 2
    return x[tuple(slice(0, n) for n in shape)]


def axis_costs(x: np.ndarray, codec: Codec, axes: Sequence[int]) -> dict[int, int]:
    """Bytes of x with each channel axis; ``codec``: one quantizer, channels on axis 1 of four."""
    if codec.inner_shape:  # of other tensors than these
        codec = codec.replace(inner_shape=())
    return {axis: len(codec.encode(planes(x, axis))) for axis in axes}


def preferred_axis(
    costs: dict[int, int], unlike: Sequence[float], own: Sequence[float] | None = None
) -> int:
    """The first axis, in order of likelihood, that codes about as well as any and whose neighbours
    differ about as much: channels differ more than frames, of which both may be true.

    The axis of most differences may cost a little more: on maps of few places all code alike.
    ``own``, from :func:`_own_means`, decides between several.
    """
    least, unlikest = min(costs.values()), max(unlike[axis] for axis in costs)
    enough = [
        axis
        for axis, cost in costs.items()
        if cost <= least * (1 + (LIKELY if unlike[axis] == unlikest else CLEAR))
    ]
    most = max(unlike[axis] for axis in enough)
    alike = [axis for axis in enough if unlike[axis] >= ALIKE * most]
    if own is None:
        return alike[0]
    return next(axis for axis in alike if own[axis] >= OWN * max(own[a] for a in alike))


def _unlike(symbols: np.ndarray) -> list[float]:
    """The share of neighbours along each axis that differ."""
    shares = []
    for axis in range(symbols.ndim):
        lines = symbols.swapaxes(0, axis)
        shares.append(np.count_nonzero(lines[1:] != lines[:-1]) / max(1, lines[1:].size))
    return shares


def _own_means(symbols: np.ndarray) -> list[float]:
    """The share of variance between the indices of each axis, less twice what chance gives."""
    shares = []
    total = max(float(symbols.var()), 1e-30)
    for axis in range(symbols.ndim):
        means = symbols.mean(axis=tuple(a for a in range(symbols.ndim) if a != axis))
        shares.append(max(0.0, means.var() / total - 2 * len(means) / symbols.size))
    return shares


def one_shot_axis(x: np.ndarray, codec: Codec) -> tuple[int, bool]:
    """The channel axis of one tensor of two axes or more, and if it is one sample; in little time.

    Neighbouring channels differ more than neighbours in space; only where the usual axis is not
    the one of most differences are bytes compared. ``codec`` as for :func:`axis_costs`.
    """
    usual = channel_axis_of(x.ndim, None)
    if x.size < LEAST:
        return usual, False
    part = cropped(x, GLIMPSE)
    unlike = _unlike(codec.symbols(part))
    most = max(unlike)
    axis = usual
    if unlike[usual] < ALIKE * most:
        axes = [axis for axis in [*usual_axes(x.ndim), 0] if unlike[axis] >= ALIKE * most]
        costs = axis_costs(cropped(x, 2 * GLIMPSE), codec, [*axes, usual])
        axis = preferred_axis(costs, unlike)
    one = axis == 0
    if x.ndim == 3 and axis == 2 and unlike[0] < ALIKE * unlike[2]:  # rows, or tokens of samples
        rows, samples = axis_costs(part[None], codec, [3])[3], axis_costs(part, codec, [2])[2]
        one = rows < (1 - LIKELY) * samples
    return axis, one


def usual_axes(rank: int) -> list[int]:
    """All axes but 0, the most usual first."""
    first = [rank - 1, 1] if rank < 4 else [1, rank - 1]
    return list(dict.fromkeys([*first, *range(1, rank)]))


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
    unlike, own = _unlike(symbols), _own_means(symbols)
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
