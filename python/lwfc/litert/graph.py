"""A .tflite file as a dataflow, and parts of it as files of their own."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..base.errors import FormatError, ParameterError
from ..split.arrays import one_by_one
from ..split.dataflow import Dataflow, Step

__all__ = ["Graph", "runner"]

OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items()
             if isinstance(number, int)}  # fmt: skip
BYTES = (schema.TensorType.INT8, schema.TensorType.UINT8)


def runner(model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """A run of a whole file, sample by sample. Built-in kernels: the same floats in any part."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    given = dict(zip(inputs, interpreter.get_input_details(), strict=True))
    made = dict(zip(outputs, interpreter.get_output_details(), strict=True))
    bare = {name for name, entry in (given | made).items() if tuple(entry["shape"][:1]) != (1,)}

    def run(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        for name, entry in given.items():
            interpreter.set_tensor(entry["index"], feeds[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(made[name]["index"]) for name in names}

    return one_by_one(run, bare)


class Graph:
    """A loaded file. ``source``: a path, or its bytes. Files of several subgraphs are refused."""

    def __init__(self, source: Any) -> None:
        if isinstance(source, (str, os.PathLike)):
            data, self.name = Path(source).read_bytes(), Path(source).name
        else:
            data, self.name = bytes(source), "model"
        if data[4:8] != b"TFL3":
            raise FormatError(f"{self.name} is no .tflite file")
        self.data = data
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        if len(self.model.subgraphs) != 1:
            raise ParameterError(
                f"{self.name} has {len(self.model.subgraphs)} subgraphs (branches or loops), which "
                "cannot be cut"
            )
        graph = self.model.subgraphs[0]
        if any(tensor.isVariable for tensor in graph.tensors):
            raise ParameterError(
                f"{self.name} keeps state between runs in variable tensors, which cannot be cut"
            )
        self.names: list[str] = []
        for number, tensor in enumerate(graph.tensors):
            name = (tensor.name or b"").decode(errors="replace") or f"tensor{number}"
            self.names.append(f"{name}#{number}" if name in self.names else name)
        constant = {
            i
            for i, tensor in enumerate(graph.tensors)
            if self.model.buffers[tensor.buffer].data is not None
        }
        self.index = {name: i for i, name in enumerate(self.names)}
        steps = []
        for number, operator in enumerate(graph.operators):
            code = self.model.operatorCodes[operator.opcodeIndex]
            kind = OPERATORS.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")
            reads = [self.names[i] for i in operator.inputs if i >= 0 and i not in constant]
            made = tuple(self.names[i] for i in operator.outputs)
            steps.append(Step(f"{kind}_{number}", tuple(dict.fromkeys(reads)), made))
        self.inputs = [self.names[i] for i in graph.inputs]
        self.flow = Dataflow(steps, self.inputs, [self.names[i] for i in graph.outputs])

    def part(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """The steps between some tensors and others as a file, with the weights they need."""
        have, ahead, kept = set(inputs), list(outputs), set()
        while ahead:
            name = ahead.pop()
            if name in have:
                continue
            if name not in self.flow.maker:
                raise ParameterError(f"this part also needs the network's input {name!r}")
            step = self.flow.maker[name]
            if step not in kept:
                kept.add(step)
                ahead += self.flow.steps[step].inputs
        model = copy.copy(self.model)
        graph = copy.copy(self.model.subgraphs[0])
        graph.operators = [graph.operators[i] for i in sorted(kept)]
        used = {i for operator in graph.operators for i in (*operator.inputs, *operator.outputs)}
        used |= {self.index[name] for name in (*inputs, *outputs)}
        order = sorted(i for i in used if i >= 0)
        place = {old: new for new, old in enumerate(order)} | {-1: -1}
        graph.tensors = [graph.tensors[i] for i in order]
        graph.inputs = [place[self.index[name]] for name in inputs]
        graph.outputs = [place[self.index[name]] for name in outputs]
        moved = []
        for operator in graph.operators:
            operator = copy.copy(operator)
            operator.inputs = [place[i] for i in operator.inputs]
            operator.outputs = [place[i] for i in operator.outputs]
            moved.append(operator)
        graph.operators = moved
        needed = {tensor.buffer for tensor in graph.tensors} | {0}
        model.buffers = [buffer if i in needed else schema.BufferT()
                         for i, buffer in enumerate(model.buffers)]  # fmt: skip
        model.subgraphs, model.signatureDefs = [graph], None
        model.metadata = model.metadataBuffer = None
        builder = flatbuffers.Builder(len(self.data))
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def run(self) -> Any:
        """A :data:`lwfc.split.dataflow.Run` of this file: interpreters are made once a part."""
        ready: dict[tuple, Any] = {}

        def run(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
            key = tuple(sorted(feeds)), tuple(names)
            if key not in ready:
                used = self.flow.used(key[0], names)
                ready[key] = runner(self.part(used, names), used, list(names))
            return ready[key](feeds, names)

        return run

    def tensors(self, at: str | Sequence[str]) -> tuple[str, ...]:
        """The tensors that names of tensors or operators stand for."""
        return self.flow.tensors(at)

    def affine(self, name: str) -> tuple[float, int] | None:
        """Scale and zero point of a tensor of 8-bit integers that has one of each."""
        tensor = self.model.subgraphs[0].tensors[self.index[name]]
        found = tensor.quantization
        if tensor.type not in BYTES or found is None or found.scale is None:
            return None
        if len(found.scale) != 1 or len(found.zeroPoint) != 1:
            return None
        return float(found.scale[0]), int(found.zeroPoint[0])

    def to_bytes(self) -> bytes:
        """The file."""
        return self.data
