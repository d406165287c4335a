"""Bits and losses of every profile held to the committed figures of ``benchmarks/guard.json``.

Usage: python benchmarks/guard.py [--write] [--sliver]

Fixed settings on tune samples of the two demo networks, nothing but what the repository ships: the
test split is not touched. Bits must not lie above the interval that redrawn streams give, losses
not above that of redrawn samples. What lies below is named: look at it, then --write. --sliver: few
samples of the classifier alone, as ``make test`` runs it.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from networks import demo

from lwfc.evaluation.bootstrap import interval
from lwfc.evaluation.families import PROFILES
from lwfc.evaluation.measure import measure
from lwfc.evaluation.study import Study

FIGURES = Path(__file__).with_name("guard.json")
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "paper": [{"levels": 4, "clip_scale": 1.6}],
    "rans": [{"levels": 4, "clip_scale": 1.6}],
    "context": [{"levels": 3, "clip_scale": 1.6}],
    "context+linear": [{"levels": 2, "clip_scale": 2.0}, {"levels": 4, "clip_scale": 1.6}],
    "transform": [{"distortion": 0.02}],
}
STREAM = 10  # samples
SLIVER = (120, 100, 1)  # calibration, tune and test images
# Half-widths of the intervals at least: of the bits, and in samples that another machine's float
# arithmetic may judge otherwise.
LEAST_BITS, LEAST_SAMPLES = 0.002, 1.5


def studies(sliver: bool, cache: Path) -> list[Study]:
    """The networks; of a sliver, the classifier on its first samples."""
    if sliver:
        return [demo.classifier(True, cache, SLIVER)]
    return [demo.classifier(True, cache), demo.detector(True, cache)]


def figures(study: Study) -> dict[str, dict[str, list[float]]]:
    """{codec and setting: {"bits": [value, low, high], "loss": likewise}}."""
    rows = {}
    for codec, settings in SETTINGS.items():
        for setting in settings:
            record = measure(study, PROFILES[codec], setting, "tune", STREAM)
            streams = np.array(record["streams"], np.float64)
            drawn = np.random.default_rng(18).integers(len(streams), size=(400, len(streams)))
            low, high = interval(record["bits"] * streams[drawn].mean(1) / streams.mean())
            bits, loss = record["bits"], record["loss"]
            ends = record["low"], record["high"]
            rows[f"{codec} {json.dumps(setting)}"] = {
                "bits": _at_least(bits, low, high, bits * LEAST_BITS),
                "loss": _at_least(loss, *ends, 100 * LEAST_SAMPLES / record["samples"]),
            }
    return rows


def _at_least(value: float, low: float, high: float, half: float) -> list[float]:
    """A value and its interval, of this half-width at least."""
    return [value, min(low, value - half), max(high, value + half)]


def breaches(name: str, now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """What has left its interval, in words."""
    found = [f"{name}: {key} is measured but not committed" for key in now.keys() - then.keys()]
    for key, row in then.items():
        for what, (value, low, high) in row.items():
            if key not in now:
                found.append(f"{name}: {key} is committed but not measured")
                break
            new = now[key][what][0]
            text = (f"{name}: {key}: {what} {new:.4f}, committed {value:.4f} "
                    f"({low:.4f} to {high:.4f})")  # fmt: skip
            if new > high:
                found.append(text)
            elif new < low:
                print(f"better: {text}")
    return found


def rounded(value: Any) -> Any:
    """The same with floats of six digits."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [float(f"{v:.6g}") for v in value]


def check(sliver: bool, write: bool = False) -> list[str]:
    """The breaches; ``write`` commits the figures instead."""
    committed = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    found = []
    with tempfile.TemporaryDirectory() as cache:
        for study in studies(sliver, Path(cache)):
            name = f"{study.name}{' sliver' * sliver}"
            now = figures(study)
            for key, row in now.items():
                print(f"{name}: {key}: {row['bits'][0]:.4f} bits, loss {row['loss'][0]:.2f}")
            if write:
                committed[name] = now
            else:
                found += breaches(name, now, committed.get(name, {}))
    if write:
        FIGURES.write_text(json.dumps(rounded(committed), indent=1) + "\n")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="commit what is measured")
    parser.add_argument("--sliver", action="store_true", help="half a minute of it")
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    found = check(chosen.sliver, chosen.write)
    print("\n".join(found) or "guard: all figures hold")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
