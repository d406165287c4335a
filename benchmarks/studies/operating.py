"""Studies "classifier" and "detector": fewest bits within a point of loss, every codec at its best.

Candidates are calibrated on the same unlabelled samples and judged on the labelled tune split; the
best of each family is measured on test samples. The aim on test samples is one point; the bound on
the tune split is lower, for with 500 samples the smallest of many losses is luck. The loss does not
depend on a lossless coder, so a cheap one screens restorations, and the context model is fitted for
what is measured on test samples. The detector needs its small negative values: its ranges start a
little below 0, for every codec, and are given as such.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwfc.evaluation.choice import frontier

from . import rivals
from .measuring import Rows, measure, screen
from .tasks import Task, load_task
from .text import table

__all__ = ["classifier", "detector"]

TUNE_LOSS = {"classifier": 0.5, "detector": 0.9}  # points; a tune image is 0.2 of the former
SCALES = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4)
Options = dict[str, Any]


def _product(fixed: Options, **lists: Any) -> list[Options]:
    return [fixed | dict(zip(lists, v, strict=True)) for v in itertools.product(*lists.values())]


def paper_grid(name: str, quick: bool) -> list[Options]:
    """The paper's codec: both quantizers, its coder, its decoder."""
    fixed: Options = {"coder": "cabac"}
    ecsq = fixed | {"quantizer": "ecsq"}
    if quick:
        return _product(fixed, levels=(3, 4), clip_scale=(1.4, 2.0))
    if name == "detector":
        clips = [(lo, hi) for lo in (0.0, -0.03, -0.06, -0.12) for hi in (3.0, 4.0, 5.0, 6.0)]
        return _product(fixed, levels=(4, 5, 6, 7, 8), clip=clips) + _product(
            ecsq, levels=(4, 6, 8), clip=[(-0.06, 4.0), (-0.12, 4.0)], rate_weight=(0.05, 0.15)
        )
    return _product(fixed, levels=(2, 3, 4, 5, 6), clip_scale=SCALES) + _product(
        ecsq, levels=(3, 4, 6), clip_scale=(1.0, 1.4, 1.8, 2.2), rate_weight=(0.05, 0.15)
    )


def restored_grid(name: str, quick: bool) -> list[Options]:
    """Restoration by least squares."""
    fixed = {"coder": "rans", "restore": "linear"}
    if quick:
        return _product(fixed, levels=(2,), clip_scale=(1.4, 2.0))
    if name == "detector":
        clips = [(lo, hi) for lo in (-0.06, -0.12) for hi in (3.5, 4.2, 5.0)]
        return _product(fixed, levels=(4, 5), clip=clips) + _product(
            fixed, levels=(4,), clip=clips[:2], restore_strength=(0.7,)
        )
    return _product(fixed, levels=(2, 3), clip_scale=(*SCALES[::2], 2.6, 3.0),
                    restore_strength=(0.5, 1.0))  # fmt: skip


def pass_grid(around: Options, quick: bool) -> list[Options]:
    """The encoder's rate-distortion pass around the best restoration."""
    fixed = _options(around) | {"coder": "context"}
    if "clip" in fixed:
        return _product(fixed, rate_weight=(0.03, 0.1))
    scales = [round(around["clip_scale"] * f, 2) for f in ((1.0,) if quick else (0.8, 0.9, 1.0))]
    return _product(fixed, clip_scale=scales, rate_weight=(0.1,) if quick else (0.05, 0.15))


def settings_text(row: Options) -> str:
    """What was set, briefly."""
    names = {"levels": "N=", "clip_scale": "s=", "rate_weight": "w=", "restore_strength": "blend "}
    parts = [f"{sign}{row[name]:g}" for name, sign in names.items() if name in row]
    if "clip" in row:
        parts.append("[{:g}, {:g}]".format(*row["clip"]))
    return " ".join([*parts, *(["ecsq"] if row.get("quantizer") == "ecsq" else [])])


def choose(rows: list[Options], bound: float) -> Options:
    """Fewest bits within the bound, else least loss."""
    allowed = [r for r in rows if r["loss"] <= bound]
    return min(allowed or rows, key=lambda r: (r["bits"] if allowed else r["loss"], r["loss"]))


def families(task: Task, rows: Rows, quick: bool) -> list[tuple[str, list[Options]]]:
    """(family, its candidates as screened on the tune split)."""

    def screened(grid: list[Options]) -> list[Options]:
        return [rows.get(lambda o=o: screen(task, "tune", **o), split="tune", **o) for o in grid]

    paper = screened(paper_grid(task.name, quick))
    restored = screened(restored_grid(task.name, quick))
    passed = screened(pass_grid(choose(restored, TUNE_LOSS[task.name]), quick))
    return [
        ("paper's codec: uniform or ecsq, cabac, no restoration", paper),
        ("contexts only", [r for r in paper if "quantizer" not in r]),
        ("contexts + linear", restored),
        ("contexts + linear + rate-distortion pass", passed),
    ]


def study(name: str, quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """All tables of one network."""
    task = load_task(name, cache, quick)
    rows = Rows(cache / f"operating-{task.name}.jsonl")
    count = len(task.features["test"])
    bound = TUNE_LOSS[name]
    whole = task.quality(task.reference("test"))
    shape = "x".join(map(str, task.calibration.shape[1:]))
    say(f"### {name} ({shape}): bits per element and loss in points of {task.metric}\n")
    say(f"Calibrated on {len(task.calibration)} unlabelled samples, chosen on "
        f"{len(task.features['tune'])} tune samples (loss there at most {bound}), measured on "
        f"{count} test samples; uncompressed {whole:.2f} %. "
        "Bits: every byte, headers included.\n")  # fmt: skip
    columns = ("codec", "settings", "bits, streams of 100", "bits, stream per sample", "order-0",
               "loss", "95 % interval", "squared error", "tune loss")  # fmt: skip

    def tested(family: str, pick: Options) -> list[Any]:
        coder = "cabac" if family.startswith("paper") else "context"
        options = _options(pick) | {"coder": coder}
        row = rows.get(lambda: measure(task, "test", True, **options),
                       split="test", count=count, **options)  # fmt: skip
        return [family, settings_text(pick), row["bits"], row["bits_single"], row["order0"],
                row["loss"], row["interval"], row["error"], pick["loss"]]  # fmt: skip

    found = families(task, rows, quick)
    say("Chosen operating points:\n")
    say(table(columns, [tested(family, choose(candidates, bound)) for family, candidates in found]))
    say(rivals.report(task, rows, quick))
    curves = []
    for family, candidates in found:
        points = frontier([r for r in candidates if r["loss"] <= 4])
        curves += [tested(family, p) for p in points[:: -(-len(points) // 5)]]
    say("Curves (candidates on the frontier of the tune split, measured on test samples):\n")
    say(table(columns, curves))


def _options(row: Options) -> Options:
    names = ("coder", "levels", "clip", "clip_scale", "quantizer", "rate_weight", "restore",
             "restore_strength")  # fmt: skip
    return {name: row[name] for name in names if name in row}


def classifier(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Classifier demo: bits against accuracy."""
    study("classifier", quick, cache, say)


def detector(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """Detector demo: bits against mAP@0.5."""
    study("detector", quick, cache, say)
