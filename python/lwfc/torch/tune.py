"""tune on a model: hooks in place of an edge and a cloud."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..base.arrays import as_float64
from ..base.checks import check_function
from ..base.errors import ParameterError
from ..base.progress import shows_progress
from ..calibration.steps import Judge, stepped
from ..calibration.transforming import TransformOptions
from ..calibration.tune import tune as tune_samples
from ..calibration.tuned import TuneResult, measure_bytes
from ..codec.codec import Codec
from .attach import attach
from .calibrate import walk
from .features import Batches, evaluating, feed
from .gradients import Projections
from .heldout import HeldOut
from .layers import Select
from .masks import Mask
from .names import one_layer
from .transforming import collected, judged, with_held_out

__all__ = ["tune"]


@shows_progress
def tune(
    model: nn.Module,
    layer: str,
    loader: Batches,
    metric: Callable[[nn.Module], Any],
    *,
    max_loss: float = 0.01,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    mask: Mask | None = None,
    transform: str = "none",
    outputs: Callable[[Any], Any] | None = None,
    distortion_measure: str = "auto",
    **options: Any,
) -> TuneResult:
    """The codec for a layer with the fewest bytes whose loss of the metric stays within a bound.

    ``loader``, ``select``, ``forward``, ``mask``
        Unlabelled inputs to calibrate on, as for :func:`calibrate`; the layer's features are
        computed once and kept on disk.
    ``metric``
        ``metric(model)`` is the task's metric, larger is better unless ``mode="min"``, on labelled
        samples of your choice: a number, or a score for each sample, an array in one order, of
        whose loss the upper confidence bound then decides. The bytes are measured during it, whole
        batches as the model sees them.
    ``transform``, ``outputs``, ``distortion_measure``
        As for :func:`lwfc.tune` and :func:`calibrate`: the step is bracketed from the one of its
        ``distortion``. Ten evaluations at most.
    ``options``
        Those of :func:`lwfc.tune`: ``mode``, ``grid``, ``search``, ``log``, ``progress``, and fixed
        options of :func:`calibrate`.

    Errors: ParameterError, as there; and where the metric does not run the layer of this model.
    """
    check_function("metric", metric, "the model")

    def evaluate(codec: Codec | None) -> Any:
        with evaluating(model), torch.no_grad():
            if codec is None:
                return _reference(model, layer, metric)
            tap = attach(model, {layer: codec}, select=select)
            try:
                value = _value(metric(model))
                row = tap.report()[0]
            finally:
                tap.detach()
        if not row["elements"]:
            raise ParameterError(f"metric has coded nothing at layer {layer!r}: {row['note']}")
        return value, row["bytes_out"], row["elements"]

    if transform != "none":
        mode = options.pop("mode", "max")
        wishes = TransformOptions.of(transform, options)
        projections = Projections(model, layer, select, forward, outputs, mask)
        held_out = HeldOut(model, layer, select, forward, outputs, distortion_measure)
        with collected(loader, wishes, projections, held_out) as (prepared, own):
            if own is None:
                start = prepared.find_step()
            else:
                prepared, start = judged(prepared, held_out)
            whole = with_held_out(prepared, own)
            judge = Judge(evaluate, mode, measure_bytes)
            return stepped(whole, whole.codec, start.step, judge, max_loss, mode)
    samples = walk(model, layer, loader, select=select, forward=forward, mask=mask)
    options = {"batched": True} | options | {"progress": options.get("progress") or False}
    return tune_samples(samples, evaluate, max_loss=max_loss, **options)


def _value(value: Any) -> Any:
    """A number, or scores. Errors: ParameterError for what is neither."""
    if isinstance(value, torch.Tensor):
        value = value.detach().float().cpu().numpy()
    try:
        return as_float64(value)
    except (TypeError, ValueError):
        raise ParameterError(
            f"metric(model) returned {value!r}: must be a number, or an array with a score for "
            "each sample"
        ) from None


def _reference(model: nn.Module, layer: str, metric: Callable[[nn.Module], Any]) -> Any:
    """The metric without a codec, watching that it runs the layer at all."""
    runs: list[bool] = []
    handle = one_layer(model, layer).register_forward_hook(lambda *_: runs.append(True))
    try:
        value = _value(metric(model))
    finally:
        handle.remove()
    if not runs:
        raise ParameterError(
            f"metric(model) never ran layer {layer!r} of the model it was given, so no bytes can "
            "be measured: does it evaluate a copy, a compiled one, or a table of outputs?"
        )
    return value
