"""The hooks that attach puts on a model: one on each layer, and two that watch the model itself."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor

from ..base.arrays import torch_like
from ..base.errors import ParameterError
from ..base.planes import channels_in
from ..codec.codec import Codec
from ..codec.gradient import clip_ends, inside
from ..taps.report import Recorder
from .layers import Select, nest, pick, replace, unnest
from .operator import code, differentiating, enter, record_under

__all__ = ["Hook", "Passes"]


class Passes:
    """Watches the model's forward passes: where one begins and ends, and how many samples it has.

    The hooks write plain attributes and look at no shapes, so torch.compile guards on none;
    everything else happens while the operator runs.
    """

    def __init__(self, sample_axis: int | None, sequence_first: bool) -> None:
        self.sample_axis = sample_axis
        self.sequence_first = sequence_first
        self.hooks: list[Hook] = []
        self.running = self.ran = False
        self.inputs: Any = ()

    def begin(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """The forward pre-hook of the model."""
        self.running = self.ran = True
        self.inputs = (*args, *kwargs.values())
        for hook in self.hooks:
            hook.call = 0

    def end(self, module: nn.Module, args: tuple, output: Any) -> None:
        """The forward hook of the model."""
        self.running = False
        self.inputs = ()

    def samples(self, x: Tensor) -> int | None:
        """Samples of the pass, or of the layer's output x outside one; None where unknown."""
        first = _first(self.inputs) if self.running else x
        if isinstance(first, (list, tuple)):
            return len(first)
        axis = self.sample_axis
        if first is None or (axis is None and self.sequence_first and first.dim() <= 3):
            return None
        axis = axis or 0
        # Without that axis it is one sample.
        return first.size(axis) if -first.dim() <= axis < first.dim() else 1

    def __getstate__(self) -> dict:
        return self.__dict__ | {"running": False, "inputs": ()}


def _first(values: Any) -> Any:
    """The first tensor among a model's inputs, or list of tensors (images of many sizes)."""
    for value in values:
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Mapping):
            found = _first(value.values())
            if found is not None:
                return found
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
            return value
    return None


class Hook:
    """The forward hook: replaces a layer's output by what the codec makes of it. Pickles."""

    def __init__(
        self,
        name: str,
        codec: Codec,
        mode: str,
        select: Select,
        grad: str,
        passes: Passes | None = None,
    ) -> None:
        self.passes = passes or Passes(None, False)
        self.passes.hooks.append(self)
        self.copies = 0  # made by pickle and copy
        self.told = False  # whether somebody has been told what became of it
        self.settings = name, codec, mode, select, grad
        self._prepare()

    def _prepare(self) -> None:
        self.name, self.codec, mode, self.select, grad = self.settings
        self.digest = enter(self.codec)
        ends = clip_ends(self.codec)
        self.lo, self.hi = float(ends[0].min()), float(ends[1].max())
        self.ends = tuple(torch.from_numpy(end.copy()) for end in ends)
        self.by_channel = len(ends[0]) > 1
        self.axes = self.codec.channel_axis, self.codec.inner_shape
        self.recorder = Recorder(partial(_measure, self.passes, self.ends, self.axes))
        self.bitstream = mode == "bitstream"
        self.straight = grad == "ste"
        self.number = record_under(self.recorder)
        self.call = 0
        self.fired = self.abstract = False  # abstract: with tensors that hold no values

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if torch.compiler.is_compiling():
            return self._coded(output)
        try:
            return self._coded(output)
        except Exception as error:
            error.add_note(f"at the model's layer {self.name!r}")
            raise

    def _coded(self, output: Any) -> Any:
        self.fired = True
        x = pick(output, self.select)
        if not torch.compiler.is_compiling() and (x.is_meta or isinstance(x, FakeTensor)):
            self.abstract = True
        call = 0
        if self.passes.running:
            call = self.call
            self.call = call + 1
        if x.is_nested:
            y = nest(
                x,
                [self._code(part, call if i == 0 else ~call) for i, part in enumerate(unnest(x))],
            )
        elif x.is_quantized:
            y = torch_like(self._code(x.int_repr(), call).numpy(), False, x)
        else:
            y = self._code(x, call)
        return replace(output, self.select, y)

    def _code(self, x: Tensor, call: int) -> Tensor:
        if not torch.compiler.is_compiling() and differentiating():
            raise ParameterError(
                "torch.func's grad and jvp do not see through a codec (vmap does): use "
                "torch.autograd.grad or backward()"
            )
        if not self.straight:
            x = x.detach()
        elif self.by_channel and x.requires_grad and self._fits(x):
            x = x.where(_inside(x, self.ends, *self.axes), x.detach())
        return code(x, self.digest, self.lo, self.hi, self.bitstream, self.number, call)

    def _fits(self, x: Tensor) -> bool:
        """Whether x has the codec's channels; what has not is refused when it is coded."""
        return x.shape[channels_in(x.shape, *self.axes) or 0] == len(self.ends[0])

    def __getstate__(self) -> dict:
        self.copies += 1
        return {"settings": self.settings, "passes": self.passes}

    def __setstate__(self, state: dict) -> None:
        """A copy counts for itself."""
        self.__dict__.update(state, copies=0, told=False)
        self._prepare()


def _inside(
    x: Tensor, ends: tuple[Tensor, ...], channel_axis: int | None, inner_shape: tuple[int, ...]
) -> Tensor:
    lo, hi = (end.to(x.device, x.dtype) for end in ends)
    return inside(x, lo, hi, channel_axis, inner_shape)


def _measure(
    passes: Passes, ends: tuple[Tensor, ...], axes: tuple[Any, ...], x: Tensor
) -> tuple[int | None, int]:
    """(samples of the pass, clipped values), as the recorder asks while the operator runs."""
    kept = torch.count_nonzero(_inside(x, ends, *axes))
    return passes.samples(x), x.numel() - int(kept)
