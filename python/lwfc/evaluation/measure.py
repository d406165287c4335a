"""One point: a codec at one setting on one split, in real bytes and the task's metric."""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from ..calibration.steps import SURE
from .bootstrap import interval
from .families import Coder, Family
from .study import Study

__all__ = ["BATCH", "code", "measure", "single_bits"]

BATCH = 100  # samples a stream
SINGLES = 100  # samples whose streams are measured one by one
DIGITS = 4  # after the point, of redrawn losses


def code(
    coder: Coder, x: np.ndarray, size: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[int], np.ndarray, float, float]:
    """(bytes of each stream of ``size`` samples, what was decoded, seconds of both ways)."""
    streams, out, encode, decode = [], np.empty_like(x), 0.0, 0.0
    for start in range(0, len(x), size):
        part = x[start : start + size]
        begun = clock()
        data = coder.encode(part)
        coded = clock()
        found = np.asarray(coder.decode(data))
        decode += clock() - coded
        encode += coded - begun
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ParameterError(f"encode gave a {type(data).__name__}: must be bytes")
        if found.shape != part.shape:
            raise ParameterError(f"decode gave the shape {found.shape} for {part.shape}")
        if not np.isfinite(found).all():
            raise ParameterError("decode gave NaN or infinities")
        out[start : start + size] = found
        streams.append(len(data))
    return streams, out, encode, decode


def seconds() -> float:
    """Processor time of this process and of those it has waited for."""
    return sum(os.times()[:4])


def _source(study: Study, family: Family, split: str) -> np.ndarray:
    """What the family codes."""
    if family.group != "input":
        return study.x(split)
    if study.images is None or study.whole is None:
        raise ParameterError(f"{family.name} codes inputs, and study {study.name!r} has no images "
                             "or no whole network")  # fmt: skip
    return np.ascontiguousarray(study.images[split])


def measure(
    study: Study,
    family: Family,
    setting: dict[str, Any],
    split: str,
    size: int = BATCH,
    make: Callable[[], Coder] | None = None,
) -> dict[str, Any]:
    """The record of one point, JSON-able.

    Bits count every byte of the streams over the elements of the *features*, also where inputs are
    sent. ``draws`` are losses in the redraws of :mod:`.bootstrap`, ``upper`` the upper end of the
    loss's one-sided 95 % interval, ``error`` the features' mean squared error over their variance
    (None of constant ones), times milliseconds a sample, ``cpu_s`` the processor time of the point.
    ``codec_bytes``: the codec's file, which both sides have beforehand, where it has one. ``make``
    gives the coder where it is made already.
    """
    begun = seconds()
    coder = make() if make else family.make(study, **setting)
    x = study.x(split)
    source = _source(study, family, split)
    streams, decoded, encode, decode = code(coder, source, size)
    if family.group == "input":
        outcome, error = study.judge(split, study.whole(decoded)), None
    else:
        outcome = study.decoded(split, decoded)
        power = float(x.var(dtype=np.float64))
        error = float(np.square(x - decoded, dtype=np.float64).mean()) / power if power else None
    before, after = study.reference(split).metric(), outcome.metric()
    draws = study.losses(split, outcome)
    low, high = interval(draws)
    to_bytes = getattr(coder, "to_bytes", None)
    return {
        "study": study.name,
        "codec": family.name,
        "group": family.group,
        "setting": setting,
        "split": split,
        "samples": len(x),
        "elements": x[0].size,
        "bits": 8 * sum(streams) / x.size,
        "kb_per_sample": sum(streams) / len(x) / 1000,
        "metric": after,
        "loss": before - after,
        "low": low,
        "high": high,
        "upper": before - after + SURE * float(np.std(draws)),
        "error": error,
        "encode_ms": 1e3 * encode / len(x),
        "decode_ms": 1e3 * decode / len(x),
        "cpu_s": round(seconds() - begun, 2),
        "codec_bytes": len(to_bytes()) if to_bytes else None,
        "streams": streams,
        "draws": [round(float(v), DIGITS) for v in draws],
    }


def single_bits(study: Study, family: Family, coder: Coder, split: str) -> float:
    """Bits an element of the first samples, each a stream of its own."""
    source = _source(study, family, split)[:SINGLES]
    streams, _, _, _ = code(coder, source, 1)
    return 8 * sum(streams) / (len(source) * study.x(split)[0].size)
