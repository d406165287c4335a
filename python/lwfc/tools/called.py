"""Functions named on the command line."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..base.errors import ParameterError

__all__ = ["called"]


def called(text: str) -> Any:
    """What the function of ``module:function`` or ``file.py:function`` returns."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ParameterError(f"{text!r}: must be module:function, or file.py:function")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            sys.path.insert(0, "")
            module = importlib.import_module(place)
        function = getattr(module, name)
    except (ModuleNotFoundError, FileNotFoundError, AttributeError) as error:
        raise ParameterError(f"{text!r}: {error}") from error
    return function()
