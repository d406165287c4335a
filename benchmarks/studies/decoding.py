"""Study "decoding": what restoration costs the decoder, in time and in multiply-adds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwfc.restoration.blob import Restoration

from .measuring import calibrated
from .photographs import load_features
from .tasks import load_task
from .text import table

__all__ = ["macs", "study"]


def macs(codec: Any, channels: int) -> int:
    """Multiply-adds per element of a codec's restoration, by the shapes of its weights.

    Three own neighbour sums and the scale of the symbol; for linear, the 2 C features of a place
    (each channel's symbol and its 3x3 sum) times C outputs, or, at rank r, times r latent values,
    and those times C outputs. Additions of the 3x3 sums are not counted.
    """
    fields = Restoration.from_bytes(codec.restore)
    if not fields.first.size:
        return 4
    return 4 + (3 * fields.rank or 2 * channels)


def study(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Decode time of each restoration over cabac's without, one core; work of the split layer."""
    lines = []
    for layer, activation, samples, x, own in layers(quick, cache):
        codecs: dict[str, Any] = {"cabac + none": _codec(samples, activation, "cabac", "none")}
        for restore in ("none", "centroid", "local", "linear"):
            codecs[f"rans + {restore}"] = _codec(samples, activation, "rans", restore)
        for restore in ("none", "local", "linear"):
            codecs[f"context + {restore}"] = _codec(samples, activation, "context", restore)
        streams = {name: codec.encode(x) for name, codec in codecs.items()}
        best = dict.fromkeys(codecs, float("inf"))
        for _ in range(3 if quick else 15):
            for name, codec in codecs.items():
                started = time.thread_time()
                codec.decode(streams[name])
                best[name] = min(best[name], time.thread_time() - started)
        base = best["cabac + none"]
        for name, seconds in best.items():
            work = macs(codecs[name], x.shape[1]) if codecs[name].restore else 0
            linear = f"{work} of {own} ({work / own:.2f})" if work else ""
            lines.append([layer, name, 1e9 * seconds / x.size, base / seconds, linear])
    say("### Decode, N = 2, one core, best of interleaved runs; multiply-adds per element of the "
        "tensor: of the restoration, and of the convolution that made the tensor\n")  # fmt: skip
    say(table(("layer", "codec", "ns per element", "speed over cabac without restoration",
               "multiply-adds"), lines))  # fmt: skip


def _codec(samples: Any, activation: str, coder: str, restore: str) -> Any:
    return calibrated(samples[:150], activation, levels=2, coder=coder, restore=restore)


def layers(quick: bool, cache: Path) -> list[tuple[str, str, Any, Any, int]]:
    """(layer, activation, calibration, test features, the split layer's multiply-adds per element).

    The layer that makes the tensor: a 3x3 convolution over as many channels in the demo networks
    (9 C per element); a 1x1 expansion over 40 or 80 channels in EfficientNet-lite0.
    """
    found = []
    for name in ("classifier",) if quick else ("classifier", "detector"):
        task = load_task(name, cache, quick)
        own = 9 * task.calibration.shape[1]
        found.append((name, task.activation, task.calibration, task.features["test"][:20], own))
    for name, own in () if quick else (("relu6-480x14x14", 80), ("relu6-240x28x28", 40)):
        samples = load_features(name, "calibration", 150, cache)
        found.append((name, "relu6", samples, load_features(name, "test", 24, cache)[:4], own))
    return found
