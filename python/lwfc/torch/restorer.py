"""Restoration as a PyTorch module: symbols to floats on any device, exportable with a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base.errors import ParameterError
from ..restoration.blob import LATENT_MAX, LINEAR, STRENGTH_ONE, VALUE_MAX, Restoration

__all__ = ["Restorer"]

FLOAT32_EXACT = 1 << 24  # integers below it, and their sums, are exact in float32
BOX = 9  # values in a 3x3 sum


class Restorer(nn.Module):
    """Maps symbols uint8 (n, C, H, W) to float32 (n, C, H, W), bit for bit as the C decoder does.

    ``source`` is a restoration blob, or an object with such a blob in its ``restore``
    attribute, as ``lwfc.Codec``. Sums are integers: in float32 where the weights cannot bring them
    to 2**24, else in float64. The buffers are integers too, floats as their bits: ``half()``
    or ``to(torch.bfloat16)`` on a network around it change nothing.
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
        self.sums = _exact_type(r)

        def buffer(name: str, array: np.ndarray) -> None:
            array = np.array(array)
            array = array.view(np.int32) if array.dtype.kind == "f" else array.astype(np.int32)
            self.register_buffer(name, torch.from_numpy(array))

        buffer("values", r.values)
        buffer("limits", np.stack([r.low, r.high]))
        buffer("tables", np.moveaxis(r.tables, 2, 0).reshape(3, -1).copy())
        buffer("rows", np.arange(r.channels)[:, None, None] * r.levels)
        buffer("own", r.own.T[:, :, None, None])
        if self.linear:
            buffer("first", r.first[:, : 2 * r.channels])
        if self.rank:
            buffer("bias", r.bias[:, None])
            buffer("step", 1 << r.shift.astype(np.int64)[:, None])
            buffer("second", r.second)

    def forward(self, symbols: Tensor) -> Tensor:
        """float32 estimates; every symbol must be below ``levels``."""
        index = symbols.int()
        value = self.values[index].to(self.sums)
        padded = functional.pad(value, (1, 1, 1, 1))
        rows = padded[:, :, :, :-2] + padded[:, :, :, 2:]  # left and right of every row
        h, d = rows[:, :, 1:-1], rows[:, :, :-2] + rows[:, :, 2:]
        v = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1]
        own = self.own.to(self.sums)
        total = own[0] * h + own[1] * v + own[2] * d
        if self.linear:
            features = torch.stack([value, value + h + v + d], 2).flatten(1, 2).flatten(2)
            sums = self._product(self.first, features)
            if self.rank:
                latent = torch.floor((sums + self.bias.to(self.sums)) / self.step.to(self.sums))
                sums = self._product(self.second, latent.clamp(0, LATENT_MAX))
            total = total + sums.view(total.shape)
        place = self.rows + index
        tables, limits = self.tables.view(torch.float32), self.limits.view(torch.float32)
        low, high = limits[0][index], limits[1][index]
        estimate = tables[0][place] + tables[1][place] * total.float()
        estimate = torch.where(estimate < low, low, estimate)  # keeps -0 where maximum may not
        estimate = torch.where(estimate > high, high, estimate)
        if self.strength != 1.0:
            centroid = tables[2][place]
            estimate = centroid + self.strength * (estimate - centroid)
        return estimate

    def _product(self, weights: Tensor, features: Tensor) -> Tensor:
        """weights @ features, which autocast would round."""
        kind = features.device.type
        if torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return weights.to(self.sums) @ features
        return weights.to(self.sums) @ features


def _exact_type(r: Restoration) -> torch.dtype:
    """float32 if no sum of integers can reach 2**24, else float64."""
    value = VALUE_MAX if r.values.max() > 0 else 0

    def largest(weights: np.ndarray, feature: np.ndarray | int) -> int:
        return int((np.abs(weights.astype(np.int64)) * feature).sum(1).max(initial=0))

    bound = largest(r.own, np.array([2, 2, 4]) * value)
    if r.kind == LINEAR:
        feature = np.where(np.arange(r.first.shape[1]) % 2, BOX * value, value)
        first = largest(r.first, feature)
        if r.rank:
            first += int(np.abs(r.bias.astype(np.int64)).max())
            bound = max(first, bound + largest(r.second, LATENT_MAX))
        else:
            bound += first
    return torch.float32 if bound < FLOAT32_EXACT else torch.float64
