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
from ..taps.report import Counts, Recorder
from .ondevice import on_device, takes

__all__ = ["code", "differentiating", "enter", "record_under", "register"]

# Codecs of hooks live as long as a hook holds them; those registered by hand stay. Equal codecs are
# entered side by side, or one would leave with the holder of another.
_codecs: WeakValueDictionary[int, Codec] = WeakValueDictionary()
_registered: dict[str, Codec] = {}
_recorders: WeakValueDictionary[int, Recorder] = WeakValueDictionary()


def _find(digest: str) -> Codec | None:
    """A living codec of this digest."""
    living = (reference() for reference in _codecs.valuerefs())
    return next((c for c in living if c is not None and f"{c.digest:016x}" == digest), None)


def enter(codec: Codec) -> str:
    """The digest by which the operator finds the codec for as long as somebody holds it."""
    digest = f"{codec.digest:016x}"
    known = _find(digest)
    if known is not None and known != codec:
        raise ParameterError(f"another codec of the digest {digest} is in use")
    _codecs[id(codec)] = codec
    return digest


def register(codec: Codec) -> str:
    """Make a codec known to the operator for the rest of the process; returns its digest.

    Graphs that torch.export made with a codec attached need it, where nothing else holds the codec.
    Errors: ParameterError for another codec of the same digest.
    """
    digest = enter(codec)
    _registered[digest] = codec
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
    codec = _registered.get(digest) or _find(digest)
    if codec is None:
        raise ParameterError(
            f"no codec of digest {digest} in this process: lwfc.torch.register(lwfc.load(path))"
        )
    # On the CPU the core is some fifty times as fast as PyTorch's operations.
    inside = x.device.type != "cpu" and x.is_floating_point() and takes(codec, x.device)
    y, data, times = (_on_device if inside else _in_core)(x.detach(), codec, bitstream)
    found = _recorders.get(recorder)
    if found is not None:
        counts = _counts(x, codec, data)
        samples, counts.clipped = found.measure(x.detach())
        if call >= 0:
            counts.calls = counts.passes = 1
            counts.samples, counts.sampled = samples or 0, samples is not None
        counts.encode_ns, counts.decode_ns = times
        found.add(call if call >= 0 else ~call, counts)
    return y


def differentiating() -> bool:
    """Whether torch.func.grad or jvp is at work: custom operators have no rule for them, and jvp
    would make derivatives of 0."""
    functorch = torch._C._functorch
    if functorch.peek_interpreter_stack() is None:
        return False
    return any(one.key().name in ("Grad", "Jvp") for one in functorch.get_interpreter_stack())


# The coded tensor, its stream or None, and the times of encoding and decoding in nanoseconds.
Coded = tuple[Tensor, bytes | None, tuple[int, int]]


def _in_core(x: Tensor, codec: Codec, bitstream: bool) -> Coded:
    """All of it by the C core; tensors of other devices are copied."""
    source = x.cpu()
    decoded = torch.empty_like(source)
    started = time.perf_counter_ns()
    if not bitstream:
        return decoded.copy_(codec.simulate(source)).to(x.device), None, (0, 0)
    data = codec.encode(source)
    encoded = time.perf_counter_ns()
    codec.decode(data, out=decoded, max_nbytes=max(1, decoded.numel() * decoded.element_size()))
    ended = time.perf_counter_ns()
    return decoded.to(x.device), data, (encoded - started, ended - encoded)


def _on_device(x: Tensor, codec: Codec, bitstream: bool) -> Coded:
    """Quantized and dequantized where x is; only symbols go to the coder and back."""
    tables = on_device(codec, x.device)
    started = time.perf_counter_ns()
    symbols, data, encoded = tables.quantize(x), None, started
    if bitstream:
        data = codec.encode_symbols(
            symbols.cpu().numpy(), dtype=str(x.dtype).removeprefix("torch.")
        )
        encoded = time.perf_counter_ns()
        found, _ = codec.decode_symbols(data, max_nbytes=max(1, x.numel()))
        symbols = torch.from_numpy(found).to(x.device)
    y = torch.empty_like(x).copy_(tables.dequantize(symbols, x.dtype))
    ended = time.perf_counter_ns()
    return y, data, (encoded - started, ended - encoded) if bitstream else (0, 0)


def _counts(x: Tensor, codec: Codec, data: bytes | None) -> Counts:
    """One tensor's sums for the report."""
    counts = Counts(
        elements=x.numel(),
        bytes_in=x.numel() * x.element_size(),
        measured=data is not None,
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
