"""Splitting by plain hooks, for models that can be run but not traced.

The edge runs the model until the named layers have returned. The cloud runs it again, with blank
inputs, but the module calls that ended before the cut do not run: they return what crossed, or
blanks where nothing behind the cut uses it. Code between modules runs on both sides. Which calls'
outputs are needed is found by watching every operation of one run. Both
halves hold the whole model.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..base.errors import ParameterError
from ..split.cuts import Cut, LiveTensor
from .graph import batch_of, resize
from .halves import Cloud, Edge
from .names import find_layers
from .recording import Call, Calls, Record

__all__ = ["Recorded", "split_by_hooks"]

class Reached(Exception):
    """Ends the edge's run at the cut."""


class Run(nn.Module):
    """A model run as one half. ``live``: the leaves of calls' outputs that cross."""

    def __init__(
        self, model: nn.Module, at: Sequence[str], live: Sequence[tuple[Call, int]], last: Call
    ) -> None:
        super().__init__()
        self.model, self.at, self.live, self.last = model, list(at), list(live), last
        self.training = False


class Head(Run):
    """Inputs to the tensors that cross. ``state``: equal for cuts at one place of the run."""

    def __init__(self, *given: Any, spec: Any, leaves: Sequence[Any]) -> None:
        super().__init__(*given)
        self.spec, self.leaves = spec, list(leaves)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        tensors = iter(inputs)
        leaves = [next(tensors) if leaf is Tensor else leaf for leaf in self.leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        outputs: dict[Call, Any] = {}

        def ended(call: Call, output: Any) -> None:
            outputs[call] = output
            if call == self.last:
                raise Reached

        with Calls(self.model).watched(lambda call: None, ended), contextlib.suppress(Reached):
            self.model(*args, **kwargs)
        return tuple(pytree.tree_leaves(outputs[call])[i] for call, i in self.live)


class Tail(Run):
    """The tensors that cross to the outputs. ``blanks``: shapes and types by skipped call."""

    def __init__(
        self, *given: Any, inputs: Any, blanks: dict[Call, Any], samples: int, where: Any
    ) -> None:
        super().__init__(*given)
        self.inputs, self.blanks, self.samples, self.where = inputs, blanks, samples, where

    def forward(self, *live: Tensor) -> tuple[Any, ...]:
        number, axis = self.where
        samples = live[number].shape[axis] if axis is not None else self.samples
        crossed = dict(zip(self.live, live, strict=True))
        device = live[0].device

        def blank(leaf: Any) -> Any:
            if not isinstance(leaf, Blank):
                return leaf
            return leaf.make(self.samples, samples, device)

        args, kwargs = pytree.tree_map(blank, self.inputs)
        counts: dict[str, int] = {}
        with contextlib.ExitStack() as stack:
            stack.enter_context(_lock)
            for name in {name for name, _ in self.blanks}:
                module = self.model.get_submodule(name)

                def forward(*a: Any, name: str = name, own: Any = module.forward, **k: Any) -> Any:
                    call = name, counts.get(name, 0)
                    counts[name] = call[1] + 1
                    if call not in self.blanks:
                        return own(*a, **k)
                    leaves, spec = self.blanks[call]
                    filled = [crossed[call, i] if (call, i) in crossed else blank(leaf)
                              for i, leaf in enumerate(leaves)]  # fmt: skip
                    return pytree.tree_unflatten(filled, spec)

                had = "forward" in vars(module)
                stack.callback(_restore, module, module.forward if had else None)
                module.forward = forward
            return tuple(pytree.tree_leaves(self.model(*args, **kwargs)))


_lock = threading.RLock()


def _restore(module: nn.Module, forward: Any) -> None:
    if forward is None:
        del module.forward
    else:
        module.forward = forward


class Blank:
    """A tensor of zeros to be: its shape and type."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype

    def make(self, samples: int, wanted: int, device: torch.device) -> Tensor:
        shape = list(self.shape)
        if shape and shape[0] == samples:
            shape[0] = wanted
        return torch.zeros(shape, dtype=self.dtype, device=device)


def _blank(value: Any) -> Any:
    return pytree.tree_map(lambda x: Blank(x) if isinstance(x, Tensor) else x, value)


class Recorded:
    """A model run at two batch sizes, every operation and call watched; halves at any module."""

    def __init__(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.model = model
        self.leaves, self.spec = pytree.tree_flatten((args, kwargs))
        samples = batch_of(self.leaves)
        self.runs = []
        for wanted in (max(2, samples), max(2, samples) + 1):
            record = Record(Calls(model))
            inputs = resize((args, kwargs), samples, wanted)
            self.runs.append((record, inputs, record.run(model, *inputs)))
        self.samples = wanted

    def halves(self, at: Sequence[str]) -> tuple[Edge, Cloud]:
        """The cut lies where all of ``at`` have run. Errors: ParameterError."""
        shapes = []
        for record, inputs, result in self.runs:
            missing = [name for name in at if (name, 0) not in record.outputs]
            if missing:
                raise ParameterError(f"the model does not call its layer {missing[0]!r}")
            cut = record.cut(at)
            live, raw = record.needed(cut, result, inputs)
            if raw or not live:
                raise ParameterError(
                    f"behind {at[-1]!r} it needs its raw input, or tensors that no module returns"
                )
            shapes.append([pytree.tree_leaves(record.outputs[call])[i] for call, i in live])
        last = next(call for call, (_, end) in record.spans.items() if end == cut)
        single = len(at) == len(live) == 1
        tensors = []
        for (call, i), first, second in zip(live, *shapes, strict=True):
            shape = tuple(
                a if a == b else None for a, b in zip(first.shape, second.shape, strict=True)
            )
            name = at[0] if single else f"{call[0]}@{call[1]}" if call[1] else call[0]
            count = len(pytree.tree_leaves(record.outputs[call]))
            name = name if count == 1 or single else f"{name}[{i}]"
            tensors.append(LiveTensor(name, shape, str(first.dtype).removeprefix("torch.")))
        found = Cut("+".join(at), tuple(at), tuple(tensors))
        where = next(((n, t.shape.index(None)) for n, t in enumerate(tensors) if None in t.shape),
                     (0, None))  # fmt: skip
        blanks = {call: pytree.tree_flatten(_blank(record.outputs[call]))
                  for call in record.skipped(cut)}  # fmt: skip
        kept = [Tensor if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        head = Head(self.model, at, live, last, spec=self.spec, leaves=kept)
        ran = sum(time <= cut for time, *_ in record.operations)
        head.state = ran, [id(pytree.tree_leaves(record.outputs[call])[i]) for call, i in live]
        tail = Tail(self.model, at, live, last, inputs=_blank(inputs), blanks=blanks,
                    samples=self.samples, where=where)  # fmt: skip
        out_spec = pytree.tree_flatten(result)[1]
        return (
            Edge(head, found, "hooks", None, self.spec),
            Cloud(tail, found, "hooks", None, out_spec),
        )


def split_by_hooks(
    model: nn.Module, at: Sequence[str], args: tuple, kwargs: dict[str, Any]
) -> tuple[Edge, Cloud]:
    """The halves of a model that cannot be traced."""
    for name in at:
        find_layers(model, name)
    return Recorded(model, args, kwargs).halves(at)
