"""The integer form of the context models: rounding, bytes, and their cost in bits.

A score counts in 1/unit of the logistic link and must fit a signed byte: large units are finer,
small ones reach further. `best_unit` tries them on calibration symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.least import least
from .rows import LL, LOCAL, PLACES, SELF, UL, UR, UU, L, Rows, U

__all__ = [
    "SHIFT",
    "TRIED_ROWS",
    "Models",
    "best_unit",
    "coarse_bits",
    "least_bits",
    "link_table",
    "pack",
]

Array = npt.NDArray[Any]

SHIFT = 2  # fraction bits of the weights of the rows above
UNITS = (6, 8, 10, 12, 16)
_TRIED_CHANNELS = 32
TRIED_ROWS = 2048
_ABOVE, _ACTIVITY = 6, LOCAL - 1  # columns among the local features


@dataclass(frozen=True)
class Models:
    """The models of C channels in coding order, R references at most, S scores (1 or 2).

    channels, prior (C,), the mean symbol. slots int32, places uint8 (C, R), of which counts (C,)
    are used. weights (C, S, 12 + R + R) of own features, references, and whether these are above 0;
    mean (C, 12 + R + R) of all these. biases (C, levels - 1), falling.
    """

    levels: int
    channels: Array
    prior: Array
    slots: Array
    places: Array
    counts: Array
    weights: Array
    biases: Array
    mean: Array

    def pick(self, slots: Array) -> Models:
        """Those at some slots."""
        fields = {name: value[slots] for name, value in vars(self).items() if name != "levels"}
        return Models(self.levels, **fields)


@dataclass(frozen=True)
class Scores:
    """Scores in integers, (C, S, ...); references (C, S, R, 3) hold base, first, slope."""

    offset: Array
    activity: Array
    above: Array
    left: Array
    left2: Array
    references: Array


def sides(thresholds: int) -> Array:
    """Which way the spread moves each threshold: 1 in the lower half, -1 in the upper, else 0."""
    return np.sign(thresholds - 1 - 2 * np.arange(thresholds))


def coarse_bits(unit: int) -> int:
    """Bits dropped before the link table: its 32 entries shall reach 5.3 units of the link."""
    return 0 if unit <= 6 else 1 if unit <= 12 else 2


def link_table(levels: int, unit: int) -> Array:
    """The link, 32 bytes: 256 * sigmoid(-v / unit) at the middle of each bin, >= levels - 1."""
    width = 1 << coarse_bits(unit)
    v = (np.arange(32) * width + (width - 1) / 2) / unit
    return np.clip(np.rint(256 / (1 + np.exp(v))), levels - 1, 128).astype(np.uint8)


def _rounded(values: Array, limit: int) -> Array:
    return np.clip(np.rint(values), -limit, limit).astype(np.int32)


def _contributions(references: Array, levels: int) -> Array:
    """What each symbol of a reference adds: (..., 3) to (..., levels)."""
    q = np.arange(levels)
    base, first, slope = np.moveaxis(references[..., None], -2, 0)
    return base + first * (q > 0) + slope * np.maximum(q - 1, 0)


def _fit_fours(references: Array, levels: int) -> Array:
    """Shrinks references (n, R, 3) until all that four add together fits a signed byte."""
    count = references.shape[1]
    padded = np.zeros((len(references), -(-count // 4) * 4, 3), np.int32)
    padded[:, :count] = references
    fours = padded.reshape(-1, 4, 3)
    whole = fours.copy()
    for share in np.linspace(1.0, 0.0, 41):
        added = _contributions(fours, levels)
        wide = (added.max(axis=-1).sum(axis=1) > 127) | (added.min(axis=-1).sum(axis=1) < -128)
        if not wide.any():
            break
        fours[wide] = (whole[wide] * share).astype(np.int32)
    return padded[:, :count]


def _scores(models: Models, unit: int) -> Scores:
    """Weights in steps of 1/unit; every constraint of the format holds."""
    levels, w, mean = models.levels, models.weights, models.mean[:, None]
    n = models.slots.shape[1]
    steps = np.arange(1, levels)
    last = steps == levels - 1
    w1, w2 = w[:, :, LOCAL : LOCAL + n], w[:, :, LOCAL + n :]
    m1, m2 = mean[:, :, LOCAL : LOCAL + n], mean[:, :, LOCAL + n :]
    base = _rounded(-unit * (w1 * m1 + w2 * m2), 63)
    first = _rounded(unit * (w1 + w2), 63)
    slope = np.rint(unit * w1).astype(np.int32)
    if levels > 2:
        room = (127 - np.abs(base + first)) // (levels - 2)
        slope = np.clip(slope, -room, room)
    references = np.stack([base, first, slope], axis=-1)
    references = _fit_fours(references.reshape(-1, n, 3), levels).reshape(references.shape)
    above = w[:, :, _ABOVE:_ACTIVITY]
    if levels == 2:  # up > 0 is up itself
        above = np.concatenate([above[:, :, :1] + above[:, :, 4:], above[:, :, 1:4]], axis=2)
    constant = -(w[:, :, :LOCAL] * mean[:, :, :LOCAL]).sum(axis=2)
    constant[:, 0] += models.biases.mean(axis=1)
    left = w[:, :, :3, None]
    left2 = w[:, :, 3:6, None]
    return Scores(
        offset=_rounded(unit * constant * (1 << SHIFT), 8000),
        # The activity counts in 1/16 and its product is divided by 8.
        activity=_rounded(unit * w[:, :, _ACTIVITY] * (1 << SHIFT) / 2, 127),
        above=_rounded((unit << SHIFT) * above, 127),
        left=_rounded(unit * (left[:, :, 0] * steps + left[:, :, 1] + left[:, :, 2] * last), 127),
        left2=_rounded(
            unit * (left2[:, :, 0] * steps + left2[:, :, 1] + left2[:, :, 2] * last), 127
        ),
        references=references,
    )


def _biases(models: Models, unit: int) -> Array:
    rest = models.biases - models.biases.mean(axis=1, keepdims=True)
    return np.minimum.accumulate(_rounded(unit * rest, 127), axis=1)


def _priors(models: Models) -> Array:
    return np.minimum(255, np.rint(16 * models.prior)).astype(np.uint8)


def _bytes(values: Array) -> Array:
    """Signed bytes (C, n), as uint8, of (C, ...)."""
    return np.clip(values, -128, 127).astype(np.int8).reshape(len(values), -1).view(np.uint8)


def pack(models: Models, unit: int) -> list[bytes]:
    """The records of the channels."""
    scores = _scores(models, unit)
    fixed = [_bytes(_biases(models, unit)), _priors(models)[:, None]]
    for i in range(models.weights.shape[1]):
        offset = np.ascontiguousarray(scores.offset[:, i : i + 1].astype("<i2"))
        fixed += [offset.view(np.uint8), _bytes(scores.activity[:, i]), _bytes(scores.above[:, i])]
        for steps in (scores.left[:, i], scores.left2[:, i]):
            fixed.append(_bytes(np.diff(steps, prepend=0, axis=1)))
    fixed.append(models.counts.astype(np.uint8)[:, None])
    heads = np.concatenate(fixed, axis=1)
    kept = scores.references[..., : min(models.levels, 3)].swapaxes(1, 2)  # (C, R, S, ...)
    slots = np.ascontiguousarray(models.slots.astype("<u2")[..., None]).view(np.uint8)
    tails = np.concatenate(
        [slots, models.places[..., None], _bytes(kept).reshape(*models.slots.shape, -1)], axis=2
    )
    return [
        head.tobytes() + tail[:n].tobytes()
        for head, tail, n in zip(heads, tails, models.counts, strict=True)
    ]


def _saturate(v: Array) -> Array:
    return np.clip(v, -128, 127)


class _Tried:
    """What some channels' models see on some rows, for their code length under any unit."""

    def __init__(self, rows: Rows, order: Array, models: Models) -> None:
        some = slice(min(len(rows), TRIED_ROWS))  # every beginning is a fair sample
        self.models = models
        near = rows.planes[:, models.channels, some].astype(np.int32)
        self.q, self.left, self.left2 = near[SELF], near[L], near[LL]
        above = [near[U], near[UU], near[UL], near[UR], np.minimum(near[U], 1)]
        self.above = np.stack(above[: 4 if models.levels == 2 else 5], axis=1)
        decay = (16 * models.prior)[:, None] * rows.decay[some]
        self.activity = (rows.above[models.channels, some] / 16 + decay).astype(np.int32)
        planes = np.array(PLACES)[models.places]
        self.references = rows.planes[planes, order[models.slots], some]

    def _score(self, scores: Scores, i: int) -> Array:
        """Score i of each channel and row."""
        total = np.zeros(self.q.shape, np.int32)
        added = _contributions(scores.references[:, i], self.models.levels)
        channel = np.arange(len(total))[:, None]
        for first in range(0, self.references.shape[1], 4):
            for r in range(first, min(first + 4, self.references.shape[1])):
                total += added[channel, r, self.references[:, r]]
            total = _saturate(total)
        total = (total << SHIFT) + scores.offset[:, i, None]
        total += scores.activity[:, i, None] * self.activity >> 3
        total += (scores.above[:, i, :, None] * self.above).sum(axis=1)
        total = _saturate(total >> SHIFT)
        for table, symbols in ((scores.left2[:, i], self.left2), (scores.left[:, i], self.left)):
            steps = np.pad(table, ((0, 0), (1, 0)))
            total = _saturate(total + steps[channel, symbols])
        return total

    def bits(self, unit: int) -> float:
        """Code length of the rows."""
        levels, scores = self.models.levels, _scores(self.models, unit)
        score = [self._score(scores, i) for i in range(scores.offset.shape[1])]
        link, coarse = link_table(levels, unit).astype(np.int32), coarse_bits(unit)
        edges = np.zeros((levels + 1, *self.q.shape), np.int32)
        edges[levels] = 256
        before = np.full(self.q.shape, 127)
        for k, side in enumerate(sides(levels - 1)):
            v = _saturate(score[0] + _biases(self.models, unit)[:, k, None])
            if len(score) > 1:
                v = before = np.minimum(_saturate(v + side * score[1]), before)
            start = link[np.minimum(np.abs(v), (32 << coarse) - 1) >> coarse]
            edges[k + 1] = np.where(v < 0, 256 - start, start) + k
        width = np.take_along_axis(np.diff(edges, axis=0), self.q[None], axis=0)
        return float(-np.log2(width / 256).sum())


def best_unit(rows: Rows, order: Array, models: Models) -> int:
    """The unit of the fewest bits, on some channels and rows."""
    slots = np.unique(np.linspace(0, len(models.channels) - 1, _TRIED_CHANNELS).astype(int))
    tried = _Tried(rows, order, models.pick(slots))
    return least(UNITS, tried.bits)[0]


def least_bits(rows: Rows, order: Array, models: Models) -> float:
    """Bits a symbol under the best unit, on some rows."""
    tried = _Tried(rows, order, models)
    return least(UNITS, tried.bits)[1] / tried.q.size
