"""Studies of parts: coder x restoration x rate weight, the rate-distortion pass, calibration size.

All on the classifier demo, 2,000 test images, unless said otherwise. These are measurements at
fixed settings, not choices: nothing is tuned on the test images.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .measuring import Rows, measure
from .tasks import Task, load_task
from .text import table

__all__ = ["calibration_sizes", "combinations", "rate_distortion"]

COUNT = 2000
SCALE = 1.6
COLUMNS = ("bits, streams of 100", "bits, stream per sample", "squared error", "loss",
           "95 % interval")  # fmt: skip


def _task(quick: bool, cache: Path) -> Task:
    task = load_task("classifier", cache, quick)
    task.features["test"] = task.features["test"][:COUNT]
    return task


def _cells(row: dict[str, Any]) -> list[Any]:
    return [row["bits"], row["bits_single"], row["error"], row["loss"], row["interval"]]


def _measured(task: Task, rows: Rows, **options: Any) -> list[Any]:
    samples = len(task.calibration)
    return _cells(rows.get(lambda: measure(task, "test", True, **options), samples=samples,
                           count=len(task.features["test"]), **options))  # fmt: skip


def combinations(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Coder x restoration x rate weight."""
    task, rows = _task(quick, cache), Rows(cache / "ablation.jsonl")
    lines = []
    for coder in ("cabac", "rans", "context"):
        for restore in ("none", "centroid", "local", "linear"):
            for weight in (0.0, 0.1) if coder == "context" else (0.0,):
                options = {"coder": coder, "restore": restore, "rate_weight": weight}
                cells = _measured(task, rows, levels=2, clip_scale=SCALE, **options)
                lines.append([coder, restore, f"{weight:g}", *cells])
    say(f"### Ablation: classifier, N = 2, range scale {SCALE}, {len(task.features['test'])} test "
        f"images, {len(task.calibration)} calibration images\n")  # fmt: skip
    say(table(("coder", "restore", "rate weight", *COLUMNS), lines))


def rate_distortion(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Five weights of the encoder's rate-distortion pass."""
    task, rows = _task(quick, cache), Rows(cache / "ablation.jsonl")
    lines = []
    for levels, restore in ((2, "linear"),) if quick else ((3, "centroid"), (2, "linear")):
        for weight in (0.0, 0.03, 0.1, 0.2, 0.3, 0.5):
            cells = _measured(task, rows, levels=levels, clip_scale=1.0, coder="context",
                              restore=restore, rate_weight=weight)  # fmt: skip
            lines.append([str(levels), restore, f"{weight:g}", *cells])
    say("### Rate-distortion pass: classifier, range scale 1, "
        f"{len(task.features['test'])} test images; weight 0: no pass\n")  # fmt: skip
    say(table(("N", "restore", "rate weight", *COLUMNS), lines))


def calibration_sizes(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """How many calibration images the context model and the linear restoration need."""
    import demo_nets
    import torch

    task, rows = _task(quick, cache), Rows(cache / "ablation.jsonl")
    images, _ = demo_nets.load_classifier_data("calibration", 1000, full=not quick)
    with torch.no_grad():
        samples = torch.cat([task.model.edge(part) for part in images.split(100)]).numpy()
    lines = []
    for count in (10, 30) if quick else (10, 30, 100, 300, 600, 1000):
        part = dataclasses.replace(task, calibration=samples[:count])
        cells = _measured(part, rows, levels=2, clip_scale=SCALE, coder="context",
                          restore="linear")  # fmt: skip
        centroid = _measured(part, rows, levels=2, clip_scale=SCALE, coder="rans",
                             restore="centroid")  # fmt: skip
        lines.append([str(count), *cells, centroid[0], centroid[2], centroid[3]])
    say(f"### Calibration size: classifier, N = 2, range scale {SCALE}, context + linear; beside "
        "it rans + centroid calibrated on the same images\n")  # fmt: skip
    say(table(("calibration images", *COLUMNS, "rans + centroid: bits", "squared error", "loss"),
              lines))  # fmt: skip
