"""Restoration as a PyTorch module: symbols to floats on any device, exportable with a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base.errors import ParameterError
from ..restoration.blob import LATENT_MAX, LINEAR, STRENGTH_ONE, Restoration

__all__ = ["Restorer"]


class Restorer(nn.Module):
    """Maps symbols uint8 (n, C, H, W) to float32 (n, C, H, W) as the C decoder does.

    ``source`` is a restoration blob, or an object with such a blob in its ``restore``
    attribute, as ``lwfc.Codec``. Sums are small integers held in float32, exact below 2**24; the
    result then differs from the C core's by the rounding of the last multiply and add at most.
    """

    def __init__(self, source: object) -> None:
        super().__init__()
        if not isinstance(source, (bytes, bytearray, memoryview)):
            source = getattr(source, "restore", None)
            if source is None:
                raise ParameterError("this codec has no restoration")
        r = Restoration.from_bytes(bytes(source))
        self.channels, self.levels, self.rank = r.channels, r.levels, r.rank
        self.linear = r.kind == LINEAR
        self.strength = r.strength / STRENGTH_ONE

        def buffer(name: str, array: np.ndarray, dtype: type = np.float32) -> None:
            self.register_buffer(name, torch.from_numpy(np.array(array, dtype=dtype)))

        buffer("values", r.values)
        buffer("limits", np.stack([r.low, r.high]))
        buffer("tables", r.tables.transpose(2, 0, 1).reshape(3, -1))
        buffer("rows", np.arange(r.channels)[:, None, None] * r.levels, np.int64)
        h, v, d = r.own.T.astype(np.float32)
        zero = np.zeros_like(h)
        outer = np.stack([d, v, d], 1)
        kernel = np.stack([outer, np.stack([h, zero, h], 1), outer], 1)
        buffer("own", kernel[:, None])
        if self.linear:
            width = 2 * r.channels
            buffer("first", r.first[:, :width, None, None])
            buffer("box", np.ones((r.channels, 1, 3, 3)))
        if self.rank:
            buffer("bias", r.bias[:, None, None])
            buffer("step", np.ldexp(1.0, -r.shift.astype(np.int32))[:, None, None])
            buffer("second", r.second[:, :, None, None])

    def forward(self, symbols: Tensor) -> Tensor:
        """float32 estimates; every symbol must be below ``levels``."""
        index = symbols.long()
        value = self.values[index]
        total = functional.conv2d(value, self.own, padding=1, groups=self.channels)
        if self.linear:
            box = functional.conv2d(value, self.box, padding=1, groups=self.channels)
            features = torch.stack([value, box], 2).flatten(1, 2)
            sums = functional.conv2d(features, self.first)
            if self.rank:
                latent = torch.floor((sums + self.bias) * self.step).clamp(0, LATENT_MAX)
                sums = functional.conv2d(latent, self.second)
            total = total + sums
        place = self.rows + index
        estimate = self.tables[0][place] + self.tables[1][place] * total
        low, high = self.limits[0][index], self.limits[1][index]
        estimate = torch.minimum(torch.maximum(estimate, low), high)
        if self.strength != 1.0:
            centroid = self.tables[2][place]
            estimate = centroid + self.strength * (estimate - centroid)
        return estimate
