"""explore: every legal cut of a network, what crosses it, what it costs, how long it takes."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..base.checks import check_function, check_number
from ..base.errors import ParameterError
from ..base.journal import Journal, fingerprint
from ..base.progress import Progress, shows_progress
from ..base.warn import warn_caller
from .cuts import Cut
from .estimate import Survey
from .images import FORMATS, Pixels, can_code
from .link import Link
from .passes import Passes
from .profiles import choose_profiles
from .result import Exploration

__all__ = ["Network", "Opened", "Survey", "explore", "short_list"]

VERSION = 2  # of the entries in a journal


class Opened(Protocol):
    """The two halves of a network at one cut."""

    def head(self, batch: Any) -> dict[str, Any]:
        """The tensors of the cut, by name, for a batch of inputs."""

    def tail(self, tensors: Mapping[str, Any]) -> list[np.ndarray]:
        """The network's outputs for them."""

    def gradients(self, tensors: Mapping[str, Any]) -> Mapping[str, np.ndarray] | None:
        """Gradients of random projections of the outputs with respect to a batch's tensors, by
        name: (samples, draws, ...). None where the runtime has none.
        """


class Network(Protocol):
    """What a framework's room gives the explorer. A batch is whatever it likes.

    ``cuts``: legal ones, in the order of depth; ``batches``: the samples; ``fingerprint``: of
    graph, weights and samples; ``way``: how the graph was found.
    """

    name: str
    way: str
    fingerprint: str
    cuts: Sequence[Cut]
    batches: Sequence[Any]
    macs: int | None

    def size(self, batch: Any) -> int:
        """Samples in a batch."""

    def first(self, batch: Any) -> Any:
        """A batch of its first sample alone."""

    def image(self, batch: Any) -> np.ndarray | None:
        """The batch's one input tensor as an array, None if there are several."""

    def with_image(self, batch: Any, image: np.ndarray) -> Any:
        """The batch with that input replaced."""

    def whole(self, batch: Any) -> list[np.ndarray]:
        """The outputs of the uncut network."""

    def open(self, cut: Cut) -> Opened:
        """The halves at a cut."""

    def survey(
        self, cuts: Sequence[Cut], samples: int, progress: Progress | None,
        clock: Callable[[], float],
    ) -> Survey:  # fmt: skip
        """One run over the first samples that keeps what the estimates need."""

    def evaluate(self, metric: Callable, opened: Opened | None, code: Callable | None) -> float:
        """The metric of the network with ``code`` applied to the tensors of the cut, or to the
        input array where ``opened`` is None; of the plain network where ``code`` is None too."""


@shows_progress
def explore(
    network: Network,
    *,
    metric: Callable[..., float] | None = None,
    profiles: Any = "auto",
    link: Link | None = None,
    edge_speed: float = 1.0,
    cloud_speed: float = 1.0,
    max_loss: float = 0.02,
    few: int = 16,
    shortlist: int = 4,
    pixels: Any = None,
    baselines: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    log: str | os.PathLike | None = None,
    progress: Progress | bool | None = None,
) -> Exploration:
    """Estimates for all cuts of a network, exact numbers for those that promise most.

    ``max_loss``
        Relative squared error of the outputs that coding may cost: the squared distance from the
        uncut network's outputs over their spread about their mean. Every profile, and JPEG and
        WebP of the input image, take the coarsest setting that stays within it.
    ``few``, ``shortlist``
        Samples the estimates look at; cuts that are then measured exactly: of those no other
        beats in both the device's time and bytes, the ones of the lowest estimated latency, and
        the one of the fewest bytes.
    ``link``, ``edge_speed``, ``cloud_speed``
        The link, and how many times as fast as this machine each side is.
    ``baselines``
        Whether to measure the rows without a cut; those of images need Pillow.
    ``clock``
        What times are read from, in seconds: wall time, or ``time.process_time`` where other work
        shares the machine and the network runs on one thread of its CPU.
    ``log``
        A JSON-lines file; an exploration that was cut off goes on from it. Its lines carry a
        fingerprint of network, samples and settings; others are left alone.

    ``progress``
        As for :func:`lwfc.tune`: a bar or, in logs, lines unless False.

    The first half of the samples calibrates, the second is measured. Ctrl-C in the exact pass
    gives what is known so far, with a warning. The other parameters, and errors: as
    :func:`lwfc.torch.explore`.
    """
    check_number("max_loss", max_loss, 0, 1e6)
    if metric is not None:
        check_function("metric", metric, "the network")
    for name, value in (("edge_speed", edge_speed), ("cloud_speed", cloud_speed)):
        check_number(name, value, 1e-9, 1e9)
    check_number("few", few, 1, 1e9)
    check_number("shortlist", shortlist, 0, 1e9)
    if link is not None and not isinstance(link, Link):
        raise ParameterError("link must be a Link, e.g. Link(mbit_s=20, rtt_ms=30)")
    chosen = choose_profiles(profiles)
    if not network.cuts:
        raise ParameterError(f"{network.name} has no legal cut: behind every layer its input is "
                             "needed, or nothing was computed yet")  # fmt: skip
    if len(network.batches) < 2:
        raise ParameterError("one batch of samples: explore calibrates on some and measures on "
                             "others, so give at least two batches")  # fmt: skip
    image = network.image(network.batches[-1]) if baselines else None
    found = None if image is None else Pixels.of(image, pixels)
    if found is not None and not can_code(pixels is not None):
        found = None
    mark = fingerprint(VERSION, network.fingerprint, max_loss, few, repr(pixels),
                       [[p.name, repr(sorted(p.options.items())), p.knob, list(p.ladder)]
                        for p in chosen], metric is not None, clock.__name__)  # fmt: skip
    run = Passes(network, metric, chosen, max_loss, Journal(log, mark), progress, clock)
    result = Exploration([], network.cuts, link, edge_speed, cloud_speed, {
        "network": network.name, "way": network.way, "macs": network.macs, "max_loss": max_loss,
        "samples": sum(map(network.size, network.batches)), "complete": False,
    })  # fmt: skip
    result = result.adding(run.estimates(few))
    cuts = short_list(result, shortlist)
    run.parts = len(cuts) * len(chosen) + bool(baselines) + (len(FORMATS) if found else 0)
    try:
        if baselines:
            result = result.adding(run.whole(found))
        for cut in cuts:
            result = result.adding(run.exact(cut))
    except KeyboardInterrupt:
        warn_caller("interrupted: the exact pass is not complete; run again with the same log= "
                    "to go on", UserWarning)  # fmt: skip
        return result
    except Exception as error:
        error.explored = result  # type: ignore[attr-defined]  # for shards
        raise
    finally:
        run.close()
    return result.replace(complete=True)


def short_list(result: Exploration, count: int) -> list[Cut]:
    """The cuts no other beats in both the device's time and bytes, those of the lowest latency
    first; then the others. The cut of the fewest bytes takes the last place.
    """
    if not count:
        return []
    rows = sorted((r for r in result.rows if r["kind"] == "split"), key=lambda r: r["total_ms"])
    front, least = [], math.inf
    for row in sorted(rows, key=lambda r: (r["head_ms"], r["coded_bytes"])):
        if row["coded_bytes"] < least:
            front.append(row)
            least = row["coded_bytes"]
    front.sort(key=lambda r: r["total_ms"])
    names = list(dict.fromkeys(row["cut"] for row in (*front, *rows)))[:count]
    fewest = min(rows, key=lambda r: r["coded_bytes"])["cut"]
    if fewest not in names:
        names[-1] = fewest
    return [result.cuts[name] for name in names]
