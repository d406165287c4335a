"""Transform sections with random contents, and codecs of them. FORMAT.md, section 14."""

import struct
from dataclasses import dataclass, field

import numpy as np

from lwfc import _core

CLAMP, MEAN_MAP, FREE = 1, 2, 4


@dataclass
class Section:
    """A section's fields; random where not given. `bytes()` writes it."""

    channels: int
    map: tuple[int, int]
    block: tuple[int, int]
    flags: int = MEAN_MAP
    bits: tuple[int, int, int] = (5, 4, 3)
    unit: float = 1 / 512
    clip: tuple[float, float] = (-4.0, 8.0)
    clamp: tuple[float, float] = (0.0, 0.0)
    matrices: int = 2
    most_columns: int = 24  # live columns fall from here to 0 as frequencies rise
    step: float = 96.0  # of the coefficients, in units
    classes: int = 5
    seed: int = 0
    columns: np.ndarray = field(init=False)
    index: np.ndarray = field(init=False)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        u, v = np.divmod(np.arange(self.block[0] * self.block[1]), self.block[1])
        fall = 1 - (u + v) / max(1, 0.6 * (self.block[0] + self.block[1]))
        most = min(self.most_columns, self.channels)
        self.columns = np.maximum(np.rint(most * fall), 0).astype(int)
        self.matrices = min(self.matrices, u.size)
        self.index = np.arange(u.size) * self.matrices // u.size

    def matrix(self, columns: int) -> bytes:
        """An orthonormal basis, scaled so that analysis undoes synthesis."""
        c = self.channels
        basis = np.linalg.qr(self.rng.normal(size=(c, c)))[0].T[:columns]
        shift = int(self.rng.integers(2, 7))
        column = basis * self.step * 2.0**shift  # what one step adds, in 2^-shift units
        peaks = np.maximum(np.abs(column).max(1), 1e-9)
        exponents = np.clip(np.ceil(np.log2(peaks / 127)), 0, 8).astype(np.uint8)
        mantissas = np.clip(np.rint(column / 2.0 ** exponents[:, None]), -127, 127)
        scales = np.abs(basis).max(1) / 127 if columns else np.zeros(0)
        rows = np.rint(basis / np.maximum(scales[:, None], 1e-12))
        scales = scales / (self.step * 2.0 ** self.bits[2])
        return b"".join((
            bytes([shift]), exponents.tobytes(), mantissas.astype(np.int8).tobytes(),
            scales.astype("<f4").tobytes(), rows.astype(np.int8).tobytes(),
        ))  # fmt: skip

    def classes_bytes(self) -> bytes:
        parts = []
        for i in range(self.classes):
            top = (1, 2, 5, 15, 40)[i % 5]
            weights = np.exp(-np.arange(top + 1) / (0.2 + 0.8 * i))
            freq = np.maximum(1, (1600 * weights / weights.sum()).astype(int))[1:]
            parts.append(struct.pack("<BH", top, 1 + 3 * i) + freq.astype("<u2").tobytes())
        return bytes([self.classes]) + b"".join(parts)

    def bytes(self) -> bytes:
        (h, w), (bh, bw) = self.map, self.block
        places = self.channels * h * w if self.flags & MEAN_MAP else self.channels
        head = struct.pack(
            "<BBHHIBBBBBB", 1, self.flags, h, w, self.channels, bh, bw, *self.bits, 0
        ) + struct.pack("<5fH", self.unit, *self.clip, *self.clamp, self.matrices)
        tables = self.index.astype("<u2").tobytes() + self.columns.astype("<u2").tobytes()
        records = b"".join(
            self.matrix(int(self.columns[self.index == m].max())) for m in range(self.matrices)
        )
        mean = self.rng.integers(-900, 900, places).astype("<i2").tobytes()
        live, groups = int(self.columns.sum()), int((-(-self.columns // 16)).sum())
        columns = self.rng.integers(0, self.classes, live).astype(np.uint8).tobytes()
        silent = self.rng.integers(1500, 4000, groups).astype("<u2").tobytes()
        classes = self.classes_bytes() if groups else b"\0"
        return head + tables + records + mean + classes + columns + silent


def make_transform(section: bytes, **changes):
    arguments = dict(
        levels=0, thresholds=b"", values=b"", coder=2, channel_axis=None, bound=True,
        inner_shape=(), rate_weight=0.0, nan=0, context=None, restore=None, metadata=b"{}",
        transform=section,
    )  # fmt: skip
    return _core.codec_make(**(arguments | changes))


def smooth(shape, seed=0, scale=1.0):
    """Float32 features that have something at low frequencies."""
    x = np.random.default_rng(seed).normal(size=shape)
    for axis in range(2, len(shape)):
        if shape[axis] > 1:
            x = (x + np.roll(x, 1, axis) + np.roll(x, 2, axis)) / 1.7
    return (scale * x).astype(np.float32)


# name: (section, shape of a tensor, channel axis, inner shape)
CASES = {
    "whole map": (Section(20, (14, 14), (14, 14)), (3, 20, 14, 14), None, (20, 14, 14)),
    "blocks": (Section(48, (16, 24), (8, 8), matrices=5), (2, 48, 16, 24), None, (48, 16, 24)),
    "odd": (Section(7, (9, 35), (9, 5), flags=0), (2, 7, 9, 35), 1, (7, 9, 35)),
    "clamp": (Section(33, (7, 7), (7, 7), flags=CLAMP | MEAN_MAP, clamp=(0, 6)),
              (4, 33, 7, 7), None, ()),
    "line": (Section(40, (1, 60), (1, 12)), (3, 40, 60), 1, (40, 60)),
    "tokens": (Section(64, (1, 49), (1, 49)), (2, 49, 64), -1, (49, 64)),
    "free tokens": (Section(64, (1, 8), (1, 8), flags=FREE), (2, 24, 64), -1, ()),
    "vectors": (Section(100, (1, 1), (1, 1), flags=FREE, most_columns=50), (9, 100), None, (100,)),
    "one channel": (Section(1, (32, 64), (32, 64)), (2, 1, 32, 64), None, (1, 32, 64)),
    "silent": (Section(5, (4, 4), (2, 2), most_columns=0, classes=0), (2, 5, 4, 4), None, ()),
    "wide": (Section(72, (6, 6), (6, 3), matrices=3, most_columns=60), (5, 72, 6, 6), None,
             (72, 6, 6)),
    "sixty-four lanes": (Section(48, (16, 16), (8, 8), flags=0, most_columns=48, step=24),
                         (7, 48, 16, 16), None, (48, 16, 16)),
}  # fmt: skip


def section_of(name) -> bytes:
    section = CASES[name][0]
    section.__post_init__()  # the same random numbers every time
    return section.bytes()


def codec_of(name, **changes):
    _, _, axis, inner = CASES[name]
    arguments = dict(channel_axis=axis, inner_shape=inner)
    return make_transform(section_of(name), **(arguments | changes))


def cases():
    """(name, codec, tensor): batches, and one sample of each."""
    for name, (_, shape, _, _) in CASES.items():
        x = smooth(shape, len(name))
        x.flat[::97] *= 9  # escapes
        yield f"transform {name}", codec_of(name), x
        yield f"transform {name}, one", codec_of(name), x[:1]
    x = smooth((3, 20, 14, 14), 1)
    yield "transform float16", codec_of("whole map"), x.astype(np.float16)
    yield "transform uint8", codec_of("whole map"), np.clip(40 * x, 0, 255).astype(np.uint8)
