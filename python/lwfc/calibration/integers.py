"""Integers of quantized networks: what they stand for, and quantizers in their own steps.

An element q stands for (q - zero_point) * scale, with one scale and zero point for the tensor or
for each index of the channels' axis: the affine quantization of ONNX, LiteRT and PyTorch (B. Jacob
et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", 2018, equation 1). Ranges are chosen for what integers stand for; the tables of the
codec are then those of the integers themselves, so decoding looks up integers and no float.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from ..codec.names import INTEGERS
from .samples import Batches

__all__ = ["Integers"]

MOST = 1e30


class Integers:
    """``scale`` and ``zero_point``: a number, or an array with one for each channel.

    Errors: ParameterError.
    """

    def __init__(self, scale: Any, zero_point: Any) -> None:
        try:
            self.scale = np.atleast_1d(np.asarray(scale, np.float64))
            self.zero_point = np.atleast_1d(np.asarray(zero_point, np.float64))
            good = (
                self.scale.ndim == self.zero_point.ndim == 1
                and bool(((self.scale > 0) & (self.scale < MOST)).all())
                and bool((self.zero_point == np.rint(self.zero_point)).all())
            )
            np.broadcast_shapes(self.scale.shape, self.zero_point.shape)
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ParameterError(
                f"scale={scale!r}, zero_point={zero_point!r}: must be a positive number and an "
                "integer, or arrays with one for each channel"
            )
        self.channels = max(len(self.scale), len(self.zero_point))

    def walk(self, batches: Batches, axis: int | None) -> "Real":
        """What the samples stand for; ``axis``: of their channels."""
        return Real(self, batches, axis)

    def real(self, x: np.ndarray, axis: int | None) -> np.ndarray:
        """What integers stand for, float32."""
        if self.channels == 1:
            return ((x - self.zero_point[0]) * self.scale[0]).astype(np.float32)
        if axis is None or x.shape[axis] != self.channels:
            raise ParameterError(
                f"scale or zero_point holds {self.channels} numbers: axis {axis} of samples "
                f"{x.shape} must have as many"
            )
        shape = [1] * x.ndim
        shape[axis] = -1
        scale, zero = (
            np.broadcast_to(numbers, self.channels).reshape(shape)
            for numbers in (self.scale, self.zero_point)
        )
        return ((x - zero) * scale).astype(np.float32)

    def steps(self, x: Any) -> np.ndarray:
        """Rows of real numbers, one row for all channels or each, in the integers' steps."""
        return np.asarray(x, np.float64) / self.scale[:, None] + self.zero_point[:, None]

    def tables(
        self, thresholds: np.ndarray, values: np.ndarray, dtype: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """A quantizer's rows in steps: thresholds between integers, values that are integers."""
        least, most = _ends(dtype)
        between = np.clip(np.ceil(self.steps(thresholds)), least, most + 1) - 0.5
        return between.astype(np.float32), self.rounded(self.steps(values), dtype)

    @staticmethod
    def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
        """The nearest integers of the type."""
        return (np.clip(np.rint(values), *_ends(dtype)) + 0.0).astype(np.float32)  # no -0

    def bounds(self, ends: tuple[float, float], dtype: str) -> tuple[float, float]:
        """What no value leaves, from the real ends and from the type."""
        inner = self.steps(np.array([ends]))
        least, most = _ends(dtype)
        return max(least, float(inner[:, 0].min())), min(most, float(inner[:, 1].max()))

    def rate_weight(self, weight: float) -> float:
        """Squared error per bit, in squared steps. Errors: ParameterError with several scales."""
        if weight and len(self.scale) > 1:
            raise ParameterError("rate_weight needs one scale for the tensor")
        return weight / self.scale[0] ** 2

    def notes(self, dtype: str) -> dict[str, Any]:
        """What a codec's metadata keep."""
        scale, zero = self.scale.tolist(), [int(z) for z in self.zero_point]
        return {
            "dtype": dtype,
            "scale": scale[0] if len(scale) == 1 else scale,
            "zero_point": zero[0] if len(zero) == 1 else zero,
        }


class Real:
    """Batches whose integers are turned into what they stand for."""

    def __init__(self, integers: Integers, batches: Batches, axis: int | None) -> None:
        self._integers, self._batches, self._axis = integers, batches, axis

    def walk(self, what: str) -> Iterator[np.ndarray]:
        for batch in self._batches.walk(what):
            yield self._integers.real(batch, self._axis)

    @property
    def dtype(self) -> str:
        """The integers' type, after a walk. Errors: ParameterError for others than 8 bits."""
        found = sorted(self._batches.dtypes)
        if len(found) != 1 or found[0] not in INTEGERS:
            raise ParameterError(
                f"scale is for samples of one type, int8 or uint8, and these are "
                f"{' and '.join(found)}: leave it out for floats"
            )
        return found[0]


def _ends(dtype: str) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
