"""Leaving padding out of what a codec is calibrated on."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..base.errors import ParameterError
from .layers import unnest

__all__ = ["Mask", "unpadded"]

Mask = Callable[[Any], Tensor]


def unpadded(x: Tensor, mask: Any) -> Iterator[Tensor]:
    """What counts of x: all of it, or the tokens of the mask, sample by sample."""
    if x.is_nested:  # PyTorch has left the padding out already
        yield from unnest(x)
        return
    if mask is None:
        yield x
        return
    keep = torch.as_tensor(mask, device=x.device) != 0
    if keep.dim() not in (1, 2) or keep.shape != x.shape[: keep.dim()]:
        raise ParameterError(
            f"mask of shape {tuple(keep.shape)} for features of shape {tuple(x.shape)}: must be "
            "(samples,) or (samples, tokens), the first axes of the features"
        )
    if keep.dim() == 1:
        yield x[keep]
        return
    for sample, tokens in zip(x, keep, strict=True):
        if tokens.any():
            yield sample[tokens][None]
