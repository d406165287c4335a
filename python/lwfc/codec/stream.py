"""Reading streams: decode and inspect. Every byte is treated as hostile."""

import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from .. import _core
from ..base.arrays import from_bits, is_torch, torch_view
from ..base.errors import ParameterError
from ..base.show import html_fields
from ..base.threads import thread_count
from .names import CODERS, DTYPES
from .value import CodecValue

__all__ = ["StreamInfo", "decode", "inspect"]


@dataclass(frozen=True, slots=True)
class StreamInfo(Mapping):
    """What a stream's header says; also a read-only mapping of the same names.

    ``bits_per_element`` counts every byte of the stream; it is 0 for empty tensors. What a bound
    stream leaves to its codec is None: levels, number of blocks and the usual inner shape.
    ``digest_tag``: the low 32 bits of that codec's digest.
    """

    shape: tuple[int | None, ...]
    dtype: str
    levels: int | None
    coder: str
    channel_axis: int | None
    bound: bool
    digest_tag: int | None
    nblocks: int | None
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

    def _repr_html_(self) -> str:
        return html_fields("lwfc stream", asdict(self))


def _handle(codec: CodecValue | None) -> Any:
    if codec is None:
        return None
    try:
        return codec._handle
    except AttributeError:
        raise ParameterError(
            f"codec is a {type(codec).__name__}: pass an lwfc.Codec, e.g. from lwfc.load(path)"
        ) from None


def _buffer(data: Any) -> memoryview:
    """data's bytes without a copy."""
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        raise ParameterError(
            f"a {type(data).__name__} holds no stream: pass bytes, or another contiguous buffer"
        ) from None


def _writable(out: Any) -> np.ndarray:
    """The memory of ``out`` as the extension takes it."""
    if is_torch(out):
        if out.device.type != "cpu":
            raise ParameterError(f"out is on {out.device}: decode into a CPU tensor, then move it")
        out = torch_view(out).array
    if not isinstance(out, np.ndarray):
        raise ParameterError(f"out is a {type(out).__name__}: must be an array or a CPU tensor")
    # The kind first: making a type's name takes longer than a small tensor's coding.
    return out.view(np.uint16) if out.dtype.kind == "V" and out.dtype.name == "bfloat16" else out


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
    ``out`` a writable array or CPU tensor of that shape and type to fill and return;
    ``max_nbytes`` refuses larger results before allocating them; ``num_threads`` None or 0: all
    cores.

    bfloat16 comes back as ml_dtypes.bfloat16 if that package is there, else as float32.
    Errors: FormatError for damaged, truncated or foreign bytes, a missing or another codec;
    ParameterError for a wrong ``out`` or ``codec``.
    """
    array = None if out is None else _writable(out)
    limit = operator.index(max_nbytes)
    if limit < 0:
        raise ParameterError(f"max_nbytes={limit}: must not be negative")
    result = _core.decode(_buffer(data), _handle(codec), array, limit, thread_count(num_threads))
    return from_bits(result, result.dtype.kind == "u") if out is None else out


def inspect(data: Any, codec: CodecValue | None = None) -> StreamInfo:
    """What a stream's header says, checked but without decoding. Errors: FormatError.

    Bound streams show their levels only with their codec.
    """
    found = _core.inspect(_buffer(data), _handle(codec))
    shape = tuple(None if n < 0 else n for n in found["shape"])
    bits = None
    if None not in shape:
        size = math.prod(shape)
        bits = 8 * found["nbytes"] / size if size else 0.0
    return StreamInfo(
        shape=shape,
        dtype=DTYPES[found["dtype"]],
        levels=found["levels"] or None,
        coder=CODERS[found["coder"]],
        channel_axis=None if found["channel_axis"] < 0 else found["channel_axis"],
        bound=found["bound"],
        digest_tag=found["digest_tag"] if found["bound"] else None,
        nblocks=None if found["nblocks"] < 0 else found["nblocks"],
        nbytes=found["nbytes"],
        header_nbytes=found["header_nbytes"],
        bits_per_element=bits,
        version=found["version"],
    )
