"""Networks as steps between named tensors: which tensors cross a cut, and piecewise runs.

What ONNX files, Keras graphs, LiteRT files and chains of functions have in common.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import ParameterError
from ..base.names import near, several

__all__ = ["Dataflow", "Halving", "Run", "Step", "run_coded"]

# (values by name, wanted names) -> the wanted values by name.
Run = Callable[[Mapping[str, Any], Sequence[str]], dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """One operation: its name, the tensors it reads and those it makes."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Halving:
    """A cut: the tensors that cross, those of them that are the network's inputs (``raw``), and
    those that the first half makes; the inputs it reads; the outputs left to the second half.
    """

    crossing: tuple[str, ...]
    raw: tuple[str, ...]
    made: tuple[str, ...]
    read: tuple[str, ...]
    left: tuple[str, ...]


class Dataflow:
    """Steps in an order in which they can run, with the network's inputs and outputs.

    Constants are no tensors here: whoever reads them has them on either side of a cut.
    """

    def __init__(
        self, steps: Iterable[Step], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self.steps = tuple(steps)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.maker = {name: i for i, step in enumerate(self.steps) for name in step.outputs}
        self._named = {step.name: step.outputs for step in self.steps if step.name}

    def tensors(self, at: str | Sequence[str]) -> tuple[str, ...]:
        """The tensors that names of tensors or steps stand for. Errors: ParameterError."""
        found: list[str] = []
        for name in several(at):
            if name in self.maker:
                found.append(name)
            elif name in self._named:
                found += self._named[name]
            elif name in self.inputs:
                raise ParameterError(f"{name!r} is an input of the network: name a tensor it makes")
            else:
                known = near(name, (*self.maker, *self._named))
                raise ParameterError(f"no tensor or step {name!r} in this network; {known}")
        return tuple(dict.fromkeys(found))

    def before(self, tensors: Iterable[str]) -> set[int]:
        """The steps that tensors depend on, their own among them."""
        ahead = [self.maker[name] for name in tensors if name in self.maker]
        found: set[int] = set()
        while ahead:
            step = ahead.pop()
            if step not in found:
                found.add(step)
                ahead += [self.maker[n] for n in self.steps[step].inputs if n in self.maker]
        return found

    def crossing(self, edge: set[int]) -> tuple[str, ...]:
        """The tensors that the steps outside ``edge``, or the user, still need, in order."""
        wanted = dict.fromkeys(self.outputs)
        for i, step in enumerate(self.steps):
            if i not in edge:
                wanted |= dict.fromkeys(step.inputs)
        made = [name for i in sorted(edge) for name in self.steps[i].outputs]
        return tuple(name for name in (*self.inputs, *made) if name in wanted)

    def halve(self, at: str | Sequence[str], allow_input: bool) -> Halving:
        """The cut behind some tensors or steps, with all that crosses it.

        Errors: ParameterError for a cut with nothing behind it, and, unless ``allow_input``, for
        one that an input of the network crosses as it is.
        """
        crossing = self.crossing(self.before(self.tensors(at)))
        raw = tuple(name for name in crossing if name in self.inputs)
        if raw and not allow_input:
            raise ParameterError(
                f"behind {at!r} the network still reads its input {raw[0]!r}, which would cross as "
                "it is: cut elsewhere, or say allow_input=True"
            )
        left = tuple(dict.fromkeys(name for name in self.outputs if name not in crossing))
        if not left:
            raise ParameterError(f"nothing of the network lies behind {at!r}")
        made = tuple(name for name in crossing if name not in raw)
        return Halving(crossing, raw, made, tuple(self.used(self.inputs, made)), left)

    def used(self, have: Sequence[str], wanted: Sequence[str]) -> list[str]:
        """Those of the tensors at hand that computing the wanted ones reads."""
        ahead, seen = list(wanted), set()
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                if name not in have and name in self.maker:
                    ahead += self.steps[self.maker[name]].inputs
        return [name for name in have if name in seen]

    def cuts(self) -> list[tuple[str, tuple[str, ...]]]:
        """(name, crossing tensors) of every cut behind a step that leaves inputs and outputs alone.

        Two cuts that the same tensors cross are one.
        """
        found: dict[tuple[str, ...], str] = {}
        for step in self.steps:
            edge = self.before(step.outputs)
            crossing = self.crossing(edge)
            if crossing and not set(crossing) & {*self.inputs, *self.outputs}:
                found.setdefault(crossing, crossing[0] if len(crossing) == 1 else step.outputs[0])
        return [(name, crossing) for crossing, name in found.items()]


def run_coded(
    flow: Dataflow, run: Run, feeds: Mapping[str, Any], code: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """The network's outputs with some tensors replaced by ``code[name](value)`` on the way.

    Every step runs once: between two replaced tensors, all tensors that cross are carried along.
    """
    known, edge = dict(feeds), set()
    for name in sorted(code, key=flow.maker.__getitem__):
        edge |= flow.before([name])
        crossing = dict.fromkeys((*flow.crossing(edge), name))
        known = {n: known[n] for n in crossing if n in known} | run(
            known, [n for n in crossing if n not in known]
        )
        known[name] = code[name](known[name])
    missing = [name for name in flow.outputs if name not in known]
    known |= run(known, missing) if missing else {}
    return {name: known[name] for name in flow.outputs}
