"""Whether the plain profile is smaller than the transform at equal distortion of the outputs."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codec.codec import Codec
from ..transform.basis import Shape
from ..transform.choice import FEW, Halves, foldable, vectors_of
from ..transform.survey import Survey
from ..transform.trial import Point, power

__all__ = [
    "PLAIN",
    "STREAM_BYTES",
    "Rival",
    "cheapest_rival",
    "doubtful",
    "measured_bits",
    "smaller_rival",
]

# The plain profile at few points of its curve, from coarse to fine.
PLAIN: tuple[dict[str, Any], ...] = tuple(
    {"levels": levels, "clip_scale": scale, "coder": "context", "restore": "linear"}
    for levels, scale in ((2, 1.6), (3, 1.6), (4, 1.6), (6, 1.4), (10, 1.2))
)
STREAM_BYTES = 11  # of a small stream that are neither symbols nor tables
TRIAL_VALUES = 1 << 20  # feature values that a rival is fitted to, and that it codes
BLIND = 3.0  # outputs move so much more by restored features than the features' errors tell
VECTORS = 8  # coefficient vectors a channel below which a fit of the transform is in doubt


@dataclass(frozen=True, slots=True)
class Rival:
    """Options of calibrate that code smaller, and bits an element against the transform's.

    ``missed``: the distortion that no step of the transform meets, which is why they are taken.
    """

    options: dict[str, Any]
    bits: float
    ours: float
    missed: float | None = None

    @property
    def text(self) -> str:
        """A sentence for the caller."""
        if self.missed is not None:
            return (
                "no step of the transform brings held-out samples' distortion near "
                f"{self.missed:.3g}, which more samples may: fell back to the plain profile "
                f"({self.bits:.3g} bits an element)"
            )
        return (
            "at equal distortion on held-out samples the plain profile codes smaller than the "
            f"transform ({self.bits:.3g} bits an element against {self.ours:.3g}): fell back to it"
        )


def measured_bits(codecs: Sequence[Codec], parts: Sequence[Sequence[np.ndarray]]) -> float:
    """Bits per element of one stream a sample, every byte counted; of each codec's own batches."""
    nbytes = size = 0
    for codec, batches in zip(codecs, parts, strict=True):
        nbytes += sum(len(codec.encode(x[i : i + 1])) for x in batches for i in range(len(x)))
        size += sum(x.size for x in batches)
    return 8 * nbytes / size


def rival_codec(plain: Callable[..., Codec], samples: Any, options: dict[str, Any]) -> Codec:
    """A trial of the plain profile; what it would warn of is for those who choose it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain(samples, bound=True, **options)


def cheapest_rival(
    plain: Callable[..., Codec],
    turns: Sequence[tuple[Any, Sequence[np.ndarray]]],
    extra: dict[str, Any],
    ours: float,
    moved: Callable[[Sequence[Codec]], float],
    *,
    nearest: float,
    allowed: float,
    wanted: float | None,
) -> Rival | None:
    """The coarsest of :data:`PLAIN` whose distortion ``moved`` is allowed.

    ``turns``: samples to fit, and batches whose bits count then; ``moved`` is given a codec of
    each. ``extra``: options beside; ``ours``: the transform's bits.
    ``nearest``: the transform's distortion, where ``wanted`` is what it misses: the finest settings
    are then taken if they come nearer, whatever their bits.
    """
    missed = wanted is not None
    for options in PLAIN:
        codecs = [rival_codec(plain, samples, options | extra) for samples, _ in turns]
        bits = measured_bits(codecs, [coded for _, coded in turns])
        if bits >= ours and not missed:
            return None  # finer ones are larger still
        cost = moved(codecs)
        if cost <= allowed or (missed and options is PLAIN[-1] and cost < nearest):
            return Rival(options, bits, ours, wanted)
    return None


def smaller_rival(
    plain: Callable[..., Codec],
    found: Survey,
    shape: Shape,
    point: Point,
    *,
    doubtful_only: bool,
    wanted: float | None = None,
) -> Rival | None:
    """The plain settings of fewest bits with no more distortion than ``point``, if fewer.

    Both are fitted on one half of the samples and measured on the other, of few samples on most
    and on the rest in turns; the transform's streams are counted with their framing.
    ``doubtful_only``: skip the work where samples abound.
    ``wanted``: the distortion that ``point`` misses; settings that meet it may take more bits.
    """
    kept, missed = found.kept, wanted is not None
    unsure = doubtful(shape, found.nsamples)
    if len(kept) < 4 or (doubtful_only and not missed and not unsure):
        return None
    few = unsure and len(kept) <= FEW and foldable(shape, kept.features.shape[1])
    pairs = [[part.spread(TRIAL_VALUES).copied() for part in pair]
             for pair in Halves(kept, folds=few).pairs[: None if few else 1]]  # fmt: skip
    whole = sum(
        len(code) * power(code, fit.features.mean(0, dtype=np.float64).astype(np.float32))
        for fit, code in pairs
    )
    allowed = wanted if missed else point.distortion
    if kept.gradients is None and not missed:
        allowed /= BLIND
    ours = point.bits + 8 * STREAM_BYTES / kept.sample_size

    def moved(codecs: Sequence[Codec]) -> float:
        costs = [
            len(code) * power(code.moved(codec.simulate(code.features)), np.float32(0))
            for codec, (_, code) in zip(codecs, pairs, strict=True)
        ]
        return sum(costs) / whole

    turns = [(fit.features, [code.features]) for fit, code in pairs]
    return cheapest_rival(plain, turns, {"channel_axis": 1, "batched": True}, ours, moved,
                          nearest=point.distortion, allowed=allowed, wanted=wanted)  # fmt: skip


def doubtful(shape: Shape, samples: int) -> bool:
    """Whether the transform's matrices are fitted to few vectors."""
    return vectors_of(shape, samples) < VECTORS * shape.geometry.channels
