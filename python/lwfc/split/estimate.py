"""The fast pass: what each cut would cost, from a few samples and the outputs' sensitivity.

An error e of a tensor moves the outputs by J e. With errors that are white, E|J e|^2 is the mean
squared error times the sum of squares of J, which gradients of random projections of the outputs
give (Hutchinson's estimator, Communications in Statistics 1989). ``gain`` is that sum over the
outputs' spread: relative loss = gain * mean squared error.
"""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import CalibrationWarning
from ..calibration.calibrate import calibrate
from ..calibration.rivals import STREAM_BYTES
from .bundle import pack
from .cuts import Cut, LiveTensor
from .outline import outlined_bits
from .profiles import Profile, first_fine

__all__ = ["Survey", "estimate"]

FITTED = ("coder", "restore", "restore_strength", "bound", "transform", "block", "metric")
START = 2  # of the rungs tried first
PROBE = 1 << 14  # elements of a sample that are coded for an estimate


@dataclass(frozen=True)
class Survey:
    """What one run over a few samples shows.

    ``whole_ms``: the network on one sample; ``head_ms``: by cut name, up to the cut;
    ``features``: by tensor name, an array whose axis 0 counts samples; ``gain``: by tensor name,
    relative loss of the outputs for each unit of mean squared error, None where unknown.
    """

    whole_ms: float
    head_ms: Mapping[str, float]
    features: Mapping[str, Any]
    gain: Mapping[str, float | None]


class Drafts:
    """Tensors quantized and coded at rungs of a ladder, each at most once."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._known: dict[tuple, np.ndarray] = {}
        self.axes: dict[str, int | None] = {}  # of the channels, by tensor, once it is measured

    def costs(self, tensor: LiveTensor, options: Mapping[str, Any]) -> np.ndarray:
        """For one sample: bytes, the tensor's share of the relative loss, encode and decode ms."""
        key = (tensor.name, repr(sorted(options.items())))
        if key not in self._known:
            self._known[key] = self._costs(tensor, options)
        return self._known[key]

    def _costs(self, tensor: LiveTensor, options: Mapping[str, Any]) -> np.ndarray:
        x = self._survey.features[tensor.name]
        if not tensor.coded:
            return np.array([len(pack({"": x[:1]}, named=False)), 0.0, 0.0, 0.0])
        x = probe(np.asarray(x, None if tensor.affine else np.float32))
        known = {"batched": True, "channel_axis": self.axes.get(tensor.name)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # no codec that anybody gets
            codec = calibrate(x, **(known | tensor.options | dict(options)))
        self.axes[tensor.name] = codec.channel_axis
        started = time.perf_counter()
        data = codec.encode(x)
        encoded = time.perf_counter()
        y = codec.decode(data)
        decoded = time.perf_counter()
        error = float(np.square(y - x.astype(np.float64)).mean())
        gain = self._survey.gain.get(tensor.name)
        if gain is None:  # nothing known: the tensor's own relative error stands in
            gain = 1 / max(float(np.var(x, dtype=np.float64)), 1e-30)
        scale = tensor.elements / x.size
        times = (encoded - started) * 1e3 * scale, (decoded - encoded) * 1e3 * scale
        return np.array([len(data) * scale, gain * error, *times])


def probe(x: np.ndarray) -> np.ndarray:
    """A part of the first samples of about PROBE elements: whole channels, evenly spread."""
    per_sample = max(1, x[:1].size)
    x = x[: max(1, PROBE // per_sample)]
    if per_sample > PROBE and x.ndim > 1:
        axis = 1 if x.ndim > 3 else x.ndim - 1 if x.ndim == 2 else 1
        step = -(-per_sample // PROBE)
        x = x[(slice(None),) * axis + (slice(None, None, step),)]
    return np.ascontiguousarray(x)


def draft_options(profile: Profile) -> dict[str, Any]:
    """The profile's quantizer with the coder that needs no fitting."""
    kept = {name: value for name, value in profile.options.items() if name not in FITTED}
    return kept | {"coder": "rans"}


def estimate(
    cut: Cut, survey: Survey, drafts: Drafts, profile: Profile, max_loss: float
) -> dict[str, Any]:
    """The coarsest setting whose estimated loss is allowed, as the fields of a result's entry."""
    find = _transformed if profile.transforms else _laddered
    rung, level, (nbytes, loss, encode, decode) = find(cut, survey, drafts, profile, max_loss)
    head = survey.head_ms[cut.name]
    return {
        "rung": rung,
        "settings": {} if rung is None else {profile.knob: level},
        "coded_bytes": nbytes,
        "loss": loss,
        "measured": {
            "head": head,
            "encode": encode,
            "decode": decode,
            "tail": max(0.0, survey.whole_ms - head),
        },
    }


Draft = tuple[int | None, Any, Sequence[float]]  # rung, its level, costs as Drafts gives them


def _laddered(cut: Cut, survey: Survey, drafts: Drafts, profile: Profile, max_loss: float) -> Draft:
    """A rung of the ladder."""
    options = draft_options(profile)
    ladder: Sequence[Any] = profile.ladder
    if profile.knob != "levels":
        ladder = Profile("", {}).ladder
    # Every other rung past the coarsest: estimates are no finer.
    rungs = [*range(min(3, len(ladder))), *range(4, len(ladder), 2)]

    def at(rung: int) -> list[float]:
        found = [drafts.costs(t, {**options, "levels": ladder[rung]}) for t in cut.tensors]
        return np.sum(found, axis=0).tolist()

    tried = [ladder[rung] for rung in rungs]
    low = rungs[first_fine(tried, START, lambda i: at(rungs[i])[1], max_loss)]
    return low if profile.knob == "levels" else None, ladder[low], at(low)


def _transformed(
    cut: Cut, survey: Survey, drafts: Drafts, profile: Profile, max_loss: float
) -> Draft:
    """A cosine transform without channel matrices, whose bytes are above those of the fit.

    Times are those of coding four levels. A tensor's share of the loss is an equal one.
    """
    coded = [tensor for tensor in cut.tensors if tensor.coded]
    costs = np.sum([drafts.costs(t, {"levels": 4, "coder": "rans"}) for t in cut.tensors], axis=0)
    share = max_loss / max(1, len(coded))
    nbytes = 0.0
    for tensor in cut.tensors:
        if tensor.coded:
            x = np.asarray(survey.features[tensor.name], np.float32)
            allowed = share * float(np.var(x, dtype=np.float64))
            gain = survey.gain.get(tensor.name)
            if gain is not None:
                allowed = share / max(gain, 1e-30)
            bits = outlined_bits(x, allowed, drafts.axes[tensor.name])
            nbytes += bits / 8 * tensor.elements + STREAM_BYTES
        else:
            nbytes += drafts.costs(tensor, {})[0]
    return None, None, [nbytes, max_loss if coded else 0.0, *costs[2:].tolist()]
