"""Study: a network cut in two, with labelled samples, and how its outputs are judged."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..base.arrays import as_float32
from ..base.errors import OptionWarning, ParameterError
from ..base.warn import warn_caller
from ..codec.codec import Codec
from .bootstrap import Outcome, Scores, redrawn

__all__ = ["SPLITS", "Study", "agreement", "top1"]

SPLITS = ("calibration", "tune", "test")
KINDS = {
    str: ("a string", ("name", "measure")),
    Mapping: ("a mapping", ("features", "labels", "options", "images", "compute")),
    Callable: ("a function", ("tail", "metric", "transform", "whole")),
}


def top1(outputs: Any, labels: Any) -> np.ndarray:
    """100 where the largest output of a row of (samples, classes) is the label's, else 0."""
    largest, labels = as_float32(outputs).argmax(-1), np.asarray(labels)
    if largest.shape != labels.shape:
        raise ParameterError(f"outputs' classes of shape {largest.shape} for labels of shape "
                             f"{labels.shape}: top1 takes a class number for each")  # fmt: skip
    return 100.0 * (largest == labels)


def agreement(outputs: Any, whole: Any) -> np.ndarray:
    """100 where the largest output is that of the uncompressed network, else 0."""
    return top1(outputs, as_float32(whole).argmax(-1))


