"""Lossy coders of float arrays: SPERR, zfp and SZ3 at an absolute tolerance.

Tolerances are in standard deviations of the calibration features. SPERR sees the channels tiled
into one picture, zfp and SZ3 the channels of all samples as a stack of planes.
"""

from typing import Any

import numpy as np
from hevc import tile, untile

from lwfc.evaluation.families import Family, settings

from .video import pictures_of

__all__ = ["Floats", "families"]


class Floats:
    """One of imagecodecs' float coders; values outside the calibration features' range are cut."""

    def __init__(self, calibration: np.ndarray, kind: str, tolerance: float) -> None:
        import imagecodecs

        self._ic, self._kind = imagecodecs, kind
        self._tolerance = tolerance * float(calibration.std())
        self._ends = float(calibration.min()), float(calibration.max())
        self._inner = calibration.shape[1:]
        self._planes = pictures_of(calibration[:1]).shape[1:]

    def _stack(self, x: np.ndarray) -> np.ndarray:
        planes = pictures_of(x)
        if self._kind == "SPERR":
            pictures = tile(planes)
            return np.ascontiguousarray(pictures.reshape(-1, pictures.shape[-1]))
        return np.ascontiguousarray(planes.reshape(-1, *planes.shape[2:]))

    def encode(self, x: np.ndarray) -> bytes:
        stack, ic, most = self._stack(x), self._ic, self._tolerance
        if self._kind == "SPERR":
            data = ic.sperr_encode(stack, most, mode=ic.SPERR.MODE.PWE, header=True)
        elif self._kind == "zfp":
            data = ic.zfp_encode(stack, most, mode=ic.ZFP.MODE.FIXED_ACCURACY, header=True)
        else:
            data = ic.sz3_encode(stack, ic.SZ3.MODE.ABS, abs=most)
        return len(x).to_bytes(4, "little") + data

    def decode(self, data: bytes) -> np.ndarray:
        count, ic = int.from_bytes(data[:4], "little"), self._ic
        empty = np.zeros((count, *self._planes), np.float32)
        shape = self._stack(empty.reshape(count, *self._inner)).shape
        if self._kind == "SPERR":
            flat = np.asarray(ic.sperr_decode(data[4:], header=True), np.float32)
            pictures = flat.reshape(count, *tile(empty[:1]).shape[1:])
            found = untile(pictures, self._planes)
        elif self._kind == "zfp":
            found = ic.zfp_decode(data[4:])
        else:
            found = ic.sz3_decode(data[4:], shape, np.float32)
        return np.clip(np.asarray(found).reshape(count, *self._inner), *self._ends)


def families() -> list[Family]:
    """Three."""
    import imagecodecs  # noqa: F401

    def make(kind: str) -> Any:
        return lambda study, tolerance: Floats(study.x("calibration"), kind, tolerance)

    # zfp stays far below its tolerance, so its ladder is another one.
    steps = {"SPERR": (0.3, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5), "zfp": (2, 4, 8, 16, 32, 64),
             "SZ3": (0.15, 0.3, 0.6, 0.9, 1.3, 1.8, 2.5)}  # fmt: skip
    return [Family(kind, make(kind), settings(tolerance=steps[kind])) for kind in steps]
