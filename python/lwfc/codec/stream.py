"""Reading streams: decode and inspect. Every byte is treated as hostile."""

import contextlib
import math
import operator
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from .. import _core
from ..base.arrays import Tensor, widen
from ..base.errors import FormatError, ParameterError
from ..base.kinds import STREAM, explain
from ..base.outputs import Output
from ..base.show import html_fields, text_fields
from ..base.threads import thread_count
from .names import CODERS, DTYPES, TRANSFORMS
from .value import CodecValue

__all__ = ["StreamInfo", "buffer_of", "decode", "decode_tensor", "inspect", "read"]

SHOWN = {"bfloat16": "float32"}  # what decode gives where NumPy has no such type
NULS_MAX = 64  # at the end of a stream that NumPy's bytes type may have dropped


@dataclass(frozen=True, slots=True)
class StreamInfo(Mapping):
    """What a stream's header says; also a read-only mapping of the same names.

    ``bits_per_element`` counts every byte of the stream; it is 0 for empty tensors. What a bound
    stream leaves to its codec is None: levels, numbers of blocks and the usual inner shape, of
    compact streams the whole shape. ``raw_nblocks``: blocks whose symbols are only packed, as the
    coder would not have been smaller. ``digest_tag``: what that codec's digest ends in, eight
    hexadecimal digits, or four in compact streams. Under a transform ``levels`` is None and
    ``coder`` "transform": rANS with the codec's own tables.
    """

    shape: tuple[int | None, ...] | None
    dtype: str
    levels: int | None
    coder: str
    transform: str
    channel_axis: int | None
    bound: bool
    digest_tag: str | None
    nblocks: int | None
    raw_nblocks: int | None
    nbytes: int
    header_nbytes: int
    bits_per_element: float | None
    version: int

    def __getitem__(self, name: str) -> Any:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))

    def __str__(self) -> str:
        return text_fields("lwfc stream", asdict(self))

    def _repr_html_(self) -> str:
        return html_fields("lwfc stream", asdict(self))


def _handle(codec: CodecValue | None) -> Any:
    if codec is None:
        return None
    try:
        return codec._handle
    except AttributeError:
        raise ParameterError(
            f"codec is a {type(codec).__name__}: pass an lwfc.Codec, e.g. from lwfc.load(path), "
            "after the stream"
        ) from None


def buffer_of(data: Any) -> memoryview:
    """data's bytes without a copy."""
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        pass
    if isinstance(data, CodecValue):
        raise ParameterError("the stream comes first, its codec second: decode(data, codec)")
    remedy = "a file's are pathlib.Path(name).read_bytes()" if isinstance(
        data, (str, os.PathLike)) else "or another contiguous buffer"  # fmt: skip
    raise ParameterError(f"a {type(data).__name__} holds no stream: pass bytes, {remedy}")


def read(data: Any, call: Callable[[memoryview], Any]) -> Any:
    """``call`` on data's bytes, errors made plain.

    Items of NumPy's bytes arrays have lost the NULs at their end: the checksum tells how many.
    """
    buffer = buffer_of(data)
    try:
        return call(buffer)
    except FormatError as error:
        if isinstance(data, np.bytes_):
            for count in range(1, NULS_MAX + 1):
                with contextlib.suppress(FormatError):
                    return call(memoryview(bytes(data) + bytes(count)))
        if str(error).startswith("digest"):
            raise FormatError(f"{error} ({_whose(buffer)})") from None
        raise explain(error, buffer, STREAM) from None


def _whose(stream: memoryview) -> str:
    """Which codec a bound stream asks for, as far as its header says."""
    return f"its digest ends in {_tag(_core.inspect(stream))}"


def _tag(header: dict[str, Any]) -> str:
    digits = 4 if header["shape"] is None else 8  # of a compact stream, or of another
    return f"{header['digest_tag']:0{digits}x}"


def _limit(max_nbytes: Any) -> int:
    limit = operator.index(max_nbytes)
    if limit < 0:
        raise ParameterError(f"max_nbytes={limit}: must not be negative")
    return limit


