"""A model that cannot be traced, for the explorer: cuts behind its modules, by hooks."""

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..base.errors import ParameterError
from ..base.progress import Progress
from ..split.cuts import Cut
from ..split.exact import timed
from ..split.explore import Survey
from ..split.losses import spread
from .counting import flop_counter
from .features import evaluating
from .gradients import DRAWS
from .graph import resize, twin, unfused
from .halves import Cloud, Edge
from .hooked import Recorded
from .network import Opened, TorchNetwork
from .recording import Call, Calls
from .split import difference

__all__ = ["UntracedNetwork"]

FEW = 2  # samples whose features and gradients the estimates look at
RUNS = 2  # a time is the shortest of


class UntracedNetwork(TorchNetwork):
    """Each cut is behind one module, and proved by running: both halves together give what the
    model gives, for two batch sizes. All that runs before the cut counts for the head.
    """

    def _find(self, layers: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        self.way = "hooks"
        self._halves: dict[str, tuple[Edge, Cloud]] = {}
        with evaluating(self.model), torch.no_grad(), unfused():
            ahead, self.macs = _counted(self.model, args, kwargs)
            recorded = Recorded(twin(self.model), args, kwargs)
            for name in _chosen(list(ahead), layers):
                try:
                    edge, cloud = recorded.halves((name,))
                    problem = difference(self.model, edge, cloud, args, kwargs)
                except Exception as error:  # whatever a model says to blank inputs
                    problem = str(error)
                if problem is not None:
                    if layers != "auto" and name in layers:
                        raise ParameterError(f"no cut behind {name!r}: {problem}")
                elif layers != "auto" or (ahead[name] and not self._known(name, edge)):
                    macs = ahead[name], self.macs - ahead[name]
                    edge.cut = cloud.cut = Cut(name, (name,), edge.cut.tensors, macs)
                    self._halves[name] = edge, cloud
        order = {name: i for i, name in enumerate(ahead)}
        self.cuts = sorted((edge.cut for edge, _ in self._halves.values()),
                           key=lambda cut: order[cut.name])  # fmt: skip

    def _known(self, name: str, edge: Edge) -> bool:
        """Whether a module around this one ends with it, so that both cuts are one."""
        outer = name.rpartition(".")[0]
        while outer:
            if outer in self._halves and self._halves[outer][0].body.state == edge.body.state:
                return True
            outer = outer.rpartition(".")[0]
        return False

    def open(self, cut: Cut) -> Opened:
        return Opened(*self._halves[cut.name])

    def survey(
        self, cuts: Sequence[Cut], samples: int, progress: Progress | None,
        clock: Callable[[], float],
    ) -> Survey:  # fmt: skip
        """A run of each half at each cut: a head on one sample and on a few, a tail's gradients."""
        batch = self.batches[0]
        one, few = self.first(batch), resize(batch, self.size(batch), min(FEW, self.size(batch)))
        scale = spread(self.whole(few))
        heads: dict[str, float] = {}
        features: dict[str, np.ndarray] = {}
        gain: dict[str, float | None] = {}
        for done, cut in enumerate(cuts):
            opened = self.open(cut)
            heads[cut.name] = timed(lambda opened=opened: opened.head(one), clock, RUNS)
            found = opened.head(few)
            slopes = opened.gradients(found) or {}
            for name, x in found.items():
                features[name] = (x.float() if x.is_floating_point() else x).cpu().numpy()
                gain[name] = None
                if name in slopes and scale > 0:
                    gain[name] = float(np.square(slopes[name], dtype=float).sum()) / DRAWS / scale
            if progress is not None:
                progress(done + 1, len(cuts), "survey")
        return Survey(timed(lambda: self.whole(one), clock, RUNS), heads, features, gain)


def _counted(model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[dict[str, int], int]:
    """(multiply-adds until each module has returned for the last time, those of all)."""
    ends: dict[str, int] = {}
    with flop_counter() as counter:

        def ended(call: Call, output: Any) -> None:
            ends.pop(call[0], None)
            ends[call[0]] = counter.get_total_flops() // 2

        with Calls(model).watched(lambda call: None, ended):
            model(*args, **kwargs)
        return ends, counter.get_total_flops() // 2


def _chosen(names: Sequence[str], layers: Any) -> list[str]:
    """Those asked for, outer modules first."""
    if layers != "auto":
        patterns = [layers] if isinstance(layers, str) else list(layers)
        for pattern in patterns:
            if not isinstance(pattern, str) or not fnmatch.filter(names, pattern):
                raise ParameterError(
                    f"the model cannot be traced, so that cuts are behind single modules, and it "
                    f"runs none named {pattern!r}"
                )
        names = [name for name in names if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    return sorted(names, key=lambda name: name.count("."))
