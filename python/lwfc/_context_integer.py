"""The integer form of one channel's context model: rounding, bytes, and its cost in bits.

A score counts in 1/unit of the logistic link and must fit a signed byte: large units are finer,
small ones reach further. `best_unit` tries them on calibration symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._context_fit import sigmoid

Array = npt.NDArray[Any]

LOCAL = 9  # features of the channel's own neighbours, see `local_features`
SHIFT = 2  # fraction bits of the weights of the rows above
UNITS = (6, 8, 10, 12, 16)
_TRIED_CHANNELS = 32
_TRIED_ROWS = 2048


@dataclass(frozen=True)
class ChannelFit:
    """A fitted channel: weights and means of the features, biases of the centred features.

    The features are the `LOCAL` ones, the symbols of the references (in `channels`, which stand
    in `slots`), and, for more than two levels, whether those are above 0.
    """

    weights: Array
    biases: Array
    mean: Array
    channels: Array
    slots: Array


@dataclass(frozen=True)
class IntegerChannel:
    """The record of a channel; `references` has one row (base, first, slope) per slot."""

    offset: int
    above: Array
    bias: Array
    left: Array
    left2: Array
    slots: Array
    references: Array

    def pack(self, levels: int) -> bytes:
        record = bytearray(self.offset.to_bytes(2, "little", signed=True))
        for values in (
            self.above,
            self.bias,
            np.diff(self.left, prepend=0),
            np.diff(self.left2, prepend=0),
        ):
            record += np.clip(values, -128, 127).astype(np.int8).tobytes()
        record += bytes([len(self.slots)])
        for slot, values in zip(self.slots, self.references, strict=True):
            record += int(slot).to_bytes(2, "little")
            record += values[: min(levels, 3)].astype(np.int8).tobytes()
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


def round_channel(fit: ChannelFit, levels: int, unit: int) -> IntegerChannel:
    """Weights in steps of 1/unit; every constraint of the format holds."""
    w, mean, n = fit.weights, fit.mean, len(fit.slots)
    steps = np.arange(1, levels)
    w1, m1 = w[LOCAL : LOCAL + n], mean[LOCAL : LOCAL + n]
    w2, m2 = (w[LOCAL + n :], mean[LOCAL + n :]) if levels > 2 else (np.zeros(n), np.zeros(n))
    base = _rounded(-unit * (w1 * m1 + w2 * m2), 63)
    first = _rounded(unit * (w1 + w2), 63)
    slope = np.rint(unit * w1).astype(int)
    if levels > 2:
        room = (127 - np.abs(base + first)) // (levels - 2)
        slope = np.clip(slope, -room, room)
    thresholds = unit * (fit.biases - w[:LOCAL] @ mean[:LOCAL])
    offset = int(np.clip(np.rint(float(thresholds.mean()) * (1 << SHIFT)), -16000, 16000))
    bias = _rounded(thresholds - offset / (1 << SHIFT), 127)
    return IntegerChannel(
        offset=offset,
        above=_rounded((unit << SHIFT) * w[4:LOCAL], 127),
        bias=np.minimum.accumulate(bias),
        left=_rounded(unit * (w[0] * steps + w[1]), 127),
        left2=_rounded(unit * (w[2] * steps + w[3]), 127),
        slots=fit.slots,
        references=np.stack([base, first, slope], axis=1),
    )


def _saturate(v: Array) -> Array:
    return np.clip(v, -128, 127)


def cost(
    model: IntegerChannel, q: Array, local: Array, references: Array, levels: int, unit: int
) -> float:
    """Bits of the symbols q (rows,) under the model; local (rows, LOCAL), references (rows, n)."""
    score = np.zeros(len(q), int)
    for (base, first, slope), r in zip(model.references, references.T.astype(int), strict=True):
        score = _saturate(score + base + first * (r > 0) + slope * np.maximum(r - 1, 0))
    near = local.astype(int)
    score = (model.offset + (score << SHIFT) + near[:, 4:] @ model.above) >> SHIFT
    score = _saturate(score)
    score = _saturate(score + np.concatenate([[0], model.left2])[near[:, 2]])
    score = _saturate(score + np.concatenate([[0], model.left])[near[:, 0]])
    link, coarse = link_table(levels, unit).astype(int), coarse_bits(unit)
    edges = np.zeros((levels + 1, len(q)), int)
    edges[levels] = 256
    for k in range(levels - 1):
        v = _saturate(score + model.bias[k])
        start = link[np.minimum(np.abs(v), (32 << coarse) - 1) >> coarse]
        edges[k + 1] = np.where(v < 0, 256 - start, start) + k
    rows = np.arange(len(q))
    return float(-np.log2((edges[q + 1, rows] - edges[q, rows]) / 256).sum())


def best_unit(fits: list[ChannelFit], symbols: Array, local: Any, order: Array, levels: int) -> int:
    """The unit of the fewest bits, on some channels and rows.

    fits: per slot; symbols (rows, C); local(channel) gives that channel's features.
    """
    picked = np.unique(np.linspace(0, len(fits) - 1, _TRIED_CHANNELS).astype(int))
    step = max(1, len(symbols) // _TRIED_ROWS)
    bits = dict.fromkeys(UNITS, 0.0)
    for slot in picked:
        channel, fit = int(order[slot]), fits[slot]
        q = symbols[::step, channel].astype(np.intp)
        near = local(channel)[::step]
        for unit in UNITS:
            bits[unit] += cost(
                round_channel(fit, levels, unit),
                q,
                near,
                symbols[::step, fit.channels],
                levels,
                unit,
            )
    return min(UNITS, key=lambda unit: bits[unit])
