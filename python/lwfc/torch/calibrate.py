"""calibrate: from a model and its inputs to the codec of one of its layers."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate as calibrate_samples
from ..codec.codec import Codec
from .features import Batches, batches_of, calls_of, feed
from .layers import Select, unnest

__all__ = ["Mask", "calibrate", "walk"]

Mask = Callable[[Any], Tensor]


def calibrate(
    model: nn.Module,
    layer: str,
    loader: Batches,
    *,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    mask: Mask | None = None,
    **options: Any,
) -> Codec:
    """A codec for a layer's output, from unlabelled inputs.

    ``loader``, ``select``, ``forward``
        As for :func:`features`. Each batch runs through the model once; a layer that runs several
        times in a forward pass is calibrated on all its calls.
    ``mask``
        ``mask(batch)`` tells which samples, or which tokens of each, are data, so that padding does
        not count: a tensor of shape (samples,) or (samples, tokens), true or 1 where there is data,
        e.g. ``lambda batch: batch["attention_mask"]``.
    ``options``
        Those of :func:`lwfc.calibrate`.

    Errors: ParameterError, as there and for :func:`features`; also for masks that do not fit.
    """
    samples = walk(model, layer, loader, select=select, forward=forward, mask=mask)
    return calibrate_samples(samples, **({"batched": True} | options))


def walk(
    model: nn.Module,
    layer: str,
    loader: Batches,
    *,
    select: Select,
    forward: Callable[[nn.Module, Any], Any],
    mask: Mask | None,
) -> Iterator[Tensor]:
    """The layer's features, of all calls and without padding."""
    for batch in batches_of(loader):
        for x in calls_of(model, layer, batch, select=select, forward=forward):
            yield from _unpadded(x, None if mask is None else mask(batch))


def _unpadded(x: Tensor, mask: Any) -> Iterator[Tensor]:
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
