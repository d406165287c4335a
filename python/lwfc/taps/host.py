"""A tensor through a codec on the host: what a hook does in every framework."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.checks import choose
from ..base.errors import ParameterError
from ..codec.codec import Codec
from ..codec.stream import inspect
from .report import Counts, Recorder

__all__ = ["MODES", "check_attach", "check_traced", "pass_through"]

MODES = ("bitstream", "simulate")
TYPES = ("float32", "float16", "bfloat16", "float64")


def check_attach(codecs: Any, mode: Any) -> None:
    """The arguments of every attach. Errors: ParameterError."""
    choose("mode", mode, MODES)
    if not isinstance(codecs, Mapping):
        raise ParameterError('codecs must map names to codecs, e.g. {"layer2": codec}')
    for name, codec in codecs.items():
        if codec is None:
            raise ParameterError(
                f"there is no codec for {name!r} but None, as tune returns where no setting is "
                "within max_loss: print its result"
            )
        if not isinstance(codec, Codec):
            raise ParameterError(
                f"codecs must map names to codecs, but {name!r} has a {type(codec).__name__}; "
                "lwfc.load(path) reads a codec from a file"
            )


def check_traced(codec: Any, dtype: str, rank: int | None) -> None:
    """What type and rank of a tensor tell before anything runs. Errors: ParameterError."""
    if not isinstance(codec, Codec):
        raise ParameterError(f"codec is a {type(codec).__name__}: pass an lwfc.Codec")
    if codec.integer_type is not None:
        raise ParameterError(
            f"this codec takes a quantized network's {codec.integer_type}, and only floats are "
            "coded inside a network: codec.simulate takes the integers as an array"
        )
    if dtype not in TYPES:
        raise ParameterError(f"x is {dtype}: must be one of {', '.join(TYPES)}")
    if rank is not None and rank > 8:
        raise ParameterError(f"x has {rank} axes: at most 8 can be coded")


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
