"""The integer form of one channel's context model: rounding, bytes, and its cost in bits.

A score counts in 1/unit of the logistic link and must fit a signed byte: large units are finer,
small ones reach further. `best_unit` tries them on calibration symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .design import ChannelDesign
from .fit import OrdinalFit, sides, sigmoid
from .rows import LOCAL, Rows, local_features

Array = npt.NDArray[Any]

SHIFT = 2  # fraction bits of the weights of the rows above
UNITS = (6, 8, 10, 12, 16)
_TRIED_CHANNELS = 32
_TRIED_ROWS = 2048
_ABOVE, _ACTIVITY = 6, LOCAL - 1  # columns among the local features


@dataclass(frozen=True)
class Score:
    """One score of a channel; `references` has one row (base, first, slope) per reference."""

    offset: int
    activity: int
    above: Array
    left: Array
    left2: Array
    references: Array

    def pack(self) -> bytes:
        record = self.offset.to_bytes(2, "little", signed=True)
        for values in (
            [self.activity],
            self.above,
            np.diff(self.left, prepend=0),
            np.diff(self.left2, prepend=0),
        ):
            record += np.clip(values, -128, 127).astype(np.int8).tobytes()
        return record


@dataclass(frozen=True)
class IntegerChannel:
    """The record of a channel."""

    bias: Array
    prior: int
    scores: list[Score]
    slots: Array
    places: Array

    def pack(self, levels: int) -> bytes:
        record = bytearray(self.bias.astype(np.int8).tobytes())
        record.append(self.prior)
        for score in self.scores:
            record += score.pack()
        record.append(len(self.slots))
        for i, (slot, place) in enumerate(zip(self.slots, self.places, strict=True)):
            record += int(slot).to_bytes(2, "little") + bytes([int(place)])
            for score in self.scores:
                record += score.references[i, : min(levels, 3)].astype(np.int8).tobytes()
        return bytes(record)


def coarse_bits(unit: int) -> int:
    """Bits dropped before the link table: its 32 entries shall reach 5.3 units of the link."""
    return 0 if unit <= 6 else 1 if unit <= 12 else 2


def link_table(levels: int, unit: int) -> Array:
    """The link, 32 bytes: 256 * sigmoid(-v / unit) at the middle of each bin, >= levels - 1."""
    width = 1 << coarse_bits(unit)
    v = (np.arange(32) * width + (width - 1) / 2) / unit
    return np.clip(np.rint(256 * sigmoid(-v)), levels - 1, 128).astype(np.uint8)


def _rounded(values: Array, limit: int) -> Array:
    return np.clip(np.rint(values), -limit, limit).astype(int)


def _fit_four(references: Array, levels: int) -> Array:
    """Shrinks (base, first, slope) rows until all that four add together fits a signed byte."""
    steps = np.maximum(np.arange(levels) - 1, 0)
    for share in np.linspace(1.0, 0.0, 41):
        rows = (references * share).astype(int)
        tables = rows[:, :1] + rows[:, 1:2] * (np.arange(levels) > 0) + rows[:, 2:] * steps
        if tables.max(axis=1).sum() <= 127 and tables.min(axis=1).sum() >= -128:
            break
    return rows


def _round_score(w: Array, mean: Array, levels: int, unit: int, constant: float) -> Score:
    """w, mean (d,): weights and means of the features; constant: what else belongs here."""
    n = (len(w) - LOCAL) // (2 if levels > 2 else 1)
    steps = np.arange(1, levels)
    last = steps == levels - 1
    w1, m1 = w[LOCAL : LOCAL + n], mean[LOCAL : LOCAL + n]
    w2, m2 = (w[LOCAL + n :], mean[LOCAL + n :]) if levels > 2 else (np.zeros(n), np.zeros(n))
    base = _rounded(-unit * (w1 * m1 + w2 * m2), 63)
    first = _rounded(unit * (w1 + w2), 63)
    slope = np.rint(unit * w1).astype(int)
    if levels > 2:
        room = (127 - np.abs(base + first)) // (levels - 2)
        slope = np.clip(slope, -room, room)
    above = w[_ABOVE:_ACTIVITY]
    if levels == 2:  # up > 0 is up itself
        above = np.concatenate([above[:1] + above[4:], above[1:4]])
    references = np.stack([base, first, slope], axis=1)
    for i in range(0, n, 4):
        references[i : i + 4] = _fit_four(references[i : i + 4], levels)
    offset = unit * (constant - w[:LOCAL] @ mean[:LOCAL]) * (1 << SHIFT)
    return Score(
        offset=int(_rounded(offset, 8000)),
        # The activity counts in 1/16 and its product is divided by 8.
        activity=int(_rounded(unit * w[_ACTIVITY] * (1 << SHIFT) / 2, 127)),
        above=_rounded((unit << SHIFT) * above, 127),
        left=_rounded(unit * (w[0] * steps + w[1] + w[2] * last), 127),
        left2=_rounded(unit * (w[3] * steps + w[4] + w[5] * last), 127),
        references=references,
    )


def round_channel(design: ChannelDesign, fit: OrdinalFit, levels: int, unit: int) -> IntegerChannel:
    """Weights in steps of 1/unit; every constraint of the format holds."""
    constant = float(fit.biases.mean())
    return IntegerChannel(
        bias=np.minimum.accumulate(_rounded(unit * (fit.biases - constant), 127)),
        prior=min(255, round(16 * design.mean)),
        scores=[
            _round_score(w, fit.mean, levels, unit, constant if i == 0 else 0.0)
            for i, w in enumerate(fit.weights)
        ],
        slots=design.slots,
        places=design.places,
    )


def _saturate(v: Array) -> Array:
    return np.clip(v, -128, 127)


def _score(score: Score, near: Array, references: Array) -> Array:
    """The score of each row: near (rows, LOCAL) local features, activity in 1/16."""
    fours = np.zeros((-(-references.shape[1] // 4) * 4, len(near)), int)
    for i, ((base, first, slope), r) in enumerate(
        zip(score.references, references.T.astype(int), strict=True)
    ):
        fours[i] = base + first * (r > 0) + slope * np.maximum(r - 1, 0)
    total = np.zeros(len(near), int)
    for i in range(0, len(fours), 4):
        total = _saturate(total + fours[i : i + 4].sum(axis=0))
    total = (total << SHIFT) + score.offset + (score.activity * near[:, _ACTIVITY] >> 3)
    total += near[:, _ABOVE : _ABOVE + len(score.above)] @ score.above
    total = _saturate(total >> SHIFT)
    total = _saturate(total + np.concatenate([[0], score.left2])[near[:, 3]])
    return _saturate(total + np.concatenate([[0], score.left])[near[:, 0]])


def cost(
    model: IntegerChannel, q: Array, local: Array, references: Array, levels: int, unit: int
) -> float:
    """Bits of the symbols q (rows,) under the model; local (rows, LOCAL), references (rows, n)."""
    near = local.astype(int)
    near[:, _ACTIVITY] = (16 * local[:, _ACTIVITY]).astype(int)
    scores = [_score(s, near, references) for s in model.scores]
    link, coarse = link_table(levels, unit).astype(int), coarse_bits(unit)
    edges = np.zeros((levels + 1, len(q)), int)
    edges[levels] = 256
    before = np.full(len(q), 127)
    for k, side in enumerate(sides(levels - 1).astype(int)):
        v = _saturate(scores[0] + model.bias[k])
        if len(scores) > 1:
            v = np.minimum(_saturate(v + side * scores[1]), before)
            before = v
        start = link[np.minimum(np.abs(v), (32 << coarse) - 1) >> coarse]
        edges[k + 1] = np.where(v < 0, 256 - start, start) + k
    rows = np.arange(len(q))
    return float(-np.log2((edges[q + 1, rows] - edges[q, rows]) / 256).sum())


def best_unit(rows: Rows, designs: list[ChannelDesign], fits: list[OrdinalFit], levels: int) -> int:
    """The unit of the fewest bits, on some channels and rows."""
    some = rows.pick(slice(None, None, max(1, len(rows) // _TRIED_ROWS)))
    bits = dict.fromkeys(UNITS, 0.0)
    for slot in np.unique(np.linspace(0, len(fits) - 1, _TRIED_CHANNELS).astype(int)):
        design, fit = designs[slot], fits[slot]
        q = some.symbols[:, design.channel].astype(np.intp)
        local = local_features(some, design.channel, design.mean, levels)
        references = design.references(some)
        for unit in UNITS:
            model = round_channel(design, fit, levels, unit)
            bits[unit] += cost(model, q, local, references, levels, unit)
    return min(UNITS, key=lambda unit: bits[unit])
