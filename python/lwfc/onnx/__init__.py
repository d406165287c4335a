"""lwfc for ONNX: cut a model file into two, code what crosses, run both halves in ONNX Runtime.

    cuts("net.onnx")                                   # where it can be cut, and what crosses
    codec = calibrate("net.onnx", "relu_7", batches)   # unlabelled inputs
    edge, cloud = split("net.onnx", "relu_7", codec)
    outputs = cloud(edge(x))                           # bytes in between

Needs the extra ``onnx``: onnx and onnxruntime.
"""

try:
    import onnx as _onnx  # noqa: F401
    import onnxruntime as _onnxruntime  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"lwfc.onnx needs onnx and onnxruntime: pip install 'lwfc[onnx]' ({error})"
    ) from error

from .halves import Cloud, Edge, load, split
from .verbs import Tap, attach, calibrate, cuts, explore, features

__all__ = [
    "Cloud",
    "Edge",
    "Tap",
    "attach",
    "calibrate",
    "cuts",
    "explore",
    "features",
    "load",
    "split",
]
