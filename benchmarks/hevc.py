"""HEVC as a rival: features tiled into 8-bit monochrome pictures, all-intra, coded by x265.

Usage: python benchmarks/hevc.py [--network classifier] [--split test] [--count 1000]
                                 [--qp 16 20 24 28 32 36] [--preset slow] [--cache FOLDER]

Needs the programs x265 (built with 4:0:0, as Debian's is) and ffmpeg, and what rate_accuracy.py
needs for the demo networks. One picture per sample, every picture intra (keyint 1), no rate
control, no headers but the necessary ones; all pictures go through one stream, whose bytes are
counted whole. The 8-bit range is that of the calibration features.
"""

import argparse
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np

__all__ = ["code", "tile", "untile"]


def tile(x: np.ndarray) -> np.ndarray:
    """(n, C, H, W) to pictures (n, rows * H, columns * W), channels in row order, zeros behind."""
    n, channels, height, width = x.shape
    columns = math.ceil(math.sqrt(channels * height / width))
    rows = math.ceil(channels / columns)
    full = np.zeros((n, rows * columns, height, width), x.dtype)
    full[:, :channels] = x
    grid = full.reshape(n, rows, columns, height, width).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(grid.reshape(n, rows * height, columns * width))


def untile(pictures: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of ``tile`` for features of shape (C, H, W)."""
    channels, height, width = shape
    n, rows, columns = len(pictures), pictures.shape[1] // height, pictures.shape[2] // width
    grid = pictures.reshape(n, rows, height, columns, width).transpose(0, 1, 3, 2, 4)
    return grid.reshape(n, rows * columns, height, width)[:, :channels]


def code(pictures: np.ndarray, qp: int, preset: str = "slow") -> tuple[int, np.ndarray]:
    """(bytes of the stream, decoded pictures) of uint8 pictures (n, height, width)."""
    n, height, width = pictures.shape
    padded = np.pad(pictures, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    size = f"{padded.shape[2]}x{padded.shape[1]}"
    with tempfile.TemporaryDirectory() as folder:
        raw, stream = Path(folder) / "in.yuv", Path(folder) / "out.hevc"
        raw.write_bytes(padded.tobytes())
        command = ["x265", "--input", str(raw), "--input-res", size, "--fps", "25",
                   "--input-csp", "i400", "--input-depth", "8", "--output-depth", "8",
                   "--frames", str(n), "--preset", preset, "--tune", "psnr", "--qp", str(qp),
                   "--ipratio", "1", "--keyint", "1", "--no-info", "--no-repeat-headers",
                   "--no-scenecut", "--pools", "none", "--frame-threads", "1",
                   "--output", str(stream)]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        decoder = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(stream), "-f", "rawvideo",
                   "-pix_fmt", "gray", "-vsync", "passthrough", "-"]  # fmt: skip
        data = subprocess.run(decoder, check=True, capture_output=True).stdout
        decoded = np.frombuffer(data, np.uint8).reshape(padded.shape)
        return stream.stat().st_size, decoded[:, :height, :width]


def main() -> None:
    from studies.measuring import Rows, normalised_error
    from studies.tasks import load_task
    from studies.text import table

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="classifier", choices=("classifier", "detector"))
    parser.add_argument("--split", default="test", choices=("tune", "test"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--qp", type=int, nargs="+", default=[16, 20, 24, 28, 32, 36])
    parser.add_argument("--preset", default="slow")
    parser.add_argument("--cache", type=Path, default=Path(__file__).parents[1] / "build/studies")
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    task = load_task(chosen.network, chosen.cache)
    x = task.features[chosen.split][: chosen.count]
    low, high = float(task.calibration.min()), float(task.calibration.max())
    step = (high - low) / 255
    pictures = tile(np.rint((np.clip(x, low, high) - low) / step).astype(np.uint8))
    reference = task.outcome(chosen.split, task.head(x))
    rows = Rows(chosen.cache / f"hevc-{chosen.network}.jsonl")
    lines = []

    def measured(qp: int) -> dict:
        nbytes, decoded = code(pictures, qp, chosen.preset)
        values = untile(decoded, x.shape[1:]) * np.float32(step) + np.float32(low)
        values = values.astype(np.float32)
        outcome = task.outcome(chosen.split, task.head(values))
        return {
            "bits": 8 * nbytes / x.size,
            "loss": task.quality(reference) - task.quality(outcome),
            "interval": task.interval(reference, outcome),
            "error": normalised_error(x, values),
        }

    for qp in chosen.qp:
        row = rows.get(lambda q=qp: measured(q), qp=qp, split=chosen.split, count=len(x),
                       preset=chosen.preset)  # fmt: skip
        lines.append([str(qp), row["bits"], row["loss"], row["interval"], row["error"]])
    print(f"{chosen.network}, {chosen.split}, {len(x)} samples, pictures "
          f"{pictures.shape[2]}x{pictures.shape[1]}, x265 preset {chosen.preset}\n")  # fmt: skip
    print(table(("QP", "bits per element", "loss", "95 % interval", "squared error"), lines))


if __name__ == "__main__":
    main()
