"""Tensors inside what a layer returns: picking one, and putting another in its place."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ..base.errors import ParameterError

__all__ = ["Select", "nest", "pick", "replace", "unnest"]

# Which tensor of an output: None (it is one), an index, a key or attribute, or a path of these.
Select = None | int | str | tuple[int | str, ...]


def _path(select: Select) -> tuple[int | str, ...]:
    return () if select is None else select if isinstance(select, tuple) else (select,)


def _key(value: Any, key: int | str) -> Any:
    """The key of a mapping that ``key`` means: itself, or for an index the key at that place."""
    if isinstance(value, Mapping) and isinstance(key, int) and key not in value:
        return list(value)[key]
    return key


def _child(value: Any, key: int | str) -> Any:
    try:
        if isinstance(value, Mapping):
            return value[_key(value, key)]
        return value[key] if isinstance(key, int) else getattr(value, key)
    except (KeyError, IndexError, AttributeError, TypeError):
        raise ParameterError(
            f"select: a {type(value).__name__} has no {key!r}; it has {_names(value)}"
        ) from None


def _names(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(map(repr, value))
    if isinstance(value, (tuple, list)):
        named = f" ({', '.join(value._fields)})" if hasattr(value, "_fields") else ""
        return f"indices 0 to {len(value) - 1}{named}"
    return ", ".join(repr(name) for name in getattr(value, "__dict__", ())) or "none"


def pick(output: Any, select: Select) -> torch.Tensor:
    """The tensor ``select`` points to. Errors: ParameterError if that cannot be coded."""
    for key in _path(select):
        output = _child(output, key)
    if not isinstance(output, torch.Tensor):
        raise ParameterError(
            f"the layer returns a {type(output).__name__}, not a tensor: name the tensor with "
            f"select=, one of {_names(output)}"
        )
    integers = output.is_quantized or output.dtype in (torch.int8, torch.uint8)
    if not integers and (not output.is_floating_point() or output.element_size() < 2):
        raise ParameterError(
            f"the layer returns {output.dtype}: only float tensors of 16 bits or more, and 8-bit "
            "integers, are coded"
        )
    return output


def replace(output: Any, select: Select, tensor: torch.Tensor) -> Any:
    """``output`` with the selected tensor replaced; containers are copied, not changed."""
    path = _path(select)
    if not path:
        return tensor
    key, rest = path[0], path[1:]
    inner = replace(_child(output, key), rest, tensor)
    try:
        changed = _changed(output, key, inner)
        kept = _child(changed, key) is inner
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        kept = False
    if not kept:
        raise ParameterError(
            f"select: {key!r} of a {type(output).__name__} can be read but not replaced; "
            "attach to a layer that returns a tensor, tuple, list, mapping or dataclass"
        )
    return changed


def _changed(output: Any, key: int | str, inner: Any) -> Any:
    if isinstance(output, tuple):
        if not isinstance(key, int):
            if hasattr(output, "_replace"):
                return output._replace(**{key: inner})
            key = next(i for i, item in enumerate(output) if item is getattr(output, key))
        items = list(output)
        items[key] = inner
        if hasattr(output, "_fields"):
            return type(output)(*items)
        return type(output)(items)  # PyTorch's named results too: torch.max(x, dim)
    if isinstance(output, Mapping):
        changed = copy.copy(output)
        changed[_key(output, key)] = inner
        return changed
    if isinstance(key, str) and dataclasses.is_dataclass(output):
        return dataclasses.replace(output, **{key: inner})
    changed = copy.copy(output)
    if isinstance(key, int):
        changed[key] = inner
    else:
        setattr(changed, key, inner)
    return changed


def unnest(x: torch.Tensor) -> list[torch.Tensor]:
    """The tensors inside a nested one, each with an axis 0 of one sample."""
    return [sample[None] for sample in x.unbind()]


def nest(like: torch.Tensor, samples: list[torch.Tensor]) -> torch.Tensor:
    """The other way: a nested tensor of the layout and lengths of ``like``."""
    samples = [sample[0] for sample in samples]
    if like.layout is torch.jagged:
        return torch.nested.nested_tensor_from_jagged(torch.cat(samples), like.offsets())
    return torch.nested.as_nested_tensor(samples, layout=torch.strided)
