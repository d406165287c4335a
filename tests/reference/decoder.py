"""A second decoder, written from csrc/FORMAT.md alone and laid out like it: slow, plain, no tricks.

`read_codec(file)` and `decode(stream, codec)` raise `Refused` for bytes that the specification
tells a decoder to refuse; its text is the field that section 13 of FORMAT.md names. Every array is
NumPy; integers are Python's, so nothing can overflow unseen.
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import coder_basic
import coder_context
import coder_rans
import restoration
import section_pack
import transform
from cutting import FRAMES, cut, geometry, regions
from primitives import Block, Reader, Refused, ceil_div, crc32c, fnv1a, product

__all__ = ["Codec", "Refused", "decode", "decode_symbols", "read_codec"]

# --- section 2: header ------------------------------------------------------------------------

RAW, CABAC, RANS, CONTEXT, CONSTANT = 0, 1, 2, 3, 4
TRANSFORM = 5  # the method of one lane; 6, 7, 8: of 4, 16, 64
DTYPES = ("float32", "float16", "bfloat16", "float64", None, "int8", "uint8")
LARGEST = {"float16": 65504.0, "bfloat16": 255 * 2.0**120}
RANK_MAX = 8


@dataclass
class Header:
    bound: bool
    coder: int
    dtype: int
    channel_axis: int | None
    shape: list[int]
    digest_tag: int | None  # bound streams
    values: np.ndarray | None  # self-contained streams: float32 (groups, levels)
    nbytes: int  # up to the block index
    has_transform: bool = False
    compact: bool = False
    lane_code: int | None = None  # compact streams

    def is_of(self, codec: "Codec") -> bool:
        return self.digest_tag == codec.digest & (0xFFFF if self.compact else 0xFFFFFFFF)


def read_header(data: bytes, codec: "Codec | None") -> Header:
    """Section 2; the tests stand in the order of section 2.4."""
    if data and data[0] >> 5 == 5:
        return read_compact(data, codec)
    if data[:2] != b"\xc5L":
        raise Refused("magic")
    r = Reader(data, 2)
    version_byte, type_byte, axis_byte = r.take(3)
    if version_byte >> 5 != 1:
        raise Refused("version")
    bound, coder = bool(version_byte & 16), version_byte & 15
    dtype, rank, axis = type_byte >> 4 & 7, type_byte & 15, (axis_byte >> 4) - 1
    if coder > CONTEXT or (coder == CONTEXT and not bound):
        raise Refused("coder")
    has_transform = axis_byte & 15
    if has_transform > 1 or (has_transform and (not bound or coder != RANS)):
        raise Refused("transform")
    if dtype >= len(DTYPES) or DTYPES[dtype] is None:
        raise Refused("dtype")
    digest_tag = r.u32() if bound else None
    levels = flags = values = None
    try:
        if rank > RANK_MAX or (axis >= 0) != (rank >= 2):
            raise Refused("shape")
        plain = axis % FRAMES
        if rank >= 2 and (plain >= rank or (axis >= FRAMES and not has_frames(plain, rank))):
            raise Refused("shape")
        if not bound:
            levels, flags = read_levels(r)
        shape = read_shape(r, bound, bool(type_byte & 128), rank, codec)
    except Refused as reason:
        foreign = bound and codec is not None and digest_tag != codec.digest & 0xFFFFFFFF
        if foreign and str(reason) == "shape":
            raise Refused("digest") from reason
        raise
    if not bound:
        values = read_values(r, levels, flags, shape[axis % FRAMES] if axis >= 0 else 0)
    return Header(
        bound, coder, dtype, axis if axis >= 0 else None, shape, digest_tag, values, r.position,
        bool(has_transform),
    )  # fmt: skip


def has_frames(axis: int, rank: int) -> bool:
    """Section 3.1: where the last two of the other axes lie together."""
    return rank >= 3 and (axis <= rank - 3 or axis == rank - 1)


def read_compact(data: bytes, codec: "Codec | None") -> Header:
    """Section 2.5; without the codec the shape is not known."""
    r = Reader(data, 1)
    tag, batch = r.u16(), 1
    if data[0] & 16:
        batch = r.varint()
        if batch < 2:
            raise Refused("shape")
    if r.left() < 5:
        raise Refused("length")
    inner = codec.inner_shape if codec is not None else []
    axis = resolve_axis(codec.channel_axis, len(inner) + 1) if inner else None
    return Header(
        True, RANS, data[0] >> 2 & 3, axis, [batch, *inner], tag, None, r.position, True, True,
        data[0] & 3,
    )  # fmt: skip


def resolve_axis(axis: int | None, rank: int) -> int:
    """A codec's channel axis for tensors of rank 2 or more."""
    if axis is None:
        return 1 if rank >= 4 else rank - 1
    return axis % rank


