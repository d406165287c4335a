"""The honest rival: the input image itself as JPEG or WebP, the whole network in the cloud."""

import importlib.util
import io
import time
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

    def code(
        self, inputs: np.ndarray, kind: str, quality: int
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """(what arrives, {"nbytes", "encode", "decode": milliseconds}), per sample."""
        from PIL import Image

        lo, width = self.lo[:, None, None], (self.hi - self.lo)[:, None, None]
        out = np.empty(inputs.shape, np.float32)
        nbytes = encode = decode = 0.0
        for i, x in enumerate(inputs):
            values = np.clip(np.rint((x - lo) / width * 255), 0, 255).astype(np.uint8)
            values = values[0] if len(values) == 1 else values.transpose(1, 2, 0)
            started = time.perf_counter()
            file = io.BytesIO()
            Image.fromarray(values).save(file, kind, quality=quality)
            coded = time.perf_counter()
            file.seek(0)
            mode = "L" if values.ndim == 2 else "RGB"
            back = np.asarray(Image.open(file).convert(mode), np.float32)
            decode += time.perf_counter() - coded
            encode += coded - started
            nbytes += len(file.getvalue())
            back = back[None] if back.ndim == 2 else back.transpose(2, 0, 1)
            out[i] = back / 255 * width + lo
        n = max(1, len(inputs))
        return out, {"nbytes": nbytes / n, "encode": encode / n * 1e3, "decode": decode / n * 1e3}
