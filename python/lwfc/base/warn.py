"""Warnings that point at the caller's line, however deep in here they arise."""

import sys
import warnings
from types import FrameType

__all__ = ["warn_caller"]

# This package, and what stands between it and its callers: modules that run hooks, with blocks.
PASSED = (__name__.partition(".")[0], "contextlib", "torch")


def warn_caller(text: str, category: type[Warning]) -> None:
    """``warnings.warn`` at the innermost frame outside the package and its hosts."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_passed(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


def _is_passed(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in PASSED
