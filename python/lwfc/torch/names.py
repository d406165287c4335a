"""Finding the layers of a model by name, and refusing those where a hook would never fire."""

import fnmatch
import gc
import sys
from collections.abc import Iterable

import torch
from torch import nn

from ..base.errors import ParameterError
from ..base.names import near

__all__ = ["check_attachable", "check_layer", "find_layers", "inside", "one_layer"]


def find_layers(model: nn.Module, pattern: str) -> list[tuple[str, nn.Module]]:
    """The layers of this name, or matching this glob; every name of a shared module is a name.

    A glob finds each module once, and no containers that are never called (``nn.ModuleList``); it
    may not match both a module and a module inside it. Errors: ParameterError.
    """
    _check_model(model)
    if not isinstance(pattern, str):
        found = next((name for name, module in model.named_modules() if module is pattern), None)
        raise ParameterError(
            f"layer is a {type(pattern).__name__}: pass the name of one layer, "
            f"{'as in model.named_modules()' if found is None else repr(found)}"
        )
    layers = dict(model.named_modules(remove_duplicate=False))
    if pattern in layers:
        return [(pattern, layers[pattern])]
    matching = fnmatch.filter(layers, pattern)
    if not matching:
        raise ParameterError(f"the model has no layer {pattern!r}; {near(pattern, layers)}")
    found: dict[int, tuple[str, nn.Module]] = {}
    for name in matching:
        if _called(layers[name]):
            found.setdefault(id(layers[name]), (name, layers[name]))
    if not found:
        check_layer(model, matching[0], layers[matching[0]])
    nested = inside([name for name, _ in found.values()])
    if nested:
        outer, inner = nested
        raise ParameterError(
            f"{pattern!r} matches {outer!r} and {inner!r} inside it, so that the same features "
            f'would be coded twice ("*" matches dots too): name the layers, e.g. {outer!r}'
        )
    return list(found.values())


def one_layer(model: nn.Module, layer: str) -> nn.Module:
    """The one layer of this name. Errors: ParameterError, naming near ones."""
    found = find_layers(model, layer)
    if len(found) > 1:
        names = ", ".join(repr(name) for name, _ in found[:5])
        raise ParameterError(f"{layer!r} matches {len(found)} layers ({names}...): name one")
    name, module = found[0]
    check_layer(model, name, module)
    return module


def inside(names: Iterable[str]) -> tuple[str, str] | None:
    """The first of the names that is a prefix of another, with that other; None: there is none."""
    before = None
    for name in sorted(names, key=lambda name: name.split(".") if name else []):
        if before is not None and (not before or name.startswith(before + ".")):
            return before, name
        before = name
    return None


def _called(module: nn.Module) -> bool:
    """Whether the module has a forward function, so that calling it can run hooks."""
    return getattr(module.forward, "__func__", None) is not _no_forward


_no_forward = nn.Module.forward


def check_layer(model: nn.Module, name: str, module: nn.Module) -> None:
    """Refuse a layer that no forward pass ever calls. Errors: ParameterError, saying what works."""
    parts = name.split(".") if name else []
    layers = dict(model.named_modules(remove_duplicate=False))
    for depth in range(len(parts)):
        above, below = ".".join(parts[:depth]), ".".join(parts[depth:])
        parent = layers[above]
        if isinstance(parent, torch.jit.ScriptModule):
            raise ParameterError(
                f"{name!r} is inside TorchScript, which runs no Python hooks; "
                "attach before scripting it"
            )
        if below == "out_proj" and _is_fused(parent):
            raise ParameterError(
                f"{name!r} is never called: nn.MultiheadAttention uses its weights inside one "
                f"fused function. Attach to the attention itself: {above!r} with select=0"
            )
        if isinstance(parent, torch.fx.GraphModule):
            _check_graph(name, below, parent)
    if _takes_no_hooks(module):
        raise ParameterError(
            f"{name!r} is TorchScript, which takes no Python hooks; attach before scripting it"
        )
    if not _called(module):
        items = [repr(f"{name}.{child}".lstrip(".")) for child, _ in module.named_children()]
        raise ParameterError(
            f"{name!r} is a {type(module).__name__}, which is never called itself, so nothing "
            f"would be coded: name its items, {', '.join(items[:5]) or 'but it has none'}"
        )


def _is_fused(module: nn.Module) -> bool:
    attention = nn.MultiheadAttention  # subclasses may call their parts
    return isinstance(module, attention) and type(module).forward is attention.forward


def _check_graph(name: str, below: str, graph: torch.fx.GraphModule) -> None:
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    if any(below == target or below.startswith(target + ".") for target in called):
        return
    called = [target for target in called if not target.startswith("_")]
    what = f"it calls {', '.join(map(repr, called[:5]))}" if called else "it calls none"
    raise ParameterError(
        f"{name!r} is inside a traced or exported graph, which does not call it as a module "
        f"({what}): a hook there never fires. Attach to the model the graph was made from"
    )


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise ParameterError(f"model is a {type(model).__name__}: must be an nn.Module")


def _takes_no_hooks(module: nn.Module) -> bool:
    """Scripted modules take none; traced ones do, from outside."""
    traced = getattr(torch.jit, "TopLevelTracedModule", ())
    return isinstance(module, torch.jit.ScriptModule) and not isinstance(module, traced)


def check_attachable(model: nn.Module) -> None:
    """Refuse models whose compiled code would ignore a hook that comes later.

    Code that torch.compile has cached for a model of the same class would be reused without the
    hook (PyTorch does not guard hooks), so all cached code is dropped; it compiles anew when run.
    """
    _check_model(model)
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
