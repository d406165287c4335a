"""Every codec and rival on every network: the evaluation behind RESULTS.md, as a page and tables.

Usage: python benchmarks/evaluate.py [--quick] [--networks NAME ...] [--codecs NAME ...]
                                     [--rivals MODULE ...] [--jobs N] [--out FOLDER] [--record]
       python benchmarks/evaluate.py --networks resnet50|vgg16|alexnet|yolo --weights FILE
                                     --data FOLDER [--at LAYER] [--sizes N N N] ...

What a network or a rival needs beyond PyTorch is in ``benchmarks/evaluation.txt`` and
``evaluation_files.txt``; what is missing is left out and named. Finished points are kept in
OUT/cache, one JSON line each, so that a run that was cut off goes on; the test split is read once
for each state of the code that codes. A process a network, --jobs of them at a time, in the order
of LONGEST, so that the processes end together.
"""

import argparse
import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import networks
import rivals
from rivals.inputs import fits
from studies.text import table

from lwfc.evaluation.evaluate import evaluate
from lwfc.evaluation.families import PROFILES
from lwfc.evaluation.measure import seconds
from lwfc.evaluation.result import Evaluation, merge
from lwfc.evaluation.tables import (
    bd_table,
    behind_table,
    compute_table,
    gain_table,
    over_table,
    summary,
    tool_table,
)

ROOT = Path(__file__).parents[1]
POINTS = 4  # settings of a codec that meet the test split, at least where it has so many
MARKS = "<!-- by evaluate.py -->", "<!-- to here -->"  # in RESULTS.md
GIVEN = ("weights", "data", "at", "sizes")  # options that networks.YOURS take
# Without a GPU it takes minutes for a point of the others.
FEW = {"symbols, EntroPack": ("transformer", "efficientnet", "silero")}
STREAMS, BATCH = 20, 100  # of a test split at least; samples of a stream at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", default=list(networks.NETWORKS),
        choices=[*networks.NETWORKS, *networks.YOURS])  # fmt: skip
    add("--codecs", nargs="*", default=list(PROFILES), choices=PROFILES, help="of lwfc")
    add("--rivals", nargs="*", default=list(rivals.RIVALS), choices=rivals.RIVALS)
    add("--quick", action="store_true", help="few samples: a check")
    add("--jobs", type=int, default=2, help="networks at a time (default 2)")
    add("--record", action="store_true", help="put tables and picture into RESULTS.md, section 7")
    add("--out", type=Path, default=ROOT / "build" / "evaluation")
    yours = parser.add_argument_group("a network with weights and data of yours")
    yours.add_argument("--weights", type=Path, help="a state dict; of a YOLO the .onnx file")
    yours.add_argument("--data", type=Path, help="ImageNet's folder, around val; COCO's")
    yours.add_argument("--at", help="the layer or tensor to cut at")
    yours.add_argument("--sizes", type=int, nargs=3, metavar="N",
                       help="calibration, tune and test images")  # fmt: skip
    chosen = parser.parse_args()
    needing = [name for name in chosen.networks if name in networks.YOURS]
    if len(needing) > 1 or needing and not (chosen.weights and chosen.data):
        parser.error(f"{', '.join(needing)}: one of these at a time, with --weights FILE and "
                     "--data FOLDER (docs/evaluation.md)")  # fmt: skip
    given = [f"--{name}" for name in GIVEN if getattr(chosen, name) is not None]
    if given and not needing:
        parser.error(f"{', '.join(given)}: name the network, --networks {'|'.join(networks.YOURS)}")
    (chosen.out / "cache").mkdir(parents=True, exist_ok=True)
    missing, parts = {}, []
    with ProcessPoolExecutor(chosen.jobs, multiprocessing.get_context("spawn")) as pool:
        order = sorted(chosen.networks, key=lambda n: networks.LONGEST.index(n)
                       if n in networks.LONGEST else -1)  # fmt: skip
        runs = {name: pool.submit(one, name, chosen) for name in order}
        for name in chosen.networks:
            if parts and not runs[name].done():  # something to look at meanwhile
                write(joined(parts, missing), chosen.out)
            try:
                parts.append(runs[name].result())
            except (ImportError, FileNotFoundError) as error:
                missing[name] = str(error)
                print(f"{name} is left out: {error}", flush=True)
                continue
            except ValueError as error:
                if name not in networks.YOURS:
                    raise
                parser.error(f"{name}: {error}")
    if not parts:
        raise SystemExit(1)
    result = joined(parts, missing)
    write(result, chosen.out)
    if chosen.record:
        record(result, chosen.out)


