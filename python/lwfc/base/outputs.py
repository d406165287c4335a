"""Arrays and tensors that a caller gives to be filled: ``out=`` is filled or refused.

Plain memory is written in place, with any strides, positive or negative. A negated view of
PyTorch's, swapped or unaligned bytes and the like are filled by way of a copy. Refused is what
cannot hold a result: read-only memory, elements that share memory with each other, arrays of
other libraries, masked arrays (a mask would hide what was written).
"""

import sys
from typing import Any

import numpy as np

from .arrays import Tensor, is_torch, torch_view, widen
from .errors import ParameterError

__all__ = ["Output", "check_distinct", "start_of", "writable"]


class Output:
    """What a caller gave as ``out``, an array or a PyTorch tensor. Errors: ParameterError.

    ``memory``: its own memory as arrays to write to, bfloat16 as 16-bit patterns; None where that
    takes a copy, which :meth:`values` makes and :meth:`fill` puts back.
    """

    __slots__ = ("memory", "out")

    def __init__(self, out: Any) -> None:
        self.out = out
        if isinstance(out, np.ndarray):
            self.memory = _memory_of_array(out)
        elif is_torch(out):
            self.memory = _memory_of_tensor(out)
        else:
            raise ParameterError(f"out is a {type(out).__name__}: must be an array or a CPU tensor")

    @property
    def dtype_name(self) -> str:
        dtype = self.out.dtype
        return dtype.name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")

    def values(self) -> np.ndarray:
        """A copy of what out holds; types that NumPy lacks as float32."""
        array, bfloat16 = torch_view(self.out) if is_torch(self.out) else Tensor(self.out, False)
        if bfloat16:
            return widen(array)
        return array.astype(array.dtype.newbyteorder("="), copy=True)

    def fill(self, values: np.ndarray) -> None:
        """Put values of the same shape in, converting their type."""
        if is_torch(self.out):
            self.out.detach().copy_(sys.modules["torch"].from_numpy(values))
        else:
            np.copyto(self.out, values, casting="same_kind")


def _memory_of_array(out: np.ndarray) -> Tensor | None:
    if not out.flags.writeable:
        raise ParameterError("out is read-only: pass an array that may be written to")
    if isinstance(out, np.ma.MaskedArray):
        raise ParameterError("out is a masked array: pass its memory, out.data")
    if not out.flags.c_contiguous:  # these are distinct, and looking closer takes time
        check_distinct(out.shape, out.strides, out.itemsize)
    if not out.flags.aligned or not out.dtype.isnative:
        return None
    # The kind first: making a type's name takes longer than a small tensor's coding.
    if out.dtype.kind == "V" and out.dtype.name == "bfloat16":
        return Tensor(out.view(np.uint16), True)
    return Tensor(out, False)


def _memory_of_tensor(out: Any) -> Tensor | None:
    torch = sys.modules["torch"]
    if out.is_nested or out.layout is not torch.strided or out.is_complex() or out.is_quantized:
        raise ParameterError(
            f"out is a tensor of layout {out.layout} and type {out.dtype}: must be dense and real"
        )
    if out.device.type == "meta":
        raise ParameterError("out is on meta, where tensors have no memory")
    check_distinct(out.shape, out.stride(), 1)
    small = out.is_floating_point() and out.element_size() == 1
    if out.device.type != "cpu" or out.is_neg() or small:
        return None
    out = out.detach()
    if out.dtype == torch.bfloat16:
        return Tensor(out.view(torch.int16).numpy().view(np.uint16), True)
    return Tensor(out.numpy(), False)


def check_distinct(shape: Any, strides: Any, nbytes: int) -> None:
    """Refuse an ``out`` whose elements, of ``nbytes`` in the strides' units, may share memory."""
    if 0 in shape:
        return
    reach = nbytes
    for stride, n in sorted((abs(s), n) for s, n in zip(strides, shape, strict=True) if n > 1):
        if stride < reach:
            raise ParameterError(
                "elements of out share memory, so it cannot hold the result: pass a copy of it"
            )
        reach += stride * (n - 1)


def writable(out: Any) -> memoryview:
    """The bytes of a buffer that a caller gave to be filled with a stream."""
    try:
        buffer = memoryview(out).cast("B")
    except (TypeError, ValueError):
        buffer = None
    if buffer is None or buffer.readonly:
        raise ParameterError(
            f"out is a {type(out).__name__}: must be a writable, contiguous buffer, as a bytearray"
        )
    return buffer


def start_of(buffer: memoryview, nbytes: int) -> memoryview:
    """What a stream of ``nbytes`` has filled, if it had room."""
    if nbytes > len(buffer):
        raise ParameterError(f"out has {len(buffer)} bytes, and the stream takes {nbytes}")
    return buffer[:nbytes]
