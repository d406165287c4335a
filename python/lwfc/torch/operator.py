"""The custom operator behind every hook: torch.ops.lwfc.code, y = decode(encode(x)).

A codec reaches the operator by its digest, a string, so that graphs of torch.compile and
torch.export hold nothing but plain arguments. A process that loads an exported graph registers the
codec first: ``lwfc.torch.register(lwfc.load(path))``.
"""

import secrets
import time
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ..base.errors import ParameterError
from ..codec.codec import Codec
from ..codec.stream import inspect
from .report import Counts, Recorder

__all__ = ["code", "enter", "record_under", "register"]

# Codecs of hooks live as long as a hook holds them; those registered by hand stay.
_codecs: WeakValueDictionary[str, Codec] = WeakValueDictionary()
_registered: dict[str, Codec] = {}
_recorders: WeakValueDictionary[int, Recorder] = WeakValueDictionary()


def enter(codec: Codec) -> tuple[str, Codec]:
    """The digest by which the operator finds the codec for as long as the second result lives.

    That is the codec itself, or an equal one that has come before it.
    """
    digest = f"{codec.digest:016x}"
    known = _codecs.setdefault(digest, codec)
    if known != codec:
        raise ParameterError(f"another codec of the digest {digest} is in use")
    return digest, known


def register(codec: Codec) -> str:
    """Make a codec known to the operator for the rest of the process; returns its digest.

    Graphs that torch.export made with a codec attached need it, where nothing else holds the codec.
    """
    digest, known = enter(codec)
    _registered[digest] = known
    return digest


def record_under(recorder: Recorder) -> int:
    """The number by which the operator finds a recorder for as long as it lives.

    Random, as exported graphs carry it into other processes, where it must mean nothing.
    """
    number = secrets.randbits(62)
    _recorders[number] = recorder
    return number


@torch.library.custom_op("lwfc::code", mutates_args=())
def code(
    x: Tensor,
    digest: str,
    lo: float,
    hi: float,
    bitstream: bool,
    recorder: int,
    call: int = 0,
) -> Tensor:
    """decode(encode(x)) by a registered codec, same shape, strides, type and device as x.

    ``lo``, ``hi``: where the gradient passes straight through; ``bitstream`` false: the same
    values without making bytes; ``recorder``: from :func:`record_under`, or 0; ``call``: which of
    the layer's calls in a forward pass, ~call for another part of one.
    """
    codec = _registered.get(digest) or _codecs.get(digest)
    if codec is None:
        raise ParameterError(
            f"no codec of digest {digest} in this process: lwfc.torch.register(lwfc.load(path))"
        )
    source = x.detach().cpu()
    data = None
    started = time.perf_counter_ns()
    if bitstream:
        data = codec.encode(source)
        encoded = time.perf_counter_ns()
        decoded = torch.empty_like(source)
        codec.decode(data, out=decoded, max_nbytes=max(1, decoded.numel() * decoded.element_size()))
    else:
        encoded = started
        decoded = torch.empty_like(source).copy_(codec.simulate(source))
    ended = time.perf_counter_ns()
    found = _recorders.get(recorder)
    if found is not None:
        counts = _counts(x, codec, data, lo, hi)
        if call >= 0:
            samples = found.samples(x)
            counts.calls = counts.passes = 1
            counts.samples, counts.sampled = samples or 0, samples is not None
        counts.encode_ns, counts.decode_ns = encoded - started, ended - encoded
        found.add(call if call >= 0 else ~call, counts)
    result = decoded.to(x.device)
    return result.clone() if result is x else result


def _counts(x: Tensor, codec: Codec, data: bytes | None, lo: float, hi: float) -> Counts:
    """One tensor's sums for the report."""
    counts = Counts(
        elements=x.numel(),
        bytes_in=x.numel() * x.element_size(),
        measured=data is not None,
        clipped=int(torch.count_nonzero((x < lo) | (x > hi))),
    )
    if data is not None:
        info = inspect(data, codec)
        counts.bytes_out, counts.blocks, counts.raw_blocks = (
            len(data),
            info.nblocks,
            info.raw_nblocks,
        )
    return counts


@code.register_fake
def _(x, digest, lo, hi, bitstream, recorder, call=0) -> Tensor:
    return torch.empty_like(x)


def _save(ctx, inputs, output) -> None:
    x, _, lo, hi, *_ = inputs
    ctx.save_for_backward(x)
    ctx.ends = lo, hi


def _straight_through(ctx, grad):
    (x,) = ctx.saved_tensors
    lo, hi = ctx.ends
    inside = ((x >= lo) & (x <= hi)).to(grad.dtype)
    return grad * inside, None, None, None, None, None, None


code.register_autograd(_straight_through, setup_context=_save)
