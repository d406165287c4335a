"""In-place operators of an exported graph, written as functions where that is plainly the same.

torch.export's own way, run_decompositions, traces the whole graph once more, which takes longer
than the first time. Most networks only overwrite what nobody else reads (``ReLU(inplace=True)``,
``x += y``): there the operator's functional twin, and later readers that read its result, will do.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

__all__ = ["mutates", "without_mutations"]


def mutates(node: fx.Node) -> bool:
    """Whether an operator writes into what it is given."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def without_mutations(module: fx.GraphModule, given: Sequence[Any]) -> fx.GraphModule | None:
    """The module with functional twins of its in-place operators; None where that may differ.

    One run on ``given`` finds whether anything else that is still read shares memory with what
    would be overwritten: a view, an input, a parameter.
    """
    twins = {node: _twin(node.target) for node in module.graph.nodes if mutates(node)}
    if None in twins.values():
        return None
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    now: dict[fx.Node, fx.Node] = {}  # what a node's value has been overwritten by, so far
    for node in module.graph.nodes:
        made[node] = graph.node_copy(node, lambda used: made[now.get(used, used)])
        if node in twins:
            made[node].target = twins[node]
            now[node.args[0]] = node
    graph._codegen = module.graph._codegen
    result = fx.GraphModule(module, graph)
    watch = Sharing(result, {made[node]: made[node].args[0] for node in twins}, given)
    with torch.no_grad():
        watch.run(*given, enable_io_processing=False)
    return None if watch.shared else result


def _twin(target: Any) -> Any:
    """relu of relu_, None where there is no operator that differs in nothing but the writing."""
    schema = target._schema
    first = schema.arguments[0].alias_info
    if not schema.name.endswith("_") or first is None or not first.is_write:
        return None
    if any(a.alias_info is not None for a in schema.arguments[1:]) or len(schema.returns) != 1:
        return None
    namespace, _, name = schema.name.rpartition("::")
    packet = getattr(getattr(torch.ops, namespace), name.rstrip("_"), None)
    twin = getattr(packet, schema.overload_name or "default", None)
    if twin is None or [a.name for a in twin._schema.arguments] != [
        a.name for a in schema.arguments
    ]:
        return None
    return twin


class Sharing(fx.Interpreter):
    """Runs a rewritten graph; ``shared`` tells if an operator would have written where others read.

    ``writers``: each rewritten node with the node whose memory the original wrote into.
    """

    def __init__(
        self, module: fx.GraphModule, writers: dict[fx.Node, Any], given: Sequence[Any]
    ) -> None:
        super().__init__(module)
        self.writers, self.shared = writers, False
        leaves = (*module.parameters(), *module.buffers(), *pytree.tree_leaves(given))
        self.kept = {_memory(x) for x in leaves if isinstance(x, Tensor)}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.writers:
            target = self.writers[n]
            old = self.env[target]
            others = [x for node, one in self.env.items() if node is not target
                      for x in pytree.tree_leaves(one) if isinstance(x, Tensor)]  # fmt: skip
            if _memory(old) in self.kept | set(map(_memory, others)):
                self.shared = True
            if (value.dtype, value.shape) != (old.dtype, old.shape):
                self.shared = True
        return value


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