def read_levels(r: Reader) -> tuple[int, int]:
    levels, flags = r.u8() + 1, r.u8()
    if levels < 2:
        raise Refused("levels")
    if flags & ~3:
        raise Refused("flags")
    return levels, flags


def read_shape(r: Reader, bound: bool, inner_known: bool, rank: int, codec) -> list[int]:
    """Section 2.2; without the codec, a known inner shape is left out."""
    if not inner_known:
        return [r.varint() for _ in range(rank)]
    if not bound or rank < 1:
        raise Refused("flags")
    inner_shape = codec.inner_shape if codec is not None else []
    if inner_shape and len(inner_shape) != rank - 1:
        raise Refused("shape")
    return [r.varint(), *inner_shape]


def read_values(r: Reader, levels: int, flags: int, channels: int) -> np.ndarray:
    """Section 2.3: the value tables, float32 (groups, levels)."""
    groups, stored = 1, levels if flags & 1 else 2
    if flags & 2:
        if channels < 2:
            raise Refused("levels")
        groups = channels
    if r.left() < 4 * groups * stored:
        raise Refused("length")
    tables = np.frombuffer(r.take(4 * groups * stored), "<f4").reshape(groups, stored)
    check_ascending(tables)
    if flags & 1:
        return tables.astype(np.float32)
    return np.stack([uniform_values(lo, hi, levels) for lo, hi in tables])


def check_ascending(tables: np.ndarray) -> None:
    if not np.isfinite(tables).all() or not (tables[:, :-1] <= tables[:, 1:]).all():
        raise Refused("levels")


def uniform_values(lo: np.float32, hi: np.float32, levels: int) -> np.ndarray:
    """Section 1.3, in double, one rounding to float32 at the end."""
    lo, width = float(lo), float(hi) - float(lo)
    with np.errstate(over="ignore"):
        return np.array([lo + i * width / (levels - 1) for i in range(levels)]).astype(np.float32)


# --- section 4: index and checksums -----------------------------------------------------------


def read_blocks(
    data: bytes, start: int, nblocks: int, prefix: bytes = b""
) -> list[tuple[bytes, int | None]]:
    """Each block's bytes, with its checksum where it has one of its own.

    ``prefix``: what the outer checksum covers before the stream's bytes.
    """
    if nblocks > 1 and nblocks > len(data) // 6:
        raise Refused("length")
    r = Reader(data, start)
    entries = []
    if nblocks > 1:
        total = 0
        for _ in range(nblocks):
            entries.append((r.varint(), r.u32()))
            total += entries[-1][0]
            if total > len(data):
                raise Refused("length")
    covered, stored = r.position, r.u32()
    payload = data[r.position :]
    if crc32c(prefix + data[:covered] + (payload if nblocks <= 1 else b"")) != stored:
        raise Refused("checksum")
    if nblocks == 1:
        return [(payload, None)]
    if sum(n for n, _ in entries) != len(payload):
        raise Refused("length")
    blocks, at = [], 0
    for n, crc in entries:
        blocks.append((payload[at : at + n], crc))
        at += n
    return blocks


# --- section 5: block methods -----------------------------------------------------------------


def decode_block(data: bytes, block: Block, levels: int, codec: "Codec | None") -> np.ndarray:
    if len(data) < 1:
        raise Refused("length")
    method, payload = data[0], data[1:]
    if method == RAW:
        symbols = coder_basic.raw(payload, block, levels)
    elif method == CABAC:
        symbols = coder_basic.cabac(payload, block, levels)
    elif method == RANS:
        symbols = coder_rans.decode(payload, block, levels)
    elif method == CONTEXT and codec is not None and codec.coder == CONTEXT:
        symbols = coder_context.decode(payload, block, levels, codec.context)
    elif method == CONSTANT:
        symbols = coder_basic.constant(payload, block, levels)
    else:
        raise Refused("coder")
    return np.array(symbols, np.uint8).reshape(block)


# --- section 10: codec files ------------------------------------------------------------------


@dataclass
class Codec:
    levels: int
    coder: int
    channel_axis: int | None
    bound: bool
    nan_raises: bool
    rate_weight: float
    inner_shape: list[int]
    thresholds: np.ndarray  # float32 (groups, levels - 1)
    values: np.ndarray  # float32 (groups, levels)
    context: "coder_context.Model | None"
    restore: "restoration.Weights | None"
    metadata: bytes
    digest: int
    transform: "transform.Transform | None" = None


