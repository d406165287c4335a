"""A tensor through a codec on the host: what a hook does in every framework."""

import time
from typing import Any

import numpy as np

from ..codec.codec import Codec
from ..codec.stream import inspect
from .report import Counts, Recorder

__all__ = ["pass_through"]


def pass_through(
    x: Any, codec: Codec, recorder: Recorder | None = None, *, call: int = 0, bitstream: bool = True
) -> np.ndarray:
    """decode(encode(x)) in x's shape and type, counted in ``recorder``; x is not written to."""
    source = np.asarray(x)
    data = None
    started = time.perf_counter_ns()
    if bitstream:
        data = codec.encode(source)
        encoded = time.perf_counter_ns()
        out = np.empty(source.shape, source.dtype)
        codec.decode(data, out=out, max_nbytes=max(1, out.nbytes))
    else:
        encoded = started
        out = codec.simulate(source)
    ended = time.perf_counter_ns()
    if recorder is not None:
        counts = Counts(
            calls=1, passes=1, elements=source.size,
            bytes_in=source.nbytes, measured=data is not None,
            encode_ns=encoded - started, decode_ns=ended - encoded,
        )  # fmt: skip
        samples, counts.clipped = recorder.measure(source)
        counts.samples, counts.sampled = samples or 0, samples is not None
        if data is not None:
            info = inspect(data, codec)
            counts.bytes_out, counts.blocks = len(data), info.nblocks
            counts.raw_blocks = info.raw_nblocks
        recorder.add(call, counts)
    return out
