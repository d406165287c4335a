"""PCA over channels, then HEVC on the components: feature reduction as in MPEG's feature coding.

The standard's own reference software is not packaged; this follows its outline: a truncated basis
from calibration samples, components tiled into a picture, an all-intra video coder.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lwfc.evaluation.families import Family, settings

from .video import Video, described, pictures_of

__all__ = ["Reduction", "families"]


class Reduction:
    """``keep``: the share of channels that remain as components."""

    def __init__(self, calibration: np.ndarray, keep: float, quantizer: int) -> None:
        planes = pictures_of(calibration)
        if planes.shape[1] < 8:
            planes = planes.transpose(0, 3, 2, 1)  # tokens with features last
        self._turned = planes.shape[1:] != pictures_of(calibration[:1]).shape[1:]
        self._inner = calibration.shape[1:]
        channels = planes.shape[1]
        flat = np.moveaxis(planes, 1, -1).reshape(-1, channels).astype(np.float64)
        self._mean = flat.mean(0)
        _, vectors = np.linalg.eigh(np.cov(flat.T))
        self._basis = vectors[:, ::-1][:, : max(1, round(keep * channels))]
        self._video = Video(self._forward(calibration), "HEVC", quantizer)

    def _forward(self, x: np.ndarray) -> np.ndarray:
        planes = pictures_of(x).transpose(0, 3, 2, 1) if self._turned else pictures_of(x)
        components = (np.moveaxis(planes, 1, -1) - self._mean) @ self._basis
        return np.ascontiguousarray(np.moveaxis(components, -1, 1), np.float32)

    def encode(self, x: np.ndarray) -> bytes:
        return self.encode_all([x])[0]

    def encode_all(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        return self._video.encode_all([self._forward(x) for x in parts])

    def decode(self, data: bytes) -> np.ndarray:
        return self.decode_all([data])[0]

    def decode_all(self, streams: Sequence[bytes]) -> list[np.ndarray]:
        return [self._back(x) for x in self._video.decode_all(streams)]

    def _back(self, found: np.ndarray) -> np.ndarray:
        components = np.moveaxis(found, 1, -1)
        planes = np.moveaxis(components @ self._basis.T + self._mean, -1, 1)
        planes = planes.transpose(0, 3, 2, 1) if self._turned else planes
        return np.ascontiguousarray(planes, np.float32).reshape(-1, *self._inner)


def families() -> list[Family]:
    """One."""

    def make(study: Any, keep: float, quantizer: int) -> Reduction:
        return Reduction(study.x("calibration"), keep, quantizer)

    ladder = settings(keep=(1.0, 0.5, 0.25, 0.125), quantizer=(16, 22, 28, 34))
    return [Family("PCA + HEVC", make, ladder, tool=f"NumPy; {described('HEVC')}")]
