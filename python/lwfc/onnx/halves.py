"""split: an ONNX model as two, with the codecs of what crosses."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..base.errors import ParameterError
from ..split.arrays import Cloud as ArrayCloud
from ..split.arrays import Edge as ArrayEdge
from ..split.arrays import named, one_by_one
from ..split.cuts import Cut
from ..split.folder import read_half, write_half
from ..split.runtime import cut_of, same_outputs
from ..split.wire import Wire
from .graph import PROTO_MAX, Graph, bare, fixed_batch, session

__all__ = ["Cloud", "Edge", "load", "split"]

# Of the outputs' largest value: fused kernels round otherwise than separate ones. Networks in 16
# bits are run in 32 between casts, and where these stand depends on the cut.
TOLERANCE, HALF_TOLERANCE = 1e-4, 2e-2


class _Saved:
    """What both halves have beside their run: a model, saved with cut and codecs."""

    model: onnx.ModelProto
    folder: Path | None
    cut: Cut
    wire: Wire | None

    def save(self, folder: str | os.PathLike) -> None:
        """Write half.onnx, half.json and a codec file for each coded tensor into a folder.

        Weights that lie in external files are written beside them, in one file.
        """
        path = write_half(folder, self, {})
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        if self.folder is not None:
            onnx.load_external_data_for_model(model, str(self.folder))
        large = model.ByteSize() > PROTO_MAX or any(
            w.data_location == onnx.TensorProto.EXTERNAL for w in self.model.graph.initializer
        )
        onnx.save(model, path / "half.onnx", save_as_external_data=large, location="half.data")


class Edge(_Saved, ArrayEdge):
    """The device's half; ``model`` is its ONNX model. See :class:`lwfc.split.arrays.Edge`."""

    def __init__(
        self, model: onnx.ModelProto, folder: Path | None, cut: Cut, wire: Wire | None, **options
    ) -> None:
        self.model, self.folder = model, folder
        inputs = [value.name for value in model.graph.input]
        raw = [t.name for t in cut.tensors if t.is_input and t.name not in inputs]
        super().__init__(_whole(model, folder, options, cut), [*inputs, *raw], cut, wire)


class Cloud(_Saved, ArrayCloud):
    """The server's half; ``model`` is its ONNX model. See :class:`lwfc.split.arrays.Cloud`."""

    def __init__(
        self, model: onnx.ModelProto, folder: Path | None, cut: Cut, wire: Wire | None, **options
    ) -> None:
        self.model, self.folder = model, folder
        outputs = [value.name for value in model.graph.output]
        super().__init__(_whole(model, folder, options, cut), outputs, cut, wire)


def _whole(
    model: onnx.ModelProto, folder: Path | None, options: Mapping[str, Any], cut: Cut
) -> Any:
    ready = session(model, folder, **options)
    inputs = [value.name for value in ready.get_inputs()]

    def run(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        found = ready.run(list(names), {name: feeds[name] for name in inputs})
        return dict(zip(names, found, strict=True))

    types = {value.name: value.type.tensor_type for value in model.graph.input}
    ranks = {name: len(t.shape.dim) for name, t in types.items() if t.HasField("shape")}
    stacked = {t.name for t in cut.tensors if len(t.shape) > ranks.get(t.name, len(t.shape))}
    if stacked or fixed_batch(model):
        return one_by_one(run, stacked | bare(model.graph.output))
    return run


def split(
    model: Any,
    at: str | Sequence[str],
    codec: Any = None,
    *,
    example: Any = None,
    allow_input: bool = False,
    **options: Any,
) -> tuple[Edge, Cloud]:
    """Cut a model behind tensors or nodes; all tensors that cross are found, and checked at once.

    Parameters

    ``model``
        A path, the bytes of a file, or a ModelProto. Names of inputs, weights and tensors are kept.
    ``at``
        Name of a tensor or node, or several. Whatever else the rest of the network needs of the
        first half crosses as well: ``edge.cut.tensors``.
    ``codec``
        One codec, or a mapping of tensor names to codecs; None: tensors cross as they are.
    ``example``
        Inputs to check with, as for ``edge``; None: normal noise for float inputs of known shape.
    ``allow_input``
        Whether the network's own input may be among what crosses.
    ``options``
        Of onnxruntime.InferenceSession, e.g. ``providers`` or ``sess_options``.

    ``cloud(edge(x))`` without codecs is compared with the uncut model: float outputs may differ by
    1e-4 of their largest value, 2e-2 in networks of 16-bit floats, since runtimes fuse other
    kernels in halves; else a ParameterError.
    """
    graph = Graph(model)
    graph.tensors(at)
    halving = graph.flow.halve(at, allow_input)
    first = graph.part(halving.read, halving.made)
    second = graph.part(graph.flow.used(halving.crossing, halving.left), halving.left)
    feeds = _example(graph, example)
    run = graph.run(**options)
    cut = cut_of(halving, at, graph, run, feeds)
    wire = None if codec is None else Wire(cut, codec)
    edge = Edge(first, graph.folder, cut, wire, **options)
    cloud = Cloud(second, graph.folder, cut, wire, **options)
    halves = cloud._run(edge.tensors({n: feeds[n] for n in edge.inputs}), cloud.outputs)
    same_outputs(halves, run(feeds, cloud.outputs), _tolerance(graph))
    return edge, cloud


def _tolerance(graph: Graph) -> float:
    half = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    kinds = {value.type.tensor_type.elem_type for value in graph.types().values()}
    return HALF_TOLERANCE if kinds & half else TOLERANCE


def _example(graph: Graph, example: Any) -> dict[str, Any]:
    """One sample of the model's inputs."""
    if example is not None:
        return {name: x[:1] for name, x in named(example, graph.inputs).items()}
    rng, found = np.random.default_rng(0), {}
    for name in graph.inputs:
        kind = graph.types()[name].type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if 0 in dims[1:] or dtype.kind != "f":
            raise ParameterError(
                f"input {name!r} has the shape {dims} (0: free) and type {dtype}: give inputs to "
                "check the halves with, example="
            )
        found[name] = rng.normal(size=(1, *dims[1:])).astype(dtype)
    return found


def load(folder: str | os.PathLike, **options: Any) -> Edge | Cloud:
    """The half that :meth:`Edge.save` or :meth:`Cloud.save` wrote. Errors: OSError, FormatError."""
    kind, cut, wire, _ = read_half(folder, {"edge": Edge, "cloud": Cloud})
    path = Path(folder)
    model = onnx.load(path / "half.onnx", load_external_data=False)
    return kind(model, path.resolve(), cut, wire, **options)
