"""The container of several tensors: a mapping name -> tensor as one stream.

Bytes (numbers and varints as in csrc/FORMAT.md section 1.1)::

    u8 u8     magic 0xC5 0x4D
    u8        bits 7..5: version, 1; bits 4..1: 0; bit 0: names are in the stream
    varint    number of tensors, at most 1024
    u32       only if bit 0 is 0: CRC-32 of the names, each in UTF-8 and ended by one byte 0
    then for each tensor
        varint, bytes   only if bit 0 is 1: length of the name in bytes, its UTF-8
        u8              method: 0 stored, 1 deflated, 2 an lwfc stream
        varint          length of its payload in bytes
    u32       CRC-32 of everything before
    payloads, in order, to the end

The payload of methods 0 and 1 is: u8 type, u8 rank, a varint for each dimension, u32 CRC-32 of the
elements, elements. Elements are in C order, little-endian; types are numbered as in ``TYPES``. For
method 1 they are a zlib stream of, first, the first byte of every element, then the second of every
element, and so on. Method 2 is a stream of csrc/FORMAT.md with its own checksum. CRC-32 is zlib's.
"""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.arrays import Tensor, is_torch, torch_view, widen
from ..base.errors import FormatError, ParameterError
from ..codec.stream import buffer_of, decode_tensor, inspect

__all__ = ["MAGIC", "Entry", "pack", "read", "unpack"]

MAGIC = b"\xc5\x4d"
VERSION = 1
TYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float16", "float32", "float64", "bfloat16")  # fmt: skip
STORED, DEFLATED, STREAM = range(3)
COUNT_MAX, NAME_MAX, RANK_MAX = 1024, 1024, 8
LIMIT = 1 << 30  # bytes that all tensors of one stream may take together, unless told otherwise


class Entry(NamedTuple):
    """One tensor of a stream, its header checked, its elements not yet looked at."""

    name: str
    method: int
    payload: memoryview

    def header(self, codec: Any = None) -> tuple[tuple[int, ...], str]:
        """(shape, name of the element type) as the bytes claim them.

        Errors: FormatError, also for a stream that was made without a codec whose streams name it.
        """
        if self.method != STREAM:
            dtype, shape, _, _ = _lossless_header(self)
            return shape, dtype
        info = inspect(self.payload, codec)
        if getattr(codec, "bound", False) and not info.bound:
            raise FormatError(
                f"the stream of {self.name!r} was made by another codec than this half's, whose "
                f"streams name it (digest {codec.digest:016x}): give the edge that codec"
            )
        shape = tuple(-1 if n is None else n for n in info.shape)
        return shape, info.dtype

    def array(self, codec: Any = None, limit: int = LIMIT) -> Tensor:
        """The elements; bfloat16 as 16-bit patterns, like everywhere in this package."""
        if self.method == STREAM:
            return decode_tensor(self.payload, codec, max_nbytes=limit)
        return _lossless_read(self, limit)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def take(self, count: int, what: str) -> memoryview:
        if count > len(self.data) - self.at:
            raise FormatError(f"container of tensors: truncated in {what}")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def u32(self, what: str) -> int:
        return struct.unpack("<I", self.take(4, what))[0]

    def varint(self, what: str, most: int) -> int:
        number = 0
        for shift in range(0, 63, 7):
            byte = self.byte(what)
            number |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    raise FormatError(f"container of tensors: {what} is longer than it needs to be")
                if number > most:
                    raise FormatError(f"container of tensors: {what} is {number}, at most {most}")
                return number
        raise FormatError(f"container of tensors: {what} does not end")


def _view(x: Any) -> Tensor:
    """x in its own element type; what base.arrays widens for coding stays as it is here."""
    if is_torch(x):
        if x.is_floating_point() and x.element_size() == 1:
            raise ParameterError(f"{x.dtype} cannot be kept losslessly; convert it to float16")
        return torch_view(x)
    array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        return Tensor(array.view(np.uint16), True)
    return Tensor(array, False)


def _lossless(x: Any) -> tuple[int, bytes]:
    """(method, payload), the smaller of stored and deflated."""
    tensor = _view(x)
    name, array = tensor.dtype_name, tensor.array
    if name not in TYPES:
        raise ParameterError(f"arrays of type {name} cannot be kept; convert to one of {TYPES}")
    if array.ndim > RANK_MAX:
        raise ParameterError(f"a tensor of {array.ndim} axes: at most {RANK_MAX}; reshape it")
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    raw = array.tobytes()
    head = bytes([TYPES.index(name), tensor.array.ndim])
    head += b"".join(map(_varint, tensor.array.shape)) + struct.pack("<I", zlib.crc32(raw))
    planes = np.frombuffer(raw, np.uint8).reshape(-1, array.dtype.itemsize).T.tobytes()
    small = zlib.compress(planes, 6)
    return (DEFLATED, head + small) if len(small) < len(raw) else (STORED, head + raw)


def _lossless_header(entry: Entry) -> tuple[str, tuple[int, ...], int, memoryview]:
    reader = _Reader(entry.payload)
    kind, rank = reader.byte("element type"), reader.byte("rank")
    if kind >= len(TYPES) or rank > RANK_MAX:
        raise FormatError(f"tensor {entry.name!r}: element type {kind} or rank {rank} is unknown")
    shape = tuple(reader.varint("a dimension", 2**62) for _ in range(rank))
    check = reader.u32("checksum")
    return TYPES[kind], shape, check, entry.payload[reader.at :]


