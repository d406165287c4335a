"""features, calibrate, attach, cuts and explore on ONNX models."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..codec.codec import Codec
from ..split import runtime
from ..split.cuts import Cut
from ..split.explore import explore as explore_network
from ..split.result import Exploration
from ..split.runtime import Tap
from .graph import Graph

__all__ = ["Tap", "attach", "calibrate", "cuts", "explore", "features"]


def features(model: Any, tensor: str, data: Any, **options: Any) -> Iterator[np.ndarray]:
    """A tensor's value for each batch of inputs; what it does not depend on does not run.

    ``model``: a path, bytes or a ModelProto; ``tensor``: name of a tensor, or of a node with one
    output; ``data``: one array of inputs, a mapping of names to arrays, or an iterable of such
    batches; ``options``: of onnxruntime.InferenceSession. Values are those of a session that ends
    at the tensor; kernels fused there may round otherwise than in the whole model (1e-6 relative).
    Errors: ParameterError for unknown names, naming near ones, and for models that cannot be cut.
    """
    graph = Graph(model)
    yield from runtime.features(graph, graph.run(**options), tensor, data)


def calibrate(
    model: Any,
    tensor: str,
    data: Any,
    *,
    session_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Codec:
    """A codec for a tensor, from unlabelled inputs; ``options`` are those of lwfc.calibrate.

    What QuantizeLinear and the QLinear operators make brings its scale and zero point, if these are
    constants; the codec gives such integers again. ``session_options``: of InferenceSession.
    Errors: ParameterError, as for :func:`features` and there.
    """
    graph = Graph(model)
    run = graph.run(**(session_options or {}))
    return runtime.calibrated(graph, run, tensor, data, **options)


def attach(
    model: Any, codecs: Mapping[str, Codec], *, mode: str = "bitstream", **options: Any
) -> Tap:
    """The model with ``codec.decode(codec.encode(x))`` in place of tensors.

    ``codecs``: names of tensors or nodes to codecs; ``mode``: "bitstream" makes bytes, "simulate"
    the same values faster; ``options``: of InferenceSession. The model is not changed: run it by
    ``tap.run(output_names, feeds)``, as a session. Errors: ParameterError.
    """
    graph = Graph(model)
    return runtime.attach(graph, graph.run(**options), codecs, mode)


def cuts(model: Any, data: Any, **options: Any) -> list[Cut]:
    """Every cut that separates the model, in order of depth, with all tensors that cross.

    ``data``: some inputs, to see shapes with; ``options``: of InferenceSession. Errors:
    ParameterError.
    """
    graph = Graph(model)
    return list(runtime.network_of(graph, graph.run(**options), "onnx", data).cuts)


def explore(
    model: Any, data: Any, *, session_options: Mapping[str, Any] | None = None, **options: Any
) -> Exploration:
    """Every legal cut of a model with its coded bytes and latency.

    ``data``: inputs, one array or batches, of which the first half calibrates; ``options``: of
    :func:`lwfc.split.explore`; ``metric(predict)`` gets the network as a function of its inputs.
    Errors: ParameterError.
    """
    graph = Graph(model)
    run = graph.run(**(session_options or {}))
    return explore_network(runtime.network_of(graph, run, "onnx", data), **options)
