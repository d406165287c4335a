"""explore on a PyTorch model: what the engine of lwfc.split needs to know of it."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from ..base.errors import UncodedWarning
from ..base.progress import Progress, shows_progress
from ..base.warn import warn_caller
from ..split.explore import explore as explore_network
from ..split.explore import short_list
from ..split.link import Link
from ..split.result import Exploration
from ..split.shards import in_shards
from .network import TorchNetwork
from .split import Untraceable, check_plain
from .untraced import UntracedNetwork

__all__ = ["explore"]


@shows_progress
def explore(
    model: nn.Module,
    loader: Iterable[Any] | Tensor,
    metric: Callable[[nn.Module], float] | None = None,
    *,
    layers: str | Sequence[str] = "auto",
    profiles: Any = "auto",
    link: Link | None = None,
    edge_speed: float = 1.0,
    cloud_speed: float = 1.0,
    max_loss: float = 0.02,
    samples: int = 64,
    few: int = 16,
    shortlist: int = 4,
    pixels: Any = None,
    baselines: bool = True,
    shards: int = 1,
    backend: str = "loky",
    clock: Callable[[], float] = time.perf_counter,
    log: str | os.PathLike | None = None,
    progress: Progress | bool | None = None,
) -> Exploration:
    """Where to cut a model: every legal cut, what crosses it, what it costs and how long it takes.

    ::

        result = lwfc.torch.explore(model, loader, link=lwfc.split.Link(mbit_s=20, rtt_ms=30),
                                    edge_speed=0.1)
        print(result)
        result.to_html("cuts.html")
        edge, cloud = lwfc.torch.split(model, result.best["at"], example=images)

    Parameters

    ``loader``
        Inputs, labels not needed: batches as for :func:`lwfc.torch.calibrate`, or one tensor.
        The first ``samples`` are taken: half of the batches calibrate, the others are measured.
    ``metric``
        ``metric(model)``, larger is better, called with modules that run the network with coded
        features; on labelled samples of your choice.
    ``layers``
        "auto": every cut that follows some multiply-add and sends no raw input. Names or globs of
        layers otherwise, and tuples of names for one cut behind several.
    ``profiles``
        "auto", names among "paper", "rans", "context", "transform", or a mapping of names to
        options of :func:`lwfc.calibrate`. The transform is fitted to what stands behind the cut,
        with the best size of blocks where gradients arrive, else the one nearest to 8x8, which its
        estimates take; these are first-order, and may lie several times under its exact numbers.
    ``link``, ``edge_speed``, ``cloud_speed``
        The link; how many times as fast as this machine the two sides are. ``result.through`` shows
        the same measurements over others.
    ``max_loss``
        Relative squared error of the outputs that coding may cost; all rows keep to it.
    ``few``, ``shortlist``
        Samples behind the estimates; cuts that get exact numbers.
    ``pixels``
        (lo, hi): the input values, or those of each channel, that mean black and white, for the
        rows of JPEG and WebP. None: the samples' own ends.
    ``baselines``
        Whether to measure the rows without a cut: all on the device, the image to the cloud.
    ``shards``, ``backend``
        Shares the short list among workers of joblib's back-ends "loky", "dask" (its current
        client) or "ray"; model, loader and metric must pickle. Workers time on their machines. One
        that fails is named in a RuntimeWarning, and costs only what it has not finished.
    ``clock``
        What times are read from: wall time, or ``time.process_time`` where other work shares the
        machine and PyTorch runs one thread on its CPU.
    ``log``
        A JSON-lines file to go on from; each shard's ends in its number.
    ``progress``
        As for :func:`lwfc.tune`: a bar or, in logs, lines unless False.

    Multiply-adds are those of torch's FlopCounterMode, and of what it counts as nothing. A model
    that neither torch.export nor torch.fx can trace gets the cuts behind its modules that hooks
    can make, each proved by running, and a warning. Errors: ParameterError.
    """
    check_plain(model)
    if progress is not None:
        progress(0, None, "tracing")
    try:
        network = TorchNetwork(model, loader, layers, samples)
    except Untraceable as error:
        warn_caller(
            f"{error}: only cuts behind modules are listed, found by hooks. Both halves then hold "
            "the whole model and can be pickled, not saved apart from its code",
            UncodedWarning,
        )
        network = UntracedNetwork(model, loader, layers, samples)
    options = {
        "metric": metric, "profiles": profiles, "link": link, "edge_speed": edge_speed,
        "cloud_speed": cloud_speed, "max_loss": max_loss, "pixels": pixels, "clock": clock,
    }  # fmt: skip
    whole = explore_network(
        network, few=few, shortlist=shortlist if shards < 2 else 0, baselines=baselines, log=log,
        progress=progress or False, **options,
    )  # fmt: skip
    chosen = [cut.at for cut in short_list(whole, shortlist)] if shards > 1 else []
    parts = [chosen[i::shards] for i in range(min(shards, len(chosen)))]
    if not parts:
        return whole
    run = Shard(model, network.loader(), {"samples": samples, "few": 1} | options, log)
    return in_shards(whole, run, parts, backend)


class Shard:
    """One worker's share of the short list. Pickles."""

    def __init__(self, model: nn.Module, loader: list[Any], options: dict[str, Any], log: Any):
        self.model, self.loader, self.options, self.log = model, loader, options, log

    def __call__(self, part: Sequence[tuple[str, ...]], number: int) -> Exploration:
        log = None if self.log is None else f"{os.fspath(self.log)}.{number}"
        return explore(self.model, self.loader, layers=part, shortlist=len(part), log=log,
                       baselines=False, progress=False, **self.options)  # fmt: skip
