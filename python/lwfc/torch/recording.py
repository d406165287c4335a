"""Watching a model run: when each module's call begins and ends, what every operation reads."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..base.errors import ParameterError

__all__ = ["Call", "Calls", "Record"]

READS = ("_local_scalar_dense", "is_nonzero", "equal")  # operations whose result steers the code
Call = tuple[str, int]  # a module's name, and which of its calls


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

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls, self.clock = calls, 0
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

    def cut(self, at: Sequence[str]) -> int:
        """When the last call of these modules has returned."""
        return max(end for (name, _), (_, end) in self.spans.items() if name in at)

    def skipped(self, cut: int) -> dict[Call, tuple[int, int]]:
        """The outermost calls that ended before the cut."""
        done = {c: (a, b) for c, (a, b) in self.spans.items() if -1 < b <= cut}
        return {
            c: (a, b)
            for c, (a, b) in done.items()
            if not any(x < a and b < y for x, y in done.values())
        }

    def needed(
        self, cut: int, result: Any, inputs: Any
    ) -> tuple[list[tuple[Call, int]], set[int]]:
        """(leaves of skipped calls' outputs the cloud needs, ids of the raw inputs it needs)."""
        skipped = self.skipped(cut)
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
            if name in READS and time <= cut:
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
