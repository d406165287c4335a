"""Study "lossless": bytes of the coders for identical symbols, and what calibration takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .measuring import BATCH, Rows, calibrated, order0
from .photographs import load_features
from .tasks import load_task
from .text import table

__all__ = ["study"]

CODERS = ("cabac", "rans", "context")
PHOTOGRAPHS = {"calibration": 150, "test": 24}
TEST = 200  # test samples of the demo networks


def layers(quick: bool, cache: Path) -> list[tuple[str, str, Any, Any, dict[int, Any]]]:
    """(layer, activation, calibration features, test features, {levels: range})."""
    found = []
    for name in ("classifier", "detector"):
        task = load_task(name, cache, quick)
        found.append((f"{name} {'x'.join(map(str, task.calibration.shape[1:]))}", task.activation,
                      task.calibration, task.features["test"][:TEST],
                      {n: "model" for n in ((2,) if quick else (2, 3, 4))}))  # fmt: skip
    names = ("relu6-480x14x14", "linear-112x14x14", "linear-40x28x28", "relu6-240x28x28",
             "relu6-144x56x56")  # fmt: skip
    for name in () if quick else names:
        samples, x = (load_features(name, s, n, cache) for s, n in PHOTOGRAPHS.items())
        if name.startswith("relu6"):
            ranges: dict[int, Any] = {4: (0.0, 4.8), 2: (0.0, 3.0)}
            found.append((name, "relu6", samples, x, ranges))
        else:
            mean, deviation = float(samples.mean()), float(samples.std())
            ranges = {n: (mean - k * deviation, mean + k * deviation)
                      for n, k in ((4, 2.0), (2, 1.5))}  # fmt: skip
            found.append((name, "identity", samples, x, ranges))
    return found


def measured(samples: Any, x: Any, activation: str, levels: int, clip: Any) -> dict[str, Any]:
    """Order-0 bits, bits per coder in streams of up to 100 samples and of one, file size, time."""
    row: dict[str, Any] = {}
    for coder in CODERS:
        started = time.process_time()
        codec = calibrated(samples, activation, levels=levels, clip=clip, coder=coder)
        row[coder] = {
            "seconds": time.process_time() - started,
            "file": len(codec.to_bytes()),
            "batch": _bits(codec, x, BATCH),
            "single": _bits(codec, x, 1),
        }
    return row | {"order0": order0(codec.symbols(x), levels)}


def _bits(codec: Any, x: np.ndarray, size: int) -> float:
    streams = (len(codec.encode(x[i : i + size])) for i in range(0, len(x), size))
    return 8 * sum(streams) / x.size


def study(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Identical symbols through every coder; rate against calibration size."""
    rows = Rows(cache / "lossless.jsonl")
    columns = ("layer", "N", "order-0", "cabac", "rans", "context", "context saves of cabac",
               "of rans", "stream per sample: cabac", "rans", "context", "saves of cabac",
               "of rans", "codec file, bytes", "calibration, s of one core")  # fmt: skip
    lines, sizes = [], []
    for layer, activation, samples, x, ranges in layers(quick, cache):
        for levels, clip in ranges.items():
            row = rows.get(
                lambda s=samples, x=x, a=activation, n=levels, c=clip: measured(s, x, a, n, c),
                layer=layer, levels=levels, samples=len(samples),
            )  # fmt: skip
            line = [layer, str(levels), row["order0"]]
            for kind in ("batch", "single"):
                cabac, rans, context = (row[c][kind] for c in CODERS)
                line += [cabac, rans, context, _saved(context, cabac), _saved(context, rans)]
            lines.append([*line, row["context"]["file"], row["context"]["seconds"]])
        levels = min(4, max(ranges)) if layer.startswith(("relu6", "linear")) else 2
        line = [layer, str(levels)]
        for count in (10, 30, 100):
            row = rows.get(
                lambda s=samples[:count], x=x, a=activation, n=levels, c=ranges[levels]: measured(
                    s, x, a, n, c
                ),
                layer=layer, levels=levels, samples=count,
            )  # fmt: skip
            line += [row["context"]["batch"], row["rans"]["batch"]]
        row = rows.get(lambda: {}, layer=layer, levels=levels, samples=len(samples))
        sizes.append([*line, row["context"]["batch"], row["rans"]["batch"], str(len(samples))])
        say(f"<!-- {layer} done -->")
    say("Bits per element, every byte counted. Streams of up to 100 samples, then one stream per "
        "sample; demo networks: 500 calibration and "
        f"{TEST} test samples, photographs: 150 and 24 crops.\n")  # fmt: skip
    say(table(columns, lines))
    say("Rate (streams of up to 100) against the number of calibration samples:\n")
    say(table(("layer", "N", "10: context", "10: rans", "30: context", "30: rans", "100: context",
               "100: rans", "all: context", "all: rans", "all"), sizes))  # fmt: skip


def _saved(new: float, old: float) -> str:
    return f"{100 * (1 - new / old):.1f} %"
