"""tune on a model: hooks in place of an edge and a cloud."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..base.errors import ParameterError
from ..calibration.tune import TuneResult
from ..calibration.tune import tune as tune_samples
from ..codec.codec import Codec
from .attach import attach
from .calibrate import walk
from .features import Batches, evaluating, feed
from .layers import Select
from .masks import Mask
from .names import one_layer

__all__ = ["tune"]


def tune(
    model: nn.Module,
    layer: str,
    loader: Batches,
    metric: Callable[[nn.Module], float],
    *,
    max_loss: float = 0.01,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    mask: Mask | None = None,
    **options: Any,
) -> TuneResult:
    """The codec for a layer with the fewest bytes whose loss of the metric stays within a bound.

    ``loader``, ``select``, ``forward``, ``mask``
        Unlabelled inputs to calibrate on, as for :func:`calibrate`; the layer's features are
        computed once and kept on disk.
    ``metric``
        ``metric(model)`` is the task's metric, larger is better unless ``mode="min"``, on labelled
        samples of your choice. The bytes are measured during it, whole batches as the model sees
        them.
    ``options``
        Those of :func:`lwfc.tune`: ``mode``, ``grid``, ``search``, ``log``, ``progress``, and fixed
        options of ``calibrate``.

    Errors: ParameterError, as there; and where the metric does not run the layer of this model.
    """

    def evaluate(codec: Codec | None) -> Any:
        with evaluating(model), torch.no_grad():
            if codec is None:
                return _reference(model, layer, metric)
            tap = attach(model, {layer: codec}, select=select)
            try:
                value = float(metric(model))
                row = tap.report()[0]
            finally:
                tap.detach()
        if not row["elements"]:
            raise ParameterError(f"metric has coded nothing at layer {layer!r}: {row['note']}")
        return value, row["bytes_out"], row["elements"]

    samples = walk(model, layer, loader, select=select, forward=forward, mask=mask)
    options = {"batched": True} | options
    return tune_samples(samples, evaluate, max_loss=max_loss, **options)


def _reference(model: nn.Module, layer: str, metric: Callable[[nn.Module], float]) -> float:
    """The metric without a codec, watching that it runs the layer at all."""
    runs: list[bool] = []
    handle = one_layer(model, layer).register_forward_hook(lambda *_: runs.append(True))
    try:
        value = float(metric(model))
    finally:
        handle.remove()
    if not runs:
        raise ParameterError(
            f"metric(model) never ran layer {layer!r} of the model it was given, so no bytes can "
            "be measured: does it evaluate a copy, a compiled one, or a table of outputs?"
        )
    return value
