"""A PyTorch model as the explorer's engine sees it."""

import fnmatch
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..base.errors import ParameterError
from ..base.journal import fingerprint
from ..base.progress import Progress
from ..split.cuts import Cut
from ..split.exact import timed
from ..split.explore import Survey
from .counting import count_macs
from .cutting import Cutter, Plan
from .features import batches_of, evaluating
from .graph import batch_of, per_sample, resize, unfused
from .halves import Cloud, Edge
from .projecting import gradients_of
from .split import arguments, make_halves, traced
from .survey import PROJECTED, RUNS, outputs_of, survey

__all__ = ["Opened", "TorchNetwork"]


class TorchNetwork:
    """A traced model and its samples, as :class:`lwfc.split.Network`. A batch is (args, kwargs)."""

    def __init__(self, model: nn.Module, loader: Any, layers: Any, samples: int) -> None:
        self.model, self.name = model, type(model).__name__
        self.batches = _batches(model, loader, samples)
        self._find(layers, *self.first(self.batches[0]))
        self.fingerprint = fingerprint(
            self.name, [cut.to_dict() for cut in self.cuts], _hash(model.state_dict().values()),
            [_hash(pytree.tree_leaves(batch)) for batch in self.batches],
        )  # fmt: skip

    def _find(self, layers: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        """Trace, count, and list the cuts."""
        self.cutter = traced(self.model, args, kwargs)
        self.way = self.cutter.found.way
        with evaluating(self.model), unfused():
            macs = count_macs(self.cutter.found, pytree.tree_leaves((args, kwargs)))
        self.macs = sum(macs.values())
        self.plans: dict[str, Plan] = {}
        for plan in _plans(self.cutter, layers):
            ahead = sum(macs.get(node, 0) for node in plan.head)
            if layers == "auto" and not ahead:
                continue  # the input, padded or looked up: nothing was computed yet
            cut = Cut(plan.cut.name, plan.cut.at, plan.cut.tensors, (ahead, self.macs - ahead))
            plan.cut = cut
            self.plans[cut.name] = plan
        self.cuts = [plan.cut for plan in self.plans.values()]

    def loader(self) -> list[Any]:
        """The samples as a loader, for another process."""
        forward = inspect.signature(self.model.forward)
        return [dict(forward.bind(*args, **kwargs).arguments) for args, kwargs in self.batches]

    def size(self, batch: Any) -> int:
        return batch_of(pytree.tree_leaves(batch))

    def first(self, batch: Any) -> Any:
        return resize(batch, self.size(batch), 1)

    def image(self, batch: Any) -> np.ndarray | None:
        tensors = [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor)]
        return tensors[0].float().cpu().numpy() if len(tensors) == 1 else None

    def with_image(self, batch: Any, image: np.ndarray) -> Any:
        def swap(leaf: Any) -> Any:
            same = isinstance(leaf, Tensor)
            return torch.from_numpy(image).to(leaf.device, leaf.dtype) if same else leaf

        return pytree.tree_map(swap, batch)

    def whole(self, batch: Any) -> list[np.ndarray]:
        args, kwargs = batch
        with evaluating(self.model), torch.no_grad():
            return outputs_of(self.model(*args, **kwargs))

    def open(self, cut: Cut) -> "Opened":
        return Opened(*make_halves(self.cutter, self.plans[cut.name]))

    def survey(
        self, cuts: Sequence[Cut], samples: int, progress: Progress | None,
        clock: Callable[[], float],
    ) -> Survey:  # fmt: skip
        ones = (
            pytree.tree_leaves(self._one(batch, i))
            for batch in self.batches
            for i in range(self.size(batch))
        )
        chosen = [one for one, _ in zip(ones, range(samples), strict=False)]
        batch = self.batches[0]
        count = min(PROJECTED, self.size(batch))
        together = pytree.tree_leaves(resize(batch, self.size(batch), count))
        plans = {cut.name: self.plans[cut.name] for cut in cuts}
        one = self.first(batch)
        whole_ms = timed(lambda: self.whole(one), clock, RUNS)
        return survey(self.cutter.found, plans, chosen, together, progress, clock, whole_ms)

    def _one(self, batch: Any, i: int) -> Any:
        return per_sample(batch, self.size(batch), lambda x: x[i : i + 1])

    def evaluate(self, metric: Callable, opened: "Opened | None", code: Callable | None) -> float:
        with evaluating(self.model), torch.no_grad():
            if code is None:
                return float(metric(self.model))
            if opened is None:
                return float(metric(Recoded(self, code)))
            return float(metric(Joined(opened.edge, opened.cloud, code)))


