"""lwfc for LiteRT: cut a .tflite file into two, code what crosses.

    cuts("net.tflite", images)                         # where it can be cut, and what crosses
    codec = calibrate("net.tflite", "relu_7", images)  # unlabelled inputs
    edge, cloud = split("net.tflite", "relu_7", codec, example=images)
    outputs = cloud(edge(x))                           # bytes in between

Needs the extra ``litert``: ai-edge-litert.
"""

try:
    import ai_edge_litert.interpreter as _litert  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"lwfc.litert needs ai-edge-litert: pip install 'lwfc[litert]' ({error})"
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
