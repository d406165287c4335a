"""Every codec and rival on every network: the evaluation behind RESULTS.md, as a page and tables.

Usage: python benchmarks/evaluate.py [--quick] [--networks NAME ...] [--codecs NAME ...]
                                     [--rivals MODULE ...] [--cache FOLDER] [--out FOLDER]

What a network or a rival needs beyond PyTorch is in ``benchmarks/evaluation.txt`` and
``evaluation_files.txt``; what is missing is left out and named. Finished points are kept in the
cache, one JSON line each, so that a run that was cut off goes on; the test split is read once for
each state of the code that codes.
"""

import argparse
import time
from pathlib import Path

import networks
import rivals
from studies.text import table

from lwfc.evaluation.evaluate import evaluate
from lwfc.evaluation.families import PROFILES
from lwfc.evaluation.result import Evaluation, merge

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", default=list(networks.NETWORKS), choices=networks.NETWORKS)
    add("--codecs", nargs="*", default=list(PROFILES), choices=PROFILES, help="of lwfc")
    add("--rivals", nargs="*", default=list(rivals.RIVALS), choices=rivals.RIVALS)
    add("--quick", action="store_true", help="few samples: a check")
    add("--cache", type=Path, default=ROOT / "build" / "evaluation")
    add("--out", type=Path, default=ROOT / "build" / "evaluation")
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    for folder in (chosen.cache, chosen.out):
        folder.mkdir(parents=True, exist_ok=True)
    others, missing = rivals.load(chosen.rivals)
    parts = []
    for name in chosen.networks:
        started = time.monotonic()
        try:
            study = networks.load(name, chosen.quick, chosen.cache)
        except (ImportError, FileNotFoundError) as error:
            missing[name] = str(error)
            print(f"{name} is left out: {error}", flush=True)
            continue
        log = chosen.cache / f"{name}{'-quick' * chosen.quick}.jsonl"
        families = [PROFILES[codec] for codec in chosen.codecs]
        families += [f for f in others if f.group != "input" or study.images is not None]
        parts.append(evaluate(study, families, log=log, progress=say))
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        write(merge(parts), missing, chosen.out)


def say(done: int, total: int | None, what: str) -> None:
    """A line now and then."""
    if done % 10 == 0:
        print(f"{time.strftime('%H:%M:%S')} {what}: {done} of {total}", flush=True)


def write(result: Evaluation, missing: dict[str, str], folder: Path) -> None:
    """Page, picture, JSON and markdown."""
    result.about["failed"] |= missing
    result.to_html(folder / "evaluation.html")
    result.plot(folder / "evaluation.png")
    (folder / "evaluation.json").write_text(result.to_json())
    head, *body = result.cells()
    text = [table(head, body)]
    gains = [[row["study"], f"{row['bound']:g}", row["ours"], row["against"],
              f"{row['saved']:.0f} %", f"{row['low']:.0f} to {row['high']:.0f}"]
             for row in result.gains]  # fmt: skip
    columns = ("study", "loss <", "ours", "against", "bits saved", "95 %")
    text.append(table(columns, gains))
    bd = [[row["study"], row["codec"], row["bd_rate"], row["why"]] for row in result.bd_rates()]
    text.append(table(("study", "codec", "BD-rate at equal squared error, %", "why not"), bd))
    text += [f"Not measured: {name}: {why}\n" for name, why in result.about["failed"].items()]
    (folder / "evaluation.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
