"""The slow pass: a cut with a profile, calibrated, coded and run, sample by sample."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.errors import CalibrationWarning
from ..calibration.calibrate import calibrate
from .cuts import Cut
from .images import QUALITIES, Pixels
from .losses import Loss, total_loss
from .profiles import Profile, first_fine
from .stepping import Found, stepped
from .wire import Wire

__all__ = ["exact", "exact_image", "first_allowed", "timed"]

PLAIN = (int, float, str, type(None))
TIMED = 7  # runs a time is the shortest of


def timed(
    action: Callable[[], Any], clock: Callable[[], float] = time.perf_counter, runs: int = TIMED
) -> float:
    """Milliseconds of the shortest of some runs, which other work on the machine disturbs least."""
    action()
    times = []
    for _ in range(runs):
        started = clock()
        action()
        times.append((clock() - started) * 1e3)
    return min(times)


def first_allowed(count: int, start: int, allowed: Callable[[int], bool]) -> int:
    """The first of ``count`` rungs that is allowed, else the last; few calls near ``start``."""
    low, high, step = -1, count - 1, 1  # low is not allowed, high taken to be
    rung = min(max(start, 0), count - 1)
    while high - low > 1:
        if allowed(rung):
            high = rung
        else:
            low = rung
        if low < 0:
            rung = max(0, high - step)
        elif high == count - 1:
            rung = min(high - 1, low + step)
        else:
            rung = (low + high) // 2
        step *= 2
    return high


class Halves:
    """One cut's two halves on the samples: features before it, outputs behind it."""

    def __init__(
        self, network: Any, cut: Cut, wholes: Sequence[Any], fitted: int,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.network, self.cut, self.clock = network, cut, clock
        self.opened = network.open(cut)
        self.head, self.tail = self.opened.head, self.opened.tail
        features = [self.head(batch) for batch in network.batches]
        self.fitting, self.tests = features[:fitted], features[fitted:]
        self.wholes = wholes
        self._losses: dict[str, Loss] = {}
        one = network.first(network.batches[-1])
        self.sample = self.head(one)
        self.times = {
            "head": timed(lambda: self.head(one), clock),
            "tail": timed(lambda: self.tail(self.sample), clock),
        }

    def codecs(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """A codec for each tensor that is worth one."""
        options = {"batched": True} | dict(options)
        return {
            tensor.name: calibrate(
                [f[tensor.name] for f in self.fitting], **tensor.options, **options
            )
            for tensor in self.cut.tensors
            if tensor.coded
        }

    def gradients(self) -> list[Mapping[str, np.ndarray]] | None:
        """Of each fitted batch, what :meth:`Opened.gradients` gives; None without any."""
        found = [self.opened.gradients(features) for features in self.fitting]
        return None if None in found else found

    def loss(self, codecs: Mapping[str, Any]) -> Loss:
        """The loss of the outputs on the samples that no codec was fitted on."""
        coded = (self.tail(simulate(features, codecs)) for features in self.tests)
        return total_loss(zip(coded, self.wholes, strict=True))

    def loss_at(self, options: Mapping[str, Any]) -> Loss:
        """The loss with these options of calibrate; looked at once for all coders."""
        options = _quick(options)
        key = repr(sorted(options.items()))
        if key not in self._losses:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CalibrationWarning)  # the last codecs say it again
                self._losses[key] = self.loss(self.codecs(options))
        return self._losses[key]


def singles(features: Mapping[str, Any], cut: Cut) -> Iterator[dict[str, Any]]:
    """The tensors of a cut for each sample of a batch; those without samples as they are."""
    axes = {t.name: t.shape.index(None) for t in cut.tensors if None in t.shape}
    count = min((features[name].shape[axis] for name, axis in axes.items()), default=1)
    for i in range(count):
        yield {
            name: x[(slice(None),) * axes[name] + (slice(i, i + 1),)] if name in axes else x
            for name, x in features.items()
        }


def simulate(features: Mapping[str, Any], codecs: Mapping[str, Any]) -> dict[str, Any]:
    """What arrives of one batch's features."""
    return {n: codecs[n].simulate(x) if n in codecs else x for n, x in features.items()}


def _quick(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same quantizer and restoration with the coder that fits nothing: it moves no value."""
    if options.get("rate_weight"):
        return dict(options)
    usual = {"quantizer": "uniform", "restore": "none"}
    return usual | dict(options) | {"coder": "rans", "bound": True}


def laddered(halves: Halves, profile: Profile, start: int | None, max_loss: float) -> Found:
    """The coarsest rung whose measured loss is allowed."""
    ladder = profile.ladder

    def loss(rung: int) -> float:
        return halves.loss_at(profile.at(rung)).relative

    middle = len(ladder) // 2 if start is None else start
    if profile.knob == "levels":
        rung = first_fine(ladder, middle, loss, max_loss)
    else:
        rung = first_allowed(len(ladder), middle, lambda rung: loss(rung) <= max_loss)
    options = profile.at(rung)
    loss_found = halves.loss_at(options)
    with warnings.catch_warnings():  # the profile's own choice, and harmless
        warnings.filterwarnings("ignore", "clip_scale=", CalibrationWarning)
        return Found(halves.codecs(options), loss_found, options)


def exact(
    halves: Halves,
    profile: Profile,
    start: int | None,
    max_loss: float,
    metric: Callable[..., float] | None,
) -> dict[str, Any]:
    """The coarsest codecs whose measured loss is allowed, as the fields of a result's entry."""
    if profile.transforms:
        found = stepped(halves, profile, max_loss)
    else:
        found = laddered(halves, profile, start, max_loss)
    cut, codecs, loss = halves.cut, found.codecs, found.loss
    wire = Wire(cut, codecs)
    nbytes, samples = 0, 0
    for batch in halves.tests:
        for one in singles(batch, cut):
            nbytes += len(wire.encode(one))
            samples += 1
    data = wire.encode(halves.sample)
    times = halves.times | {
        "encode": timed(lambda: wire.encode(halves.sample), halves.clock),
        "decode": timed(lambda: wire.decode(data), halves.clock),
    }
    settings = found.settings.items()
    entry = {
        "settings": {name: v if isinstance(v, PLAIN) else repr(v) for name, v in settings},
        "coded_bytes": nbytes / max(1, samples),
        "codec_bytes": sum(len(codec.to_bytes()) for codec in codecs.values()),
        "loss": loss.relative,
        "agreement": loss.agreement,
        "measured": times,
    }
    if metric is not None:
        entry["metric"] = halves.network.evaluate(
            metric, halves.opened, lambda features: simulate(features, codecs)
        )
    return entry


def exact_image(
    network: Any, pixels: Pixels, kind: str, wholes: Sequence[Any], fitted: int, max_loss: float,
    metric: Callable[..., float] | None, clock: Callable[[], float],
) -> dict[str, Any]:  # fmt: skip
    """The lowest quality of an image format whose loss is allowed, as fields of an entry."""
    batches = network.batches[fitted:]
    tried: dict[int, tuple[Loss, int]] = {}

    def encode(image: np.ndarray, rung: int) -> bytes:
        return pixels.encode(image, kind, QUALITIES[rung])

    def allowed(rung: int) -> bool:
        coded = [[encode(image, rung) for image in network.image(b)] for b in batches]
        outputs = (
            network.whole(network.with_image(b, np.stack([pixels.decode(data) for data in files])))
            for b, files in zip(batches, coded, strict=True)
        )
        loss = total_loss(zip(outputs, wholes, strict=True))
        tried[rung] = loss, sum(len(data) for files in coded for data in files)
        return loss.relative <= max_loss

    rung = first_allowed(len(QUALITIES), len(QUALITIES) // 2, allowed)
    if rung not in tried:
        allowed(rung)
    loss, nbytes = tried[rung]
    image = network.image(batches[0])[0]
    data = encode(image, rung)
    entry = {
        "settings": {"quality": QUALITIES[rung]},
        "coded_bytes": nbytes / sum(network.size(b) for b in batches),
        "loss": loss.relative,
        "agreement": loss.agreement,
        "measured": {
            "encode": timed(lambda: encode(image, rung), clock),
            "decode": timed(lambda: pixels.decode(data), clock),
        },
    }
    if metric is not None:
        entry["metric"] = network.evaluate(
            metric,
            None,
            lambda x: np.stack([pixels.decode(encode(image, rung)) for image in x]),
        )
    return entry
