"""split: a model in two halves that together give what it gave, to the bit."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..base.errors import ParameterError
from ..base.names import several
from .attach import Hook
from .cutting import Cutter, Plan
from .features import evaluating
from .graph import WAYS, Watch, batch_of, resize, trace, twin, unfused
from .halves import Cloud, Edge
from .hooked import split_by_hooks

__all__ = [
    "Untraceable",
    "arguments",
    "check_plain",
    "difference",
    "make_halves",
    "split",
    "traced",
]


def split(
    model: nn.Module,
    at: str | Sequence[str],
    codec: Any = None,
    *,
    example: Any,
    allow_input: bool | Collection[str] = False,
    way: str | None = None,
) -> tuple[Edge, Cloud]:
    """The model up to one layer or several, and the rest of it.

    ::

        edge, cloud = lwfc.torch.split(model, "layer2", codec, example=images[:2])
        logits = cloud(edge(images))        # bytes cross where a codec is given

    Parameters

    ``at``
        A layer (as in ``named_modules()``), or several where branches run side by side. The
        edge computes all that they need and nothing else; every tensor the rest needs from
        there crosses the cut. A layer that is called several times is named ``"layer@0"``,
        ``"layer@1"``..., an operation without a layer ``"%name"`` as the explorer lists it.
    ``codec``
        None: tensors cross as they are. A codec where one tensor crosses, or a mapping from
        tensor names (``edge.cut.tensors``) to codecs; ``edge.calibrate(loader)`` makes them.
        Integer and small tensors are kept to the bit.
    ``example``
        Inputs of the model: a tensor, a tuple of arguments, or a dict of keyword arguments; of
        several samples along the first axis, or one, which is doubled.
    ``allow_input``
        A cut that the network's own input would have to cross is refused, by name; True allows
        it, a collection of names allows these.
    ``way``
        "export", "fx" or "hooks" tries only this one. Otherwise torch.export is tried, then
        torch.fx, then plain hooks for what neither can trace; ``edge.way`` says which it was.

    Checked before it returns: ``cloud(edge(x))`` without codecs equals ``model(x)`` to the bit,
    for two batch sizes, both without the fused path of ``nn.TransformerEncoder``, which rounds
    otherwise. The model is split in evaluation mode; the halves share its parameters.

    Errors: ParameterError for unknown layers (naming near ones), raw inputs that would cross, taps
    still attached, and models that no way splits (saying what each found).
    """
    check_plain(model)
    names = several(at)
    args, kwargs = arguments(model, example)
    failures: dict[str, Exception] = {}
    ways = (*WAYS, "hooks") if way is None else (way,)
    for one in ways:
        if one not in (*WAYS, "hooks"):
            raise ParameterError(f"way={way!r}: must be one of 'export', 'fx', 'hooks'")
        with evaluating(model), torch.no_grad(), unfused():
            try:
                halves = _by(one, model, names, args, kwargs, allow_input)
                problem = difference(model, *halves, args, kwargs)
            except Final:
                raise
            except Exception as error:  # whatever a tracer says: the next one may do better
                failures[one] = error
                continue
        if problem is None:
            edge, cloud = halves
            if codec is None:
                return edge, cloud
            return edge.with_codec(codec), cloud.with_codec(codec)
        failures[one] = ParameterError(problem)
    said = _said(failures)
    raise ParameterError(f"the model cannot be split at {', '.join(map(repr, names))} - {said}")


class Untraceable(ParameterError):
    """A model that neither torch.export nor torch.fx can trace."""


class Final(ParameterError):
    """An error that no other way of tracing would avoid."""


def _by(
    way: str, model: nn.Module, at: tuple[str, ...], args: tuple, kwargs: dict[str, Any],
    allow_input: bool | Collection[str],
) -> tuple[Edge, Cloud]:  # fmt: skip
    if way == "hooks":
        return split_by_hooks(twin(model), at, args, kwargs)
    cutter = Cutter(trace(way, model, args, kwargs))
    plan = cutter.plan(at)
    check_input(plan, allow_input)
    return make_halves(cutter, plan)


def check_input(plan: Plan, allowed: bool | Collection[str]) -> None:
    """Refuse a cut that raw inputs would cross. Errors: ParameterError."""
    crossing = [tensor.name for tensor in plan.cut.tensors if tensor.is_input]
    wrong = [n for n in crossing if not (allowed if isinstance(allowed, bool) else n in allowed)]
    if wrong:
        others = [tensor.name for tensor in plan.cut.tensors if not tensor.is_input]
        raise Final(
            f"behind {plan.cut.name!r} the network still needs its own input {wrong[0]!r} (beside "
            f"{others}): it would cross the cut. Name the branches that read it as well, at=[...], "
            "cut later, or pass allow_input=True"
        )


def make_halves(cutter: Cutter, plan: Plan) -> tuple[Edge, Cloud]:
    """The halves of a planned cut, without codecs."""
    found = cutter.found
    head = fx.GraphModule(found.root, cutter.head_graph(plan), "Head")
    tail = fx.GraphModule(found.root, cutter.tail_graph(plan), "Tail")
    device = next((x.device for x in found.root.parameters()), torch.device("cpu"))
    edge = Edge(head, plan.cut, found.way, None, found.spec)
    cloud = Cloud(tail, plan.cut, found.way, None, found.out_spec)
    for half in (edge, cloud):
        half.place = half.place.to(device)
    return edge, cloud


def traced(model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Cutter:
    """The first way whose graph gives what the model gives. Errors: Untraceable, with what each
    way said.
    """
    failures: dict[str, Any] = {}
    with evaluating(model), torch.no_grad(), unfused():
        leaves = pytree.tree_leaves((args, kwargs))
        whole = pytree.tree_leaves(model(*args, **kwargs))
        for way in WAYS:
            try:
                found = trace(way, model, args, kwargs)
                result = pytree.tree_leaves(Watch(found).run_on(leaves))
                if all(map(same, result, whole)):
                    return Cutter(found)
                failures[way] = "its graph gives other outputs than the model"
            except Exception as error:  # whatever a tracer says: the next one may do better
                failures[way] = error
    raise Untraceable(
        f"neither torch.export nor torch.fx can trace the model - {_said(failures)}"
    )


def _said(failures: dict[str, Any]) -> str:
    """The first line of what each way found; ways that found the same stand together."""
    ways: dict[str, list[str]] = {}
    for way, error in failures.items():
        text = str(error).strip() or type(error).__name__
        ways.setdefault(text.splitlines()[0][:300], []).append(way)
    return "; ".join(f"{', '.join(same)}: {text}" for text, same in ways.items())


def check_plain(model: nn.Module) -> None:
    """Refuse models that taps are attached to: their codecs would become part of the halves."""
    for name, module in model.named_modules():
        if any(isinstance(hook, Hook) for hook in module._forward_hooks.values()):
            raise ParameterError(
                f"a codec is attached to {name!r} and would be traced into the halves: "
                "tap.remove() first, and give split the codec"
            )


def arguments(model: nn.Module, example: Any) -> tuple[tuple, dict[str, Any]]:
    """(args, kwargs) of an example, arrays as tensors, on the model's device."""
    device = next((x.device for x in model.parameters()), None)

    def placed(leaf: Any) -> Any:
        leaf = torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf
        return leaf if device is None or not isinstance(leaf, Tensor) else leaf.to(device)

    example = pytree.tree_map(placed, example)
    if isinstance(example, dict):
        return (), dict(example)
    args = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    return args, {}


def difference(
    model: nn.Module, edge: Edge, cloud: Cloud, args: tuple, kwargs: dict[str, Any]
) -> str | None:
    """What differs between the halves and the model, at two batch sizes; None if nothing does."""
    leaves, _ = pytree.tree_flatten((args, kwargs))
    samples = batch_of(leaves)
    for wanted in (samples, 2 if samples == 1 else 1):
        given, named = resize((args, kwargs), samples, wanted)
        whole, spec = pytree.tree_flatten(model(*given, **named))
        parts, parts_spec = pytree.tree_flatten(cloud(edge(*given, **named)))
        if spec != parts_spec:
            return "the halves return another structure than the model"
        for i, (a, b) in enumerate(zip(whole, parts, strict=True)):
            if not same(a, b):
                return f"output {i} of the halves is not the model's, for a batch of {wanted}"
    return None


def same(a: Any, b: Any) -> bool:
    """Equal to the bit; NaN equals NaN."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return type(a) is type(b) and a == b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
