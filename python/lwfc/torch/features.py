"""Running a model as far as one layer, and calibrating on what comes out there."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate as calibrate_samples
from ..codec.codec import Codec
from .layers import Select, find_layers, pick

__all__ = ["calibrate", "evaluating", "features", "feed", "one_layer"]

BATCH = 50  # samples of a bare tensor that run at once


class _Reached(Exception):
    """Ends a forward pass at the layer whose output was wanted."""


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, each module's own mode put back afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def one_layer(model: nn.Module, layer: str) -> nn.Module:
    """The one layer of this name. Errors: ParameterError, naming near ones."""
    found = list(find_layers(model, layer))
    if len(found) > 1:
        names = ", ".join(repr(name) for name, _ in found[:5])
        raise ParameterError(f"{layer!r} matches {len(found)} layers ({names}...): name one")
    return found[0][1]


def feed(model: nn.Module, batch: Any) -> Any:
    """Run the model on a loader's batch: a tensor, (inputs, labels...), or a dict of arguments."""
    parameter = next(model.parameters(), None)

    def move(value: Any) -> Any:
        moves = isinstance(value, Tensor) and parameter is not None
        return value.to(parameter.device) if moves else value

    if isinstance(batch, Mapping):
        return model(**{name: move(value) for name, value in batch.items()})
    return model(move(batch[0] if isinstance(batch, (tuple, list)) else batch))


def features(
    model: nn.Module,
    layer: str,
    loader: Iterable[Any] | Tensor,
    *,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
) -> Iterator[Tensor]:
    """The layer's output for each batch of the loader; the rest of the model does not run.

    ``loader``: an iterable of batches as :func:`feed` takes them, or one tensor of inputs;
    ``forward``: runs the model on a batch in another way. Evaluation mode, without gradients.
    """
    batches = loader.split(BATCH) if isinstance(loader, Tensor) else loader
    caught: list[Tensor] = []

    def catch(module: nn.Module, inputs: Any, output: Any) -> None:
        caught.append(pick(output, select).detach())
        raise _Reached

    handle = one_layer(model, layer).register_forward_hook(catch)
    try:
        for batch in batches:
            with evaluating(model), torch.no_grad(), contextlib.suppress(_Reached):
                forward(model, batch)
            if not caught:
                raise ParameterError(f"the model does not run its layer {layer!r} on this input")
            yield caught.pop()
    finally:
        handle.remove()


def calibrate(
    model: nn.Module,
    layer: str,
    loader: Iterable[Any] | Tensor,
    *,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    **options: Any,
) -> Codec:
    """A codec for a layer's output, from unlabelled inputs.

    ``options`` are those of :func:`lwfc.calibrate`; the others those of :func:`features`. Each
    batch runs through the model once, and only as far as the layer.
    """
    return calibrate_samples(
        features(model, layer, loader, select=select, forward=forward), **options
    )
