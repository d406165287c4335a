"""An ONNX model as a dataflow: its steps, the types of its tensors, and parts of it as models."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf import message
from onnx import helper, numpy_helper

from ..base.errors import FormatError, ParameterError
from ..split.arrays import one_by_one
from ..split.dataflow import Dataflow, Step

__all__ = ["PROTO_MAX", "Graph", "bare", "fixed_batch", "session"]

# Which input of an operator is the scale of what it makes; the next one is the zero point.
SCALES = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "QLinearAdd": 6,
          "QLinearMul": 6, "QLinearLeakyRelu": 3, "QLinearSigmoid": 3,
          "QLinearGlobalAveragePool": 3, "QGemm": 7}  # fmt: skip
ZERO = numpy_helper.from_array(np.uint8(0))
FOLDER = "session.model_external_initializers_file_folder_path"
PROTO_MAX = 2**31 - 1 - 2**20  # bytes one protocol buffer may take, with room for the types


def session(model: onnx.ModelProto, folder: Path | None, **options: Any) -> Any:
    """An ONNX Runtime session of a model; ``folder``: where its external data lie."""
    settings = options.pop("sess_options", None)
    if settings is None:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
    if folder is not None and _entry(settings, FOLDER) != str(folder):
        settings.add_session_config_entry(FOLDER, str(folder))
    options.setdefault("providers", ["CPUExecutionProvider"])
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, **options)


def _entry(settings: Any, key: str) -> str | None:
    try:
        return settings.get_session_config_entry(key)
    except RuntimeError:  # there is none
        return None


def _attributes_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _captured(graph: onnx.GraphProto) -> set[str]:
    """Names a subgraph reads from the graph around it."""
    own = {value.name for value in (*graph.input, *graph.initializer)}
    used: set[str] = {value.name for value in graph.output}
    for node in graph.node:
        used |= _reads(node)
        own |= set(node.output)
    return used - own


def _reads(node: onnx.NodeProto) -> set[str]:
    """All names a node needs, those inside its branches and loop bodies too."""
    names = {name for name in node.input if name}
    for graph in _attributes_graphs(node):
        names |= _captured(graph)
    return names


def fixed_batch(model: onnx.ModelProto) -> bool:
    """Whether the model takes one sample at a time."""
    weights = {weight.name for weight in model.graph.initializer}
    dims = [v.type.tensor_type.shape.dim for v in model.graph.input if v.name not in weights]
    return all(len(d) > 0 and d[0].dim_value == 1 for d in dims)


def bare(values: Iterable[onnx.ValueInfoProto]) -> set[str]:
    """Tensors of a model with a fixed batch whose first axis is known not to count samples."""
    dims = {value.name: value.type.tensor_type.shape.dim for value in values
            if value.type.tensor_type.HasField("shape")}  # fmt: skip
    return {name for name, d in dims.items() if not d or d[0].dim_value not in (0, 1)}


def _loaded(source: bytes | Path, name: str) -> onnx.ModelProto:
    """Weights in external files are left there. Errors: OSError, FormatError."""
    try:
        if isinstance(source, bytes):
            return onnx.load_from_string(source)
        return onnx.load(source, load_external_data=False)
    except message.DecodeError as error:
        raise FormatError(f"{name} is no .onnx file ({error})") from None


class Graph:
    """A loaded model. ``source``: a path, the bytes of a file, or a ModelProto.

    Weights in external files stay there; halves name the same files.
    """

    def __init__(self, source: Any) -> None:
        self.folder: Path | None = None
        if isinstance(source, onnx.ModelProto):
            self.model, self.name = source, source.graph.name or "model"
        elif isinstance(source, (bytes, bytearray, memoryview)):
            self.model, self.name = _loaded(bytes(source), "model"), "model"
        elif isinstance(source, (str, os.PathLike)):
            path = Path(source)
            self.model, self.name = _loaded(path, path.name), path.name
            self.folder = path.resolve().parent
        else:
            raise ParameterError(
                f"a {type(source).__name__} is no ONNX model: give a path, bytes or a ModelProto"
            )
        graph = self.model.graph
        self.constants = {w.name for w in graph.initializer} | {
            w.values.name for w in graph.sparse_initializer
        }
        steps, constant = [], set(self.constants)
        for number, node in enumerate(graph.node):
            reads = sorted(_reads(node) - constant)
            outputs = tuple(name for name in node.output if name)
            if not reads and node.op_type != "RandomNormal":
                constant |= set(outputs)  # made anew on both sides, like the weights
            steps.append(Step(node.name or f"{node.op_type}_{number}", tuple(reads), outputs))
        self.inputs = tuple(v.name for v in graph.input if v.name not in self.constants)
        self.flow = Dataflow(
            [s for s in steps if not set(s.outputs) <= constant],
            self.inputs,
            [v.name for v in graph.output],
        )
        self._steps = steps
        self._inner = {
            name
            for node in graph.node
            for inner in _attributes_graphs(node)
            for step in inner.node
            for name in (*step.output, step.name)
            if name
        }
        self._types: dict[str, onnx.ValueInfoProto] | None = None

    def tensors(self, at: str | Sequence[str]) -> tuple[str, ...]:
        """The tensors that names stand for; those inside branches and loops are refused."""
        for name in (at,) if isinstance(at, str) else at:
            if name in self._inner and name not in self.flow.maker:
                raise ParameterError(
                    f"{name!r} lies inside the branch or loop of another node: cut before or "
                    "behind that node"
                )
        return self.flow.tensors(at)

    def affine(self, name: str) -> tuple[float, int] | None:
        """Scale and zero point of 8-bit integers, where the node that makes them has constants."""
        node = next((n for n in self.model.graph.node if name in n.output), None)
        at = SCALES.get(node.op_type) if node is not None else None
        if at is None:
            return None
        weights = {w.name: w for w in self.model.graph.initializer}
        named = [weights.get(n) for n in node.input[at : at + 2]]
        if not named or any(w is None or w.data_location == w.EXTERNAL for w in named):
            return None
        scale, zero = map(numpy_helper.to_array, (*named, ZERO)[:2])
        if scale.size != 1 or zero.dtype.name not in ("int8", "uint8"):
            return None
        return float(scale.ravel()[0]), int(zero.ravel()[0])

    def to_bytes(self) -> bytes:
        """The file as it is; weights in external files stand there by name."""
        return self.model.SerializeToString(deterministic=True)

    def types(self) -> dict[str, onnx.ValueInfoProto]:
        """Type and shape of every tensor, as ONNX Runtime infers them."""
        if self._types is None:
            known = {v.name: v for v in (*self.model.graph.input, *self.model.graph.output)}
            everything = onnx.ModelProto()
            everything.CopyFrom(self.model)
            for name in self.flow.maker:
                if name not in known:
                    everything.graph.output.append(helper.make_empty_tensor_value_info(name))
            found = session(everything, self.folder).get_outputs()
            scalars = self._scalars() if any(not made.shape for made in found) else set()
            for made in found:
                shape = made.shape if made.shape or made.name in scalars else None
                known.setdefault(made.name, _value_info(made.name, made.type, shape))
            self._types = known
        return self._types

    def _scalars(self) -> set[str]:
        """What ONNX infers to have no axes; ONNX Runtime says the same of unknown shapes."""
        inferred = onnx.shape_inference.infer_shapes(self.model).graph.value_info
        types = {value.name: value.type.tensor_type for value in inferred}
        return {name for name, t in types.items() if t.HasField("shape") and not t.shape.dim}

    def part(self, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
        """The steps between some tensors and others as a model of its own."""
        types = self.types()
        have, wanted = set(inputs), set(outputs) - set(inputs)
        kept, ahead = set(), list(wanted)
        maker = {name: i for i, step in enumerate(self._steps) for name in step.outputs}
        nodes = self.model.graph.node
        weights: set[str] = set(outputs) & self.constants
        while ahead:
            name = ahead.pop()
            if name in have:
                continue
            if name in self.constants:
                weights.add(name)
            elif name in maker:
                if maker[name] not in kept:
                    kept.add(maker[name])
                    ahead += _reads(nodes[maker[name]])
            elif name in self.inputs:
                raise ParameterError(f"this part also needs the network's input {name!r}")
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for field in ("node", "input", "output", "initializer", "value_info",
                      "quantization_annotation", "sparse_initializer"):  # fmt: skip
            model.graph.ClearField(field)
        model.graph.node.extend(nodes[i] for i in sorted(kept))
        model.graph.input.extend(types[name] for name in inputs)
        model.graph.output.extend(types[name] for name in outputs)
        graph = self.model.graph
        model.graph.initializer.extend(w for w in graph.initializer if w.name in weights)
        model.graph.sparse_initializer.extend(
            w for w in graph.sparse_initializer if w.values.name in weights
        )
        return model

    def run(self, **options: Any) -> Any:
        """A :data:`lwfc.split.dataflow.Run` of this model: sessions are made once for each part."""
        sessions: dict[tuple, Any] = {}

        def run(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
            have = tuple(sorted(feeds))
            key = have, tuple(names)
            if key not in sessions:
                used = self.flow.used(have, names)
                sessions[key] = used, session(self.part(used, names), self.folder, **options)
            used, ready = sessions[key]
            found = ready.run(list(names), {name: feeds[name] for name in used})
            return dict(zip(names, found, strict=True))

        return one_by_one(run, bare(self.types().values())) if fixed_batch(self.model) else run


def _value_info(name: str, kind: str, shape: Sequence[Any] | None) -> onnx.ValueInfoProto:
    """The description ONNX Runtime gives of an output, as ONNX writes it."""
    inner = kind.removeprefix("tensor(").removesuffix(")")
    if inner == kind:
        raise ParameterError(f"{name!r} is a {kind}, no tensor")
    number = onnx.TensorProto.DataType.Value(
        {"double": "DOUBLE", "float": "FLOAT"}.get(inner, inner.upper())
    )
    return helper.make_tensor_value_info(name, number, shape)
