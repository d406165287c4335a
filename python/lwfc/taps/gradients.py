"""Where straight-through gradients pass."""

from typing import Any

from ..base.checks import channel_axis_of
from ..codec.codec import Codec
from ..codec.gradient import clip_ends

__all__ = ["ends"]


def ends(codec: Codec, rank: int) -> tuple[Any, Any]:
    """(lo, hi), numbers or arrays that broadcast against a tensor of this rank: inside, a gradient
    passes as if the codec were the identity.
    """
    lo, hi = clip_ends(codec)
    if len(lo) == 1:
        return float(lo[0]), float(hi[0])
    shape = [1] * rank
    shape[channel_axis_of(rank, codec.channel_axis) or 0] = -1
    return lo.reshape(shape), hi.reshape(shape)
