"""split and explore: a functional Keras model as two models with bytes between them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..base.errors import ParameterError
from ..split.arrays import ArrayNetwork
from ..split.arrays import Cloud as ArrayCloud
from ..split.arrays import Edge as ArrayEdge
from ..split.cuts import Cut, LiveTensor
from ..split.explore import explore as explore_network
from ..split.folder import read_half, write_half
from ..split.result import Exploration
from ..split.runtime import same_outputs
from ..split.wire import Wire
from .features import batches, to_array
from .graph import Graph

__all__ = ["Cloud", "Edge", "explore", "load", "split"]

CHECKED = (1, 2)  # batch sizes at which the halves are compared with the model


class _Saved:
    """What both halves have beside their run: a Keras model, saved with cut and codecs."""

    model: Any
    cut: Cut
    wire: Wire | None

    def save(self, folder: str | os.PathLike) -> None:
        """Write half.keras, half.json and a codec file for each coded tensor into a folder."""
        path = write_half(folder, self, {"ends": self._ends})
        self.model.save(path / "half.keras")


def _runner(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """A run of one Keras model, outside of compiled functions."""

    def run(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        given = [keras.ops.convert_to_tensor(feeds[name]) for name in inputs]
        found = model(given if len(given) > 1 else given[0], training=False)
        found = found if isinstance(found, (list, tuple)) else [found]
        values = dict(zip(outputs, map(to_array, found), strict=True))
        return {name: values[name] for name in names}

    return run


class Edge(_Saved, ArrayEdge):
    """The device's half; ``model`` is its Keras model. See :class:`lwfc.split.arrays.Edge`."""

    def __init__(self, model: Any, ends: tuple, cut: Cut, wire: Wire | None) -> None:
        inputs, outputs = ends
        self.model, self._ends = model, [list(inputs), list(outputs)]
        raw = [t.name for t in cut.tensors if t.is_input and t.name not in inputs]
        super().__init__(_runner(model, inputs, outputs), [*inputs, *raw], cut, wire)


class Cloud(_Saved, ArrayCloud):
    """The server's half; ``model`` is its Keras model. See :class:`lwfc.split.arrays.Cloud`."""

    def __init__(self, model: Any, ends: tuple, cut: Cut, wire: Wire | None) -> None:
        self.model, self._ends = model, [list(end) for end in ends]
        super().__init__(_runner(model, *ends), ends[1], cut, wire)


def _live(name: str, tensor: Any, graph: Graph) -> LiveTensor:
    shape = (None, *tensor.shape[1:])
    if None in shape[1:]:
        raise ParameterError(
            f"{name!r} has the shape {tensor.shape}, of which more than the batch is free: build "
            "the model for a fixed input size"
        )
    return LiveTensor(name, shape, keras.backend.standardize_dtype(tensor.dtype),
                      name in graph.inputs)  # fmt: skip


def split(
    model: Any, at: str | Sequence[str], codec: Any = None, *, allow_input: bool = False
) -> tuple[Edge, Cloud]:
    """Cut a functional or built Sequential model behind layers; both halves share its weights.

    Parameters

    ``at``
        Name of a layer, or several; "inner/layer" in nested models, "layer#1" for the second call
        of a shared layer. Whatever else the rest needs crosses as well: ``edge.cut.tensors``.
    ``codec``
        One codec, or a mapping of tensor names to codecs; None: tensors cross as they are.
    ``allow_input``
        Whether the model's own input may be among what crosses.

    ``cloud(edge(x))`` without codecs is compared with ``model(x)`` on noise at two batch sizes, to
    the bit. Errors: ParameterError, also for models whose graph Keras does not know.
    """
    graph = Graph(model)
    halving = graph.flow.halve(at, allow_input)
    inputs = dict(zip(graph.inputs, graph.model.inputs, strict=True))
    first = graph.replay(inputs, halving.made)
    edge_model = _half([inputs[n] for n in halving.read], [first[n] for n in halving.made])
    tensors = first | {name: inputs[name] for name in halving.raw}
    symbols = {
        name: keras.Input(
            batch_shape=(None, *tensors[name].shape[1:]),
            dtype=keras.backend.standardize_dtype(tensors[name].dtype),
        )
        for name in halving.crossing
    }
    second = graph.replay(symbols, halving.left)
    cloud_model = _half(list(symbols.values()), [second[n] for n in halving.left])
    places = (at,) if isinstance(at, str) else tuple(at)
    name = halving.crossing[0] if len(halving.crossing) == 1 else "+".join(places)
    live = tuple(_live(n, tensors[n], graph) for n in halving.crossing)
    cut = Cut(name, places, live)
    wire = None if codec is None else Wire(cut, codec)
    edge = Edge(edge_model, (halving.read, halving.made), cut, wire)
    cloud = Cloud(cloud_model, (halving.crossing, halving.left), cut, wire)
    _check(graph, edge, cloud)
    return edge, cloud


def _half(inputs: list[Any], outputs: list[Any]) -> keras.Model:
    try:
        return keras.Model(inputs, outputs)
    except ValueError as error:  # layers of nested models come side by side: names may be equal
        raise ParameterError(
            f"Keras makes no model of a half ({error}): give layers of nested models names that "
            "no other layer has"
        ) from error


def _check(graph: Graph, edge: Edge, cloud: Cloud) -> None:
    rng = np.random.default_rng(0)
    for count in CHECKED:
        feeds = {}
        for name, tensor in zip(graph.inputs, graph.model.inputs, strict=True):
            shape = (count, *(n or 8 for n in tensor.shape[1:]))
            dtype = keras.backend.standardize_dtype(tensor.dtype)
            noise = rng.normal(size=shape) if "float" in dtype else rng.integers(0, 2, shape)
            feeds[name] = keras.ops.convert_to_tensor(noise, dtype)
        given = list(feeds.values()) if len(feeds) > 1 else feeds[graph.inputs[0]]
        whole = map(to_array, keras.tree.flatten(graph.model(given, training=False)))
        whole = dict(zip(graph.outputs, whole, strict=True))
        arrays = {name: to_array(feeds[name]) for name in edge.inputs}
        halves = cloud._run(edge.tensors(arrays), cloud.outputs)
        same_outputs(halves, {name: whole[name] for name in cloud.outputs}, 0)


def load(folder: str | os.PathLike) -> Edge | Cloud:
    """The half that :meth:`Edge.save` or :meth:`Cloud.save` wrote. Errors: OSError, FormatError."""
    kind, cut, wire, notes = read_half(folder, {"edge": Edge, "cloud": Cloud})
    model = keras.saving.load_model(Path(folder) / "half.keras")
    return kind(model, tuple(notes["ends"]), cut, wire)


def explore(model: Any, data: Any, **options: Any) -> Exploration:
    """Every legal cut of a functional or built Sequential model, with coded bytes and latency.

    ``data``: inputs, one array or batches, the first half calibrates; ``options``: of
    :func:`lwfc.split.explore`; ``metric(predict)`` gets the network as a function of its inputs.
    Errors: ParameterError, also for models whose graph Keras does not know.
    """
    graph = Graph(model)

    def run(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        known = {name: keras.ops.convert_to_tensor(x) for name, x in feeds.items()}
        return {name: to_array(x) for name, x in graph.replay(known, names).items()}

    given = [to_array(keras.ops.convert_to_tensor(batch)) for batch in batches(data)]
    weights = b"".join(np.ascontiguousarray(to_array(w.value)).tobytes() for w in model.weights)
    network = ArrayNetwork(model.name, "keras", graph.flow, run, given, weights)
    return explore_network(network, **options)