def joined(parts: list[Evaluation], missing: dict[str, str]) -> Evaluation:
    """All networks; ``missing``: why others are not there."""
    result = merge(parts)
    result.about["failed"] |= missing
    return result


def one(name: str, chosen: argparse.Namespace) -> Evaluation:
    """Everything on one network. Errors: ImportError, FileNotFoundError for what it lacks."""
    import torch

    torch.set_num_threads(1)
    started, before = time.monotonic(), seconds()
    others, missing = rivals.load(chosen.rivals)
    given = {key: getattr(chosen, key) for key in GIVEN}
    study = networks.load(name, chosen.quick, chosen.out / "cache",
                          **(given if name in networks.YOURS else {}))  # fmt: skip
    families = [PROFILES[codec] for codec in chosen.codecs]
    families += [f for f in others if (f.group != "input" or fits(f, study))
                 and name in FEW.get(f.name, (name,))]  # fmt: skip
    log = chosen.out / "cache" / f"{name}{'-quick' * chosen.quick}.jsonl"
    batch = min(BATCH, max(1, len(study.x("test")) // STREAMS))
    result = evaluate(study, families, points=POINTS, batch=batch, log=log)
    result.about["failed"] |= missing
    print(f"{name}: {time.monotonic() - started:.0f} s, {seconds() - before:.0f} s of a processor "
          "here", flush=True)  # fmt: skip
    return result


def spent(result: Evaluation) -> list[list[str]]:
    """A table of the processor time of each network's points, whenever they were measured."""
    found = dict.fromkeys([*result.studies, "all"], 0.0)
    for record in result.records:
        found[record["study"]] += record["cpu_s"] / 60
    found["all"] = sum(found.values())
    return [["network", "minutes of a processor"],
            *([name, f"{minutes:.1f}"] for name, minutes in found.items())]  # fmt: skip


def write(result: Evaluation, folder: Path) -> None:
    """Page, picture, JSON and markdown."""
    result.to_html(folder / "evaluation.html")
    result.plot(folder / "evaluation.png")
    (folder / "evaluation.json").write_text(result.to_json())
    (folder / "evaluation.md").write_text(markdown([
        *told(result), ("Chosen settings", result.cells()),
        ("BD-rate at equal squared error", bd_table(result)),
    ], result))  # fmt: skip


def told(result: Evaluation) -> list[tuple[str, list[list[str]]]]:
    """(title, table) of what RESULTS.md shows."""
    found = []
    for study in result.studies:
        shape = "x".join(map(str, result.about["shape"][study]))
        samples = result.about["samples"][study]
        found.append((
            f"{study}, {shape}; {samples['tune']} tune and {samples['test']} test samples; "
            f"{result.about['measure'][study]} {result.about['whole'][study]:.2f} uncompressed",
            summary(result, study),
        ))  # fmt: skip
    return [
        *found,
        ("The best of ours against others: bits saved at equal bounds", gain_table(result)),
        ("Who needs fewer bits than the best of ours", behind_table(result)),
        ("Choices that lose more on test samples than their bound", over_table(result)),
        ("The whole network on the device", compute_table(result)),
        ("Tools and settings", tool_table(result)),
        ("Time", spent(result)),
    ]


def markdown(found: list[tuple[str, list[list[str]]]], result: Evaluation) -> str:
    text = [f"### {title}\n\n{table(head, body) if body else 'None.'}"
            for title, (head, *body) in found]  # fmt: skip
    text += [f"Not measured: {name}: {why}\n" for name, why in result.about["failed"].items()]
    return "\n".join(text)


def record(result: Evaluation, folder: Path) -> None:
    """Tables between the marks in RESULTS.md, the picture beside it."""
    file = Path(__file__).with_name("RESULTS.md")
    before, rest = file.read_text().split(f"{MARKS[0]}\n")
    text = markdown(told(result), result)
    file.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")
    shutil.copy(folder / "evaluation.png", file.with_name("evaluation.png"))


if __name__ == "__main__":
    main()
