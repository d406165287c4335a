"""lwfc on PyTorch models.

codec = lwfc.torch.calibrate(model, "layer2", images, levels=4)    # once per layer
with lwfc.torch.attach(model, {"layer2": codec}) as tap:           # real bytes, any evaluation
    evaluate(model)
print(tap.report())
edge, cloud = lwfc.torch.split(model, "layer2", codec, example=images[:2])

data = lwfc.torch.encode(tensor, codec)                            # bytes
tensor = lwfc.torch.decode(data, codec)                            # a tensor again, bfloat16 too

``Restorer`` is the decoder's restoration as an nn.Module.
"""

from torch import serialization

from ..codec.codec import codec_from_bytes
from ..taps.report import Report
from .attach import Tap, attach
from .calibrate import calibrate
from .explore import explore
from .features import features
from .operator import register
from .restorer import Restorer as Restorer
from .saving import load_split, save_split
from .split import split
from .tensors import decode, encode
from .tune import tune

# Restorer stands outside, since help() would add nn.Module's hundred methods to this page.
__all__ = [
    "Report",
    "Tap",
    "attach",
    "calibrate",
    "decode",
    "encode",
    "explore",
    "features",
    "load_split",
    "register",
    "save_split",
    "split",
    "tune",
]

serialization.add_safe_globals([codec_from_bytes])  # torch.load's weights-only default
