"""features, calibrate, attach, cuts and explore on .tflite files."""

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


def features(model: Any, tensor: str, data: Any) -> Iterator[np.ndarray]:
    """A tensor's value for each batch of inputs.

    ``model``: a path, or the file's bytes; ``tensor``: name of a tensor, or of an operator as
    "CONV_2D_7"; ``data``: one array of inputs, a mapping of names to arrays, or an iterable of such
    batches. The file is cut at the tensor, so that its memory is valid: intermediate tensors of a
    whole interpreter are overwritten by later ones. Integer tensors come as they are.
    Errors: ParameterError for unknown names, naming near ones, and for files that cannot be cut.
    """
    graph = Graph(model)
    yield from runtime.features(graph, graph.run(), tensor, data)


def calibrate(model: Any, tensor: str, data: Any, **options: Any) -> Codec:
    """A codec for a tensor, from unlabelled inputs; ``options`` are those of lwfc.calibrate.

    int8 and uint8 tensors bring their scale and zero point; their codec gives such integers again.
    ``channel_axis`` is the last unless given: LiteRT's images are channels-last.
    Errors: ParameterError, as for :func:`features` and there.
    """
    options.setdefault("channel_axis", -1)
    graph = Graph(model)
    return runtime.calibrated(graph, graph.run(), tensor, data, **options)


def attach(model: Any, codecs: Mapping[str, Codec], *, mode: str = "bitstream") -> Tap:
    """The network with ``codec.decode(codec.encode(x))`` in place of tensors.

    ``codecs``: names of tensors or operators to codecs; ``mode``: "bitstream" makes bytes,
    "simulate" the same values faster. Run it by ``tap.run(None, inputs)``. Errors: ParameterError.
    """
    graph = Graph(model)
    return runtime.attach(graph, graph.run(), codecs, mode)


def cuts(model: Any, data: Any) -> list[Cut]:
    """Every cut that separates the network, in order of depth, with all tensors that cross.

    ``data``: some inputs, to see shapes with. Errors: ParameterError.
    """
    graph = Graph(model)
    return list(runtime.network_of(graph, graph.run(), "litert", data).cuts)


def explore(model: Any, data: Any, **options: Any) -> Exploration:
    """Every legal cut of a network with its coded bytes and latency.

    ``data``: inputs, one array or batches, of which the first half calibrates; ``options``: of
    :func:`lwfc.split.explore`; ``metric(predict)`` gets the network as a function of its inputs.
    Errors: ParameterError.
    """
    graph = Graph(model)
    return explore_network(runtime.network_of(graph, graph.run(), "litert", data), **options)
