"""Measured bytes, losses and errors of codecs; rows are kept on disk, so studies go on later."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lwfc

__all__ = ["BATCH", "Rows", "calibrated", "coded", "measure", "normalised_error",
           "order0", "screen"]  # fmt: skip

BATCH = 100  # samples of one stream where a rate is "per batch"


class Rows:
    """Finished rows by key in a JSON-lines file; a cut-off last line is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        if path.exists():
            for text in path.read_text().splitlines():
                try:
                    key, row = json.loads(text)
                except ValueError:
                    continue
                self._known[key] = row

    def get(self, make: Callable[[], dict[str, Any]], **key: Any) -> dict[str, Any]:
        """The row of a key, made if it is not there yet."""
        text = json.dumps(key, sort_keys=True)
        if text not in self._known:
            self._known[text] = make()
            with self._path.open("a") as file:
                file.write(json.dumps([text, self._known[text]]) + "\n")
        return self._known[text]


def calibrated(features: np.ndarray, activation: str, **options: Any) -> lwfc.Codec:
    """A codec whose streams are bound to it: the shortest headers."""
    return lwfc.calibrate(
        features, activation=activation, bound=True, **{"restore": "none"} | options
    )


def coded(codec: lwfc.Codec, x: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """(bytes of all streams of ``size`` samples, decoded values)."""
    nbytes, out = 0, np.empty_like(x)
    for start in range(0, len(x), size):
        data = codec.encode(x[start : start + size])
        codec.decode(data, out=out[start : start + size])
        nbytes += len(data)
    return nbytes, out


def order0(symbols: np.ndarray, levels: int) -> float:
    """Bits per symbol of an ideal coder that knows each sample's histogram: the paper's figure."""
    total = 0.0
    for sample in symbols:
        share = np.bincount(sample.reshape(-1), minlength=levels) / sample.size
        share = share[share > 0]
        total -= float((share * np.log2(share)).sum())
    return total / len(symbols)


def normalised_error(x: np.ndarray, decoded: np.ndarray) -> float:
    """Mean squared error over the variance."""
    pairs = zip(x, decoded, strict=True)
    error = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
    return error / x.size / float(x.var(dtype=np.float64))


def screen(task: Any, split: str, **options: Any) -> dict[str, Any]:
    """Calibrate, code in batches, judge: bits and loss alone."""
    x = task.features[split]
    codec = calibrated(task.calibration, task.activation, slope=task.slope, **options)
    nbytes, decoded = coded(codec, x, BATCH)
    return options | {"bits": 8 * nbytes / x.size} | task.judge(split, task.head(decoded))


def measure(task: Any, split: str, interval: bool = False, **options: Any) -> dict[str, Any]:
    """Calibrate, code the split (bits per batch and per sample), judge what was decoded."""
    x = task.features[split]
    started = time.perf_counter()
    codec = calibrated(task.calibration, task.activation, slope=task.slope, **options)
    seconds = time.perf_counter() - started
    single, _ = coded(codec, x, 1)
    batch, decoded = coded(codec, x, BATCH)
    row = options | {
        "bits": 8 * batch / x.size,
        "bits_single": 8 * single / x.size,
        "order0": order0(codec.symbols(x), codec.levels),
        "error": normalised_error(x, decoded),
        "range": [float(codec.values.min()), float(codec.values.max())],
        "final_levels": codec.levels,
        "codec_bytes": len(codec.to_bytes()),
        "calibration_s": seconds,
    }
    return row | task.judge(split, task.head(decoded), interval)
