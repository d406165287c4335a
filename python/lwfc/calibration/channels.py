"""Which axis of a tensor counts channels: measured.

The channel axis is the one along which the neighbours differ in kind: the `rans` coder, whose
contexts are neighbours of one channel, needs the fewest bytes when it is named right. That is
tried on a part of the samples, with each axis; where axes code alike, channels have means of their
own, and places and moments hardly.
"""

from collections.abc import Sequence

import numpy as np

from ..base.checks import channel_axis_of
from ..base.planes import plane_axes
from ..codec.codec import Codec

__all__ = [
    "ALIKE", "CLEAR", "LEAST", "LIKELY", "OWN", "axis_costs", "cropped", "one_shot_axis",
    "own_means", "planes", "preferred_axis", "unlike_neighbours", "usual_axes",
]  # fmt: skip

GLIMPSE = 1 << 12  # elements looked at where one tensor is coded and time is short
LEAST = 1 << 9  # elements from which bytes tell anything
CLEAR = 0.02  # part of the bytes that another axis must save
LIKELY = 0.05  # the same, where what else axis 0 may be is likelier
ALIKE = 0.85  # share of unlike neighbours to that of another axis
OWN = 0.5  # share of variance between an axis' indices to that of another axis


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
    ``own``, from :func:`own_means`, decides between several.
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


def unlike_neighbours(symbols: np.ndarray) -> list[float]:
    """The share of neighbours along each axis that differ."""
    shares = []
    for axis in range(symbols.ndim):
        lines = symbols.swapaxes(0, axis)
        shares.append(np.count_nonzero(lines[1:] != lines[:-1]) / max(1, lines[1:].size))
    return shares


def own_means(symbols: np.ndarray) -> list[float]:
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
    unlike = unlike_neighbours(codec.symbols(part))
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
