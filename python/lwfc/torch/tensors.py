"""encode and decode for those who have tensors and want tensors back."""

import math
from typing import Any

import torch
from torch import Tensor

from ..calibration.oneshot import encode as encode_array
from ..codec.codec import Codec
from ..codec.stream import decode as decode_stream
from ..codec.stream import inspect

__all__ = ["decode", "encode"]

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


def encode(x: Tensor, codec: Codec | None = None, **options: Any) -> bytes:
    """The bytes of a float tensor on any device, by a calibrated codec or self-contained.

    ``options`` are those of :meth:`lwfc.Codec.encode`, or of :func:`lwfc.encode` without a codec.
    Nested tensors are coded sample by sample: ``[encode(part, codec) for part in x.unbind()]``.
    Errors: ParameterError.
    """
    if codec is None:
        return encode_array(x, **options)
    return codec.encode(x, **options)


def decode(
    data: Any,
    codec: Codec | None = None,
    *,
    device: torch.device | str | int | None = None,
    max_nbytes: int = 2**30,
    num_threads: int | None = 1,
) -> Tensor:
    """The tensor in a stream, in the shape and type that was encoded, bfloat16 included.

    ``device``: where it shall be; None: the CPU. The others are those of :func:`lwfc.decode`.
    Errors: FormatError for damaged bytes, or without the codec that they need; ParameterError.
    """
    info = inspect(data, codec)
    if info.shape is None or None in info.shape:  # the codec is missing, and decode says so
        decode_stream(data, codec)
    shape, dtype = info.shape, DTYPES[info.dtype]
    if math.prod(shape) * dtype.itemsize > max_nbytes:
        decode_stream(data, codec, max_nbytes=max_nbytes)
    result = torch.empty(shape, dtype=dtype)
    decode_stream(data, codec, out=result, max_nbytes=max_nbytes, num_threads=num_threads)
    return result.to(device)
