"""A functional model as a dataflow, nested models opened, and replays of parts of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from ..base.errors import ParameterError
from ..split.dataflow import Dataflow, Step

__all__ = ["Graph"]


@dataclass(frozen=True)
class Call:
    """One call of a layer: its arguments, and the names of the tensors they stand for."""

    operation: Any
    arguments: Any
    names: Mapping[int, str]


class Graph:
    """Steps and tensors of a functional or built Sequential model.

    A tensor is named after the layer that makes it; "layer#1" is a second call of a shared layer,
    "layer:1" a second output, "inner/layer" lies in a nested model.
    """

    def __init__(self, model: Any) -> None:
        if isinstance(model, keras.Sequential):
            if not model.built:
                raise ParameterError("the Sequential model is not built: call it on a batch first")
            model = model._functional
        if not isinstance(model, keras.src.models.functional.Functional):
            raise ParameterError(
                f"{type(model).__name__} is a subclassed model, whose graph Keras does not know: "
                "attach works on it; to split it, write its halves as functional models"
            )
        self.model = model
        self.calls: list[Call] = []
        self._steps: list[Step] = []
        self._made: dict[str, int] = {}
        self.inputs = [self._own(f"{tensor.name}") for tensor in model.inputs]
        outputs = self._expand(model, "", self.inputs)
        self.flow = Dataflow(self._steps, self.inputs, list(dict.fromkeys(outputs)))
        self.outputs = outputs

    def _own(self, name: str) -> str:
        """The name, with a number where it is taken."""
        number = self._made.get(name, 0)
        self._made[name] = number + 1
        return f"{name}#{number}" if number else name

    def _expand(self, model: Any, prefix: str, inputs: Sequence[str]) -> list[str]:
        """Add a model's calls; returns the names of its outputs."""
        names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input or any(id(x) not in names for x in node.input_tensors):
                    continue
                read = [names[id(x)] for x in node.input_tensors]
                operation = node.operation
                if isinstance(operation, keras.Sequential) and operation.built:
                    operation = operation._functional
                where = prefix + node.operation.name
                if isinstance(operation, keras.src.models.functional.Functional):
                    made = self._expand(operation, f"{where}/", read)
                else:
                    call = self._own(where)
                    made = [call if i == 0 else f"{call}:{i}" for i in range(len(node.outputs))]
                    self._steps.append(Step(call, tuple(dict.fromkeys(read)), tuple(made)))
                    own = {id(x): names[id(x)] for x in node.input_tensors}
                    self.calls.append(Call(operation, node.arguments, own))
                names |= {id(x): name for x, name in zip(node.outputs, made, strict=True)}
        return [names[id(tensor)] for tensor in model.outputs]

    def replay(self, known: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
        """The wanted tensors from known ones: values, or symbolic tensors for a new model."""
        found = dict(known)
        needed: set[int] = set()
        ahead = [name for name in wanted if name not in found]
        while ahead:
            name = ahead.pop()
            if name not in self.flow.maker:
                raise ParameterError(f"this part also needs the model's input {name!r}")
            step = self.flow.maker[name]
            if step not in needed:
                needed.add(step)
                ahead += [n for n in self._steps[step].inputs if n not in found]
        for step in sorted(needed):
            call = self.calls[step]
            values = {key: found[name] for key, name in call.names.items()}
            args, kwargs = call.arguments.fill_in(values)
            outputs = tree.flatten(call.operation(*args, **kwargs))
            found |= dict(zip(self._steps[step].outputs, outputs, strict=True))
        return {name: found[name] for name in wanted}
