"""calibrate with a transform on a model: gradients, and a step chosen by the outputs."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..base.checks import choose
from ..base.threads import blas_limit
from ..calibration.calibrate import calibrate
from ..calibration.pairs import Pairs
from ..calibration.rivals import PLAIN, Rival, measured_bits, rival_codec
from ..calibration.samples import Batches as Samples
from ..calibration.transforming import (
    Prepared,
    TransformOptions,
    decided,
    fallen_back,
    prepare,
)
from ..codec.codec import Codec
from ..transform.choice import bisected
from ..transform.trial import Point
from .features import Batches, batches_of, run
from .gradients import Projections
from .layers import Select, pick, replace
from .names import one_layer
from .outputs import MEASURES, Measure, Outputs, flatten

__all__ = ["HeldOut", "calibrate_transform", "collected", "find_step", "with_held_out"]

HELD_OUT = 5  # every so manieth sample is held out of the fit that the step is searched with
HELD_MAX = 128  # of them at most
NEAR = 0.03  # relative, of the distortion wished for


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
            x = pick(output, self._select)
            return replace(output, self._select, codec.simulate(x.detach()))

        handle = None
        if codec is not None:
            handle = one_layer(self._model, self._layer).register_forward_hook(tap)
        try:
            output = run(self._model, self._forward, batch)
        finally:
            if handle is not None:
                handle.remove()
        return output if self._outputs is None else self._outputs(output)


def _batches(loader: Batches) -> Iterator[tuple[Any, bool]]:
    """(batch, is it held out): every fifth is; few batches are cut into five parts each."""
    first: list[Any] = []
    rest = iter(batches_of(loader))
    for batch in rest:
        first.append(batch)
        if len(first) == HELD_OUT:
            break
    if len(first) < HELD_OUT:
        first = [part for batch in first for part in _parts(batch)]
    for index, batch in enumerate(itertools.chain(first, rest)):
        yield batch, index % HELD_OUT == HELD_OUT // 2


def _parts(batch: Any) -> list[Any]:
    """A batch in up to HELD_OUT parts, all tensors of its first one's length cut alike."""
    tensors = [t for _, t in flatten(batch) if t.ndim]
    size = len(tensors[0]) if tensors else 1
    step = -(-size // HELD_OUT)

    def cut(value: Any, start: int) -> Any:
        if isinstance(value, Tensor):
            return value[start : start + step] if value.ndim and len(value) == size else value
        if isinstance(value, Mapping):
            return {name: cut(item, start) for name, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [cut(item, start) for item in value]
        return value

    return [cut(batch, start) for start in range(0, size, step)] if size > 1 else [batch]


class _Joined:
    """The samples of the fit and those held out, one after the other."""

    def __init__(self, *parts: Pairs) -> None:
        self._parts = parts

    def walk(self, what: str) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for part in self._parts:
            yield from part.walk(what)


@contextlib.contextmanager
def collected(
    loader: Batches,
    wishes: TransformOptions,
    projections: Projections,
    held_out: HeldOut | None,
) -> Iterator[tuple[Prepared, Pairs | None]]:
    """The fit to a loader's batches, without those held out, and these; None without any."""
    held: list[np.ndarray] = []

    def stacked() -> Iterator[np.ndarray]:
        for batch, back in _batches(loader):
            parts = (x.numpy() for x in projections.run(batch))
            if back and held_out is not None and sum(map(len, held)) < HELD_MAX:
                held.extend(parts)
                held_out.add(batch)
            else:
                yield from parts

    opening = Samples(stacked(), wishes.progress, batched=True)
    with opening as batches, blas_limit(wishes.num_threads):
        pairs = Pairs(batches, None, wishes.channel_axis, stacked=True)
        if projections.missing:
            projections.warn()
        own = None
        if held:
            own = Pairs(Samples(held, batched=True), None, pairs.channel_axis, stacked=True)
        yield prepare(pairs, wishes), own


def calibrate_transform(
    loader: Batches,
    *,
    transform: str,
    projections: Projections,
    held_out: HeldOut,
    **options: Any,
) -> Codec:
    """:func:`lwfc.torch.calibrate` with ``transform`` "dct" or "auto"."""
    wishes = TransformOptions.of(transform, options)
    searching = wishes.goal(1 << 30).distortion is not None
    with collected(loader, wishes, projections, held_out if searching else None) as found:
        prepared, own = found
        if own is None:
            return decided(calibrate, prepared, prepared.find_step())
        point = find_step(prepared, held_out)
        rival = None
        if transform == "auto":
            rival = _smaller(prepared, point, held_out, own)
        if rival is not None:
            return fallen_back(calibrate, prepared, rival)
        notes = {"distortion": point.distortion, "distortion_measure": held_out.kind}
        return with_held_out(prepared, own).codec(point.step, **notes)


def with_held_out(prepared: Prepared, own: Pairs | None) -> Prepared:
    """The same shape fitted to all samples."""
    return prepared if own is None else prepared.refitted(_Joined(prepared.pairs, own))


def find_step(prepared: Prepared, held_out: HeldOut) -> Point:
    """The largest step within the goal's distortion of the outputs on held-out inputs."""
    start = prepared.find_step().step

    def at(step: float) -> Point:
        return Point(step, math.nan, held_out.distortion(prepared.codec(step)))

    return bisected(at, prepared.goal.beyond, start, NEAR)


def _smaller(prepared: Prepared, point: Point, held_out: HeldOut, own: Pairs) -> Rival | None:
    """The plain profile if it codes the held-out samples smaller at no more distortion."""
    x = list(own.samples())
    ours = measured_bits(prepared.codec(point.step), x)
    samples = prepared.pairs.samples()
    for options in PLAIN:
        codec = rival_codec(calibrate, samples, options | prepared.wishes.common)
        bits = measured_bits(codec, x)
        if bits >= ours:
            return None  # finer ones are larger still
        if held_out.distortion(codec) <= point.distortion:
            return Rival(options, bits, ours)
    return None
