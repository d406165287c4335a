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
from primitives import Block, Reader, Refused, ceil_div, crc32c, fnv1a, product

__all__ = ["Codec", "Refused", "decode", "decode_symbols", "read_codec"]

# --- section 2: header ------------------------------------------------------------------------

RAW, CABAC, RANS, CONTEXT, CONSTANT = 0, 1, 2, 3, 4
DTYPES = ("float32", "float16", "bfloat16", "float64")
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


def read_header(data: bytes, codec: "Codec | None") -> Header:
    """Section 2; the tests stand in the order of section 2.4."""
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
    if axis_byte & 15:
        raise Refused("transform")
    if dtype >= len(DTYPES):
        raise Refused("dtype")
    digest_tag = r.u32() if bound else None
    levels = flags = values = None
    try:
        if rank > RANK_MAX or axis >= rank or (axis >= 0) != (rank >= 2):
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
        values = read_values(r, levels, flags, shape[axis] if axis >= 0 else 0)
    return Header(
        bound, coder, dtype, axis if axis >= 0 else None, shape, digest_tag, values, r.position
    )


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


# --- section 3: blocks ------------------------------------------------------------------------

BLOCK_SYMBOLS = 1 << 18
PAIR_SYMBOLS = 1 << 22
SAMPLE_SYMBOLS = 1 << 30


def geometry(shape: list[int], axis: int | None) -> tuple[int, int, int, int]:
    """The tensor as (samples, channels, height, width)."""
    rank = len(shape)
    if product(n for n in shape if n > 0) > 1 << 62:
        raise Refused("shape")
    if axis is None:
        before, spatial = [], shape
    elif axis < rank - 1:
        before, spatial = shape[:axis], shape[axis + 1 :]
    else:
        before, spatial = (shape[:1], shape[1:-1]) if rank > 2 else ([], shape[:-1])
    channels = 1 if axis is None else shape[axis]
    width = spatial[-1] if spatial else 1
    return product(before), channels, product(spatial[:-1]), width


