"""Section 11 of csrc/FORMAT.md: floats from symbols and their neighbours."""

from dataclasses import dataclass

import numpy as np
from primitives import Reader, Refused


@dataclass
class Weights:
    kind: int
    channels: int
    levels: int
    rank: int
    strength: int
    values: np.ndarray  # int64 (levels,)
    low: np.ndarray  # float32 (levels,)
    high: np.ndarray
    own: np.ndarray  # int64 (channels, 3)
    tables: np.ndarray  # float32 (channels, levels, 3)
    first: np.ndarray  # int64 (rank or channels, features)
    bias: np.ndarray  # int64 (rank,)
    shift: np.ndarray
    second: np.ndarray  # int64 (channels, rank)


def read(blob: bytes) -> Weights:
    r = Reader(blob, 0, "section")
    version, kind, rank, channels = r.u8(), r.u8(), r.u16(), r.u32()
    levels, strength, reserved = r.u16(), r.u16(), r.u32()
    if (
        version != 1
        or kind not in (1, 2)
        or reserved
        or not 1 <= channels <= 16384
        or not 2 <= levels <= 256
        or strength > 256
        or rank % 4
        or rank > 1024
        or (rank and kind == 1)
    ):
        raise Refused("section")
    features = 4 * ((channels + 1) // 2) if kind == 2 else 0

    def take(dtype: str, *shape: int) -> np.ndarray:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(r.take(nbytes), dtype).reshape(shape)

    w = Weights(
        kind, channels, levels, rank, strength,
        take("u1", levels).astype(np.int64), take("<f4", levels), take("<f4", levels),
        take("<i2", channels, 3).astype(np.int64), take("<f4", channels, levels, 3),
        take("i1", rank or channels, features).astype(np.int64),
        take("<i4", rank).astype(np.int64), take("u1", rank).astype(np.int64),
        take("i1", channels, rank).astype(np.int64),
    )  # fmt: skip
    if (
        r.left()
        or (w.values > 25).any()
        or not (w.low <= w.high).all()
        or not np.isfinite(w.tables).all()
        or (np.abs(w.bias) > 1 << 30).any()
        or (w.shift > 30).any()
    ):
        raise Refused("section")
    return w


def shifted(padded: np.ndarray, dy: int, dx: int) -> np.ndarray:
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    return padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


def apply(w: Weights, symbols: np.ndarray) -> np.ndarray:
    """One sample's symbols (channels, height, width) to float32 of that shape."""
    padded = np.pad(w.values[symbols], ((0, 0), (1, 1), (1, 1)))
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    sums = np.zeros(symbols.shape, np.int64)
    if w.kind == 2:
        boxes = sum(shifted(padded, dy, dx) for dy, dx in around)
        features = np.zeros((w.first.shape[1], *symbols.shape[1:]), np.int64)
        features[0 : 2 * w.channels : 2] = shifted(padded, 0, 0)
        features[1 : 2 * w.channels : 2] = boxes
        sums = np.tensordot(w.first, features, 1)
        if w.rank:
            biased = sums + w.bias[:, None, None]
            latents = np.clip(biased >> w.shift[:, None, None], 0, 127)
            sums = np.tensordot(w.second, latents, 1)
    pairs = (
        shifted(padded, 0, -1) + shifted(padded, 0, 1),
        shifted(padded, -1, 0) + shifted(padded, 1, 0),
        sum(shifted(padded, dy, dx) for dy, dx in around if dy and dx),
    )
    for k, pair in enumerate(pairs):
        sums = sums + w.own[:, k, None, None] * pair
    return finish(w, symbols, sums)


def finish(w: Weights, symbols: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Each operation is one float32 operation, rounded to nearest even."""
    channel = np.arange(w.channels)[:, None, None]
    offset, slope, centroid = (w.tables[channel, symbols, k] for k in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        v = offset + slope * sums.astype(np.float32)
        low, high = w.low[symbols], w.high[symbols]
        v = np.where(v < low, low, v)
        v = np.where(v > high, high, v)
        if w.strength != 256:
            strength = np.float32(w.strength / 256)
            v = centroid + strength * (v - centroid)
    return v
