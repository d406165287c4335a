"""Restoration blobs: the fields, their bytes, and the arithmetic they stand for, in NumPy.

The C core (``csrc/codec/restore.c``) reads the same bytes and gives the same floats.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from ..base.errors import FormatError

VERSION = 1
LOCAL, LINEAR = 1, 2
VALUE_MAX = 25
LATENT_MAX = 127
STRENGTH_ONE = 256
_HEADER = struct.Struct("<BBHIHHI")


def level_values(levels: int) -> np.ndarray:
    """The byte each symbol counts as: itself, or scaled to 0..25 where that is too large."""
    if levels - 1 <= VALUE_MAX:
        return np.arange(levels, dtype=np.uint8)
    return np.round(np.arange(levels) * (VALUE_MAX / (levels - 1))).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Restoration:
    """The fields of a blob. C channels, N levels, F = 4 * ceil(C / 2) feature bytes.

    ``values`` uint8 (N,), ``low``, ``high`` float32 (N,), ``own`` int16 (C, 3), ``tables`` float32
    (C, N, 3) holding offset, slope and centroid. Linear of rank 0: ``first`` int8 (C, F). Linear
    of rank r: ``first`` int8 (r, F), ``bias`` int32 (r,), ``shift`` uint8 (r,), ``second`` int8
    (C, r).
    ``strength`` 0..256 blends from the centroid to the estimate.
    """

    kind: int
    strength: int
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    own: np.ndarray
    tables: np.ndarray
    first: np.ndarray
    bias: np.ndarray
    shift: np.ndarray
    second: np.ndarray

    @property
    def channels(self) -> int:
        return self.own.shape[0]

    @property
    def levels(self) -> int:
        return self.values.size

    @property
    def rank(self) -> int:
        return self.bias.size

    def to_bytes(self) -> bytes:
        """The blob, little-endian, without padding."""
        head = _HEADER.pack(
            VERSION, self.kind, self.rank, self.channels, self.levels, self.strength, 0
        )
        parts = [
            (self.values, "u1"),
            (self.low, "<f4"),
            (self.high, "<f4"),
            (self.own, "<i2"),
            (self.tables, "<f4"),
            (self.first, "i1"),
            (self.bias, "<i4"),
            (self.shift, "u1"),
            (self.second, "i1"),
        ]
        return head + b"".join(np.ascontiguousarray(a, dtype=t).tobytes() for a, t in parts)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Restoration:
        """The fields of ``blob``; ``FormatError`` when its size or header is inconsistent."""
        if len(blob) < _HEADER.size:
            raise FormatError("restoration blob is too short")
        version, kind, rank, channels, levels, strength, zero = _HEADER.unpack_from(blob)
        if (
            version != VERSION
            or kind not in (LOCAL, LINEAR)
            or zero != 0
            or not 1 <= channels <= 16384
            or not 2 <= levels <= 256
            or strength > STRENGTH_ONE
            or rank % 4
            or rank > 1024
            or (rank and kind == LOCAL)
        ):
            raise FormatError("restoration blob has an inconsistent header")
        width = (channels + 1) // 2 * 4 if kind == LINEAR else 0
        shapes = [
            ("values", "u1", (levels,)),
            ("low", "<f4", (levels,)),
            ("high", "<f4", (levels,)),
            ("own", "<i2", (channels, 3)),
            ("tables", "<f4", (channels, levels, 3)),
            ("first", "i1", (rank or channels, width)),
            ("bias", "<i4", (rank,)),
            ("shift", "u1", (rank,)),
            ("second", "i1", (channels, rank)),
        ]
        total = sum(np.dtype(t).itemsize * int(np.prod(s)) for _, t, s in shapes)
        if len(blob) != _HEADER.size + total:
            raise FormatError("restoration blob has the wrong size")
        at, fields = _HEADER.size, {}
        for name, kind_of, shape in shapes:
            count = int(np.prod(shape))
            fields[name] = np.frombuffer(blob, kind_of, count, at).reshape(shape)
            at += count * np.dtype(kind_of).itemsize
        return cls(kind=kind, strength=strength, **fields)

    def apply(self, symbols: np.ndarray) -> np.ndarray:
        """Floats for ``symbols``, uint8 (n, C, H, W); slow, the definition for tests.

        float32 of the same shape, bit for bit what the C core gives.
        """
        value, h, v, d = neighbour_sums(self.values[symbols])
        own = self.own.astype(np.int32)[None, :, :, None, None]
        total = own[:, :, 0] * h + own[:, :, 1] * v + own[:, :, 2] * d
        if self.kind == LINEAR:
            features = interleave(value, value + h + v + d)
            weights = self.first.astype(np.int64)
            sums = np.einsum("of,nfhw->nohw", weights, features.astype(np.int64))
            if self.rank:
                latent = (sums + self.bias[:, None, None]) >> self.shift[:, None, None]
                latent = np.clip(latent, 0, LATENT_MAX)
                sums = np.einsum("or,nrhw->nohw", self.second.astype(np.int64), latent)
            total = total + sums
        channel = np.arange(self.channels)[None, :, None, None]
        offset, slope, centroid = np.moveaxis(self.tables[channel, symbols], -1, 0)
        out = offset + slope * total.astype(np.float32)
        out = np.where(out < self.low[symbols], self.low[symbols], out)
        out = np.where(out > self.high[symbols], self.high[symbols], out)
        if self.strength != STRENGTH_ONE:
            out = centroid + np.float32(self.strength / STRENGTH_ONE) * (out - centroid)
        return out.astype(np.float32)


def neighbour_sums(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """``values`` (n, C, H, W) and, zeros outside, its left+right, up+down and diagonal sums."""
    p = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    h = p[:, :, 1:-1, :-2] + p[:, :, 1:-1, 2:]
    v = p[:, :, :-2, 1:-1] + p[:, :, 2:, 1:-1]
    rows = p[:, :, :-2] + p[:, :, 2:]
    return values, h, v, rows[:, :, :, :-2] + rows[:, :, :, 2:]


def interleave(value: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Features (n, F, ...) in the blob's order: value and 3x3 sum of channel 0, of channel 1, ...

    An odd number of channels ends with two planes of zeros.
    """
    n, channels = value.shape[:2]
    out = np.zeros((n, (channels + 1) // 2 * 4, *value.shape[2:]), dtype=value.dtype)
    out[:, 0 : 2 * channels : 2] = value
    out[:, 1 : 2 * channels : 2] = total
    return out
