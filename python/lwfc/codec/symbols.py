"""Streams of symbols, for those who quantize and look up values elsewhere, as on an accelerator."""

import math
from typing import Any

import numpy as np

from .. import _core
from ..base.checks import choose
from ..base.errors import FormatError, ParameterError
from ..base.threads import thread_count
from .names import DTYPES
from .stream import inspect, read
from .value import CodecValue

__all__ = ["decode_symbols", "encode_symbols"]


def encode_symbols(
    codec: CodecValue, symbols: np.ndarray, dtype: str = "float32", num_threads: int | None = 1
) -> bytes:
    """The bytes of a tensor of type ``dtype`` whose symbols are these, uint8 of its shape.

    What ``codec.encode(x)`` gives for ``codec.symbols(x)``; the codec's rate-distortion pass is
    the caller's. Errors: ParameterError for symbols that are not below the codec's levels, and
    for codecs with a transform.
    """
    number = choose("dtype", dtype, DTYPES)
    if codec.transform is not None:
        raise ParameterError("a codec with a transform codes values, not symbols: use encode")
    array = np.asarray(symbols)
    if array.dtype != np.uint8 or (array.size and int(array.max()) >= codec.levels):
        raise ParameterError(
            f"symbols are {array.dtype}, up to {array.max(initial=0)}: must be uint8 below "
            f"{codec.levels}, the codec's levels"
        )
    array = np.asarray(array, order="C")
    return _core.encode_symbols(codec._handle, array, number, thread_count(num_threads))


def decode_symbols(
    codec: CodecValue, data: Any, max_nbytes: int = 2**30, num_threads: int | None = 1
) -> tuple[np.ndarray, str]:
    """(symbols, dtype): what :func:`encode_symbols` was given.

    ``max_nbytes`` limits the symbols, one byte each. Errors: FormatError, as for decode; also for
    streams that carry values of their own, or a transform.
    """
    info = inspect(data, codec)
    if not info.bound and info.levels != codec.levels:
        raise FormatError(f"the stream is of another codec: {info.levels} levels of its own")
    if math.prod(info.shape) > max_nbytes:
        raise FormatError(f"the tensor has {math.prod(info.shape)} values, over max_nbytes")
    if codec.transform is not None:
        raise ParameterError("a codec with a transform codes values, not symbols: use decode")
    symbols, number = np.empty(info.shape, np.uint8), DTYPES.index(info.dtype)
    handle, threads = codec._handle, thread_count(num_threads)
    read(data, lambda buffer: _core.decode_symbols(buffer, handle, symbols, number, threads))
    return symbols, info.dtype
