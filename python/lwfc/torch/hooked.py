"""Splitting by plain hooks, for models that can be run but not traced.

The edge runs the model until the named layers have returned. The cloud runs it again, with blank
inputs, but the module calls that ended before the cut do not run: they return what crossed, or
blanks where nothing behind the cut uses it. Code between modules runs on both sides. Which calls'
outputs are needed is found by watching every operation of one run. Both
halves hold the whole model.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..base.errors import ParameterError
from ..split.cuts import Cut, LiveTensor
from .graph import batch_of, resize
from .halves import Cloud, Edge
from .names import find_layers

__all__ = ["split_by_hooks"]

READS = ("_local_scalar_dense", "is_nonzero", "equal")  # operations whose result steers the code
Call = tuple[str, int]  # a module's name, and which of its calls


class Reached(Exception):
    """Ends the edge's run at the cut."""


class Calls:
    """Numbers the calls of every module of a model while it runs."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = {name: module for name, module in model.named_modules() if name}

    @contextlib.contextmanager
    def watched(self, began: Any, ended: Any) -> Iterator[None]:
        """``began(call)`` and ``ended(call, output)`` around every call of a module."""
        counts = dict.fromkeys(self.modules, 0)
        with contextlib.ExitStack() as stack:
            for name, module in self.modules.items():

                def before(_: Any, __: Any, name: str = name) -> None:
                    began((name, counts[name]))
                    counts[name] += 1

                def after(_: Any, __: Any, output: Any, name: str = name) -> None:
                    ended((name, counts[name] - 1), output)

                stack.callback(module.register_forward_pre_hook(before, prepend=True).remove)
                stack.callback(module.register_forward_hook(after).remove)
            yield


class Record(TorchDispatchMode):
    """One run: when each call began and ended, and what every operation read and made."""

    def __init__(self, calls: Calls, at: Sequence[str]) -> None:
        super().__init__()
        self.calls, self.at = calls, set(at)
        self.clock, self.cut = 0, -1
        self.spans: dict[Call, list[int]] = {}
        self.outputs: dict[Call, Any] = {}
        self.operations: list[tuple[int, str, list[int], list[int]]] = []
        self.alive: list[Any] = []  # so that no id is used twice

    def began(self, call: Call) -> None:
        self.clock += 1
        self.spans[call] = [self.clock, -1]

    def ended(self, call: Call, output: Any) -> None:
        self.clock += 1
        self.spans[call][1] = self.clock
        self.outputs[call] = output
        self.alive.append(output)
        if call[0] in self.at:
            self.cut = self.clock

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.clock += 1
        self.alive += [args, kwargs, result]
        name = func.overloadpacket.__name__
        self.operations.append((self.clock, name, _ids((args, kwargs)), _ids(result)))
        return result

    def run(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        self.alive += [args, kwargs]
        with self.calls.watched(self.began, self.ended), self:
            return model(*args, **kwargs)

    def skipped(self) -> dict[Call, tuple[int, int]]:
        """The outermost calls that ended before the cut."""
        done = {c: (a, b) for c, (a, b) in self.spans.items() if -1 < b <= self.cut}
        return {
            c: (a, b)
            for c, (a, b) in done.items()
            if not any(x < a and b < y for x, y in done.values())
        }

    def needed(self, result: Any, inputs: Any) -> tuple[list[tuple[Call, int]], set[int]]:
        """(leaves of skipped calls' outputs the cloud needs, ids of everything it needs)."""
        skipped = self.skipped()
        spans = list(skipped.values())
        given = {}
        for call in skipped:
            for i, leaf in enumerate(pytree.tree_leaves(self.outputs[call])):
                if isinstance(leaf, Tensor):
                    given.setdefault(id(leaf), (call, i))
        wanted = set(_ids(result))
        for time, name, reads, makes in reversed(self.operations):
            if any(a <= time <= b for a, b in spans):
                continue
            if name in READS and time <= self.cut:
                raise ParameterError("before the cut the model decides by a value of its data")
            steers = name in READS
            if steers or any(made in wanted and made not in given for made in makes):
                wanted.update(reads)
        live = sorted((given[one] for one in wanted & set(given)), key=lambda p: (
            skipped[p[0]], p[1]))  # fmt: skip
        raw = wanted & set(_ids(inputs)) - set(given)
        return live, raw


def _ids(value: Any) -> list[int]:
    return [id(leaf) for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


class Run(nn.Module):
    """A model run as one half. ``live``: the leaves of calls' outputs that cross."""

    def __init__(
        self, model: nn.Module, at: Sequence[str], live: Sequence[tuple[Call, int]], last: Call
    ) -> None:
        super().__init__()
        self.model, self.at, self.live, self.last = model, list(at), list(live), last
        self.training = False


class Head(Run):
    """Inputs to the tensors that cross."""

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


def split_by_hooks(
    model: nn.Module, at: Sequence[str], args: tuple, kwargs: dict[str, Any]
) -> tuple[Edge, Cloud]:
    """The halves of a model that cannot be traced; the cut lies where all of ``at`` have run."""
    for name in at:
        find_layers(model, name)
    leaves, spec = pytree.tree_flatten((args, kwargs))
    samples = batch_of(leaves)
    shapes = []
    for wanted in (max(2, samples), max(2, samples) + 1):
        record = Record(Calls(model), at)
        inputs = resize((args, kwargs), samples, wanted)
        result = record.run(model, *inputs)
        missing = [name for name in at if (name, 0) not in record.outputs]
        if missing:
            raise ParameterError(f"the model does not call its layer {missing[0]!r}")
        live, raw = record.needed(result, inputs)
        if raw or not live:
            raise ParameterError(
                f"behind {at[-1]!r} it needs its raw input, or tensors that no module returns"
            )
        shapes.append([pytree.tree_leaves(record.outputs[call])[i] for call, i in live])
    last = next(call for call, (_, end) in record.spans.items() if end == record.cut)
    single = len(at) == len(live) == 1
    tensors = []
    for (call, i), first, second in zip(live, *shapes, strict=True):
        shape = tuple(a if a == b else None for a, b in zip(first.shape, second.shape, strict=True))
        name = at[0] if single else f"{call[0]}@{call[1]}" if call[1] else call[0]
        count = len(pytree.tree_leaves(record.outputs[call]))
        name = name if count == 1 or single else f"{name}[{i}]"
        tensors.append(LiveTensor(name, shape, str(first.dtype).removeprefix("torch.")))
    cut = Cut("+".join(at), tuple(at), tuple(tensors))
    where = next(((n, t.shape.index(None)) for n, t in enumerate(tensors) if None in t.shape),
                 (0, None))  # fmt: skip
    blanks = {call: pytree.tree_flatten(_blank(record.outputs[call])) for call in record.skipped()}
    kept = [Tensor if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    head = Head(model, at, live, last, spec=spec, leaves=kept)
    tail = Tail(model, at, live, last, inputs=_blank(inputs), blanks=blanks,
                samples=max(2, samples) + 1, where=where)  # fmt: skip
    out_spec = pytree.tree_flatten(result)[1]
    return Edge(head, cut, "hooks", None, spec), Cloud(tail, cut, "hooks", None, out_spec)