class Opened:
    """Two halves, as the engine runs them."""

    def __init__(self, edge: Edge, cloud: Cloud) -> None:
        self.edge, self.cloud = edge, cloud

    def head(self, batch: Any) -> dict[str, Tensor]:
        args, kwargs = batch
        return self.edge.tensors(*args, **kwargs)

    def tail(self, tensors: Mapping[str, Tensor]) -> list[np.ndarray]:
        return outputs_of(self.cloud(tensors))

    def gradients(self, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray] | None:
        return gradients_of(self.cloud, tensors)


class Joined(nn.Module):
    """The network with coded features, for a metric."""

    def __init__(self, edge: Edge, cloud: Cloud, code: Callable) -> None:
        super().__init__()
        self.edge, self.cloud, self.code = edge, cloud, code
        self.training = False

    def train(self, mode: bool = True) -> "Joined":
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.cloud(self.code(self.edge.tensors(*args, **kwargs)))


class Recoded(nn.Module):
    """The network on coded images, for a metric."""

    def __init__(self, network: TorchNetwork, code: Callable) -> None:
        super().__init__()
        self.network, self.model, self.code = network, network.model, code

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        image = self.code(self.network.image((args, kwargs)))
        args, kwargs = self.network.with_image((args, kwargs), image)
        return self.model(*args, **kwargs)


def _plans(cutter: Cutter, layers: str | Sequence[str]) -> list[Plan]:
    """The cuts asked for."""
    if layers == "auto":
        return cutter.all()
    found: dict[str, Plan] = {}
    for pattern in [layers] if isinstance(layers, str) else layers:
        if not isinstance(pattern, str):
            plan = cutter.plan(tuple(pattern))
            found[plan.cut.name] = plan
            continue
        names = fnmatch.filter(cutter.named, pattern) if pattern not in cutter.named else [pattern]
        for name in names or [pattern]:
            plan = cutter.plan((name,))
            if any(tensor.is_input for tensor in plan.cut.tensors):
                if names != [name]:
                    continue  # a glob takes what is legal
                raise ParameterError(f"behind {name!r} the network still needs its own input")
            found.setdefault(name, plan)
    return list(found.values())


def _batches(model: nn.Module, loader: Any, samples: int) -> list[tuple[tuple, dict[str, Any]]]:
    """The first samples, in at least two batches where there are two samples."""
    if isinstance(loader, (Tensor, np.ndarray)):
        loader = loader[:samples]
    found: list[Any] = []
    left = samples
    for batch in batches_of(loader):
        if isinstance(batch, (tuple, list)):
            batch = batch[0]  # labels, or whatever follows
        args, kwargs = arguments(model, batch)
        size = batch_of(pytree.tree_leaves((args, kwargs)))
        taken = min(size, left)
        found.append(resize((args, kwargs), size, taken))
        left -= taken
        if not left:
            break
    if not found:
        raise ParameterError("the loader gives no batch")
    return _parted(found)


def _parted(batches: list[Any]) -> list[Any]:
    """The same samples with an end of a batch about half-way, up to which codecs are calibrated."""
    sizes = [batch_of(pytree.tree_leaves(batch)) for batch in batches]
    total, before = sum(sizes), [0, *itertools.accumulate(sizes)]
    if total < 2 or any(total <= 3 * end <= 2 * total for end in before):
        return batches
    at = next(i for i, end in enumerate(before[1:]) if end > total // 2)
    size, first = sizes[at], total // 2 - before[at]
    halves = [
        per_sample(batches[at], size, lambda x, ends=ends: x[ends])
        for ends in (slice(first), slice(first, None))
    ]
    return [*batches[:at], *halves, *batches[at + 1 :]]


def _hash(tensors: Iterable[Any]) -> str:
    """A fingerprint of tensors' values."""
    parts = [x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
             for x in tensors if isinstance(x, Tensor)]  # fmt: skip
    return fingerprint(*parts)
