"""A model as a graph of tensors: traced by torch.export or torch.fx, observed at two batch sizes.

Both give a torch.fx graph whose nodes remember the module calls they stem from. What a cut needs to
know of a node is whether its value depends on the input's data ("data"), only on parameters and
sizes ("free": made anew on both sides), or is a size itself ("size": never sent).
"""

import contextlib
import copy
import inspect
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..base.errors import ParameterError
from .inplace import mutates, without_mutations

__all__ = ["Trace", "batch_of", "calls_of", "per_sample", "resize", "trace", "twin", "unfused"]

SIZE_METHODS = {"size", "dim", "ndimension", "numel", "nelement", "stride", "element_size"}
SIZE_ATTRIBUTES = {"shape", "dtype", "device", "ndim", "is_cuda", "layout"}


@dataclass
class Trace:
    """A traced model.

    ``inputs``: a node for every tensor among the leaves of the example's (args, kwargs), ``spec``
    their structure; ``fixed``: the other arguments, held as they were; ``outputs``: a node or
    constant for every leaf of the result, ``out_spec`` their structure;
    ``kinds``: "data", "free", "size" or "secret" (a number read from data) by node;
    ``seen``: by node, its value at either batch size: (shape, dtype) of a tensor, else itself.
    """

    way: str
    root: nn.Module
    graph: fx.Graph
    inputs: list[fx.Node]
    spec: Any
    fixed: dict[fx.Node, Any]
    outputs: list[Any]
    out_spec: Any
    kinds: dict[fx.Node, str] = field(default_factory=dict)
    seen: dict[fx.Node, list[Any]] = field(default_factory=dict)


class Seen(tuple):
    """Shape and dtype of a tensor, apart from any tuple a node may give."""


SEVERAL = object()  # stands for a container of tensors


def batch_of(leaves: Sequence[Any]) -> int:
    """Samples in flattened inputs: the first axis of the first tensor."""
    for leaf in leaves:
        if isinstance(leaf, Tensor) and leaf.ndim:
            if not len(leaf):
                raise ParameterError(f"inputs of shape {tuple(leaf.shape)} hold no sample")
            return len(leaf)
    raise ParameterError("example holds no tensor whose first axis could count samples")


def resize(value: Any, samples: int, wanted: int) -> Any:
    """Inputs with ``wanted`` samples instead of ``samples``: cut, or repeated."""
    times = -(-wanted // samples)
    return per_sample(value, samples, lambda x: torch.cat([x] * times)[:wanted])


def per_sample(value: Any, samples: int, change: Callable[[Tensor], Any]) -> Any:
    """``value`` with its tensors whose first axis counts samples changed."""

    def one(leaf: Any) -> Any:
        counts = isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == samples
        return change(leaf) if counts else leaf

    return pytree.tree_map(one, value)


def calls_of(node: fx.Node) -> list[tuple[str, str]]:
    """(module name, key of this call) of the calls a node stems from, outermost first."""
    stack = node.meta.get("nn_module_stack") or {}
    return [(value[0], key) for key, value in stack.items()
            if value[0] and not key.startswith("_empty_nn_module_stack")]  # fmt: skip


def by_export(model: nn.Module, args: tuple, kwargs: dict[str, Any], samples: int) -> Trace:
    """Trace by torch.export; mutations of tensors are written as functions of them."""

    def dynamic(leaf: Any) -> Any:
        moves = isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == samples
        return {0: torch.export.Dim.DYNAMIC} if moves else None

    shapes: Any = pytree.tree_map(dynamic, args)
    if kwargs:
        bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
        shapes = {name: pytree.tree_map(dynamic, value) for name, value in bound.items()}
    with _unsaid():
        program = torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)
    leaves, spec = pytree.tree_flatten((args, kwargs))
    module = program.module(check_guards=False)
    if any(map(mutates, module.graph.nodes)):
        plain = without_mutations(module, leaves)
        if plain is None:
            program = program.run_decompositions({})
            plain = program.module(check_guards=False)
        module = plain
    holders = [node for node in module.graph.nodes if node.op == "placeholder"]
    if len(holders) != len(leaves) or program.graph_signature.buffers_to_mutate:
        raise ParameterError("it changes its buffers, or takes other inputs than the example's")
    out = next(node for node in module.graph.nodes if node.op == "output")
    inputs, fixed = _sides(holders, leaves)
    return Trace("export", module, module.graph, inputs, spec, fixed, list(out.args[0]),
                 program.call_spec.out_spec)  # fmt: skip


@contextlib.contextmanager
def _unsaid() -> Iterator[None]:
    """torch.export prints the graph so far where it fails; the next way may do."""
    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)


def _sides(holders: Sequence[fx.Node], values: Sequence[Any]) -> tuple[list, dict]:
    """(placeholders of tensors, the other placeholders with their values)."""
    pairs = list(zip(holders, values, strict=True))
    inputs = [node for node, value in pairs if isinstance(value, Tensor)]
    return inputs, {node: value for node, value in pairs if not isinstance(value, Tensor)}


