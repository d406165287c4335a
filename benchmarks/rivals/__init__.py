"""What lwfc is evaluated beside: families of codecs, each with the settings it chooses from."""

import importlib
from typing import Any

__all__ = ["RIVALS", "load"]

RIVALS = ("integers", "video", "reduction", "symbols", "floats", "inputs")


def load(names: Any = RIVALS) -> tuple[list[Any], dict[str, str]]:
    """(the families of these modules, {module: why it has none here})."""
    found: list[Any] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            found += importlib.import_module(f"rivals.{name}").families()
        except (ImportError, FileNotFoundError) as error:
            missing[name] = str(error)
    return found, missing
