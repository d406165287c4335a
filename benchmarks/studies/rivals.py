"""Other ways: the image itself as PNG or JPEG, the tensor as int8 through zlib or zstd."""

import io
import zlib
from typing import Any

import numpy as np

from .measuring import BATCH, Rows, normalised_error
from .text import table

__all__ = ["report"]

QUALITIES = (95, 85, 75, 60, 45, 30, 20)  # JPEG


def report(task: Any, rows: Rows, quick: bool) -> str:
    """A markdown table; bits are per element of the feature tensor, also for images."""
    count = min(len(task.images["test"]), 300 if quick else 2000)
    lines = [["image as PNG (lossless)", *_cells(rows.get(
        lambda: _image(task, count, "PNG", None), rival="png", count=count))]]  # fmt: skip
    for quality in QUALITIES[::3] if quick else QUALITIES:
        row = rows.get(lambda q=quality: _image(task, count, "JPEG", q),
                       rival="jpeg", quality=quality, count=count)  # fmt: skip
        lines.append([f"image as JPEG, quality {quality}", *_cells(row)])
    for name in ("zlib", "zstd"):
        row = rows.get(lambda n=name: _int8(task, count, n), rival=name, count=count)
        lines.append([f"tensor as int8 + {name}", *_cells(row)])
    head = f"Other ways ({count} test samples; the image's bits over the tensor's elements):\n\n"
    columns = ("what", "bytes per sample", "bits per element", "loss", "95 % interval")
    return head + table(columns, lines)


def _cells(row: dict[str, Any]) -> list[Any]:
    return [row["nbytes"], row["bits"], row["loss"], row["interval"]]


def _image(task: Any, count: int, kind: str, quality: int | None) -> dict[str, Any]:
    import torch
    from PIL import Image

    images = task.images["test"][:count]
    pixels = np.rint(images.numpy()[:, 0] * 255).astype(np.uint8)
    options = {"optimize": True} | ({} if quality is None else {"quality": quality})
    nbytes, decoded = 0, np.empty_like(pixels)
    for i, picture in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, **options)
        nbytes += file.tell()
        decoded[i] = np.asarray(Image.open(file))
    output = task.whole(torch.from_numpy(decoded)[:, None].float() / 255)
    return _row(task, count, nbytes, output)


def _int8(task: Any, count: int, name: str) -> dict[str, Any]:
    x = task.features["test"][:count]
    low, high = float(task.calibration.min()), float(task.calibration.max())
    step = (high - low) / 255
    symbols = np.rint((np.clip(x, low, high) - low) / step).astype(np.uint8)
    if name == "zlib":
        pack = lambda data: zlib.compress(data, 9)  # noqa: E731
    else:
        import zstandard

        pack = zstandard.ZstdCompressor(level=19).compress
    nbytes = sum(len(pack(symbols[i : i + BATCH].tobytes())) for i in range(0, count, BATCH))
    decoded = (symbols * np.float32(step) + np.float32(low)).astype(np.float32)
    row = _row(task, count, nbytes, task.head(decoded))
    return row | {"error": normalised_error(x, decoded)}


def _row(task: Any, count: int, nbytes: int, output: Any) -> dict[str, Any]:
    outcome, reference = (
        task.outcome("test", output),
        task.outcome("test", task.head(task.features["test"][:count])),
    )
    return {
        "nbytes": nbytes / count,
        "bits": 8 * nbytes / count / task.features["test"][0].size,
        "loss": task.quality(reference) - task.quality(outcome),
        "interval": task.interval(reference, outcome),
    }
