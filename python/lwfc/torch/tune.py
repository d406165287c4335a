"""tune on a model: hooks in place of an edge and a cloud."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..calibration.tune import TuneResult
from ..calibration.tune import tune as tune_samples
from ..codec.codec import Codec
from .attach import attach
from .features import evaluating, features, feed
from .layers import Select

__all__ = ["tune"]


def tune(
    model: nn.Module,
    layer: str,
    loader: Iterable[Any] | Tensor,
    metric: Callable[[nn.Module], float],
    *,
    max_loss: float = 0.01,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    **options: Any,
) -> TuneResult:
    """The codec for a layer with the fewest bytes whose loss of the metric stays within a bound.

    ``loader``
        Unlabelled inputs to calibrate on, as for :func:`lwfc.torch.calibrate`; the layer's
        features are computed once and kept on disk.
    ``metric``
        ``metric(model)`` is the task's metric, larger is better, on labelled samples of your
        choice. The bytes are measured during it, whole batches as the model sees them.
    ``options``
        Those of :func:`lwfc.tune`: ``grid``, ``search``, ``log``, ``progress``, and fixed options
        of ``calibrate``.
    """

    def evaluate(codec: Codec | None) -> Any:
        with evaluating(model), torch.no_grad():
            if codec is None:
                return float(metric(model))
            with attach(model, {layer: codec}, select=select) as tap:
                value = float(metric(model))
        row = tap.report().rows[0]
        bits = row["bits_per_element"] or 0.0
        return value, round(bits * row["elements"] / 8), row["elements"]

    samples = features(model, layer, loader, select=select, forward=forward)
    return tune_samples(samples, evaluate, max_loss=max_loss, **options)
