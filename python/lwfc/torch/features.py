"""Running a model to see what comes out of one of its layers."""

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ..base.errors import ParameterError, UncodedWarning
from ..base.warn import warn_caller
from .hooks import Hook
from .layers import Select, pick, unnest
from .names import one_layer

__all__ = ["Batches", "batches_of", "calls_of", "evaluating", "features", "feed", "run"]

BATCH = 50  # samples of a bare tensor or data set that run at once

# What users may pass as their inputs; see :func:`batches_of`.
Batches = Iterable[Any] | Tensor | np.ndarray | Dataset


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


def batches_of(loader: Batches) -> Iterable[Any]:
    """Batches: those of a loader, or cut from one tensor or array, or collated from a data set."""
    if isinstance(loader, np.ndarray):
        loader = torch.from_numpy(loader)
    if isinstance(loader, Tensor):
        return loader.split(BATCH)
    if isinstance(loader, Dataset):
        return DataLoader(loader, batch_size=BATCH)
    if isinstance(loader, (list, tuple)) and _beside(loader):
        return DataLoader(TensorDataset(*map(torch.as_tensor, loader)), batch_size=BATCH)
    if isinstance(loader, Mapping):
        raise ParameterError("loader is a dict, one batch: pass a list of batches, [loader]")
    if isinstance(loader, (str, bytes)) or not hasattr(loader, "__iter__"):
        raise ParameterError(
            f"loader is a {type(loader).__name__}: pass a DataLoader, a data set, a list of "
            "batches, or one tensor of inputs"
        )
    return loader


def _beside(items: Sequence[Any]) -> bool:
    """Whether these are inputs beside labels, (images, labels), and no batches."""
    if len(items) not in (2, 3) or not all(isinstance(x, (Tensor, np.ndarray)) for x in items):
        return False
    ranks, lengths = {x.ndim for x in items}, {len(x) if x.ndim else 0 for x in items}
    return len(ranks) > 1 and len(lengths) == 1 and lengths != {0}


def _device(model: nn.Module) -> torch.device | None:
    """Where the model's inputs belong; offloaded weights, on "meta", do not tell."""
    tensors = (*model.parameters(), *model.buffers())
    return next((t.device for t in tensors if t.device.type != "meta"), None)


def feed(model: nn.Module, batch: Any) -> Any:
    """Run the model on a loader's batch: a tensor, (inputs, labels...), or a dict of arguments.

    Tensors and arrays, also inside lists and dicts, go to the model's device. What is fed
    otherwise needs a ``forward`` function of its own.
    """
    device = _device(model)

    def move(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            return value if device is None else value.to(device)
        if isinstance(value, Mapping):
            return {name: move(item) for name, item in value.items()}
        return [move(item) for item in value] if isinstance(value, (list, tuple)) else value

    inputs = move(batch[0] if isinstance(batch, (tuple, list)) and batch else batch)
    try:
        return model(**inputs) if isinstance(inputs, dict) else model(inputs)
    except Exception as error:
        empty = next((n for n, p in model.named_parameters() if p.is_meta), None)
        if empty is not None and "meta" in str(error):
            raise ParameterError(
                f"parameter {empty!r} is on meta, where tensors have no values: load the model's "
                f"weights first ({error})"
            ) from error
        error.add_note(
            f"while feeding the model {_described(inputs)}; another way to feed it is e.g. "
            "forward=lambda model, batch: model(*batch)"
        )
        raise


def _described(inputs: Any) -> str:
    if isinstance(inputs, Tensor):
        return f"a tensor of shape {tuple(inputs.shape)} and type {inputs.dtype}"
    if isinstance(inputs, dict):
        return f"the keywords {', '.join(map(str, inputs))}"
    return f"a {type(inputs).__name__}"


def run(model: nn.Module, forward: Callable[[nn.Module, Any], Any], batch: Any) -> Any:
    """``forward`` in evaluation mode, without gradients."""
    with evaluating(model), torch.no_grad():
        return forward(model, batch)


def calls_of(
    model: nn.Module,
    layer: str,
    batch: Any,
    *,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
) -> list[Tensor]:
    """The layer's outputs for one batch, one for each call.

    The hook is on the model for this pass alone, and raises nothing: the pass runs to its end.
    Where the model's convolutions take the batch for a single sample, as those of PyTorch do with
    an image of three axes, the outputs get an axis 0 of one sample.
    """
    module = one_layer(model, layer)
    if any(isinstance(hook, Hook) for hook in module._forward_hooks.values()):
        raise ParameterError(
            f"a codec is attached to {layer!r}, so these would be decoded features: "
            "tap.remove() first"
        )
    caught: list[Tensor] = []

    def catch(module: nn.Module, inputs: Any, output: Any) -> None:
        caught.append(pick(output, select).detach().clone())

    single: list[int] = []  # axes of a single sample, if a convolution met one

    def look(module: _ConvNd, inputs: Any) -> None:
        axes = len(module.kernel_size) + 1
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].dim() == axes:
            single.append(axes)

    handles = [module.register_forward_hook(catch)]
    first = next((m for m in model.modules() if isinstance(m, _ConvNd)), None)
    if first is not None:
        handles.append(first.register_forward_pre_hook(look))
    try:
        run(model, forward, batch)
    finally:
        for handle in handles:
            handle.remove()
    if not caught:
        raise ParameterError(
            f"the model does not run its layer {layer!r} on this input: it is on a branch not "
            "taken, its forward() is called directly, or a function uses its weights"
        )
    return [x[None] if single and x.dim() <= single[0] else x for x in caught]


def features(
    model: nn.Module,
    layer: str,
    loader: Batches,
    *,
    select: Select = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    call: int | None = None,
) -> Iterator[Tensor]:
    """The layer's output for each batch of the loader, in evaluation mode, without gradients.

    ``loader``
        An iterable of batches as :func:`feed` takes them, a data set of such samples, one tensor or
        array of inputs, or (inputs, labels) of one length.
    ``forward``
        ``forward(model, batch)`` runs the model on a batch in another way.
    ``call``
        Which call of a layer that runs several times in a forward pass (from 0, or from the last,
        -1); None: every call, one tensor each, with a warning where there are several.

    Nested tensors come out sample by sample. The model may be used as ever between the batches.
    Errors: ParameterError for unknown layers, for those that the model does not run, and for
    those with a codec attached.
    """
    call = None if call is None else operator.index(call)
    warned = False
    for batch in batches_of(loader):
        found = calls_of(model, layer, batch, select=select, forward=forward)
        if call is not None:
            if not -len(found) <= call < len(found):
                raise ParameterError(f"call={call}: layer {layer!r} runs {len(found)} times")
            found = [found[call]]
        elif len(found) > 1 and not warned:
            warned = True
            warn_caller(
                f"layer {layer!r} runs {len(found)} times in a forward pass: features gives a "
                "tensor for each call; call=0 gives the first alone",
                UncodedWarning,
            )
        for x in found:
            yield from unnest(x) if x.is_nested else [x]