def _lossless_read(entry: Entry, limit: int) -> Tensor:
    name, shape, check, body = _lossless_header(entry)
    bfloat16 = name == "bfloat16"
    dtype = np.dtype("uint16" if bfloat16 else name).newbyteorder("<")
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes > limit:
        raise FormatError(f"tensor {entry.name!r}: {nbytes} bytes are more than the limit {limit}")
    if entry.method == STORED:
        raw = bytes(body)
    else:
        opened = zlib.decompressobj()
        try:
            planes = opened.decompress(body, nbytes + 1)  # one more than there may be
        except zlib.error as error:
            raise FormatError(f"tensor {entry.name!r}: {error}") from None
        if len(planes) != nbytes or not opened.eof or opened.unused_data:
            raise FormatError(f"tensor {entry.name!r}: its bytes do not fill {shape} of {name}")
        raw = np.frombuffer(planes, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    if len(raw) != nbytes or zlib.crc32(raw) != check:
        raise FormatError(f"tensor {entry.name!r}: damaged, or its length is not that of {shape}")
    if name == "bool" and raw.strip(b"\0\1"):
        raise FormatError(f"tensor {entry.name!r}: a truth value is neither 0 nor 1")
    array = np.frombuffer(bytearray(raw), dtype).reshape(shape)
    return Tensor(array.astype(dtype.newbyteorder("="), copy=False), bfloat16)


def _tag(names: Sequence[str]) -> int:
    return zlib.crc32(b"".join(name.encode() + b"\0" for name in names))


def pack(
    tensors: Mapping[str, Any],
    codecs: Mapping[str, Any] | None = None,
    *,
    named: bool = True,
    num_threads: int | None = 1,
) -> bytes:
    """A mapping of names to tensors as one stream.

    ``tensors``: arrays or PyTorch tensors of any shape. Those with an entry in ``codecs`` go
    through it; all others, integers and truth values among them, are kept to the bit. ``named``
    false leaves the names out: the reader then gives the same ones. Errors: ParameterError.
    """
    codecs = codecs or {}
    unknown = [name for name in codecs if name not in tensors]
    if unknown:
        raise ParameterError(f"codecs names {unknown[0]!r}; the tensors are {list(tensors)}")
    if len(tensors) > COUNT_MAX or any(len(str(n).encode()) > NAME_MAX for n in tensors):
        raise ParameterError(f"at most {COUNT_MAX} tensors, of names of at most {NAME_MAX} bytes")
    head = [MAGIC, bytes([VERSION << 5 | named]), _varint(len(tensors))]
    if not named:
        head.append(struct.pack("<I", _tag(list(tensors))))
    payloads = []
    for name, x in tensors.items():
        codec = codecs.get(name)
        if codec is None:
            method, payload = _lossless(x)
        else:
            method, payload = STREAM, codec.encode(x, num_threads=num_threads)
        if named:
            head += [_varint(len(name.encode())), name.encode()]
        head += [bytes([method]), _varint(len(payload))]
        payloads.append(payload)
    start = b"".join(head)
    return b"".join([start, struct.pack("<I", zlib.crc32(start)), *payloads])


def read(data: Any, names: Sequence[str] | None = None) -> list[Entry]:
    """The tensors of a stream, none of them decoded yet. Errors: FormatError."""
    reader = _Reader(buffer_of(data))
    if bytes(reader.take(2, "magic")) != MAGIC:
        raise FormatError("not a container of tensors: it starts with other bytes")
    flags = reader.byte("version")
    if flags >> 5 != VERSION or flags & 0x1E:
        raise FormatError(f"container of tensors: version {flags >> 5} or its flags are unknown")
    named = bool(flags & 1)
    count = reader.varint("number of tensors", COUNT_MAX)
    if not named:
        tag = reader.u32("tag of the names")
        if names is None:
            raise FormatError("this container leaves its names out: pass names=, in their order")
        if len(names) != count or tag != _tag(names):
            raise FormatError(f"this container holds other tensors than {list(names)}")
    rows = []
    for i in range(count):
        name = names[i] if not named and names is not None else ""
        if named:
            text = bytes(reader.take(reader.varint("length of a name", NAME_MAX), "a name"))
            try:
                name = text.decode()
            except UnicodeDecodeError:
                raise FormatError("container of tensors: a name is not UTF-8") from None
        method = reader.byte("method")
        if method > STREAM:
            raise FormatError(f"tensor {name!r}: method {method} is unknown")
        rows.append((name, method, reader.varint("length of a tensor", 2**62)))
    start = reader.at
    if reader.u32("checksum") != zlib.crc32(reader.data[:start]):
        raise FormatError("container of tensors: the header is damaged")
    if len({name for name, _, _ in rows}) != count:
        raise FormatError("container of tensors: two tensors have one name")
    entries = [Entry(name, method, reader.take(n, f"tensor {name!r}")) for name, method, n in rows]
    if reader.at != len(reader.data):
        raise FormatError(f"container of tensors: {len(reader.data) - reader.at} bytes too many")
    return entries


def unpack(
    data: Any,
    codecs: Mapping[str, Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    max_nbytes: int = LIMIT,
) -> dict[str, np.ndarray]:
    """The tensors of a stream of :func:`pack`, as NumPy arrays in their own types.

    bfloat16, which NumPy lacks, comes as float32, as from :func:`lwfc.decode`.

    ``codecs``: those of bound streams; ``names``: of a stream that leaves them out;
    ``max_nbytes``: refuses streams whose tensors take more together, before allocating.
    Errors: FormatError.
    """
    codecs = codecs or {}
    found = {}
    for entry in read(data, names):
        tensor = entry.array(codecs.get(entry.name), max_nbytes)
        max_nbytes -= tensor.array.nbytes
        found[entry.name] = widen(tensor.array) if tensor.bfloat16 else tensor.array
    return found
