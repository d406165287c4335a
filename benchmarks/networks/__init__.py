"""Networks to evaluate on: each module's function of (quick, cache) makes an lwfc Study."""

import importlib
from pathlib import Path
from typing import Any

__all__ = ["LONGEST", "NETWORKS", "YOURS", "load"]

NETWORKS = {
    "classifier": "demo:classifier",
    "detector": "demo:detector",
    "transformer": "demo:transformer",
    "efficientnet": "photographs:efficientnet",
    "magika": "files:magika",
    "silero": "speech:silero",
    "basic-pitch": "music:basic_pitch",
    "rapidocr": "reading:rapidocr",
}
# By the time all codecs take.
LONGEST = ("classifier", "basic-pitch", "detector", "rapidocr", "magika", "transformer",
           "efficientnet", "silero")  # fmt: skip
YOURS = {  # take weights and data, which nothing here brings
    "resnet50": "imagenet:resnet50",
    "vgg16": "imagenet:vgg16",
    "alexnet": "imagenet:alexnet",
    "yolo": "coco:yolo",
}


def load(name: str, quick: bool, cache: Path, **given: Any) -> Any:
    """The study of a network; ``given``: weights, data, at and sizes of YOURS.

    Errors: ImportError, FileNotFoundError naming what is missing.
    """
    module, function = (NETWORKS | YOURS)[name].split(":")
    return getattr(importlib.import_module(f"networks.{module}"), function)(quick, cache, **given)
