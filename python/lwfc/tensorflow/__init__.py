"""lwfc for TensorFlow's functions; for Keras models there is lwfc.keras.

    codec = calibrate(edge, dataset)            # edge: images -> features; a tf.data.Dataset
    y = code(x, codec)                          # real bytes, eagerly and inside tf.function
    device, server = split(edge, cloud, codec, example=images)   # bytes in between

Needs the extra ``tensorflow``.
"""

try:
    import tensorflow as _tensorflow  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"lwfc.tensorflow needs TensorFlow: pip install 'lwfc[tensorflow]' ({error})"
    ) from error

from ..split.functions import calibrate, explore, features, split
from .code import Tap, attach, code

__all__ = ["Tap", "attach", "calibrate", "code", "explore", "features", "split"]
