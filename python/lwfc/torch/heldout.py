"""Inputs held out of a fit, and how far the model's outputs move on them, without labels."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from ..base.checks import choose
from ..codec.codec import Codec
from .features import Batches, batches_of, run
from .layers import Select, nest, pick, replace, unnest
from .names import one_layer
from .outputs import MEASURES, Measure, Outputs, flatten

__all__ = ["ENOUGH", "HELD_MAX", "HeldOut", "held_out_batches"]

SHARE, SHARE_OF_FEW = 5, 3  # every so manieth batch is held out of a fit that is judged
ENOUGH = 80  # inputs held out that find a transform's step by themselves
FEW = SHARE * ENOUGH  # inputs, below which it is the larger share
HELD_MAX = 128  # arrays of features of them at most


class HeldOut:
    """A few inputs kept back, and what the model makes of them with a codec in place."""

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        select: Select,
        forward: Callable[[nn.Module, Any], Any],
        outputs: Outputs,
        measure: str,
    ) -> None:
        self._model, self._layer, self._select = model, layer, select
        self._forward, self._outputs = forward, outputs
        self._batches: list[Any] = []
        choose("distortion_measure", measure, MEASURES)
        self._measure = Measure(measure)
        self._settled = False

    def add(self, batch: Any) -> None:
        """Keep one batch of inputs."""
        self._batches.append(batch)
        self._measure.reference(self._run(batch, None))

    @property
    def kind(self) -> str:
        """What is measured, "kl" or "variance", once it is decided."""
        return self._measure.kind

    def distortion(self, codec: Codec) -> float:
        """How far the outputs move with this codec at the layer; see :class:`Measure`."""
        if not self._settled:
            self._measure.settle()
            self._settled = True
        return self._measure.compare([self._run(batch, codec) for batch in self._batches])

    def _run(self, batch: Any, codec: Codec | None) -> Any:
        def tap(module: nn.Module, inputs: Any, output: Any) -> Any:
            x = pick(output, self._select).detach()
            if x.is_nested:
                y = nest(x, [codec.simulate(part) for part in unnest(x)])
            else:
                y = codec.simulate(x)
            return replace(output, self._select, y)

        handle = None
        if codec is not None:
            handle = one_layer(self._model, self._layer).register_forward_hook(tap)
        try:
            output = run(self._model, self._forward, batch)
        finally:
            if handle is not None:
                handle.remove()
        return output if self._outputs is None else self._outputs(output)


def held_out_batches(loader: Batches) -> Iterator[tuple[Any, bool]]:
    """(batch, is it held out): every fifth is, every third of few inputs.

    Fewer than five batches are cut into as many parts each.
    """
    first: list[Any] = []
    count = 0
    rest = iter(batches_of(loader))
    for batch in rest:
        first.append(batch)
        count += _size(batch)
        if len(first) >= SHARE and count >= FEW:
            break
    share = SHARE if count >= FEW else SHARE_OF_FEW
    if len(first) < SHARE:
        first = [part for batch in first for part in _parts(batch, share)]
    for index, batch in enumerate(itertools.chain(first, rest)):
        yield batch, index % share == share // 2


def _size(batch: Any) -> int:
    """The length of a batch's first tensor."""
    return next((len(t) for _, t in flatten(batch) if t.ndim), 1)


def _parts(batch: Any, count: int) -> list[Any]:
    """A batch in up to ``count`` parts, all tensors of its first one's length cut alike."""
    size = _size(batch)
    step = -(-size // count)

    def cut(value: Any, start: int) -> Any:
        if isinstance(value, Tensor):
            return value[start : start + step] if value.ndim and len(value) == size else value
        if isinstance(value, Mapping):
            return {name: cut(item, start) for name, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [cut(item, start) for item in value]
        return value

    return [cut(batch, start) for start in range(0, size, step)] if size > 1 else [batch]
