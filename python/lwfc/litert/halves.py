"""split: a .tflite file as two, with the codecs of what crosses."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..split.arrays import Cloud as ArrayCloud
from ..split.arrays import Edge as ArrayEdge
from ..split.arrays import named
from ..split.cuts import Cut
from ..split.folder import read_half, write_half
from ..split.runtime import cut_of, same_outputs
from ..split.wire import Wire
from .graph import Graph, runner

__all__ = ["Cloud", "Edge", "load", "split"]


class _Saved:
    """What both halves have beside their run: a file, saved with cut and codecs."""

    model: bytes
    _ends: tuple[Sequence[str], Sequence[str]]

    def save(self, folder: str | os.PathLike) -> None:
        """Write half.tflite, half.json and a codec file for each coded tensor into a folder."""
        path = write_half(folder, self, {"ends": [list(end) for end in self._ends]})
        (path / "half.tflite").write_bytes(self.model)


class Edge(_Saved, ArrayEdge):
    """The device's half; ``model`` is its file. See :class:`lwfc.split.arrays.Edge`."""

    def __init__(self, model: bytes, ends: Any, cut: Cut, wire: Wire | None) -> None:
        self.model, self._ends = model, ends
        raw = [t.name for t in cut.tensors if t.is_input and t.name not in ends[0]]
        super().__init__(runner(model, *ends), [*ends[0], *raw], cut, wire)


class Cloud(_Saved, ArrayCloud):
    """The server's half; ``model`` is its file. See :class:`lwfc.split.arrays.Cloud`."""

    def __init__(self, model: bytes, ends: Any, cut: Cut, wire: Wire | None) -> None:
        self.model, self._ends = model, ends
        super().__init__(runner(model, *ends), ends[1], cut, wire)


def split(
    model: Any,
    at: str | Sequence[str],
    codec: Any = None,
    *,
    example: Any,
    allow_input: bool = False,
) -> tuple[Edge, Cloud]:
    """Cut a file behind tensors or operators; all tensors that cross are found.

    ``model``: a path, or the file's bytes; ``at``: a name, or several; ``codec``: one, or a mapping
    of tensor names to codecs, None: tensors cross as they are; quantized integer tensors cross to
    the bit, and float ones without a codec; ``example``: inputs, with which ``cloud(edge(x))`` is
    compared with the whole, to the bit; ``allow_input``: whether the network's own input may cross.

    Both halves are files for any LiteRT runtime. Errors: ParameterError.
    """
    graph = Graph(model)
    halving = graph.flow.halve(at, allow_input)
    feeds = {name: x[:1] for name, x in named(example, graph.inputs).items()}
    run = graph.run()
    cut = cut_of(halving, at, graph, run, feeds)
    wire = None if codec is None else Wire(cut, codec)
    behind = graph.flow.used(halving.crossing, halving.left)
    first, second = (halving.read, halving.made), (behind, halving.left)
    edge = Edge(graph.part(*first), first, cut, wire)
    cloud = Cloud(graph.part(*second), second, cut, wire)
    halves = cloud._run(edge.tensors({n: feeds[n] for n in edge.inputs}), cloud.outputs)
    same_outputs(halves, run(feeds, cloud.outputs), 0)
    return edge, cloud


def load(folder: str | os.PathLike) -> Edge | Cloud:
    """The half that :meth:`Edge.save` or :meth:`Cloud.save` wrote. Errors: OSError, FormatError."""
    kind, cut, wire, notes = read_half(folder, {"edge": Edge, "cloud": Cloud})
    return kind((Path(folder) / "half.tflite").read_bytes(), notes["ends"], cut, wire)
