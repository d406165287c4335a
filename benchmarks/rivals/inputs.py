"""The input sent instead: each image as a file of its own, by Pillow."""

import io
from typing import Any

import numpy as np

from lwfc.evaluation.families import Family, settings

__all__ = ["Pictures", "families"]


class Pictures:
    """uint8 images (n, H, W) or (n, H, W, 3); three bytes say how long each file is."""

    def __init__(self, kind: str, **options: Any) -> None:
        self._kind, self._options = kind, options

    def encode(self, x: np.ndarray) -> bytes:
        from PIL import Image

        parts = []
        for pixels in x:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, self._kind, **self._options)
            parts.append(len(file.getvalue()).to_bytes(3, "little") + file.getvalue())
        return (x.ndim == 4).to_bytes(1, "little") + b"".join(parts)

    def decode(self, data: bytes) -> np.ndarray:
        from PIL import Image

        mode, at, found = "RGB" if data[0] else "L", 1, []
        while at < len(data):
            size = int.from_bytes(data[at : at + 3], "little")
            picture = Image.open(io.BytesIO(data[at + 3 : at + 3 + size]))
            found.append(np.asarray(picture.convert(mode)))
            at += 3 + size
        return np.stack(found)


def families() -> list[Family]:
    """PNG, which loses nothing, and three that do."""
    from PIL import features

    found = [Family("input as PNG", lambda study: Pictures("PNG", optimize=True), group="input",
                    tool="Pillow, optimize")]  # fmt: skip
    qualities = {"JPEG": (95, 85, 75, 50, 30), "WebP": (95, 85, 70, 45), "AVIF": (90, 70, 50)}
    extra = {"JPEG": {"optimize": True}, "WebP": {"method": 6}, "AVIF": {"speed": 6}}
    for kind, ladder in qualities.items():
        if kind != "JPEG" and not features.check(kind.lower()):
            continue

        def make(study: Any, quality: int, kind: str = kind) -> Pictures:
            return Pictures(kind, quality=quality, **extra[kind])

        found.append(Family(f"input as {kind}", make, settings(quality=ladder), "input",
                            f"Pillow, {extra[kind]}"))  # fmt: skip
    return found
