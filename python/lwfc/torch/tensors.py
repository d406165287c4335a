"""encode and decode for those who have tensors and want tensors back."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..calibration.oneshot import encode as encode_array
from ..codec.codec import Codec
from ..codec.stream import decode_tensor, inspect
from .ondevice import on_device, takes

__all__ = ["decode", "encode"]

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def encode(x: Tensor, codec: Codec | None = None, **options: Any) -> bytes:
    """The bytes of a float or 8-bit integer tensor on any device, calibrated or self-contained.

    Quantized where the tensor is, so that a byte per value is copied to the CPU's coder.
    ``options`` are those of :meth:`lwfc.Codec.encode`, or of :func:`lwfc.encode` without a codec.
    Nested tensors are coded sample by sample: ``[encode(part, codec) for part in x.unbind()]``.
    Errors: ParameterError.
    """
    if codec is None:
        return encode_array(x, **options)
    away = isinstance(x, Tensor) and x.device.type != "cpu"
    if away and x.dtype in NAMES and takes(codec, x.device):
        symbols = on_device(codec, x.device).quantize(x).cpu().numpy()
        return codec.encode_symbols(symbols, dtype=NAMES[x.dtype], **options)
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

    ``device``: where it shall be, to which symbols are copied if the codec allows; None: the CPU.
    The others are those of :func:`lwfc.decode`. Quantized tensors come back as their integers.
    Errors: FormatError for damaged bytes, or without the codec that they need; ParameterError.
    """
    device = torch.device("cpu" if device is None else device)
    threads = {"num_threads": num_threads}
    if codec is not None and device.type != "cpu" and takes(codec, device):
        info = inspect(data, codec)
        if info.bound and info.dtype in DTYPES:
            size = DTYPES[info.dtype].itemsize
            symbols, _ = codec.decode_symbols(data, max_nbytes=max_nbytes // size, **threads)
            there = torch.from_numpy(symbols).to(device)
            return on_device(codec, device).dequantize(there, DTYPES[info.dtype])
    array, bfloat16 = decode_tensor(data, codec, max_nbytes=max_nbytes, **threads)
    if bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(array).to(device)
