"""Networks to evaluate on: each module's ``study(quick, cache)`` is an lwfc Study."""

import importlib
from pathlib import Path
from typing import Any

__all__ = ["NETWORKS", "load"]

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


def load(name: str, quick: bool, cache: Path) -> Any:
    """The study of a network. Errors: ImportError where it needs a package that is missing."""
    module, function = NETWORKS[name].split(":")
    return getattr(importlib.import_module(f"networks.{module}"), function)(quick, cache)
