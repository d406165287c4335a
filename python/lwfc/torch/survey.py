"""The explorer's quick look at a traced model: times, features and the outputs' sensitivity."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ..base.progress import Progress
from ..split.explore import Survey
from ..split.losses import spread
from .cutting import Plan
from .gradients import random_signs
from .graph import Trace, Watch

__all__ = ["outputs_of", "survey"]

RUNS = 3  # samples that are timed, one by one; each operation's shortest time counts
KEPT = 2  # samples whose features are kept
PROJECTED = 2  # samples that gradients are taken for, all at once
DRAWS = 1  # random projections of their outputs


class Timer(Watch):
    """Runs the graph; seconds by node, and the values of some."""

    def __init__(self, found: Trace, wanted: set[fx.Node], clock: Callable[[], float]) -> None:
        super().__init__(found)
        self.wanted, self.values, self.clock = wanted, {}, clock
        self.seconds: dict[fx.Node, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        started = self.clock()
        value = super().run_node(n)
        self.seconds[n] = self.clock() - started
        return value

    def saw(self, node: fx.Node, value: Any) -> None:
        if node in self.wanted:
            self.values[node] = value


class Probe(Watch):
    """Runs the graph with gradients for the tensors that some cut would send."""

    def __init__(self, found: Trace, wanted: set[fx.Node]) -> None:
        super().__init__(found)
        self.wanted, self.values = wanted, {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.wanted and isinstance(value, Tensor) and value.is_floating_point():
            if not value.requires_grad:
                value = value.detach().requires_grad_()
            self.values[n] = value
            return value.clone() if self.found.way == "fx" else value  # it may be written into
        return value

    def saw(self, node: fx.Node, value: Any) -> None:
        pass


def outputs_of(value: Any) -> list[Any]:
    """The tensors of a result, as arrays."""
    tensors = [leaf.detach() for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
    return [(x.float() if x.dtype == torch.bfloat16 else x).cpu().numpy() for x in tensors]


def survey(
    found: Trace,
    plans: Mapping[str, Plan],
    samples: Sequence[Sequence[Any]],
    together: Sequence[Any],
    progress: Progress | None,
    clock: Callable[[], float],
    whole_ms: float,
) -> Survey:
    """Run the first of ``samples`` (flattened inputs), and ``together`` once with gradients.

    ``whole_ms``: what the whole network takes for one sample. Operation by operation everything
    takes longer, and the heads' times are shares of it.
    """
    names = {node: tensor.name for plan in plans.values()
             for node, tensor in zip(plan.live, plan.cut.tensors, strict=True)}  # fmt: skip
    aliases = {tensor.name: node for plan in plans.values()
               for node, tensor in zip(plan.live, plan.cut.tensors, strict=True)}  # fmt: skip
    runs: list[dict[fx.Node, float]] = []
    kept: list[dict[fx.Node, Tensor]] = []
    with torch.no_grad():
        for i, leaves in enumerate(samples[:RUNS]):
            timer = Timer(found, set(names) if i < KEPT else set(), clock)
            timer.run_on(leaves)
            runs.append(timer.seconds)
            if timer.values:
                kept.append(timer.values)
            if progress is not None:
                progress(i + 1, min(RUNS, len(samples)), "survey")
    typical = {node: min(run[node] for run in runs) * 1e3 for node in runs[0]}
    gains = _gains(found, set(names), together)
    features = {}
    for name, node in aliases.items():
        values = [values[node].detach().cpu() for values in kept]
        batched = None in next(t.shape for p in plans.values() for t in p.cut.tensors
                               if t.name == name)[:1]  # fmt: skip
        value = torch.cat(values) if batched else values[0]
        features[name] = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    share = whole_ms / sum(typical.values())
    heads = {name: sum(typical[n] for n in plan.head if n in typical) * share
             for name, plan in plans.items()}  # fmt: skip
    gain = {name: gains.get(node) for name, node in aliases.items()}
    return Survey(whole_ms, heads, features, gain)


def _gains(found: Trace, wanted: set[fx.Node], leaves: Sequence[Any]) -> dict[fx.Node, float]:
    """Relative loss of the outputs for each unit of mean squared error, by node."""
    probe = Probe(found, wanted)
    with torch.enable_grad():
        result = [x for x in pytree.tree_leaves(probe.run_on(leaves)) if isinstance(x, Tensor)]
        moved = [x for x in result if x.requires_grad]
        scale = spread(outputs_of(result))
        if not moved or not probe.values or not scale:
            return {}
        inputs = list(probe.values.values())
        squares = [0.0] * len(inputs)
        generator = torch.Generator().manual_seed(0)  # the same estimates every time
        for draw in range(DRAWS):
            total = sum((x * random_signs(x, generator)).sum() for x in moved)
            grads = torch.autograd.grad(
                total, inputs, allow_unused=True, retain_graph=draw + 1 < DRAWS
            )
            for i, grad in enumerate(grads):
                if grad is not None:
                    squares[i] += float(torch.linalg.vector_norm(grad)) ** 2
    return {
        node: square / DRAWS / scale
        for node, square in zip(probe.values, squares, strict=True)
        if square
    }
