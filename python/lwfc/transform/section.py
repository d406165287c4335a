"""The codec file's section of the transform, byte by byte; csrc/FORMAT.md has its fields."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .geometry import Geometry
from .integer import Matrix
from .rate import GROUP, LARGEST, Tables

__all__ = ["Parts", "write_section"]

VERSION = 1
CLAMP, MEAN_MAP, FREE = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the section holds. ``mean`` is int16, (C, H, W) or, a value a channel, (C,)."""

    geometry: Geometry
    free: bool
    fractions: tuple[int, int, int]
    unit: float
    clip: tuple[float, float]
    clamp: tuple[float, float] | None
    groups: np.ndarray
    columns: np.ndarray
    matrices: Sequence[Matrix]
    mean: np.ndarray
    tables: Tables


def write_section(parts: Parts) -> bytes:
    """The bytes, little-endian, without padding."""
    g = parts.geometry
    flags = CLAMP * (parts.clamp is not None) | MEAN_MAP * (parts.mean.ndim > 1) | FREE * parts.free
    head = struct.pack(
        "<BBHHIBB3BB5fH", VERSION, flags, g.height, g.width, g.channels, g.block_height,
        g.block_width, *parts.fractions, 0, parts.unit, *parts.clip, *(parts.clamp or (0.0, 0.0)),
        len(parts.matrices),
    )  # fmt: skip
    pieces = [head, _array(parts.groups, "<u2"), _array(parts.columns, "<u2")]
    scale = parts.unit / 2 ** parts.fractions[2]
    for matrix in parts.matrices:
        rows, analysis = matrix.rows(scale)
        pieces += [
            bytes([matrix.shift]),
            matrix.exponents.tobytes(),
            matrix.mantissas.tobytes(),
            _array(rows, "<f4"),
            analysis.tobytes(),
        ]
    pieces.append(_array(parts.mean, "<i2"))
    return b"".join(pieces + _tables(parts.tables, parts.columns))


def _array(values: np.ndarray, kind: str) -> bytes:
    return np.ascontiguousarray(values).astype(kind).tobytes()


def _tables(tables: Tables, columns: np.ndarray) -> list[bytes]:
    pieces = [bytes([len(tables.counts)])]
    for counts in tables.counts:
        right = counts[LARGEST + 1 : -1]
        top = int(np.flatnonzero(right)[-1]) + 1
        pieces += [bytes([top]), _array(counts[-1:], "<u2"), _array(right[:top], "<u2")]
    groups = int((-(-columns // GROUP)).sum())
    assert groups == len(tables.flags)
    return [*pieces, _array(tables.classes, "u1"), _array(4096 - tables.flags, "<u2")]
