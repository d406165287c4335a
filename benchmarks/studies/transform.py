"""Study "transform": the transform profile on the demo networks, steps chosen without labels.

Basis and step come from calibration samples alone: the step is the largest whose outputs, on
calibration samples held out of the fit, stay within a distortion. Test samples are only measured.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lwfc

from .measuring import BATCH, Rows, calibrated, coded, normalised_error
from .tasks import Task, load_task
from .text import table

__all__ = ["study"]

# Distortion of the outputs on held-out calibration samples: nats for the classifier, a share of
# the outputs' variance for the detector.
DEMO = {"classifier": (0.01, 0.02, 0.025, 0.03, 0.04), "detector": (0.008, 0.012, 0.014, 0.016)}
# Without gradients: a share of the features' power by frequency.
BLIND = {"classifier": (0.25, 0.35, 0.45), "detector": (0.05, 0.1, 0.2)}
USUAL = {"classifier": 0.025, "detector": 0.014}
STEPS = (0.3, 0.1, 0.03)  # of the near-lossless control
# The profile with levels, near its chosen points in studies "classifier" and "detector".
PLAIN: dict[str, dict[str, Any]] = {
    "classifier": {"levels": 3, "clip_scale": 2.6},
    "detector": {"levels": 4, "clip": (-0.12, 4.2)},
}
CONTROL, SHIFTED = 1000, {"classifier": 2000, "detector": 300}  # test samples
Say = Callable[[str], None]


def study(quick: bool, cache: Path, say: Say) -> None:
    """Everything about both networks."""
    rows = Rows(cache / "transform.jsonl")
    for name in DEMO:
        task = load_task(name, cache, quick)
        for part in (operating, blind, timing, control, shifted):
            part(task, rows, say)


def fitted(task: Task, **options: Any) -> lwfc.Codec:
    """The codec of a demo network, from its calibration images."""
    import lwfc.torch as lt

    images = task.images["calibration"]
    return lt.calibrate(task.model, task.model.split_layer, images, transform="dct", **options)


def measured(task: Task, make: Callable[..., lwfc.Codec], **options: Any) -> dict[str, Any]:
    """Real bytes of the test samples, and what becomes of the metric."""
    codec, x = make(**options), task.features["test"]
    single, _ = coded(codec, x, 1)
    batch, decoded = coded(codec, x, BATCH)
    before, after = task.head(x), task.head(decoded)
    return {
        "bits": 8 * batch / x.size,
        "bits_single": 8 * single / x.size,
        "error": normalised_error(x, decoded),
        "outputs": float((after - before).square().mean() / before.var()),
        "file": len(codec.to_bytes()) / 1000,
        "shape": codec.metadata["shape"],
        "step": codec.metadata["step"],
    } | task.judge("test", after, interval=True)


COLUMNS = ("distortion wanted", "shape", "step", "bits, streams of 100", "bits, stream per sample",
           "loss", "95 % interval", "squared error", "codec file, kB")  # fmt: skip
FIELDS = ("shape", "step", "bits", "bits_single", "loss", "interval", "error", "file")


def operating(task: Task, rows: Rows, say: Say) -> None:
    """With gradients, at several distortions."""
    count, lines = len(task.features["test"]), []
    for wanted in DEMO[task.name]:
        make = partial(measured, task, partial(fitted, task), distortion=wanted)
        row = rows.get(make, network=task.name, count=count, distortion=wanted)
        lines.append([wanted, *(row[field] for field in FIELDS)])
    say(f"### {task.name}, transform: {len(task.calibration)} calibration samples, {count} test "
        f"samples, {task.metric}\n")  # fmt: skip
    say(table(COLUMNS, lines))


def blind(task: Task, rows: Rows, say: Say) -> None:
    """Without gradients: lwfc.calibrate on features alone."""
    count, lines = len(task.features["test"]), []
    plain = partial(lwfc.calibrate, task.calibration, transform="dct")
    for wanted in BLIND[task.name]:
        make = partial(measured, task, plain, distortion=wanted)
        row = rows.get(make, network=task.name, count=count, blind=wanted)
        lines.append([wanted, *(row[field] for field in FIELDS)])
    say(f"{task.name}, transform without gradients:\n")
    say(table(COLUMNS, lines))


def gradients(task: Task) -> np.ndarray:
    """Of two random projections of the outputs, with respect to the calibration features."""
    import torch

    signs, found = torch.Generator().manual_seed(1), []
    for part in torch.from_numpy(task.calibration).split(50):
        leaf = part.clone().requires_grad_()
        output = task.model.cloud(leaf)
        draws = []
        for draw in range(2):
            projection = torch.randint(0, 2, output.shape, generator=signs) * 2 - 1
            total = (output * projection).sum()
            draws.append(torch.autograd.grad(total, leaf, retain_graph=not draw)[0])
        found.append(torch.stack(draws))
    return torch.cat(found, 1).numpy()


def timing(task: Task, rows: Rows, say: Say) -> None:
    """What calibration takes beside the gradients, on one core."""

    def make() -> dict[str, Any]:
        metric, seconds = gradients(task), []
        for _ in range(3):
            started = time.thread_time()
            lwfc.calibrate(task.calibration, transform="dct", metric=metric)
            seconds.append(time.thread_time() - started)
        return {"seconds": min(seconds)}

    row = rows.get(make, network=task.name, timing=len(task.calibration))
    say(f"{task.name}, `lwfc.calibrate` on {len(task.calibration)} samples and their gradients: "
        f"{row['seconds']:.1f} s of one core, the best of three.\n")  # fmt: skip


def control(task: Task, rows: Rows, say: Say) -> None:
    """Near-lossless: with finer steps the network becomes the uncompressed one."""
    whole = task.features["test"]
    task.features["test"] = whole[:CONTROL]
    task.known.clear()
    lines = []
    for step in STEPS:
        make = partial(measured, task, partial(fitted, task), step=step)
        row = rows.get(make, network=task.name, count=len(task.features["test"]), step=step)
        lines.append([step, row["bits"], row["outputs"], row["error"], row["loss"]])
    task.features["test"] = whole
    task.known.clear()
    say(f"{task.name}, near-lossless control, {min(CONTROL, len(whole))} test samples:\n")
    say(table(("step", "bits", "outputs' squared error", "features' squared error", "loss"),
              lines))  # fmt: skip


def shifts(images: Any) -> dict[str, Any]:
    """What calibration has not seen, by name."""
    import torch

    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(5))
    return {
        "as calibrated": images,
        "noise 0.1": (images + 0.1 * noise).clamp(0, 1),
        "noise 0.25": (images + 0.25 * noise).clamp(0, 1),
        "inverted": 1 - images,
        "half brightness": 0.5 * images,
        "upside down": images.flip(-2),
        "moved 4 pixels": images.roll((4, 4), (-2, -1)),
        "values x 100": 100 * images,
    }


def shifted(task: Task, rows: Rows, say: Say) -> None:
    """Inputs that calibration has not seen, beside the profile with levels."""
    count = min(len(task.features["test"]), SHIFTED[task.name])
    options = PLAIN[task.name] | {"coder": "context", "restore": "linear"}
    made: dict[str, lwfc.Codec] = {}
    makers = {
        "transform": partial(fitted, task, distortion=USUAL[task.name]),
        "plain": partial(calibrated, task.calibration, task.activation, slope=task.slope,
                         **options),
    }  # fmt: skip

    def make(profile: str, images: Any) -> dict[str, Any]:
        if profile not in made:
            made[profile] = makers[profile]()
        return shifted_row(task, made[profile], images)

    lines = []
    for shift, images in shifts(task.images["test"][:count]).items():
        line: list[Any] = [shift]
        for profile in makers:
            key = {"network": task.name, "shift": shift, "profile": profile, "count": count}
            row = rows.get(partial(make, profile, images), **key)
            line += [row["bits"], row["loss"]]
        lines.append(line)
    say(f"{task.name}, inputs unlike those of calibration, {count} test samples; loss against the "
        "uncompressed network on the same inputs:\n")  # fmt: skip
    say(table(("inputs", "transform: bits", "loss", "context + linear: bits", "loss"), lines))


def shifted_row(task: Task, codec: lwfc.Codec, images: Any) -> dict[str, Any]:
    """Bits in streams of 100, and the loss."""
    import torch

    with torch.no_grad():
        x = torch.cat([task.model.edge(part) for part in images.split(100)]).numpy()
    nbytes, decoded = coded(codec, np.ascontiguousarray(x), BATCH)
    whole, lossy = (task.quality(task.outcome("test", task.head(y))) for y in (x, decoded))
    return {"bits": 8 * nbytes / x.size, "loss": whole - lossy}
