"""lwfc for Keras 3 on TensorFlow, JAX or PyTorch.

    codec = calibrate(model, "conv3", images)          # unlabelled inputs
    with attach(model, {"conv3": codec}) as tap:       # in predict, evaluate, fit and calls
        model.evaluate(images, labels)
    print(tap.report())
    edge, cloud = split(model, "conv3", codec)         # two models, bytes in between
    FeatureCodec(codec)                                # a layer, saved inside .keras files

Needs the extra ``keras`` and one of Keras's back-ends.
"""

try:
    import keras as _keras
except ImportError as error:
    raise ImportError(f"lwfc.keras needs Keras 3: pip install 'lwfc[keras]' ({error})") from error

if int(_keras.__version__.split(".")[0]) < 3:
    raise ImportError(f"lwfc.keras needs Keras 3; this is {_keras.__version__}")

from .attach import Tap, attach
from .features import calibrate, features
from .halves import Cloud, Edge, explore, load, split
from .layer import FeatureCodec

__all__ = [
    "Cloud",
    "Edge",
    "FeatureCodec",
    "Tap",
    "attach",
    "calibrate",
    "explore",
    "features",
    "load",
    "split",
]
