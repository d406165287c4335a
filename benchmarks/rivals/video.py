"""HEVC and AV1, lossy: channels tiled into 8-bit monochrome pictures, every picture intra.

A stream is one picture with all its samples side by side, which takes up to a quarter fewer bits at
equal squared error than a picture for each; x265 without its info message.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hevc import tile, untile

from lwfc.evaluation.families import Family, settings

__all__ = ["Source", "Video", "described", "families", "ffmpeg", "mosaic", "need_ffmpeg",
           "pictures_of", "unmosaic"]  # fmt: skip

AT_ONCE = 32  # files of one process
Source = tuple[list[str], bytes]  # how ffmpeg is to read a file, and the file
X265 = "qp={q}:keyint=1:min-keyint=1:info=0:ipratio=1:scenecut=0:repeat-headers=0:pools=none:" \
       "frame-threads=1:log-level=none"  # fmt: skip
# At equal squared error x265's slower presets give the same bits here, libaom's slower ones 8 %
# fewer in four times the time.
ENCODERS = {
    "HEVC": (["-c:v", "libx265", "-preset", "fast", "-tune", "psnr", "-x265-params", X265], "hevc"),
    "AV1": (["-c:v", "libaom-av1", "-usage", "allintra", "-cpu-used", "6", "-b:v", "0", "-crf",
             "{q}", "-row-mt", "0"], "obu"),
}  # fmt: skip


def pictures_of(x: np.ndarray) -> np.ndarray:
    """Features as (n, C, H, W): tokens and vectors become channels of one row."""
    if x.ndim == 3:  # tokens with features last: one picture of tokens by features
        return x[:, None]
    return x.reshape(len(x), -1, 1, 1) if x.ndim == 2 else x


def mosaic(planes: np.ndarray) -> np.ndarray:
    """(n, C, H, W) as one picture: channels tiled, then samples."""
    return tile(tile(planes)[None])[0]


def unmosaic(picture: np.ndarray, count: int, planes: tuple[int, ...]) -> np.ndarray:
    """The inverse, of so many samples of this shape."""
    sides = tile(np.zeros((1, *planes), np.uint8)).shape[1:]
    return untile(untile(picture[None], (count, *sides))[0], planes)


class Video:
    """8-bit pictures over the calibration features' range through ffmpeg at one quantizer."""

    def __init__(self, calibration: np.ndarray, kind: str, quantizer: int) -> None:
        need_ffmpeg()
        self._low, high = float(calibration.min()), float(calibration.max())
        self._step = (high - self._low) / 255
        self._inner = calibration.shape[1:]
        self._planes = pictures_of(calibration[:1]).shape[1:]
        options, self._format = ENCODERS[kind]
        self._options = [option.format(q=quantizer) for option in options]

    def _sides(self, count: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of the picture of so many samples, and as encoders take it: even, 16 pixels at least."""
        sides = mosaic(np.zeros((count, *self._planes), np.uint8)).shape
        return sides, tuple(max(16, side + side % 2) for side in sides)

    def _picture(self, x: np.ndarray) -> Source:
        """What ffmpeg reads of these samples."""
        symbols = np.rint((np.clip(x, self._low, self._low + 255 * self._step) - self._low)
                          / self._step).astype(np.uint8)  # fmt: skip
        sides, full = self._sides(len(x))
        pads = [(0, a - b) for a, b in zip(full, sides, strict=True)]
        source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{full[1]}x{full[0]}", "-r", "25"]
        picture = np.pad(mosaic(pictures_of(symbols)), pads, mode="edge")
        return source, picture.tobytes()

    def encode(self, x: np.ndarray) -> bytes:
        return self.encode_all([x])[0]

    def encode_all(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        found = ffmpeg([self._picture(x) for x in parts], [*self._options, "-f", self._format])
        return [len(x).to_bytes(2, "little") + data for x, data in zip(parts, found, strict=True)]

    def decode(self, data: bytes) -> np.ndarray:
        return self.decode_all([data])[0]

    def decode_all(self, streams: Sequence[bytes]) -> list[np.ndarray]:
        raws = ffmpeg([(["-f", self._format], data[2:]) for data in streams],
                      ["-f", "rawvideo", "-pix_fmt", "gray", "-vsync", "passthrough"])  # fmt: skip
        return [self._values(raw, int.from_bytes(data[:2], "little"))
                for raw, data in zip(raws, streams, strict=True)]  # fmt: skip

    def _values(self, raw: bytes, count: int) -> np.ndarray:
        (height, width), full = self._sides(count)
        picture = np.frombuffer(raw, np.uint8).reshape(full)[:height, :width]
        symbols = unmosaic(picture, count, self._planes)
        values = symbols.astype(np.float32) * np.float32(self._step) + np.float32(self._low)
        return values.reshape(-1, *self._inner)


def need_ffmpeg() -> None:
    """Errors: FileNotFoundError."""
    if shutil.which("ffmpeg") is None:
        raise FileNotFoundError("needs the program ffmpeg")


def ffmpeg(sources: Sequence[Source], target: list[str]) -> list[bytes]:
    """What ffmpeg makes of each source by itself, on one thread; all by few processes, since one
    takes longer to start than to code a picture. Errors: RuntimeError with what it says.
    """
    found: list[bytes] = []
    for start in range(0, len(sources), AT_ONCE):
        with tempfile.TemporaryDirectory() as folder:
            command, targets = ["ffmpeg", "-v", "error"], []
            for i, (options, data) in enumerate(sources[start : start + AT_ONCE]):
                place = Path(folder) / f"{i}.in"
                place.write_bytes(data)
                command += ["-threads", "1", *options, "-i", str(place)]
                targets.append(Path(folder) / f"{i}.out")
            for i, place in enumerate(targets):
                command += ["-map", f"{i}:0", *target, "-threads", "1", str(place)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
            if done.returncode or not all(p.exists() and p.stat().st_size for p in targets):
                raise RuntimeError(f"ffmpeg: {done.stderr.decode(errors='replace')[-300:]}")
            found += [place.read_bytes() for place in targets]
    return found


def families() -> list[Family]:
    """Two, with quantizers from fine to coarse."""
    need_ffmpeg()

    def make(kind: str) -> Any:
        return lambda study, quantizer: Video(study.x("calibration"), kind, quantizer)

    ladders = {"HEVC": (18, 22, 26, 29, 32, 34, 36, 38, 41, 44),
               "AV1": (12, 22, 29, 35, 41, 47, 53)}
    return [Family(kind, make(kind), settings(quantizer=ladder), tool=described(kind))
            for kind, ladder in ladders.items()]  # fmt: skip


def described(kind: str) -> str:
    """The encoder's options, and how features become pictures."""
    return (f"ffmpeg {' '.join(ENCODERS[kind][0])}; channels and samples tiled, 8-bit gray, "
            "intra")  # fmt: skip
