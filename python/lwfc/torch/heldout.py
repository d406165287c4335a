"""Inputs held out of a fit, and how far the model's outputs move on them, without labels."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..base.checks import choose
from ..calibration.samples import Batches as Samples
from ..codec.codec import Codec
from .features import Batches, batches_of, run
from .layers import Select, nest, pick, replace, unnest
from .names import one_layer
from .outputs import MEASURES, Measure, Outputs

__all__ = ["HELD_MAX", "NEAR", "HeldOut", "Picked", "held_out_batches", "in_turns"]

SHARE, SHARE_OF_FEW = 5, 3  # every so manieth batch is held out of a fit that is judged
ENOUGH = 80  # inputs held out that find a transform's step by themselves
FEW = SHARE * ENOUGH  # inputs, below which it is the larger share
HELD_MAX = 128  # arrays of features of them at most
TURNS = 8  # of few inputs
NEAR = 0.03  # relative, of the distortion wished for


class Picked:
    """Some of the batches of samples; may be walked as often as the whole."""

    def __init__(self, samples: Samples, chosen: Sequence[bool]) -> None:
        self._samples, self._chosen = samples, chosen

    def __iter__(self) -> Iterator[np.ndarray]:
        return itertools.compress(self._samples, self._chosen)

    def walk(self, what: str) -> Iterator[np.ndarray]:
        """See :meth:`Samples.walk`."""
        return itertools.compress(self._samples.walk(what), self._chosen)


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
        self._forward, self._counted = forward, outputs
        self._batches: list[tuple[Any, int]] = []
        choose("distortion_measure", measure, MEASURES)
        self._measure = Measure(measure)
        self._settled = False

    def add(self, batch: Any, turn: int = 0) -> None:
        """Keep one batch of inputs, of those that are held out in a turn."""
        self._batches.append((batch, turn))
        self._measure.reference(self._run(batch, None))

    @property
    def kind(self) -> str:
        """What is measured, "kl" or "variance"."""
        self._settle()
        return self._measure.kind

    @property
    def inputs(self) -> int:
        """How many there are."""
        return sum(_size(batch) for batch, _ in self._batches)

    def distortion(self, *codecs: Codec) -> float:
        """How far outputs move with each turn's codec, fewer in rotation; see :class:`Measure`."""
        return self._measure.compare(self._outputs(codecs))

    def bound(self, *codecs: Codec) -> float:
        """Its upper confidence bound; see :meth:`Measure.bound`."""
        return self._measure.bound(self._outputs(codecs))

    def _outputs(self, codecs: Sequence[Codec]) -> list[Any]:
        self._settle()
        return [self._run(batch, codecs[turn % len(codecs)]) for batch, turn in self._batches]

    def _settle(self) -> None:
        if not self._settled:
            self._measure.settle()
            self._settled = True

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
        return output if self._counted is None else self._counted(output)


def in_turns(loader: Batches) -> tuple[list[tuple[Any, int]] | None, Iterator[Any]]:
    """(all inputs in parts, each with its turn to be held out; None of many), (all batches).

    Few are those of which a third would be fewer than ``ENOUGH``. Fewer batches than turns are cut.
    """
    rest = iter(batches_of(loader))
    first, count = _first(rest, inputs=SHARE_OF_FEW * ENOUGH)
    if count >= SHARE_OF_FEW * ENOUGH:
        return None, itertools.chain(first, rest)
    parts = [(batch, index % TURNS) for index, batch in enumerate(first)]
    if len(first) < TURNS:
        parts = [pair for batch in first for pair in _turned(batch)]
    return parts, iter(first)


def _first(rest: Iterator[Any], inputs: int, batches: int = 1) -> tuple[list[Any], int]:
    """The first batches, until they are so many with so many inputs; and how many inputs."""
    first: list[Any] = []
    count = 0
    for batch in rest:
        first.append(batch)
        count += _size(batch)
        if len(first) >= batches and count >= inputs:
            break
    return first, count


def _turned(batch: Any) -> Iterator[tuple[Any, int]]:
    return ((part, turn) for turn, part in enumerate(_parts(batch, TURNS)))


def held_out_batches(loader: Batches) -> Iterator[tuple[Any, bool]]:
    """(batch, is it held out): every fifth is, every third of few inputs.

    Fewer than five batches are cut into as many parts each.
    """
    rest = iter(batches_of(loader))
    first, count = _first(rest, inputs=FEW, batches=SHARE)
    share = SHARE if count >= FEW else SHARE_OF_FEW
    if len(first) < SHARE:
        first = [part for batch in first for part in _parts(batch, share)]
    for index, batch in enumerate(itertools.chain(first, rest)):
        yield batch, index % share == share // 2


def _size(batch: Any) -> int:
    """The length of a batch's first tensor."""
    return next((len(t) for t in _tensors(batch) if t.ndim), 1)


def _tensors(batch: Any) -> Iterator[Tensor]:
    """Those of any type, tokens as well, in nested containers."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, (Mapping, tuple, list)):
        for item in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _tensors(item)


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