@contextlib.contextmanager
def unfused() -> Iterator[None]:
    """Without the fused path of torch's transformer layers: it rounds otherwise than the operators
    that a trace of them holds, and is one that the counter of multiply-adds does not know.
    """
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def twin(model: nn.Module) -> nn.Module:
    """A copy that shares parameters and buffers, for halves made of modules: it stays in evaluation
    mode when the model goes back to training.
    """
    shared = {id(x): x for x in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared).eval()


def by_fx(model: nn.Module, args: tuple, kwargs: dict[str, Any], samples: int) -> Trace:
    """Trace by torch.fx; torch.nn's own modules stay whole."""
    model = twin(model)
    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    given = [name for name, value in bound.arguments.items() if isinstance(value, Tensor)]
    leaves, spec = pytree.tree_flatten((args, kwargs))
    if sum(isinstance(leaf, Tensor) for leaf in leaves) != len(given):
        raise ParameterError("torch.fx takes no tensors inside other arguments")
    bound.apply_defaults()
    fixed = {name: value for name, value in bound.arguments.items() if name not in given}
    graph = fx.Tracer().trace(model, concrete_args=fixed or None)
    module = fx.GraphModule(model, graph)
    holders = [node for node in module.graph.nodes if node.op == "placeholder"]
    if len(holders) != len(bound.arguments):
        raise ParameterError("torch.fx takes no variable number of arguments")
    inputs, kept = _sides(holders, list(bound.arguments.values()))
    out = next(node for node in module.graph.nodes if node.op == "output")
    outputs, out_spec = pytree.tree_flatten(_plain(out.args[0]))
    return Trace("fx", module, module.graph, inputs, spec, kept, outputs, out_spec)


def _plain(value: Any) -> Any:
    """torch.fx's immutable containers as those the model returns."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return tuple(map(_plain, value)) if type(value) is tuple else value


WAYS: dict[str, Callable[..., Trace]] = {"export": by_export, "fx": by_fx}


def trace(way: str, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Trace:
    """The model's graph, observed at two batch sizes. Any error means that this way fails."""
    leaves, _ = pytree.tree_flatten((args, kwargs))
    samples = batch_of(leaves)
    args, kwargs = resize((args, kwargs), samples, max(samples, 2))  # export fixes a batch of 1
    samples = max(samples, 2)
    found = WAYS[way](model, args, kwargs, samples)
    for wanted in (samples, samples + 1):
        values = resize((args, kwargs), samples, wanted)
        flat, _ = pytree.tree_flatten(values)
        Watch(found).run_on(flat)
    _sort(found)
    return found


class Watch(fx.Interpreter):
    """Runs the graph and lets subclasses see each node's value."""

    def __init__(self, found: Trace) -> None:
        super().__init__(found.root, graph=found.graph)
        self.found = found

    def run_on(self, leaves: Sequence[Any]) -> Any:
        """Run on the tensors among flattened inputs. The result is the graph's own."""
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        given = self.found.fixed | dict(zip(self.found.inputs, tensors, strict=True))
        holders = [node for node in self.found.graph.nodes if node.op == "placeholder"]
        return self.run(*(given[node] for node in holders), enable_io_processing=False)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.saw(n, value)
        return value

    def saw(self, node: fx.Node, value: Any) -> None:
        """Called with every node's value."""
        if isinstance(value, Tensor):
            kept: Any = Seen((tuple(value.shape), value.dtype))
        elif isinstance(value, torch.Size):
            kept = tuple(value)
        elif has_tensor(value):
            kept = SEVERAL
        else:
            kept = value
        self.found.seen.setdefault(node, []).append(kept)


def has_tensor(value: Any) -> bool:
    """Whether a value is a tensor or a container of some."""
    if isinstance(value, (tuple, list)):
        return any(map(has_tensor, value))
    if isinstance(value, Mapping):
        return any(map(has_tensor, value.values()))
    return isinstance(value, Tensor)


def is_tensor(found: Trace, node: fx.Node) -> bool:
    """Whether a node's value is one tensor."""
    return isinstance(found.seen[node][0], Seen)


def _asks(node: fx.Node) -> bool:
    """Whether a node asks for a size or type, which does not depend on the data."""
    if node.op == "call_method":
        return node.target in SIZE_METHODS
    if node.target is getattr:
        return node.args[1] in SIZE_ATTRIBUTES
    return node.op == "call_function" and getattr(node.target, "__name__", "").startswith("sym_")


def _sort(found: Trace) -> None:
    """The kind of every node, from its inputs and from what it was seen to give."""
    kinds = found.kinds
    for node in found.graph.nodes:
        among = {kinds[used] for used in node.all_input_nodes}
        value = found.seen[node][0] if node in found.seen else None
        tensors = isinstance(value, Seen) or value is SEVERAL
        if node.op == "placeholder":
            kinds[node] = "data" if tensors else "size"
        elif node.op == "get_attr":
            kinds[node] = "free"
        elif tensors:
            kinds[node] = "data" if among & {"data", "secret"} else "free"
        elif value is not None and ("secret" in among or ("data" in among and not _asks(node))):
            kinds[node] = "secret"
        else:
            kinds[node] = "size"