def decode_tensor(
    data: Any,
    codec: CodecValue | None = None,
    *,
    max_nbytes: int = 2**30,
    num_threads: int | None = 1,
) -> Tensor:
    """:func:`decode` for callers that keep bfloat16 apart, as 16-bit patterns."""
    handle, limit, threads = _handle(codec), _limit(max_nbytes), thread_count(num_threads)
    array = read(data, lambda buffer: _core.decode(buffer, handle, None, limit, threads))
    return Tensor(array, array.dtype == np.uint16)


def _decode_into(target: Output, data: Any, codec: CodecValue | None, threads: int) -> None:
    handle = _handle(codec)
    memory, bfloat16 = target.memory or (None, False)
    if memory is not None and (bfloat16 or memory.dtype.char in "efdbB"):
        # Bytes are never writable; to look costs a small tensor's decoding.
        if type(data) is not bytes and np.may_share_memory(
            memory, np.frombuffer(buffer_of(data), np.uint8)
        ):
            data = bytes(data)
        try:
            read(data, lambda buffer: _core.decode(buffer, handle, memory, 0, threads))
            return
        except ParameterError:
            pass  # another shape or type, or bfloat16 to be given as float32
    info = inspect(data, codec)
    shape, dtype = tuple(target.out.shape), target.dtype_name
    if shape != info.shape or dtype not in (info.dtype, SHOWN.get(info.dtype)):
        raise ParameterError(
            f"out is {dtype} of shape {shape}, but the stream holds {info.dtype} of {info.shape}: "
            "pass one of that type and shape, or leave out away and convert what decode returns"
        )
    array, bfloat16 = decode_tensor(data, codec, max_nbytes=2**62, num_threads=threads)
    target.fill(widen(array) if bfloat16 else array)


def decode(
    data: Any,
    codec: CodecValue | None = None,
    *,
    out: Any = None,
    max_nbytes: int = 2**30,
    num_threads: int | None = 1,
) -> Any:
    """The tensor in a stream, in the shape and type that was encoded.

    Parameters: ``data`` any bytes-like object; ``codec`` needed by bound streams only;
    ``out`` a writable array or CPU tensor of that shape and type to fill and return: any strides,
    but no elements that share memory; what it holds after an error is not defined;
    ``max_nbytes`` refuses larger results before allocating them; ``num_threads`` None or 0: all
    cores.

    bfloat16, which NumPy lacks, comes back as float32 of the same values whatever else is
    installed; ``.astype(ml_dtypes.bfloat16)`` or an ``out`` of that type gives it back, and
    ``lwfc.torch.decode`` gives PyTorch's tensors. An item of a NumPy array of bytes has lost the
    NULs at its end; streams are best kept as ``np.frombuffer(data, np.uint8)``.
    Errors: FormatError for damaged, truncated or foreign bytes, a missing or another codec;
    ParameterError for a wrong ``out`` or ``codec``.
    """
    if out is not None:
        _decode_into(Output(out), data, codec, thread_count(num_threads))
        return out
    array, bfloat16 = decode_tensor(data, codec, max_nbytes=max_nbytes, num_threads=num_threads)
    return widen(array) if bfloat16 else array


def inspect(data: Any, codec: CodecValue | None = None) -> StreamInfo:
    """What a stream's header says, checked but without decoding. Errors: FormatError.

    Bound streams show their levels only with their codec.
    """
    handle = _handle(codec)
    found = read(data, lambda buffer: _core.inspect(buffer, handle))
    shape = found["shape"]
    if shape is not None:
        shape = tuple(None if n < 0 else n for n in shape)
    bits = None
    if shape is not None and None not in shape:
        size = math.prod(shape)
        bits = 8 * found["nbytes"] / size if size else 0.0
    return StreamInfo(
        shape=shape,
        dtype=DTYPES[found["dtype"]],
        levels=found["levels"] or None,
        coder="transform" if found["transform"] else CODERS[found["coder"]],
        transform=TRANSFORMS[found["transform"]],
        channel_axis=None if found["channel_axis"] < 0 else found["channel_axis"],
        bound=found["bound"],
        digest_tag=_tag(found) if found["bound"] else None,
        nblocks=None if found["nblocks"] < 0 else found["nblocks"],
        raw_nblocks=None if found["raw_nblocks"] < 0 else found["raw_nblocks"],
        nbytes=found["nbytes"],
        header_nbytes=found["header_nbytes"],
        bits_per_element=bits,
        version=found["version"],
    )
