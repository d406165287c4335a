"""The recorders of a set of layers: their report, and a word about those that never ran."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from ..base.errors import UncodedWarning
from ..base.warn import warn_caller
from ..codec.codec import Codec
from .gradients import ends
from .report import Recorder, Report

__all__ = ["recorders_for", "report_of", "warn_uncoded"]


def recorders_for(codecs: Mapping[str, Codec]) -> dict[str, Recorder]:
    """A recorder for each layer; axis 0 of its tensors counts samples."""
    return {name: Recorder(partial(_measure, codec)) for name, codec in codecs.items()}


def _measure(codec: Codec, x: np.ndarray) -> tuple[int, int]:
    """Samples, and values outside of the codec's range."""
    lo, hi = ends(codec, x.ndim)
    return len(x) if x.ndim else 1, int(np.count_nonzero((x < lo) | (x > hi)))


def report_of(recorders: Mapping[str, Recorder]) -> Report:
    """Bytes, rates and times so far; a row for each layer."""
    return Report(
        (name, dict(recorder.by_call), "" if recorder.by_call else "it never ran")
        for name, recorder in recorders.items()
    )


def warn_uncoded(recorders: Mapping[str, Recorder]) -> None:
    """An UncodedWarning for each layer that never ran."""
    for name, recorder in recorders.items():
        if not recorder.by_call:
            warn_caller(f"nothing was coded at {name!r}: it never ran", UncodedWarning)
