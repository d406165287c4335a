"""Section 14.7 of csrc/FORMAT.md: the packed form of a transform's section, read and written."""

import struct

import coder_rans
import numpy as np
from primitives import Reader, Refused, ceil_div

HEAD = 38


def unpack(data: bytes) -> bytes:
    """The section. Rules that 14.1 states are left to its reader, but for sizes."""
    r = Reader(data, failure="section")

    def need(condition: bool) -> None:
        if not condition:
            raise Refused("section")

    def numbers(n: int, width: int) -> np.ndarray:
        """uint8 (n, width): the planes of n numbers side by side."""
        planes = np.zeros((n, width), np.uint8)
        for byte in range(width if n else 0):
            try:
                planes[:, byte] = coder_rans.joined(r.take(r.u32()), n, 256)
            except Refused as reason:
                raise Refused("section") from reason
        return planes

    head = r.take(HEAD)
    flags = head[1]
    h, w, c, bh, bw = struct.unpack("<HHIBB", head[2:12])
    count = int.from_bytes(head[36:], "little")
    need(1 <= bh <= 64 and 1 <= bw <= 64)
    f = bh * bw
    begin = numbers(2 * f, 2)
    index, columns = begin.view("<u2").reshape(2, f).astype(int)
    need(count >= 1 and 1 <= c <= 65535 and (index < count).all() and (columns <= c).all())
    need(c * f <= 1 << 24 and 1 <= c * h * w <= 1 << 30)
    start = r.position
    for _ in range(r.u8()):
        top = r.u8()
        r.take(2 + 2 * top)
    tables = r.data[start : r.position]
    used = [int(columns[index == m].max(initial=0)) for m in range(count)]
    means = c * (h * w if flags & 2 else 1)
    groups = sum(ceil_div(int(k), 16) for k in columns)
    size = HEAD + 4 * f + sum(1 + k * (5 + 2 * c) for k in used) + 2 * means + len(tables)
    size += int(columns.sum()) + 2 * groups
    need(size <= min(1 << 30, (1 << 20) + 256 * len(data)))
    parts = [numbers(count, 1)]
    for each, width in ((1, 1), (c, 1), (1, 4), (c, 1)):
        parts.append(numbers(sum(used) * each, width).reshape(-1, each, width))
    mean, of_columns, silent = numbers(means, 2), numbers(int(columns.sum()), 1), numbers(groups, 2)
    need(r.left() == 0)
    records, at = [], 0
    for m, k in enumerate(used):
        records.append(parts[0][m].tobytes())
        records += [part[at : at + k].tobytes() for part in parts[1:]]
        at += k
    if flags & 2:
        mean = unturned(mean.view("<u2").reshape(c, h, w))
    pieces = [begin, *records, mean, tables, of_columns, silent]
    return head + b"".join(p if isinstance(p, bytes) else p.tobytes() for p in pieces)


def predicted(mean: np.ndarray, y: int, x: int) -> np.ndarray:
    """Of every channel at once, from int64 means (C, H, W)."""
    zero = np.zeros(len(mean), np.int64)
    left = mean[:, y, x - 1] if x else zero
    up = mean[:, y - 1, x] if y else zero
    if x == 0 or y == 0:
        return left + up
    corner = mean[:, y - 1, x - 1]
    low, high = np.minimum(left, up), np.maximum(left, up)
    return np.where(corner >= high, low, np.where(corner <= low, high, left + up - corner))


def unturned(coded: np.ndarray) -> np.ndarray:
    """int16 means (C, H, W) from what is coded of them."""
    z = coded.astype(np.int64)
    difference = np.where(z % 2, -(z // 2) - 1, z // 2)
    mean = np.zeros(z.shape, np.int64)
    for y, x in np.ndindex(z.shape[1:]):
        v = difference[:, y, x] + predicted(mean, y, x)
        mean[:, y, x] = (v + 2**15) % 2**16 - 2**15
    return mean.astype("<i2")


def turned(values: np.ndarray) -> np.ndarray:
    """The reverse of `unturned`."""
    mean = values.astype(np.int64)
    out = np.zeros(mean.shape, "<u2")
    for y, x in np.ndindex(mean.shape[1:]):
        d = (mean[:, y, x] - predicted(mean, y, x) + 2**15) % 2**16 - 2**15
        out[:, y, x] = np.where(d < 0, -2 * d - 1, 2 * d)
    return out


def plane(numbers: np.ndarray, width: int) -> bytes:
    """Numbers of `width` bytes as planes of stored bytes: valid, but not the shortest."""
    raw = np.frombuffer(numbers.tobytes(), np.uint8).reshape(-1, width)
    return b"".join(
        struct.pack("<I", 1 + len(raw)) + b"\0" + raw[:, byte].tobytes()
        for byte in range(width if len(raw) else 0)
    )


def pack(section: bytes, tables: int) -> bytes:
    """A packed form of a section whose tables take `tables` bytes; nothing is checked."""
    h, w, c, bh, bw = struct.unpack("<HHIBB", section[2:12])
    count, f = int.from_bytes(section[36:38], "little"), bh * bw
    r = Reader(section, HEAD)
    begin = np.frombuffer(r.take(4 * f), "<u2")
    used = [int(begin[f:][begin[:f] == m].max(initial=0)) for m in range(count)]
    parts = [b""] * 5
    for k in used:
        sizes = (1, k, k * c, 4 * k, k * c)
        parts = [p + r.take(n) for p, n in zip(parts, sizes, strict=True)]
    is_map = section[1] & 2
    mean = np.frombuffer(r.take(2 * c * (h * w if is_map else 1)), "<i2")
    mean = turned(mean.reshape(c, h, w)) if is_map else mean
    tables_bytes, of_columns = r.take(tables), r.take(int(begin[f:].sum()))
    pieces = [section[:HEAD], plane(begin, 2), tables_bytes]
    for part, width in zip(parts, (1, 1, 1, 4, 1), strict=True):
        pieces.append(plane(np.frombuffer(part, np.uint8), width))
    pieces += [plane(mean, 2), plane(np.frombuffer(of_columns, np.uint8), 1)]
    return b"".join([*pieces, plane(np.frombuffer(r.take(r.left()), "<u2"), 2)])