def read_codec(data: bytes) -> Codec:
    if len(data) < 4 or data[:3] != b"\xc5LC":
        raise Refused("magic")
    if data[3] != 1:
        raise Refused("version")
    if len(data) < 28:
        raise Refused("length")
    if crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise Refused("checksum")
    r = Reader(data[:-4], 4)
    levels, coder, axis, flags = r.u8() + 1, r.u8(), r.i8(), r.u8()
    if flags & ~11:
        raise Refused("flags")
    has_transform = bool(flags & 8)
    (rate_weight,) = struct.unpack("<d", r.take(8))
    groups, inner_rank = r.u32(), r.u32()
    if has_transform and groups:
        raise Refused("section")
    if inner_rank >= RANK_MAX:
        raise Refused("shape")
    inner_shape = [int.from_bytes(r.take(8), "little", signed=True) for _ in range(inner_rank)]
    thresholds = np.frombuffer(r.take(4 * groups * (levels - 1)), "<f4")
    values = np.frombuffer(r.take(4 * groups * levels), "<f4")
    context, restore = r.take(r.u32()), r.take(r.u32())
    section = r.take(r.u32()) if has_transform else b""
    if has_transform and not section:
        raise Refused("section")
    digest = fnv1a(data[: r.position])
    metadata = r.take(r.u32())
    if r.left():
        raise Refused("length")
    bound = bool(flags & 1)
    axis = None if axis == -128 else axis
    if has_transform:
        plain = levels == 1 and coder == RANS and bound and rate_weight == 0
        if not plain or context or restore:
            raise Refused("section")
    elif levels < 2 or not 1 <= groups <= 1 << 24:
        raise Refused("levels")
    if coder > CONTEXT:
        raise Refused("coder")
    if axis is not None and not -RANK_MAX <= axis < RANK_MAX or any(n < 0 for n in inner_shape):
        raise Refused("shape")
    if has_transform:
        part = transform.read_section(section_pack.unpack(section))
        codec = Codec(
            0, coder, axis, bound, bool(flags & 2), rate_weight, inner_shape, None, None, None,
            None, metadata, digest, part,
        )  # fmt: skip
        check_inner(codec)
        return codec
    if (
        not np.isfinite(rate_weight)
        or rate_weight < 0
        or (not bound and (coder == CONTEXT or restore))
        or (coder == CONTEXT) != bool(context)
    ):
        raise Refused("section")
    thresholds, values = thresholds.reshape(groups, levels - 1), values.reshape(groups, levels)
    check_ascending(thresholds)
    check_ascending(values)
    model = coder_context.read_model(context) if context else None
    weights = restoration.read(restore) if restore else None
    if any(part is not None and part.levels != levels for part in (model, weights)):
        raise Refused("section")
    return Codec(
        levels, coder, axis, bound, bool(flags & 2), rate_weight,
        inner_shape, thresholds, values, model, weights, metadata, digest,
    )  # fmt: skip


def check_inner(codec: Codec) -> None:
    """Section 14.6: the usual shape must be one that the transform takes."""
    rank = len(codec.inner_shape) + 1
    axis = codec.channel_axis
    if rank == 1 or (axis is not None and axis in (0, -rank)):
        return
    if axis is not None and not -rank <= axis < rank:
        raise Refused("section")
    shape, axis = transform_shape(codec, [1, *codec.inner_shape], resolve_axis(axis, rank))
    try:
        check_fits(codec.transform, geometry(shape, axis))
    except Refused as reason:
        raise Refused("section") from reason


# --- a whole stream ---------------------------------------------------------------------------


def open_stream(data: bytes, codec: Codec | None) -> tuple[Header, Codec | None]:
    """The header, and the codec if the stream is bound to it."""
    header = read_header(data, codec)
    if not header.bound:
        return header, None
    if codec is None or not header.is_of(codec):
        raise Refused("digest")
    if header.has_transform != (codec.transform is not None):
        raise Refused("transform")
    if header.coder != codec.coder:
        raise Refused("coder")
    if (header.compact or data[3] & 128) and not codec.inner_shape:
        raise Refused("shape")
    return header, codec


def transform_shape(codec: Codec, shape: list[int], axis: int | None):
    """Section 14.6: vectors are samples of one place each."""
    part = codec.transform
    if part is not None and len(shape) == 2 and axis == 1 and part.is_free and part.map == (1, 1):
        return [shape[0], 1, shape[1]], 2
    return shape, axis


def check_fits(part: transform.Transform, size: tuple[int, int, int, int]) -> None:
    """Section 14.6: whole samples, or tiles of them."""
    tiled = part.is_free and size[2] % part.map[0] == 0 and size[3] % part.map[1] == 0
    if size[1] != part.channels or not (tiled or size[2:] == part.map):
        raise Refused("shape")


