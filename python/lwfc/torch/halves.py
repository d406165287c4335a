"""Edge and Cloud: the two halves of a split model."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..base.checks import shown
from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate as calibrate_samples
from ..split.cuts import Cut
from ..split.wire import Wire
from .features import batches_of

__all__ = ["Cloud", "Edge", "Half", "named_outputs"]


def named_outputs(value: Any) -> dict[str, Tensor]:
    """A model's outputs as a mapping, for a container: the key of each in a dict, its place in a
    tuple, "output" for one alone; deeper ones by their path.
    """
    paths, _ = pytree.tree_flatten_with_path(value)
    found = {}
    for path, leaf in paths:
        if isinstance(leaf, Tensor):
            parts = [str(getattr(key, "key", getattr(key, "idx", key))) for key in path]
            found[".".join(parts) or "output"] = leaf
    return found


class Half(nn.Module):
    """What both halves share: a graph with the parameters it needs, the cut, the codecs.

    ``way``: how the model was traced, "export", "fx" or "hooks"; ``cut``: an
    :class:`lwfc.split.Cut` with every tensor that crosses; ``codecs``: by tensor name.
    """

    def __init__(self, body: nn.Module, cut: Cut, way: str, wire: Wire | None) -> None:
        super().__init__()
        self.body, self.cut, self.way, self.wire = body, cut, way, wire
        self.register_buffer("place", torch.empty(0), persistent=False)
        for module in (self, body):  # a traced graph is that of evaluation
            module.training = False

    @property
    def codecs(self) -> dict[str, Any]:
        """The codec of each coded tensor; empty where tensors cross as they are."""
        return dict(self.wire.codecs) if self.wire is not None else {}

    @property
    def device(self) -> torch.device:
        """Where the half runs."""
        return self.place.device

    def _apply(self, fn: Any, recurse: bool = True) -> "Half":
        super()._apply(fn, recurse)
        graphs = (module for module in self.modules() if isinstance(module, fx.GraphModule))
        for module in graphs:  # tensors that the graph itself makes
            for node in module.graph.nodes:
                if isinstance(node.kwargs.get("device"), torch.device):
                    node.kwargs = node.kwargs | {"device": self.device}
            module.recompile()
        return self

    def train(self, mode: bool = True) -> "Half":
        """A half is a graph of evaluation; only False is taken."""
        if mode:
            raise ParameterError("a half runs in evaluation mode: train the model, then split it")
        return self

    def _tensors(self) -> str:
        return ", ".join(map(str, self.cut.tensors))

    def __repr__(self) -> str:
        return (f"<lwfc.torch.{type(self).__name__} at {self.cut.name!r} by {self.way}: "
                f"{self._tensors()} as {self.wire or 'tensors'}>")  # fmt: skip


class Edge(Half):
    """The device's half. Called with the model's inputs, it gives the tensors of the cut: bytes
    where it has codecs, else the tensor, or a dict of them by name where several cross.
    """

    def __init__(self, body: Any, cut: Cut, way: str, wire: Wire | None, spec: Any) -> None:
        super().__init__(body, cut, way, wire)
        self.spec = spec

    def tensors(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """The tensors that cross, by name, as they are."""
        leaves, spec = pytree.tree_flatten((args, kwargs))
        if spec != self.spec:
            raise ParameterError("the arguments are built in another way than those of example=")
        inputs = [leaf.to(self.device) for leaf in leaves if isinstance(leaf, Tensor)]
        with torch.no_grad():
            found = self.body(*inputs)
        return dict(zip((t.name for t in self.cut.tensors), found, strict=True))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        found = self.tensors(*args, **kwargs)
        if self.wire is not None:
            return self.wire.encode(found)
        return next(iter(found.values())) if len(found) == 1 else found

    def with_codec(self, codec: Any) -> "Edge":
        """The same half with these codecs: one, or a mapping of tensor names to codecs."""
        return Edge(self.body, self.cut, self.way, Wire(self.cut, codec), self.spec).to(self.device)

    def calibrate(self, loader: Iterable[Any] | Tensor, **options: Any) -> dict[str, Any]:
        """A codec for each tensor worth one, by name, from unlabelled inputs.

        ``loader``: batches as for :func:`lwfc.torch.calibrate`; ``options``: of
        :func:`lwfc.calibrate`. The features are kept in memory.
        """
        kept: dict[str, list[Tensor]] = {t.name: [] for t in self.cut.tensors if t.coded}
        for batch in batches_of(loader):
            if isinstance(batch, Mapping):
                found = self.tensors(**batch)
            else:
                found = self.tensors(batch[0] if isinstance(batch, (tuple, list)) else batch)
            for name, batches in kept.items():
                batches.append(found[name].cpu())
        axes = {tensor.name: tensor.shape[:1] for tensor in self.cut.tensors}
        return {
            name: calibrate_samples(batches, **({"batched": axes[name] == (None,)} | options))
            for name, batches in kept.items()
        }


class Cloud(Half):
    """The server's half. Called with what the edge gave, it gives the model's outputs.

    Bytes are checked against the cut before anything is decoded. Errors: FormatError.
    """

    def __init__(self, body: Any, cut: Cut, way: str, wire: Wire | None, spec: Any) -> None:
        super().__init__(body, cut, way, wire)
        self.spec = spec

    def tensors(self, data: Any) -> dict[str, Tensor]:
        """The tensors in what the edge gave, by name."""
        names = [tensor.name for tensor in self.cut.tensors]
        if isinstance(data, Tensor) and len(names) == 1:
            data = {names[0]: data}
        if isinstance(data, Mapping):
            missing = [name for name in names if name not in data]
            if missing:
                raise ParameterError(f"tensor {missing[0]!r} is missing; this half takes {names}")
            for tensor in self.cut.tensors:
                if not isinstance(data[tensor.name], Tensor):
                    raise ParameterError(f"{tensor.name!r} is {shown(data[tensor.name])}: must be "
                                         f"a tensor, {tensor}")  # fmt: skip
                shape = tuple(data[tensor.name].shape)
                if not tensor.matches(shape):
                    raise ParameterError(f"a tensor of shape {shape}: this half takes what the "
                                         f"edge gives, {tensor}")  # fmt: skip
            return {name: data[name].to(self.device) for name in names}
        if self.wire is None:
            raise ParameterError(
                f"a {type(data).__name__}: this half has no codecs and takes tensors {names}"
            )
        found = {}
        for name, (array, bfloat16) in self.wire.decode(data).items():
            decoded = torch.from_numpy(array.view(np.int16) if bfloat16 else array)
            found[name] = (decoded.view(torch.bfloat16) if bfloat16 else decoded).to(self.device)
        return found

    def forward(self, data: Any) -> Any:
        found = self.tensors(data)
        # Graphs of torch.fx and models run by hooks may write into what they are given.
        given = found.values() if self.way == "export" else (x.clone() for x in found.values())
        with torch.no_grad():
            leaves = self.body(*given)
        return pytree.tree_unflatten(list(leaves), self.spec)

    def answer(self, data: Any) -> dict[str, Tensor]:
        """The outputs by name, as :class:`lwfc.serve.Server` sends them: "output" for one alone,
        the keys of a dict, the places in a tuple.
        """
        return named_outputs(self(data))

    def with_codec(self, codec: Any) -> "Cloud":
        """The same half with these codecs: one, or a mapping of tensor names to codecs."""
        return Cloud(self.body, self.cut, self.way, Wire(self.cut, codec), self.spec).to(
            self.device
        )
