"""Section 14 of csrc/FORMAT.md: the transform's section, its group coder and its arithmetic."""

import math
from dataclasses import dataclass, field

import numpy as np
from primitives import Reader, Refused, ceil_div

LANES = (1, 4, 16, 64)
SIDE_MAX = 64


@dataclass
class Matrix:
    shift: int
    synthesis: np.ndarray  # int64 (columns, channels)
    scales: np.ndarray  # float32 (columns,)
    analysis: np.ndarray  # int64 (columns, channels)
    limit: int = field(init=False)

    def __post_init__(self):
        largest = int(np.abs(self.synthesis).sum(0).max(initial=0))
        self.limit = min(32767, (2**30 - 1) // largest) if largest else 32767


@dataclass
class Table:
    top: int
    owners: list[tuple[int | None, int, int]]  # symbol (None: escape), size, start; by slot


@dataclass
class Transform:
    is_free: bool
    channels: int
    map: tuple[int, int]
    block: tuple[int, int]
    bits: tuple[int, int, int]
    unit: np.float32
    clip: tuple[np.float32, np.float32]
    clamp: tuple[np.float32, np.float32] | None
    index: list[int]
    columns: list[int]
    matrices: list[Matrix]
    mean: np.ndarray  # int64 (channels, height, width)
    tables: list[Table]
    classes: list[int]  # of every coefficient
    silent: list[int]  # of every group


def dct(n: int) -> tuple[np.ndarray, int]:
    """Section 14.2: the integer DCT, int64 [k][i], and its fraction bits."""
    t = 14
    while True:
        rows = [
            [
                round(2**t * math.sqrt((2 if k else 1) / n)
                      * math.cos(math.pi * (2 * i + 1) * k / (2 * n)))
                for i in range(n)
            ]
            for k in range(n)
        ]  # fmt: skip
        table = np.array(rows, np.int64)
        if (np.abs(table).sum(0).max() + 2**t) * 32767 + 2 ** (t - 1) < 2**31:
            return table, t
        t -= 1


def read_section(data: bytes) -> Transform:
    """Section 14.1."""
    r = Reader(data, failure="section")

    def need(condition: bool) -> None:
        if not condition:
            raise Refused("section")

    def f32() -> np.float32:
        return np.frombuffer(r.take(4), "<f4")[0]

    need(r.u8() == 1)
    flags = r.u8()
    need(flags < 8)
    h, w, c = r.u16(), r.u16(), r.u32()
    bh, bw = r.u8(), r.u8()
    bits = (r.u8(), r.u8(), r.u8())
    need(r.u8() == 0)
    need(h > 0 and w > 0 and 1 <= c <= 65535)
    need(1 <= bh <= SIDE_MAX and 1 <= bw <= SIDE_MAX and h % bh == 0 and w % bw == 0)
    need(c * bh * bw <= 1 << 24 and c * h * w <= 1 << 30)
    need(8 >= bits[0] >= bits[1] >= bits[2])
    unit = f32()
    clip, clamp = (f32(), f32()), (f32(), f32())
    need(2.0**-100 <= unit <= 2.0**100)
    for lo, hi in (clip, clamp):
        need(np.isfinite(lo) and np.isfinite(hi) and lo <= hi)
    need(flags & 1 or data[28:36] == bytes(8))
    scale = np.float32(2.0 ** bits[0]) / unit
    need(all(abs(edge * scale) <= 2.0**30 for edge in clip))
    count, f = r.u16(), bh * bw
    need(1 <= count <= f)
    index, columns = [r.u16() for _ in range(f)], [r.u16() for _ in range(f)]
    need(all(m < count for m in index) and all(k <= c for k in columns))
    used = [0] * count
    for m, k in zip(index, columns, strict=True):
        used[m] = max(used[m], k)
    matrices = [read_matrix(r, c, k) for k in used]
    places = h * w if flags & 2 else 1
    mean = np.frombuffer(r.take(2 * c * places), "<i2").astype(np.int64)
    need(bool((np.abs(mean) <= 32767).all()))
    mean = mean.reshape(c, h, w) if flags & 2 else np.broadcast_to(mean[:, None, None], (c, h, w))
    n = r.u8()
    groups = sum(ceil_div(k, 16) for k in columns)
    need(n <= 32 and (n == 0) == (groups == 0))
    tables = [read_table(r) for _ in range(n)]
    classes = list(r.take(sum(columns)))
    silent = [r.u16() for _ in range(groups)]
    need(r.left() == 0)
    need(all(k < n for k in classes) and all(1 <= s <= 4095 for s in silent))
    limits = [matrices[m].limit for k, m in zip(columns, index, strict=True) for _ in range(k)]
    need(all(tables[k].top <= limit for k, limit in zip(classes, limits, strict=True)))
    return Transform(
        bool(flags & 4), c, (h, w), (bh, bw), bits, unit, clip, clamp if flags & 1 else None,
        index, columns, matrices, mean, tables, classes, silent,
    )  # fmt: skip


def read_matrix(r: Reader, channels: int, columns: int) -> Matrix:
    shift = r.u8()
    exponents = np.frombuffer(r.take(columns), np.uint8).astype(np.int64)
    size = columns * channels
    mantissas = np.frombuffer(r.take(size), np.int8).astype(np.int64).reshape(columns, channels)
    scales = np.frombuffer(r.take(4 * columns), "<f4")
    analysis = np.frombuffer(r.take(size), np.int8).astype(np.int64).reshape(columns, channels)
    if (
        shift > 8
        or (exponents > 8).any()
        or (mantissas == -128).any()
        or (analysis == -128).any()
        or (np.abs(analysis).sum(1) > 65535).any()
        or not (np.isfinite(scales) & (scales >= 0)).all()
    ):
        raise Refused("section")
    return Matrix(shift, mantissas << exponents[:, None], scales, analysis)


def read_table(r: Reader) -> Table:
    top, escape = r.u8(), r.u16()
    if top > 63:
        raise Refused("section")
    sizes = [r.u16() for _ in range(top)]
    zero = 4096 - escape - 2 * sum(sizes)
    if escape < 1 or zero < 1 or min(sizes, default=1) < 1:
        raise Refused("section")
    order = [(0, zero)]
    for v, size in enumerate(sizes, 1):
        order += [(v, size), (-v, size)]
    owners, start = [], 0
    for symbol, size in [*order, (None, escape)]:
        owners += [(symbol, size, start)] * size
        start += size
    return Table(top, owners)


class States:
    """Section 14.4: states and words of a block's payload."""

    def __init__(self, data: bytes, lane_code: int):
        self.lanes = LANES[lane_code]
        own = 3 if len(data) % 2 else 4
        if self.lanes == 1:
            own = min(own, len(data))
        others = 4 * (self.lanes - 1)
        if own == 0 or len(data) < own + others or data[-1] == 0:
            raise Refused("payload")
        end = len(data) - own
        self.x = [int.from_bytes(data[end:], "little")]
        for i in range(1, self.lanes):
            self.x.append(int.from_bytes(data[end - 4 * i : end - 4 * i + 4], "little"))
        if any(x < 1 << 16 for x in self.x[1:]):
            raise Refused("payload")
        self.words = [int.from_bytes(data[i : i + 2], "little") for i in range(0, end - others, 2)]
        self.at = 0

    def take(self, lane: int, size: int, start: int) -> None:
        """Leaves behind what owns `size` slots from `start` on."""
        x = self.x[lane]
        x = size * (x >> 12) + (x & 4095) - start
        if x < 1 << 16 and (self.lanes > 1 or self.at < len(self.words)):
            if self.at == len(self.words):
                raise Refused("payload")
            x = x << 16 | self.words[self.at]
            self.at += 1
        self.x[lane] = x

    def slot(self, lane: int) -> int:
        return self.x[lane] & 4095

    def bits(self, lane: int, n: int) -> int:
        value = self.slot(lane) >> (12 - n)
        self.take(lane, 1 << (12 - n), value << (12 - n))
        return value

    def close(self) -> None:
        if self.at != len(self.words) or set(self.x) != {1 if self.lanes == 1 else 1 << 16}:
            raise Refused("payload")


def read_block(t: Transform, states: States, row: int) -> tuple[np.ndarray, int]:
    """Section 14.4: one block's coefficients, and the number of the next row."""
    loud = []
    for g, silent in enumerate(t.silent):
        lane = (16 * (row + g // 16) + g % 16) % states.lanes
        is_loud = states.slot(lane) >= silent
        states.take(lane, 4096 - silent if is_loud else silent, silent if is_loud else 0)
        loud.append(is_loud)
    row += ceil_div(len(loud), 16)
    q = np.zeros(len(t.classes), np.int64)
    g = first = 0
    for f, columns in enumerate(t.columns):
        limit = t.matrices[t.index[f]].limit
        for k in range(0, columns, 16):
            count = min(16, columns - k)
            if loud[g]:
                read_group(t, states, row, q[first + k : first + k + count], first + k, limit)
                row += 1
            g += 1
        first += columns
    return q, row


def read_group(t: Transform, states: States, row: int, q: np.ndarray, first: int, limit: int):
    lanes = [(16 * row + j) % states.lanes for j in range(len(q))]
    tables = [t.tables[t.classes[first + j]] for j in range(len(q))]
    escapes = []
    for j, (lane, table) in enumerate(zip(lanes, tables, strict=True)):
        symbol, size, start = table.owners[states.slot(lane)]
        states.take(lane, size, start)
        if symbol is None:
            escapes.append(j)
        else:
            q[j] = symbol
    for j in escapes:
        head = states.bits(lanes[j], 5)
        n, sign = head >> 1, head & 1
        rest = states.bits(lanes[j], min(n, 8))
        rest += states.bits(lanes[j], max(n - 8, 0)) << 8
        magnitude = tables[j].top + (1 << n) + rest
        if magnitude > limit:
            raise Refused("payload")
        q[j] = -magnitude if sign else magnitude
    if not q.any():
        raise Refused("payload")


def sat(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -32767, 32767)


def inverse(t: Transform, q: np.ndarray, block: int) -> np.ndarray:
    """Section 14.3: float32 (channels, block height, block width)."""
    bh, bw = t.block
    x = np.zeros((bh * bw, t.channels), np.int64)
    first = 0
    for f, columns in enumerate(t.columns):
        m = t.matrices[t.index[f]]
        total = q[first : first + columns] @ m.synthesis[:columns]
        x[f] = sat((total + ((1 << m.shift) >> 1)) >> m.shift)
        first += columns
    (rows, th), (across, tw) = dct(bh), dct(bw)
    z = np.einsum("uy,uvc->yvc", rows, x.reshape(bh, bw, -1))
    z = sat((z + (1 << (th - 1))) >> th)
    top, left = block // (t.map[1] // bw) * bh, block % (t.map[1] // bw) * bw
    o = np.einsum("vx,yvc->cyx", across, z)
    o += t.mean[:, top : top + bh, left : left + bw] << tw
    values = o.astype(np.int32).astype(np.float32) * np.float32(np.ldexp(t.unit, -tw))
    return values if t.clamp is None else np.clip(values, *t.clamp)


def blocks_of(t: Transform, array: np.ndarray):
    """Views of a (channels, height, width) array, one for each block in order."""
    bh, bw = t.block
    for y in range(0, t.map[0], bh):
        for x in range(0, t.map[1], bw):
            yield array[:, y : y + bh, x : x + bw]


def tiles_of(t: Transform, array: np.ndarray):
    """Views of an (S, C, H, W) array, one for each of the transform's samples in order."""
    h, w = t.map
    for sample in array:
        for y in range(0, sample.shape[1], h):
            for x in range(0, sample.shape[2], w):
                yield sample[:, y : y + h, x : x + w]


def decode(t: Transform, payload: bytes, lane_code: int, out: np.ndarray) -> None:
    """The floats of one container block, (S, C, H, W)."""
    states, row = States(payload, lane_code), 0
    for tile in tiles_of(t, out):
        for number, block in enumerate(blocks_of(t, tile)):
            q, row = read_block(t, states, row)
            block[...] = inverse(t, q, number)
    states.close()


def forward(t: Transform, x: np.ndarray) -> np.ndarray:
    """Section 14.5: coefficients (blocks, coefficients) of a float32 (C, H, W) sample."""
    (rows, th), (across, tw) = dct(t.block[0]), dct(t.block[1])
    b0, b1, b2 = t.bits
    scale = np.float32(2.0**b0) / t.unit
    clipped = np.clip(np.where(np.isnan(x), np.float32(0), x), *t.clip)
    d = sat(np.rint(clipped * scale).astype(np.int64) - (t.mean << b0))
    d[np.isnan(x)] = 0
    out = []
    for block in blocks_of(t, d):
        r = np.einsum("vx,cyx->cyv", across, block)
        shift = tw + b0 - b1
        r = sat((r + (1 << (shift - 1))) >> shift)
        shift = th + b1 - b2
        c = np.einsum("uy,cyv->cuv", rows, r)
        c = sat((c + (1 << (shift - 1))) >> shift).reshape(t.channels, -1)
        q = []
        for f, columns in enumerate(t.columns):
            m = t.matrices[t.index[f]]
            y = (m.analysis[:columns] @ c[:, f]).astype(np.float32) * m.scales[:columns]
            q.append(np.rint(np.clip(y, -m.limit, m.limit)).astype(np.int64))
        out.append(np.concatenate(q))
    return np.array(out)