def cut_blocks(data: bytes, header: Header, codec: Codec | None):
    """The tensor's four extents, and (place, bytes) of each block."""
    shape, axis = header.shape, header.channel_axis
    whole = codec is not None and (
        codec.coder == CONTEXT or codec.restore is not None or codec.transform is not None
    )
    if codec is not None:
        shape, axis = transform_shape(codec, shape, axis)
    size = geometry(shape, axis)
    empty = product(size) == 0
    steps = (1, 1, 1, 1) if empty else cut(size, whole)
    nblocks = 0 if empty else product(map(ceil_div, size, steps))
    if header.compact and nblocks != 1:
        raise Refused("shape")
    prefix = codec.digest.to_bytes(8, "little") if header.compact else b""
    blocks = read_blocks(data, header.nbytes, nblocks, prefix)
    if codec is not None and not empty:
        check_channels(codec, size)
    for block, crc in blocks:
        if crc is not None and crc32c(block) != crc:
            raise Refused("checksum")
    places = zip(regions(size, steps), (block for block, _ in blocks), strict=True)
    return (0, 0, 0, 0) if empty else size, places


def check_channels(codec: Codec, size: tuple[int, int, int, int]) -> None:
    if codec.transform is not None:
        check_fits(codec.transform, size)
        return
    per_channel = [len(codec.values)] if len(codec.values) > 1 else []
    per_channel += [codec.restore.channels] if codec.restore is not None else []
    if any(channels != size[1] for channels in per_channel):
        raise Refused("shape")


def decode_symbols(data: bytes, codec: Codec | None = None) -> tuple[Header, np.ndarray]:
    """The header, and the symbols as uint8 (samples, channels, height, width)."""
    data = bytes(data)
    header, codec = open_stream(data, codec)
    levels = codec.levels if codec is not None else header.values.shape[1]
    size, blocks = cut_blocks(data, header, codec)
    symbols = np.zeros(size, np.uint8)
    for place, block in blocks:
        extent = Block(*(s.stop - s.start for s in place))
        symbols[place] = decode_block(block, extent, levels, codec)
    return header, symbols


def decode_transform(data: bytes, header: Header, codec: Codec) -> np.ndarray:
    """The values of a stream with a transform, (samples, channels, height, width)."""
    size, blocks = cut_blocks(data, header, codec)
    values = np.zeros(size, np.float32)
    for place, block in blocks:
        if header.compact:
            transform.decode(codec.transform, block, header.lane_code, values[place])
            continue
        if len(block) < 1:
            raise Refused("length")
        if not TRANSFORM <= block[0] < TRANSFORM + 4:
            raise Refused("coder")
        transform.decode(codec.transform, block[1:], block[0] - TRANSFORM, values[place])
    return values


def decode(data: bytes, codec: Codec | None = None) -> np.ndarray:
    """A stream's tensor; bfloat16 comes as uint16 bit patterns."""
    data = bytes(data)
    header, codec = open_stream(data, codec)
    if header.has_transform:
        values = decode_transform(data, header, codec)
    else:
        values = dequantize(*decode_symbols(data, codec), codec)
    if values.size == 0:
        return to_type(np.zeros(header.shape, np.float32), header.dtype)
    if header.bound and DTYPES[header.dtype] in LARGEST:
        largest = np.float32(LARGEST[DTYPES[header.dtype]])
        values = np.clip(values, -largest, largest)
    axis, shape = header.channel_axis, header.shape
    if axis is not None and axis >= FRAMES:
        others = shape[: axis - FRAMES] + shape[axis - FRAMES + 1 :]
        values = values.reshape(*others[:-2], values.shape[1], *others[-2:])
        values = np.moveaxis(values, len(others) - 2, axis - FRAMES)
    elif axis is not None and axis == len(shape) - 1:
        # (samples, channels, spatial) in the block, channels last in the tensor.
        samples = values.shape[0]
        values = values.reshape(samples, values.shape[1], -1).transpose(0, 2, 1)
    return to_type(values.reshape(shape), header.dtype)


def dequantize(header: Header, symbols: np.ndarray, codec: Codec | None) -> np.ndarray:
    tables = codec.values if header.bound else header.values
    if codec is not None and codec.restore is not None and symbols.size:
        return np.stack([restoration.apply(codec.restore, sample) for sample in symbols])
    if len(tables) > 1 and symbols.size:
        return np.stack([table[symbols[:, c]] for c, table in enumerate(tables)], axis=1)
    return tables[0][symbols]


def to_type(values: np.ndarray, dtype: int) -> np.ndarray:
    """Section 6: float32 to the element type, to nearest, ties to even."""
    if DTYPES[dtype] in ("int8", "uint8"):
        ends = np.iinfo(DTYPES[dtype])
        return np.clip(np.rint(values), ends.min, ends.max).astype(DTYPES[dtype])
    with np.errstate(over="ignore"):
        if DTYPES[dtype] != "bfloat16":
            return values.astype(DTYPES[dtype])
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
        bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        return bits.reshape(values.shape)
