"""Finding layers by name, and tensors inside what a layer returns."""

import copy
import dataclasses
import difflib
import fnmatch
import gc
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..base.errors import ParameterError

__all__ = ["Select", "check_attachable", "find_layers", "pick", "replace"]

# Which tensor of an output: None (it is one), an index, a key or attribute, or a path of these.
Select = None | int | str | tuple[int | str, ...]


def find_layers(model: nn.Module, pattern: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of ``named_modules()`` with this name, or matching this glob."""
    layers = dict(model.named_modules())
    if pattern in layers:
        return iter([(pattern, layers[pattern])])
    found = [(name, layers[name]) for name in fnmatch.filter(layers, pattern)]
    if not found:
        near = difflib.get_close_matches(pattern, layers, n=5, cutoff=0.4)
        listed = near or [name for name in layers if name][:8]
        raise ParameterError(
            f"the model has no layer {pattern!r}; "
            f"{'near it' if near else 'it has'}: {', '.join(map(repr, listed))}"
        )
    return iter(found)


def check_attachable(model: nn.Module) -> None:
    """Refuse models whose compiled code would ignore a hook that comes later.

    Code that torch.compile has cached for a model of the same class would be reused without the
    hook (PyTorch does not guard hooks), so all cached code is dropped; it compiles anew when run.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise ParameterError("a TorchScript model runs no Python hooks; attach before scripting it")
    ours = set(model.modules())
    compiled = any(getattr(module, "_compiled_call_impl", None) is not None for module in ours)
    if compiled or any(not ours.isdisjoint(other.modules()) for other in _compiled_modules()):
        raise ParameterError(
            f"the {type(model).__name__} is compiled already, and compiled code silently ignores "
            "later hooks: drop the compiled model, attach to the plain one, then torch.compile it"
        )
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()


def _compiled_modules() -> list[nn.Module]:
    """All living results of torch.compile: a plain module does not know that it has one."""
    if "torch._dynamo" not in sys.modules:
        return []
    from torch._dynamo.eval_frame import OptimizedModule

    return [thing for thing in gc.get_objects() if issubclass(type(thing), OptimizedModule)]


def _path(select: Select) -> tuple[int | str, ...]:
    return () if select is None else select if isinstance(select, tuple) else (select,)


def _child(value: Any, key: int | str) -> Any:
    try:
        if isinstance(value, (Mapping, list)) or (
            isinstance(value, tuple) and isinstance(key, int)
        ):
            return value[key]
        return getattr(value, key)
    except (KeyError, IndexError, AttributeError, TypeError):
        raise ParameterError(
            f"select: a {type(value).__name__} has no {key!r}; it has {_names(value)}"
        ) from None


def _names(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(map(repr, value))
    if isinstance(value, (tuple, list)):
        return f"indices 0 to {len(value) - 1}"
    return ", ".join(repr(name) for name in getattr(value, "__dict__", ()))


def pick(output: Any, select: Select) -> torch.Tensor:
    """The tensor ``select`` points to. Errors: ParameterError if that is no float tensor."""
    for key in _path(select):
        output = _child(output, key)
    if not isinstance(output, torch.Tensor):
        raise ParameterError(
            f"the layer returns a {type(output).__name__}, not a tensor: name the tensor with "
            f"select=, one of {_names(output)}"
        )
    if not output.is_floating_point():
        raise ParameterError(f"the layer returns {output.dtype}: only float tensors are coded")
    return output


def replace(output: Any, select: Select, tensor: torch.Tensor) -> Any:
    """``output`` with the selected tensor replaced; containers are copied, not changed."""
    path = _path(select)
    if not path:
        return tensor
    key, rest = path[0], path[1:]
    inner = replace(_child(output, key), rest, tensor)
    if isinstance(output, tuple):
        if not isinstance(key, int):
            return output._replace(**{key: inner})
        items = list(output)
        items[key] = inner
        return type(output)(*items) if hasattr(output, "_fields") else tuple(items)
    if dataclasses.is_dataclass(output) and not isinstance(output, Mapping):
        return dataclasses.replace(output, **{key: inner})
    changed = copy.copy(output)
    if isinstance(changed, (Mapping, list)):
        changed[key] = inner
    else:
        setattr(changed, key, inner)
    return changed