def cut(size: tuple[int, int, int, int], whole_samples: bool) -> tuple[int, int, int, int]:
    """The steps along samples, channels, rows and columns."""
    samples, channels, height, width = size
    plane, sample = height * width, channels * height * width
    if whole_samples and sample > SAMPLE_SYMBOLS:
        raise Refused("shape")
    if whole_samples:
        pairs = max(2, BLOCK_SYMBOLS // sample // 2 * 2) if sample <= PAIR_SYMBOLS else 1
        return min(samples, pairs), channels, height, width
    if sample <= BLOCK_SYMBOLS:
        return min(samples, BLOCK_SYMBOLS // sample), channels, height, width
    if plane <= BLOCK_SYMBOLS:
        fit = BLOCK_SYMBOLS // plane
        return 1, fit // 32 * 32 if fit > 32 else fit, height, width
    if width <= BLOCK_SYMBOLS:
        return 1, 1, BLOCK_SYMBOLS // width, width
    return 1, 1, 1, BLOCK_SYMBOLS


def regions(size: tuple[int, int, int, int], steps: tuple[int, int, int, int]):
    """Slices of each block in the order of the blocks: columns fastest, samples slowest."""
    counts = [ceil_div(n, step) for n, step in zip(size, steps, strict=True)]
    for number in range(product(counts)):  # none if an axis is empty
        slices = []
        for n, step, count in reversed(list(zip(size, steps, counts, strict=True))):
            start = number % count * step
            number //= count
            slices.insert(0, slice(start, min(start + step, n)))
        yield tuple(slices)


# --- section 4: index and checksums -----------------------------------------------------------


def read_blocks(data: bytes, start: int, nblocks: int) -> list[tuple[bytes, int | None]]:
    """Each block's bytes, with its checksum where it has one of its own."""
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
    if crc32c(data[:covered] + (payload if nblocks <= 1 else b"")) != stored:
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
    if flags & ~3:
        raise Refused("flags")
    (rate_weight,) = struct.unpack("<d", r.take(8))
    groups, inner_rank = r.u32(), r.u32()
    if inner_rank >= RANK_MAX:
        raise Refused("shape")
    inner_shape = [int.from_bytes(r.take(8), "little", signed=True) for _ in range(inner_rank)]
    thresholds = np.frombuffer(r.take(4 * groups * (levels - 1)), "<f4")
    values = np.frombuffer(r.take(4 * groups * levels), "<f4")
    context, restore = r.take(r.u32()), r.take(r.u32())
    digest = fnv1a(data[: r.position])
    metadata = r.take(r.u32())
    if r.left():
        raise Refused("length")
    if levels < 2 or not 1 <= groups <= 1 << 24:
        raise Refused("levels")
    if coder > CONTEXT:
        raise Refused("coder")
    if axis != -128 and not -RANK_MAX <= axis < RANK_MAX or any(n < 0 for n in inner_shape):
        raise Refused("shape")
    bound = bool(flags & 1)
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
        levels, coder, None if axis == -128 else axis, bound, bool(flags & 2), rate_weight,
        inner_shape, thresholds, values, model, weights, metadata, digest,
    )  # fmt: skip


# --- a whole stream ---------------------------------------------------------------------------


def decode_symbols(data: bytes, codec: Codec | None = None) -> tuple[Header, np.ndarray]:
    """The header, and the symbols as uint8 (samples, channels, height, width)."""
    data = bytes(data)
    header = read_header(data, codec)
    if header.bound:
        if codec is None:
            raise Refused("digest")
        if header.digest_tag != codec.digest & 0xFFFFFFFF:
            raise Refused("digest")
        if header.coder != codec.coder:
            raise Refused("coder")
        if data[3] & 128 and not codec.inner_shape:
            raise Refused("shape")
    else:
        codec = None
    levels = codec.levels if codec is not None else header.values.shape[1]
    whole = codec is not None and (codec.coder == CONTEXT or codec.restore is not None)
    size = geometry(header.shape, header.channel_axis)
    empty = product(size) == 0
    steps = (1, 1, 1, 1) if empty else cut(size, whole)
    nblocks = 0 if empty else product(map(ceil_div, size, steps))
    blocks = read_blocks(data, header.nbytes, nblocks)
    if codec is not None and not empty:
        per_channel = [len(codec.values)] if len(codec.values) > 1 else []
        per_channel += [codec.restore.channels] if codec.restore is not None else []
        if any(channels != size[1] for channels in per_channel):
            raise Refused("shape")
    symbols = np.zeros((0, 0, 0, 0) if empty else size, np.uint8)
    for place, (block, crc) in zip(regions(size, steps), blocks, strict=True):
        if crc is not None and crc32c(block) != crc:
            raise Refused("checksum")
        extent = Block(*(s.stop - s.start for s in place))
        symbols[place] = decode_block(block, extent, levels, codec)
    return header, symbols


def decode(data: bytes, codec: Codec | None = None) -> np.ndarray:
    """A stream's tensor; bfloat16 comes as uint16 bit patterns."""
    header, symbols = decode_symbols(data, codec)
    tables = codec.values if header.bound else header.values
    if symbols.size == 0:
        return to_type(np.zeros(header.shape, np.float32), header.dtype)
    if header.bound and codec.restore is not None:
        values = np.stack([restoration.apply(codec.restore, sample) for sample in symbols])
    elif len(tables) > 1:
        values = np.stack([table[symbols[:, c]] for c, table in enumerate(tables)], axis=1)
    else:
        values = tables[0][symbols]
    if header.bound and DTYPES[header.dtype] in LARGEST:
        largest = np.float32(LARGEST[DTYPES[header.dtype]])
        values = np.clip(values, -largest, largest)
    axis, shape = header.channel_axis, header.shape
    if axis is not None and axis == len(shape) - 1:
        # (samples, channels, spatial) in the block, channels last in the tensor.
        samples = values.shape[0]
        values = values.reshape(samples, values.shape[1], -1).transpose(0, 2, 1)
    return to_type(values.reshape(shape), header.dtype)


def to_type(values: np.ndarray, dtype: int) -> np.ndarray:
    """Section 6: float32 to the element type, to nearest, ties to even."""
    with np.errstate(over="ignore"):
        if DTYPES[dtype] != "bfloat16":
            return values.astype(DTYPES[dtype])
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
        bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        return bits.reshape(values.shape)
