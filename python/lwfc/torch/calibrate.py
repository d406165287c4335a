"""calibrate: from a model and its inputs to the codec of one of its layers."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from ..base.progress import takes_progress
from ..calibration.calibrate import calibrate as calibrate_samples
from ..codec.codec import Codec
from .features import Batches, batches_of, calls_of, feed
from .gradients import Projections
from .heldout import HeldOut
from .layers import Select
from .masks import Mask, unpadded
from .restoring import calibrate_restored
from .transforming import calibrate_transform

__all__ = ["calibrate", "walk"]


@takes_progress
def calibrate(
    model: nn.Module,
    layer: str,
    loader: Batches,
    *,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    mask: Mask | None = None,
    compare: bool = True,
    transform: str = "none",
    outputs: Callable[[Any], Any] | None = None,
    distortion_measure: str = "auto",
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
    ``compare``
        With ``restore``: features restored well may still serve the rest of the model badly. A
        fifth of the batches (a third of fewer than 400 inputs) judges, by the model's outputs and
        without labels, a restoration that is fitted on the others; where outputs are closer
        without, it is left out, with a CalibrationWarning. ``codec.metadata["compared"]`` has both
        figures. False: no such test.
    ``options``
        Those of :func:`lwfc.calibrate`.

    With ``transform`` "dct" or "auto" the whole model runs, and then backwards from random
    projections of its outputs: errors go where the outputs hardly move. That needs no labels and
    leaves the model as it was. A fifth of the inputs, a third of fewer than 400, at most 128 of
    them, is held out to find the step. Fewer than 240 are held out in eight turns (two where fits
    are large), each of a fit to the others, so that all of them find it: the distortion's upper
    confidence bound must then be within what is asked for, of logits 1 + 16 / inputs times below
    it, and so by the gradients. The profile with levels is taken, with a CalibrationWarning, where
    it codes smaller:

    ``outputs``
        Maps what the model returns to what counts, here and for ``compare``; None: every
        floating-point tensor in it, each divided by its standard deviation if there are several.
    ``distortion``, ``distortion_measure``
        How far the outputs of held-out inputs may move, 0.02 unless given. "kl": mean
        Kullback-Leibler divergence in nats of the softmax of one output of logits; "variance":
        mean squared error over variance; "auto": the former for logits, else the latter.
    ``step``, ``target_bits``
        In place of ``distortion``: no input is held out then.

    Where no gradient arrives, errors are weighted by frequency alone, and a CalibrationWarning
    says why.

    Errors: ParameterError, as there and for :func:`features`; also for masks that do not fit.
    """
    if transform != "none":
        return calibrate_transform(
            loader,
            transform=transform,
            projections=Projections(model, layer, select, forward, outputs, mask),
            held_out=HeldOut(model, layer, select, forward, outputs, distortion_measure),
            **options,
        )
    if compare and options.get("restore", "none") != "none":

        def features_of(batch: Any) -> Iterator[Tensor]:
            return walk(model, layer, [batch], select=select, forward=forward, mask=mask)

        held_out = HeldOut(model, layer, select, forward, outputs, distortion_measure)
        return calibrate_restored(loader, features_of, held_out, **options)
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
            yield from unpadded(x, None if mask is None else mask(batch))
