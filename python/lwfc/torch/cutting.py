"""Cutting a traced graph: which tensors cross, and the two halves as graphs of their own."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from ..base.errors import ParameterError
from ..base.names import near
from ..split.cuts import Cut, LiveTensor
from .graph import Trace, calls_of, is_tensor

__all__ = ["Plan", "Cutter"]


@dataclass
class Plan:
    """One cut of a traced graph: nodes of the head, tensors that cross, nodes of the tail."""

    cut: Cut
    live: list[fx.Node]
    head: set[fx.Node]
    tail: set[fx.Node]
    sizes: dict[fx.Node, Any] = field(default_factory=dict)


class Cutter:
    """Finds and makes cuts of one traced model."""

    def __init__(self, found: Trace) -> None:
        self.found = found
        self.order = {node: i for i, node in enumerate(found.graph.nodes)}
        self.calls: dict[str, dict[str, list[fx.Node]]] = {}  # module -> key of call -> its nodes
        for node in found.graph.nodes:
            for name, key in calls_of(node):
                self.calls.setdefault(name, {}).setdefault(key, []).append(node)
        self.named = self._named()
        self.names = self._names()

    # --- names ----------------------------------------------------------------------------------

    def _named(self) -> dict[str, list[fx.Node]]:
        """By the name of each call, what leaves it; a module called twice is "m@0", "m@1"."""
        named: dict[str, list[fx.Node]] = {}
        for name, calls in self.calls.items():
            for i, nodes in enumerate(calls.values()):
                inside = set(nodes)
                out = [n for n in nodes if self.found.kinds[n] == "data"
                       and any(user not in inside for user in n.users)]  # fmt: skip
                named[name if len(calls) == 1 else f"{name}@{i}"] = out
        return named

    def _names(self) -> dict[fx.Node, str]:
        """A name for every node: the outermost call that gives it alone, else its own."""
        names: dict[fx.Node, str] = {}
        for name in sorted(self.named, key=lambda name: name.count(".")):
            nodes = self.named[name]
            if len(nodes) == 1:
                names.setdefault(nodes[0], name)
        for name in self.named:
            for i, node in enumerate(self.named[name]):
                part = node.args[1] if node.target is operator.getitem else i
                names.setdefault(node, f"{name}[{part}]")
        for node in self.found.graph.nodes:
            if node.target is operator.getitem and not is_tensor(self.found, node.args[0]):
                base = names.get(node.args[0], f"%{node.args[0].name}")
                names.setdefault(node, f"{base}[{node.args[1]}]")
        own = {node: f"%{node.name}" for node in self.found.graph.nodes}
        return own | names | {node: str(node.target) for node in self.found.inputs}

    def targets(self, name: str) -> list[fx.Node]:
        """What leaves the call of this name. Errors: ParameterError, naming near ones."""
        if name in self.named:
            if not self.named[name]:
                raise ParameterError(f"nothing behind {name!r} uses what it returns: cut elsewhere")
            return self.named[name]
        if name in self.calls:
            raise ParameterError(
                f"{name!r} is called {len(self.calls[name])} times: name the call, {name + '@0'!r} "
                f"to {name + '@' + str(len(self.calls[name]) - 1)!r}"
            )
        by_name = {name: node for node, name in self.names.items()}
        if name in by_name:
            return [by_name[name]]
        raise ParameterError(
            f"the traced model runs no layer {name!r} (one that does nothing leaves no trace); "
            f"{near(name, self.named)}"
        )

    # --- cuts -----------------------------------------------------------------------------------

    def plan(self, at: Sequence[str], name: str | None = None) -> Plan:
        """The cut behind the named calls: the head is all that they need, the tail the rest."""
        targets = [node for one in at for node in self.targets(one)]
        return self._plan(tuple(at), self._ahead(targets), name)

    def _ahead(self, targets: Sequence[fx.Node]) -> set[fx.Node]:
        """Everything the targets need, themselves too; and parts of tuples made there."""
        found, left = set(self.found.inputs), list(targets)
        while left:
            node = left.pop()
            if node not in found:
                found.add(node)
                left += node.all_input_nodes
        for node in self.found.graph.nodes:
            if node.target is operator.getitem and node.args[0] in found and not is_tensor(
                self.found, node.args[0]
            ):  # fmt: skip
                found.add(node)
        return found

    def _plan(self, at: tuple[str, ...], head: set[fx.Node], name: str | None) -> Plan:
        kinds, live, tail, sizes = self.found.kinds, set(), set(), {}
        left = [node for node in self.found.outputs if isinstance(node, fx.Node)]
        while left:
            node = left.pop()
            if node in tail or node in live or node in sizes:
                continue
            kind = kinds[node]
            if kind in ("data", "secret") and node in head:
                if kind == "secret" or not is_tensor(self.found, node):
                    raise ParameterError(
                        f"{self.names[node]!r} crosses the cut and is no tensor: cut elsewhere"
                    )
                live.add(node)
            elif kind == "size" and not self._stays(node, head):
                sizes[node] = None
            else:
                tail.add(node)
                left += node.all_input_nodes
        ordered = sorted(live, key=self.order.__getitem__)
        names = self.names | {
            nodes[0]: one for one in at for nodes in [self.named.get(one, [])] if len(nodes) == 1
        }
        if len(at) == len(ordered) == 1:
            names[ordered[0]] = at[0]
        tensors = tuple(self._tensor(node, names[node]) for node in ordered)
        plan = Plan(Cut(name or "+".join(at), at, tensors), ordered, head, tail, sizes)
        for node in sizes:
            sizes[node] = self._recover(node, ordered)
        return plan

    def _stays(self, size: fx.Node, head: set[fx.Node]) -> bool:
        """Whether a size that varies can be asked of the tail's own tensors."""
        left = [size]
        while left:
            node = left.pop()
            if node in head and self.found.kinds[node] != "free":
                return False
            if self.found.kinds[node] == "size":
                left += node.all_input_nodes
        return True

    def _recover(self, size: fx.Node, live: Sequence[fx.Node]) -> Any:
        """How the tail gets a size of the head: a constant, or (live tensor, axis, times)."""
        first, second = self.found.seen[size][:2]
        if isinstance(first, tuple):
            return tuple(self._number(a, b, live) for a, b in zip(first, second, strict=True))
        return self._number(first, second, live)

    def _number(self, first: Any, second: Any, live: Sequence[fx.Node]) -> Any:
        if first == second:
            return first
        for node in live:
            (a, _), (b, _) = self.found.seen[node][:2]
            for axis, (m, n) in enumerate(zip(a, b, strict=True)):
                if m != n and first % m == 0 and first * n == second * m:
                    return Size(node, axis, first // m)
        raise ParameterError(f"a size ({first}, then {second}) is no multiple of any live tensor's")

    def _tensor(self, node: fx.Node, name: str) -> LiveTensor:
        (first, dtype), (second, _) = self.found.seen[node][:2]
        shape = tuple(a if a == b else None for a, b in zip(first, second, strict=True))
        is_input = node in self.found.inputs
        return LiveTensor(name, shape, str(dtype).removeprefix("torch."), is_input)

    def all(self) -> list[Plan]:
        """Every cut behind one call, or several, whose live tensors hold no raw input.

        Cuts with the same live tensors are one. Where a call's cut would need the raw input,
        or has other tensors than what is alive when the call ends, that set is a cut as well.
        """
        found: dict[frozenset[fx.Node], Plan] = {}
        ends = [(max(map(self.order.__getitem__, nodes)), name)
                for name, nodes in self.named.items() if nodes]  # fmt: skip
        for end, name in sorted(ends, key=lambda pair: (pair[0], pair[1].count("."))):
            alive = [node for node in self.found.graph.nodes if self.order[node] <= end
                     and self.found.kinds[node] == "data" and is_tensor(self.found, node)
                     and any(self.order[user] > end for user in node.users)]  # fmt: skip
            for at in ((name,), tuple(self.names[node] for node in alive)):
                try:
                    plan = self.plan(at)
                except ParameterError:
                    continue
                key = frozenset(plan.live)
                legal = plan.live and not any(tensor.is_input for tensor in plan.cut.tensors)
                works = any(self.found.kinds[node] == "data" for node in plan.tail)
                if legal and works and key not in found:
                    found[key] = plan
        return list(found.values())

    # --- halves ---------------------------------------------------------------------------------

    def head_graph(self, plan: Plan) -> fx.Graph:
        """Inputs to live tensors: a graph of its own, plain arguments, a tuple of results."""
        graph, made = fx.Graph(), {}
        for i, node in enumerate(self.found.inputs):
            holder = graph.placeholder(f"input_{i}")
            made.setdefault(node, holder)
        self._copy(graph, made, plan.head)
        graph.output(tuple(made[node] for node in plan.live))
        return graph

    def tail_graph(self, plan: Plan) -> fx.Graph:
        """Live tensors to the leaves of the result."""
        graph, made = fx.Graph(), {}
        for i, node in enumerate(plan.live):
            made[node] = graph.placeholder(f"live_{i}")
        for node, way in plan.sizes.items():
            made[node] = _emit(graph, made, way)
        self._copy(graph, made, plan.tail)
        graph.output(tuple(made[n] if isinstance(n, fx.Node) else n for n in self.found.outputs))
        return graph

    def _copy(self, graph: fx.Graph, made: dict[fx.Node, Any], chosen: set[fx.Node]) -> None:
        for node in self.found.graph.nodes:
            if node in made or node not in chosen:
                continue
            if node.op == "placeholder":  # an argument that is no tensor
                made[node] = self.found.seen[node][0]
                continue
            made[node] = graph.node_copy(node, made.__getitem__)
            made[node].meta = {}


@dataclass(frozen=True)
class Size:
    """``times`` the length of an axis of a live tensor."""

    node: fx.Node
    axis: int
    times: int


def _emit(graph: fx.Graph, made: dict[fx.Node, Any], way: Any) -> Any:
    """A recovered size as an argument of the tail's graph."""
    if isinstance(way, tuple):
        return tuple(_emit(graph, made, part) for part in way)
    if not isinstance(way, Size):
        return way
    size = graph.call_function(torch.ops.aten.sym_size.int, (made[way.node], way.axis))
    return size if way.times == 1 else graph.call_function(operator.mul, (size, way.times))
