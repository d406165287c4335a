"""One point: a codec at one setting on one split, in real bytes and the task's metric."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from ..calibration.scores import SURE
from .bootstrap import interval
from .families import Coder, Family
from .study import Study

__all__ = ["BATCH", "code", "measure", "single_bits"]

BATCH = 100  # samples a stream
SINGLES = 32  # samples whose streams are measured one by one
CODED = 8  # streams of a coder that is known to restore what it is given
FEW = 2  # of these, where settings are only screened
DIGITS = 4  # after the point, of redrawn losses


def code(
    coder: Coder,
    x: np.ndarray,
    size: int,
    most: int = CODED,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[int], np.ndarray, float, float, int]:
    """(bytes of each stream of ``size`` samples, what was decoded, seconds of both ways, how many
    samples were coded): all, or of a coder with ``expected`` at most ``most`` streams, evenly
    spread, whose decoding must give what is expected.
    """
    expected = getattr(coder, "expected", None)
    out = np.empty_like(x) if expected is None else expected(x)
    starts = np.arange(0, len(x), size)
    if expected is not None and len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).astype(int)]
    parts = [x[start : start + size].copy() for start in starts]  # whatever encode does to them
    begun = clock()
    streams = encode_all(coder, parts)
    coded = clock()
    decoded = _decode_all(coder, streams)
    done = clock()
    for start, found in zip(starts, map(np.asarray, decoded), strict=True):
        shape = x[start : start + size].shape
        if found.shape != shape:
            raise ParameterError(f"decode gave the shape {found.shape} for {shape}")
        if not np.isfinite(found).all():
            raise ParameterError("decode gave NaN or infinities")
        if expected is None:
            out[start : start + size] = found
        elif not np.array_equal(found, out[start : start + size]):
            raise ParameterError("decode gave other values than the coder's expected() says")
    return list(map(len, streams)), out, coded - begun, done - coded, sum(map(len, parts))


def encode_all(coder: Coder, parts: Sequence[np.ndarray]) -> list[bytes]:
    """A stream for each array. Errors: ParameterError for streams that are not bytes."""
    every = getattr(coder, "encode_all", None)
    streams = list(every(parts)) if every else [coder.encode(part) for part in parts]
    for data in streams:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ParameterError(f"encode gave a {type(data).__name__}: must be bytes")
    return streams


def _decode_all(coder: Coder, streams: Sequence[bytes]) -> list[np.ndarray]:
    every = getattr(coder, "decode_all", None)
    return list(every(streams)) if every else [coder.decode(data) for data in streams]


def seconds() -> float:
    """Processor time of this process and of those it has waited for."""
    return sum(os.times()[:4])


def _source(study: Study, family: Family, split: str) -> np.ndarray:
    """What the family codes."""
    if family.group != "input":
        return study.x(split)
    if study.images is None or study.whole is None or split not in study.images:
        raise ParameterError(f"{family.name} codes inputs, and study {study.name!r} has no images "
                             f"of the split {split!r} or no whole network")  # fmt: skip
    return np.ascontiguousarray(study.images[split])


def measure(
    study: Study,
    family: Family,
    setting: dict[str, Any],
    split: str,
    size: int = BATCH,
    make: Callable[[], Coder] | None = None,
    screened: bool = False,
) -> dict[str, Any]:
    """The record of one point, JSON-able.

    Bits count every byte of the streams over the elements of the *features*, also where inputs are
    sent. ``draws`` are losses in the redraws of :mod:`.bootstrap`, ``upper`` the upper end of the
    loss's one-sided 95 % interval, ``error`` the features' mean squared error over their variance
    (None of constant ones), ``coded`` the samples that were coded (see :func:`code`), on which
    ``bits`` and ``streams`` rest; times milliseconds a sample, ``cpu_s`` the processor time of the
    point. ``codec_bytes``: the codec's file, which both sides have beforehand, where it has one.
    ``make`` gives the coder where it is made already; ``screened``: few streams of a coder with
    ``expected``, and no floor under ``upper`` (:meth:`.study.Study.unseen`), which what restores
    every bit does not have either.
    """
    begun = seconds()
    coder = make() if make else family.make(study, **setting)
    x = study.x(split)
    source = _source(study, family, split)
    most = FEW if screened else CODED
    streams, decoded, encode, decode, coded = code(coder, source, size, most)
    floor = 0.0 if screened or np.array_equal(decoded, source) else study.unseen(split)
    if family.group == "input":
        outcome, error = study.judge(split, study.whole(decoded.copy())), None
    else:
        outcome = study.decoded(split, decoded)
        power = float(x.var(dtype=np.float64))
        error = float(np.square(x - decoded, dtype=np.float64).mean()) / power if power else None
    before, after = study.reference(split).metric(), outcome.metric()
    draws = study.losses(split, outcome)
    if not np.isfinite([after, *draws]).all():
        raise ParameterError(f"metric of study {study.name!r} is {after} of what was decoded, or "
                             "not finite in redraws of it: scores must be finite")  # fmt: skip
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
        "coded": coded,
        "bits": 8 * sum(streams) / (coded * x[0].size),
        "kb_per_sample": sum(streams) / coded / 1000,
        "metric": after,
        "loss": before - after,
        "low": low,
        "high": high,
        "upper": max(before - after + SURE * float(np.std(draws)), floor),
        "error": error,
        "encode_ms": 1e3 * encode / coded,
        "decode_ms": 1e3 * decode / coded,
        "cpu_s": round(seconds() - begun, 2),
        "codec_bytes": len(to_bytes()) if to_bytes else None,
        "streams": streams,
        "draws": [round(float(v), DIGITS) for v in draws],
    }


def single_bits(study: Study, family: Family, coder: Coder, split: str) -> float:
    """Bits an element of the first samples, each a stream of its own."""
    source = _source(study, family, split)[:SINGLES]
    parts = [source[i : i + 1].copy() for i in range(len(source))]
    size = sum(map(len, encode_all(coder, parts)))
    return 8 * size / (len(source) * study.x(split)[0].size)
