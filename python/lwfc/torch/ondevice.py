"""Quantizing and dequantizing where a tensor lives, bit for bit as the C core does.

Only symbols, a byte each, cross between the device and the coder. A codec with a transform or a
rate-distortion pass works on values, which cross instead; see :func:`takes`.
"""

from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..base.checks import channel_axis_of
from ..base.errors import ParameterError
from ..base.planes import channels_in, plane_axes
from ..codec.codec import Codec
from .restorer import Restorer

__all__ = ["OnDevice", "on_device", "takes"]

COUNTED = 16  # thresholds up to which comparing with each beats a binary search

_made: WeakKeyDictionary[Codec, dict[torch.device, "OnDevice"]] = WeakKeyDictionary()


def takes(codec: Codec, device: torch.device) -> bool:
    """Whether the codec's symbols follow from thresholds alone, and a device can do the rest."""
    able = device.type != "mps" or codec.restore is None  # no float64 there
    return able and codec.transform is None and codec.rate_weight == 0


def on_device(codec: Codec, device: torch.device) -> "OnDevice":
    """The codec's tables on a device, made once."""
    tables = _made.setdefault(codec, {})
    if device not in tables:
        tables[device] = OnDevice(codec, device)
    return tables[device]


class OnDevice:
    """A codec's quantizer and values as tensors of one device."""

    def __init__(self, codec: Codec, device: torch.device) -> None:
        self.axis, self.groups = codec.channel_axis, len(codec.values)
        self.inner = codec.inner_shape
        self.levels, self.refuses = codec.levels, codec.nan == "raise"

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array)).to(device)

        self.thresholds, self.values = tensor(codec.thresholds), tensor(codec.values)
        self.zeros = tensor(np.abs(codec.values).argmin(1).astype(np.uint8))  # what NaN becomes
        self.restorer = None if codec.restore is None else Restorer(codec).to(device)

    def quantize(self, x: Tensor) -> Tensor:
        """The symbols of a float tensor, uint8 of its shape.

        Each is the number of thresholds not above the value, compared in float32. Errors:
        ParameterError for another number of channels, and for NaN under the policy "raise".
        """
        x = x.detach().float()
        if self.refuses and not bool(torch.isfinite(x).all()):
            raise ParameterError('the tensor holds NaN or infinities; nan="zero" takes them')
        if self.groups == 1 and self.levels > COUNTED:
            symbols = torch.bucketize(x, self.thresholds[0], right=True, out_int32=True)
            symbols = symbols.to(torch.uint8)
        else:
            symbols = torch.zeros_like(x, dtype=torch.uint8)
            for k in range(self.levels - 1):
                symbols += x >= self._by_channel(self.thresholds[:, k], x)
        return torch.where(torch.isnan(x), self._by_channel(self.zeros, x), symbols)

    def dequantize(self, symbols: Tensor, dtype: torch.dtype) -> Tensor:
        """The values of symbols, restored if the codec restores, in a float type."""
        if self.restorer is not None:
            values = self._restore(symbols)
        else:
            index = symbols.int()
            if self.groups > 1:
                first = torch.arange(self.groups, dtype=torch.int32, device=index.device)
                index = index + self._by_channel(first * self.levels, symbols)
            values = self.values.view(-1)[index]
        if dtype in (torch.float16, torch.bfloat16):  # no value becomes an infinity
            largest = torch.finfo(dtype).max
            values = values.clamp(-largest, largest)
        return values.to(dtype)

    def _by_channel(self, table: Tensor, x: Tensor) -> Tensor:
        """A number for each group, in the shape that meets x's channels."""
        if self.groups == 1:
            return table[0]
        axis = channels_in(x.shape, self.axis, self.inner)
        if axis is None or x.shape[axis] != self.groups:
            raise ParameterError(
                f"the codec has {self.groups} channels, and the tensor {tuple(x.shape)} another "
                "number along its channel axis"
            )
        return table.reshape([-1 if i == axis else 1 for i in range(x.dim())])

    def _restore(self, symbols: Tensor) -> Tensor:
        """float32 estimates of the tensor's shape, plane by plane as the core cuts them."""
        if tuple(symbols.shape) == self.inner and channel_axis_of(symbols.dim() + 1, self.axis):
            return self._restore(symbols[None])[0]  # a sample, cut like the batch it stands for
        order, axes = plane_axes(symbols.shape, self.axis)
        moved = symbols.permute(order)
        planes = moved.reshape(axes)
        if planes.shape[1] != self.restorer.channels:
            raise ParameterError(
                f"the codec restores {self.restorer.channels} channels, and the tensor "
                f"{tuple(symbols.shape)} has {planes.shape[1]}"
            )
        back = [order.index(i) for i in range(len(order))]
        return self.restorer(planes).reshape(moved.shape).permute(back)
