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
from .report import Recorder

__all__ = ["code", "record_under", "register"]

_codecs: dict[str, Codec] = {}
_recorders: WeakValueDictionary[int, Recorder] = WeakValueDictionary()


def register(codec: Codec) -> str:
    """Make a codec known to the operator in this process; returns its digest as a string."""
    digest = f"{codec.digest:016x}"
    known = _codecs.setdefault(digest, codec)
    if known != codec:
        raise ParameterError(f"another codec of the digest {digest} is registered")
    return digest


def record_under(recorder: Recorder) -> int:
    """The number by which the operator finds a recorder for as long as it lives.

    Random, as exported graphs carry it into other processes, where it must mean nothing.
    """
    number = secrets.randbits(62)
    _recorders[number] = recorder
    return number


@torch.library.custom_op("lwfc::code", mutates_args=())
def code(x: Tensor, digest: str, lo: float, hi: float, bitstream: bool, recorder: int) -> Tensor:
    """decode(encode(x)) by a registered codec, same shape, strides, type and device as x.

    ``lo``, ``hi``: where the gradient passes straight through; ``bitstream`` false: the same
    values without making bytes; ``recorder``: from :func:`record_under`, or 0.
    """
    codec = _codecs.get(digest)
    if codec is None:
        raise ParameterError(
            f"no codec of digest {digest} in this process: lwfc.torch.register(lwfc.load(path))"
        )
    source = x.detach().cpu()
    started = time.perf_counter_ns()
    if bitstream:
        data = codec.encode(source)
        encoded = time.perf_counter_ns()
        decoded = torch.empty_like(source)
        codec.decode(data, out=decoded, max_nbytes=max(1, decoded.numel() * decoded.element_size()))
        decode_ns = time.perf_counter_ns() - encoded
        nbytes, encode_ns = len(data), encoded - started
    else:
        decoded = torch.empty_like(source).copy_(codec.simulate(source))
        nbytes, encode_ns, decode_ns = None, 0, 0
    found = _recorders.get(recorder)
    if found is not None:
        found.add(x.shape, nbytes, encode_ns, decode_ns)
    result = decoded.to(x.device)
    return result.clone() if result is x else result


@code.register_fake
def _(x: Tensor, digest: str, lo: float, hi: float, bitstream: bool, recorder: int) -> Tensor:
    return torch.empty_like(x)


def _save(ctx, inputs, output) -> None:
    x, _, lo, hi, _, _ = inputs
    ctx.save_for_backward(x)
    ctx.ends = lo, hi


def _straight_through(ctx, grad):
    (x,) = ctx.saved_tensors
    lo, hi = ctx.ends
    return grad * ((x >= lo) & (x <= hi)).to(grad.dtype), None, None, None, None, None


code.register_autograd(_straight_through, setup_context=_save)
