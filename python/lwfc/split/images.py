"""The honest rival: the input image itself as JPEG or WebP, the whole network in the cloud."""

import importlib.util
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import OptionWarning, ParameterError
from ..base.warn import warn_caller

__all__ = ["FORMATS", "Pixels", "can_code"]

FORMATS = ("JPEG", "WebP")
QUALITIES = (2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98)


def can_code(wanted: bool) -> bool:
    """Whether Pillow is there; else a warning, or where its rows are ``wanted`` an ImportError."""
    if importlib.util.find_spec("PIL") is not None:
        return True
    what = "the rows of the image as JPEG and WebP need Pillow"
    call = "pip install 'lwfc[viz]'"
    if wanted:
        raise ImportError(f"{what}: {call}")
    warn_caller(f"{what}, and are left out: {call}", OptionWarning)
    return False


@dataclass(frozen=True)
class Pixels:
    """Network inputs (N, C, H, W) as 8-bit pixels and back: lo becomes 0 and hi becomes 255.

    ``lo``, ``hi``: float32, one number for each channel; 1 or 3 channels. Needs Pillow.
    """

    lo: np.ndarray
    hi: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray, pixels: Any = None) -> "Pixels | None":
        """For inputs like these; None if they are no images. ``pixels``: (lo, hi), numbers or one
        for each channel; None takes each channel's smallest and largest value.
        """
        if inputs.ndim != 4 or inputs.shape[1] not in (1, 3) or inputs.dtype.kind != "f":
            return None
        if pixels is None:
            lo, hi = inputs.min((0, 2, 3)), inputs.max((0, 2, 3))
        else:
            try:
                lo, hi = (np.broadcast_to(np.float32(end), inputs.shape[1]) for end in pixels)
            except (TypeError, ValueError):
                raise ParameterError(
                    f"pixels={pixels!r}: must be (lo, hi), numbers or one for each channel"
                ) from None
        return cls(np.float32(lo), np.maximum(np.float32(hi), np.float32(lo) + np.float32(1e-12)))

    def encode(self, image: np.ndarray, kind: str, quality: int) -> bytes:
        """One input (C, H, W) as a file of that kind."""
        from PIL import Image

        lo, width = self._scale()
        values = np.clip(np.rint((image - lo) / width * 255), 0, 255).astype(np.uint8)
        values = values[0] if len(values) == 1 else values.transpose(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(values).save(file, kind, quality=quality)
        return file.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        """The input (C, H, W) that arrives, float32."""
        from PIL import Image

        lo, width = self._scale()
        mode = "L" if len(lo) == 1 else "RGB"
        back = np.asarray(Image.open(io.BytesIO(data)).convert(mode), np.float32)
        return (back[None] if back.ndim == 2 else back.transpose(2, 0, 1)) / 255 * width + lo

    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        return self.lo[:, None, None], (self.hi - self.lo)[:, None, None]
