"""The verbs for network files that a runtime runs on NumPy arrays: ONNX's and LiteRT's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate
from ..codec.codec import Codec
from ..taps.host import check_attach, pass_through
from ..taps.records import recorders_for, report_of, warn_uncoded
from ..taps.report import Report
from .arrays import ArrayNetwork, batches_of, describe, named
from .cuts import Cut, LiveTensor
from .dataflow import Dataflow, Halving, Run, run_coded

__all__ = [
    "FileGraph",
    "Tap",
    "attach",
    "calibrated",
    "cut_of",
    "features",
    "network_of",
    "same_outputs",
]


class FileGraph(Protocol):
    """A network file: its name, its dataflow, what names stand for, and all its bytes."""

    name: str
    flow: Dataflow

    def tensors(self, at: str | Sequence[str]) -> tuple[str, ...]:
        """The tensors that names stand for."""

    def affine(self, name: str) -> tuple[float, int] | None:
        """Scale and zero point of a tensor of 8-bit integers that has one of each."""

    def to_bytes(self) -> bytes:
        """What tells it from other networks."""


def features(graph: FileGraph, run: Run, tensor: str, data: Any) -> Iterator[np.ndarray]:
    """A tensor's value for each batch of inputs."""
    names = graph.tensors(tensor)
    if len(names) != 1:
        raise ParameterError(f"{tensor!r} stands for the tensors {list(names)}: name one")
    read = graph.flow.used(graph.flow.inputs, names)
    for batch in batches_of(data):
        yield run(named(batch, read), names)[names[0]]


def calibrated(graph: FileGraph, run: Run, tensor: str, data: Any, **options: Any) -> Codec:
    """A codec for a tensor; integers of a quantized network bring their scale."""
    options = {"batched": True} | options
    names = graph.tensors(tensor)
    known = graph.affine(names[0]) if len(names) == 1 and "scale" not in options else None
    if known is not None:
        options |= {"scale": known[0], "zero_point": known[1]}
    return calibrate(features(graph, run, tensor, data), **options)


class Tap:
    """A network with codecs inside: run it by :meth:`run`, read :meth:`report`."""

    def __init__(
        self, graph: FileGraph, run: Run, codecs: Mapping[str, Codec], bitstream: bool
    ) -> None:
        self._flow, self._run, self._codecs, self._bitstream = graph.flow, run, codecs, bitstream
        self._recorders = recorders_for(codecs)

    def run(self, output_names: Sequence[str] | None, inputs: Any) -> list[np.ndarray]:
        """The outputs of these names, None: all, for inputs by name or one array."""

        def coder(name: str) -> Callable[[Any], Any]:
            codec, recorder = self._codecs[name], self._recorders[name]
            return lambda x: pass_through(x, codec, recorder, bitstream=self._bitstream)

        code = {name: coder(name) for name in self._codecs}
        found = run_coded(self._flow, self._run, named(inputs, self._flow.inputs), code)
        return [found[name] for name in output_names or self._flow.outputs]

    def report(self) -> Report:
        """Bytes, rates and times so far; a row for each tensor."""
        return report_of(self._recorders)

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            warn_uncoded(self._recorders)


def attach(graph: FileGraph, run: Run, codecs: Mapping[str, Codec], mode: str) -> Tap:
    """The network with decode(encode(x)) in place of some tensors. Errors: ParameterError."""
    check_attach(codecs, mode)
    chosen: dict[str, Codec] = {}
    for name, codec in codecs.items():
        for tensor in graph.tensors(name):
            if tensor in chosen:
                raise ParameterError(f"tensor {tensor!r} is named twice in codecs")
            chosen[tensor] = codec
    return Tap(graph, run, chosen, mode == "bitstream")


def network_of(graph: FileGraph, run: Run, way: str, data: Any) -> ArrayNetwork:
    """What the explorer walks through."""
    return ArrayNetwork(graph.name, way, graph.flow, run, list(batches_of(data)), graph.to_bytes(),
                        graph.affine)  # fmt: skip


def cut_of(
    halving: Halving, at: str | Sequence[str], graph: FileGraph, run: Run, one: Mapping[str, Any]
) -> Cut:
    """The cut with shapes and types of what crosses, as seen with one sample and with two."""
    read = [*halving.read, *(n for n in halving.raw if n not in halving.read)]

    def seen(feeds: Mapping[str, Any]) -> dict[str, Any]:
        return {n: feeds[n] for n in halving.raw} | run(feeds, halving.made)

    first = {name: np.asarray(one[name])[:1] for name in read}
    second = {name: np.concatenate([x, x]) for name, x in first.items()}
    tensors: dict[str, LiveTensor] = describe(
        graph.flow, seen(first), seen(second), graph.affine
    )
    places = (at,) if isinstance(at, str) else tuple(at)
    name = halving.crossing[0] if len(halving.crossing) == 1 else "+".join(places)
    return Cut(name, places, tuple(tensors[n] for n in halving.crossing))


def same_outputs(halves: Mapping[str, Any], whole: Mapping[str, Any], tolerance: float) -> None:
    """Compare outputs; floats may differ by ``tolerance`` times their largest value.

    Errors: ParameterError naming the output that is another.
    """
    for name, x in whole.items():
        y = halves[name]
        good = x.shape == y.shape and x.dtype == y.dtype
        if good and x.dtype.kind == "f" and x.size and tolerance:
            scale = float(np.abs(x).max()) or 1.0
            good = float(np.abs(x - y).max()) <= tolerance * scale
        elif good:
            good = bool(np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))
        if not good:
            raise ParameterError(
                f"output {name!r} of the two halves is not that of the network: does it draw "
                "random numbers, or change with every call?"
            )