@dataclass
class Study:
    """What codecs are judged on.

    ``features``
        {"calibration", "tune", "test"}: float32 arrays whose axis 0 counts samples, or functions
        without arguments that give them. Codecs are fitted to the first, settings chosen on the
        second, both blind to the third.
    ``tail``
        ``tail(features)`` is the second half's output for an array of features, its own to change.
    ``metric``
        ``metric(outputs, labels)`` gives a score for each sample, in points, larger is better:
        their mean is the metric. Or an :class:`Outcome`, where it is no mean (mAP). Default:
        :func:`top1`, or :func:`agreement` without labels.
    ``labels``
        By split, for "tune" and "test". None: the uncompressed network's outputs are the labels.
    ``options``
        Of :func:`lwfc.calibrate`, for all of lwfc's codecs, e.g. ``{"activation": "relu"}``.
    ``transform``
        ``transform(**options)`` calibrates the transform profile with the gradients of this
        network, as :func:`lwfc.torch.calibrate` does; None: without gradients.
    ``images``, ``whole``
        Inputs by split as they would be sent, such as uint8 pictures, and the uncut network's
        outputs for them, for the rows in which the input is sent instead.
    ``measure``
        What the metric is called.
    ``compute``
        {"edge", "whole"}: multiply-adds a sample of the first half and of the whole network, for
        the row in which all runs on the device.
    """

    name: str
    features: Mapping[str, Any]
    tail: Callable[[np.ndarray], Any]
    metric: Callable[[Any, Any], Any] | None = None
    labels: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    transform: Callable[..., Codec] | None = None
    images: Mapping[str, np.ndarray] | None = None
    whole: Callable[[np.ndarray], Any] | None = None
    measure: str = "top-1"
    compute: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        self._known: dict[str, np.ndarray] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._outputs: dict[str, Any] = {}
        self._redrawn: dict[str, np.ndarray] = {}
        self._decoded: dict[str, Outcome] = {}
        self._traces: dict[str, str] = {}
        optional = [one.name for one in fields(self) if one.default is None]
        for kind, (words, names) in KINDS.items():
            for name in names:
                given = getattr(self, name)
                if not isinstance(given, kind) and not (given is None and name in optional):
                    raise ParameterError(f"{name} of study {self.name!r} is a "
                                         f"{type(given).__name__}: must be {words}")  # fmt: skip
        for split in SPLITS:
            if split not in self.features:
                raise ParameterError(f"features of study {self.name!r} lack the split {split!r}: "
                                     "codecs are fitted, chosen and judged on three")  # fmt: skip

    def check(self) -> None:
        """What can be wrong with the splits. Errors: ParameterError naming it."""
        inner = {split: self.x(split).shape[1:] for split in SPLITS}
        if len(set(inner.values())) > 1:
            raise ParameterError(f"features of study {self.name!r} have the shapes {inner} after "
                                 "the axis of samples: they must be equal")  # fmt: skip
        for split in SPLITS:
            wrong = int((~np.isfinite(self.x(split))).sum())
            if wrong:
                raise ParameterError(f"features[{split!r}] of study {self.name!r} hold {wrong} NaN "
                                     "or infinities: leave their samples out")  # fmt: skip
        for split in SPLITS[1:]:
            if len(self.x(split)) < 2:
                raise ParameterError(f"features[{split!r}] of study {self.name!r} hold one sample: "
                                     "intervals of the loss take two and more")  # fmt: skip
            if self.labels is not None:
                given = self.labels.get(split)
                count = len(given) if hasattr(given, "__len__") else "no"
                if count != len(self.x(split)):
                    raise ParameterError(
                        f"labels[{split!r}] of study {self.name!r}: {count} labels for "
                        f"{len(self.x(split))} samples; labels=None means agreement with the "
                        "uncompressed network"
                    )
            reached = self.reference(split).metric()
            if not np.isfinite(reached):
                raise ParameterError(f"metric of study {self.name!r} is {reached} on the "
                                     f"uncompressed features of {split!r}")  # fmt: skip
        for split, count in self.shared().items():
            warn_caller(
                f"{count} samples of {split!r} of study {self.name!r} are also in a split before "
                "it: what is chosen or fitted on a sample must not be judged on it",
                OptionWarning,
            )
        if 0 < self.reference("tune").metric() <= 1:
            warn_caller(
                f"the metric of study {self.name!r} is {reached:.3g} without any codec: scores are "
                "points, so that a share must be times 100",
                OptionWarning,
            )

    def x(self, split: str) -> np.ndarray:
        """The features of a split, contiguous float32."""
        if split not in self._known:
            given = self.features[split]
            try:
                array = np.ascontiguousarray(as_float32(given() if callable(given) else given))
            except ParameterError as error:
                raise ParameterError(f"features[{split!r}] of study {self.name!r}: {error}"
                                     ) from None  # fmt: skip
            if array.ndim < 2 or not array.size:
                raise ParameterError(f"features[{split!r}] of study {self.name!r} have the shape "
                                     f"{array.shape}: axis 0 must count samples")  # fmt: skip
            self._known[split] = array
        return self._known[split]

    def shared(self) -> dict[str, int]:
        """How many samples of a split have the features of one of an earlier split."""
        found, seen = {}, set[bytes]()
        for split in SPLITS:
            own = [hashlib.sha256(sample).digest() for sample in self.x(split)]
            if count := sum(digest in seen for digest in own):
                found[split] = count
            seen.update(own)
        return found

    def thinned(self, every: int) -> "Study":
        """The same with one of so many tune samples."""
        kept = np.arange(0, len(self.x("tune")), every)

        def taken(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
            return given and {**given, "tune": _taken(given["tune"], kept)}

        features = {split: self.x(split) for split in SPLITS}
        return replace(self, features=taken(features), labels=taken(self.labels),
                       images=taken(self.images))  # fmt: skip

    def decoded(self, split: str, features: np.ndarray) -> Outcome:
        """The outcome of decoded features; lossless coders of the same symbols share it."""
        key = f"{split} {hashlib.sha256(features).hexdigest()}"
        if key not in self._decoded:
            self._decoded[key] = self.judge(split, self.tail(features.copy()))
        return self._decoded[key]

    def judge(self, split: str, outputs: Any) -> Outcome:
        """The outcome of network outputs for a split's samples."""
        if self.labels is None:
            found = (self.metric or agreement)(outputs, self._uncompressed(split))
        else:
            found = (self.metric or top1)(outputs, self.labels[split])
        try:
            whole = callable(getattr(found, "metric", None)) and hasattr(found, "__len__")
            outcome = found if whole else Scores(found)
        except ParameterError as error:
            raise ParameterError(f"metric of study {self.name!r} must give a score for each "
                                 f"sample: {error}") from None  # fmt: skip
        if len(outcome) != len(self.x(split)):
            raise ParameterError(f"metric of study {self.name!r} judged {len(outcome)} samples of "
                                 f"{len(self.x(split))}: it must give one score each")  # fmt: skip
        return outcome

    def _uncompressed(self, split: str) -> Any:
        """The outputs for the uncompressed features; kept where they stand for labels."""
        if split in self._outputs:
            return self._outputs[split]
        outputs = self.tail(self.x(split).copy())
        if self.labels is None:
            self._outputs[split] = outputs
        return outputs

    def reference(self, split: str) -> Outcome:
        """The outcome of the uncompressed features."""
        if split not in self._outcomes:
            outputs = self._uncompressed(split)
            self._outcomes[split] = self.judge(split, outputs)
            self._traces[split] = self._trace(split, outputs)
        return self._outcomes[split]

    def _trace(self, split: str, outputs: Any) -> str:
        """What the metric makes of outputs, and of the same in the wrong order: without labels the
        right ones score the same, whatever the network and the metric.
        """
        found = [self._outcomes[split]]
        if isinstance(outputs, list) or hasattr(outputs, "shape"):
            with contextlib.suppress(Exception):  # a metric that cannot take them
                turned = _taken(outputs, np.arange(len(outputs))[::-1].copy())
                found.append(self.judge(split, turned))
        return repr([one.scores.tolist() if isinstance(one, Scores) else one.metric()
                     for one in found])  # fmt: skip

    def losses(self, split: str, outcome: Outcome) -> np.ndarray:
        """What the metric loses against the uncompressed features, redraw by redraw."""
        if split not in self._redrawn:
            self._redrawn[split] = redrawn(self.reference(split))
        return self._redrawn[split] - redrawn(outcome)

    def unseen(self, split: str) -> float:
        """The loss that samples of which none changed cannot exclude, in points: with scores of all
        or nothing 100 times 3/n, the upper end of a one-sided 95 % interval; otherwise 0.

        J. Hanley, A. Lippman-Hand, JAMA 249, 1983: "If nothing goes wrong, is everything all
        right?".
        """
        whole = self.reference(split)
        if not isinstance(whole, Scores) or not np.isin(whole.scores, (0, 100)).all():
            return 0.0
        return 300 / len(whole)

    def fingerprint(self, *splits: str) -> str:
        """Of the features of these splits, by default of all but "test", and of what the second
        half and the metric make of the last.
        """
        splits = splits or ("calibration", "tune")
        digest = hashlib.sha256(f"{self.name} {sorted(self.options.items())!r}".encode())
        for split in splits:
            digest.update(repr(self.x(split).shape).encode() + self.x(split).tobytes())
        self.reference(splits[-1])
        digest.update(self._traces[splits[-1]].encode())
        return digest.hexdigest()[:16]


def _taken(given: Any, places: np.ndarray) -> Any:
    """The entries at these places of an array, a tensor or a list."""
    return given[places] if hasattr(given, "shape") else [given[i] for i in places]
