"""Functions named on the command line."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..base.errors import ParameterError

__all__ = ["called", "check_arguments"]


def called(text: str) -> Any:
    """What the function of ``module:function`` or ``file.py:function`` returns."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ParameterError(f"{text!r}: must be module:function, or file.py:function")
    try:
        if place.endswith(".py"):
            sys.path.insert(0, str(Path(place).parent.resolve()))  # as "python file.py" does
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
    if not callable(function):
        raise ParameterError(f"{text!r} is a {type(function).__name__}: must be a function")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise ParameterError(f"{text!r} takes arguments: {error}; it is called with none") from None
    except ValueError:  # a builtin without a signature
        pass
    return function()


def check_arguments(text: str, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments for ``function`` that it does not have. Errors: ParameterError."""
    try:
        inspect.signature(function).bind(**given)
    except TypeError as error:
        raise ParameterError(f"{text!r} returns a dict that does not fit lwfc."
                             f"{function.__name__}: {error}") from None  # fmt: skip
