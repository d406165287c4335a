"""Networks that are functions: features, calibration, halves and exploration of a chain of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.checks import check_function
from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate as calibrate_samples
from ..codec.codec import Codec
from .arrays import ArrayNetwork, Cloud, Edge, batches_of, describe
from .cuts import Cut
from .dataflow import Dataflow, Step
from .explore import explore as explore_network
from .result import Exploration
from .wire import Wire

__all__ = ["calibrate", "explore", "features", "split"]


def features(edge: Callable[[Any], Any], data: Any) -> Iterator[np.ndarray]:
    """``edge(batch)`` for each batch, as arrays; ``data``: one array of inputs, or batches of which
    labels beside the inputs are left out. Errors: ParameterError.
    """
    check_function("edge", edge, "inputs")
    for batch in batches_of(data):
        found = edge(batch[0] if isinstance(batch, (tuple, list)) else batch)
        if not hasattr(found, "shape"):
            raise ParameterError(
                f"edge gave a {type(found).__name__}: it must give the one tensor to code"
            )
        yield np.asarray(found)


def calibrate(edge: Callable[[Any], Any], data: Any, **options: Any) -> Codec:
    """A codec for what ``edge`` gives, from unlabelled inputs.

    ``edge``: the function from inputs to the tensor to code, the network's first half; ``options``
    are those of lwfc.calibrate. Errors: ParameterError, as there.
    """
    options = {"batched": True} | options
    return calibrate_samples(features(edge, data), **options)


def _chain(functions: Sequence[Callable], names: Sequence[str]) -> tuple[Dataflow, Any]:
    """Functions as steps between the tensors ``names``, the first of which is the input."""
    steps = [Step(b, (a,), (b,)) for a, b in zip(names, names[1:], strict=False)]

    def run(feeds: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
        last = max(names.index(name) for name in wanted)
        first = max(names.index(name) for name in feeds if names.index(name) < last)
        x, found = feeds[names[first]], {}
        for function, name in zip(functions[first:last], names[first + 1 :], strict=False):
            x = function(x)
            found[name] = np.asarray(x)
        return {name: found[name] for name in wanted}

    return Dataflow(steps, [names[0]], [names[-1]]), run


def split(
    edge: Callable[[Any], Any], cloud: Callable[[Any], Any], codec: Any = None, *, example: Any
) -> tuple[Edge, Cloud]:
    """Two functions as two halves with bytes between them: ``server(device(x))``.

    ``edge`` maps inputs to one tensor, ``cloud`` that to the outputs; each may run in a process of
    its own, compiled or read back from a file. ``example``: an input, whose first sample tells the
    shapes that the server accepts. Results come back as NumPy arrays. Errors: ParameterError, also
    for a codec that is not for what ``edge`` gives.
    """
    check_function("edge", edge, "inputs")
    check_function("cloud", cloud, "the tensor that edge gives")
    flow, run = _chain([edge, cloud], ["input", "features", "output"])
    one = np.asarray(example)[:1]
    two = {"input": np.concatenate([one, one])}
    seen = describe(flow, run({"input": one}, ["features"]), run(two, ["features"]))
    cut = Cut("features", ("features",), (seen["features"],))
    wire = None if codec is None else Wire(cut, codec)
    return Edge(run, flow.inputs, cut, wire), Cloud(run, flow.outputs, cut, wire)


def explore(stages: Sequence[Callable[[Any], Any]], data: Any, **options: Any) -> Exploration:
    """Every cut of a chain of functions with its coded bytes and latency.

    ``stages``: functions that map one tensor to the next, named after themselves; ``data``: inputs,
    one array or batches, the first half calibrates; ``options``: of :func:`lwfc.split.explore`.
    Errors: ParameterError.
    """
    if not isinstance(stages, Sequence) or len(stages) < 2:
        raise ParameterError("one stage cannot be cut: give the network as several functions")
    for stage in stages:
        check_function("stages", stage, "one tensor to the next")
    names = ["input"]
    for number, stage in enumerate(stages):
        name = getattr(stage, "__name__", type(stage).__name__)
        names.append(name if name.isidentifier() and name not in names else f"stage{number}")
    flow, run = _chain(stages, names)
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch
               for batch in batches_of(data)]  # fmt: skip
    return explore_network(ArrayNetwork("chain", "functions", flow, run, batches), **options)
