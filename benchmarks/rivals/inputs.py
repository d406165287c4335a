"""The input sent instead, each as a file of its own: pictures by Pillow, sounds by ffmpeg, a file's
ends (magika's tokens) by zstd. Three bytes say how long each file is.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from networks import music, speech

from lwfc.evaluation.families import Family, settings

from .video import ffmpeg, need_ffmpeg

__all__ = ["Packed", "Pictures", "Sounds", "families", "fits"]

RATES = {"silero": speech.RATE, "basic-pitch": music.RATE}


class Pictures:
    """uint8 images (n, H, W) or (n, H, W, 3)."""

    def __init__(self, kind: str, **options: Any) -> None:
        self._kind, self._options = kind, options

    def encode(self, x: np.ndarray) -> bytes:
        from PIL import Image

        parts = []
        for pixels in x:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, self._kind, **self._options)
            parts.append(file.getvalue())
        return (x.ndim == 4).to_bytes(1, "little") + joined(parts)

    def decode(self, data: bytes) -> np.ndarray:
        from PIL import Image

        mode = "RGB" if data[0] else "L"
        return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert(mode))
                         for file in parted(data[1:])])  # fmt: skip


class Sounds:
    """int16 sounds (n, T) of a rate."""

    def __init__(self, rate: int, length: int, *options: str) -> None:
        need_ffmpeg()
        self._raw = ["-f", "s16le", "-ar", str(rate), "-ac", "1"]
        self._length, self._options = length, options

    def encode(self, x: np.ndarray) -> bytes:
        return self.encode_all([x])[0]

    def encode_all(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        how = ["-fflags", "+bitexact", *self._options]
        files = iter(ffmpeg([(self._raw, sound.tobytes()) for x in parts for sound in x], how))
        return [joined([next(files) for _ in x]) for x in parts]

    def decode(self, data: bytes) -> np.ndarray:
        return self.decode_all([data])[0]

    def decode_all(self, streams: Sequence[bytes]) -> list[np.ndarray]:
        files = [parted(data) for data in streams]
        raws = iter(ffmpeg([([], file) for some in files for file in some], self._raw))
        return [np.stack([self._sound(next(raws)) for _ in some]) for some in files]

    def _sound(self, raw: bytes) -> np.ndarray:
        x = np.frombuffer(raw, np.int16)
        return np.pad(x, (0, max(0, self._length - len(x))))[: self._length]


class Packed:
    """uint16 tokens (n, T), by zstd."""

    def __init__(self, level: int) -> None:
        import zstandard

        self._pack = zstandard.ZstdCompressor(level=level).compress
        self._unpack = zstandard.ZstdDecompressor().decompress

    def encode(self, x: np.ndarray) -> bytes:
        return joined([self._pack(tokens.tobytes()) for tokens in x])

    def decode(self, data: bytes) -> np.ndarray:
        return np.stack([np.frombuffer(self._unpack(file), np.uint16) for file in parted(data)])


def joined(files: list[bytes]) -> bytes:
    return b"".join(len(file).to_bytes(3, "little") + file for file in files)


def parted(data: bytes) -> list[bytes]:
    at, found = 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 3], "little")
        found.append(data[at + 3 : at + 3 + size])
        at += 3 + size
    return found


def fits(family: Family, study: Any) -> bool:
    """Whether a family codes the inputs that a study has."""
    if study.images is None:
        return False
    kind = np.asarray(study.images["tune"]).dtype
    return kind == {"FLAC": np.int16, "Opus": np.int16, "zstd": np.uint16}.get(
        family.name.split()[-1], np.uint8)  # fmt: skip


def families() -> list[Family]:
    """For pictures PNG, which loses nothing, and three that do; for sounds FLAC and Opus; zstd."""
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

    def sound(study: Any, rate: int | None = None) -> Sounds:
        how = ["-c:a", "libopus", "-b:a", f"{rate}k", "-f", "ogg"] if rate else [
            "-metadata_header_padding", "0", "-f", "flac"]
        return Sounds(RATES[study.name], study.images["tune"].shape[1], *how)

    found += [
        Family("input as FLAC", sound, group="input", tool="ffmpeg"),
        Family("input as Opus", sound, settings(rate=(8, 16, 32, 64)), "input", "ffmpeg, libopus"),
        Family("input as zstd", lambda study: Packed(19), group="input", tool="zstandard -19"),
    ]
    return found
