"""The recorders of a set of layers: their report, and a word about those that never ran."""

import warnings
from collections.abc import Iterable, Mapping

from ..base.errors import UncodedWarning
from .report import Recorder, Report

__all__ = ["recorders_for", "report_of", "warn_uncoded"]


def recorders_for(names: Iterable[str]) -> dict[str, Recorder]:
    """A recorder for each layer; axis 0 of its tensors counts samples."""
    return {name: Recorder(name, len) for name in names}


def report_of(recorders: Mapping[str, Recorder]) -> Report:
    """Bytes, rates and times so far; a row for each layer."""
    return Report(
        (name, dict(recorder.by_call), "" if recorder.by_call else "it never ran")
        for name, recorder in recorders.items()
    )


def warn_uncoded(recorders: Mapping[str, Recorder], stacklevel: int) -> None:
    """An UncodedWarning for each layer that never ran."""
    for name, recorder in recorders.items():
        if not recorder.by_call:
            warnings.warn(
                f"nothing was coded at {name!r}: it never ran", UncodedWarning,
                stacklevel=stacklevel + 1,
            )  # fmt: skip
