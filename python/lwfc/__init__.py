"""lwfc, the lightweight feature codec: a layer's activations in a few tenths of a bit each.

data = lwfc.encode(x, levels=4)          # self-contained bytes
y = lwfc.decode(data)
print(lwfc.inspect(data))                # shape, type, bits per element ... without decoding

codec = lwfc.calibrate(samples, levels=2, coder="context", restore="linear")   # once per layer
data = codec.encode(x); y = codec.decode(data)
codec.save("layer.lwfc"); codec = lwfc.load("layer.lwfc")
found = lwfc.tune(samples, evaluate, max_loss=0.5)    # the cheapest codec your metric allows
result = lwfc.evaluate(study); result.to_html("evaluation.html")    # bits against the task's loss

For models: help(lwfc.torch), lwfc.keras and the others, each imported when asked for. In a shell:
lwfc --help. Below: help(lwfc.calibrate) has the options, help(lwfc.Codec) what a codec does.
"""

from .base.errors import (
    CalibrationWarning,
    FormatError,
    LwfcError,
    OptionWarning,
    ParameterError,
    UncodedWarning,
)
from .calibration.calibrate import calibrate
from .calibration.oneshot import encode
from .calibration.tune import TuneResult, tune
from .codec.codec import Codec
from .codec.stages import dequantize, digitize, lookup, quantize
from .codec.stream import StreamInfo, decode, inspect
from .evaluation.evaluate import evaluate
from .model.activation import ActivationModel
from .model.design import design_ecsq
from .model.moments import Moments, moments

__version__ = "0.1.0"

load = Codec.load

__all__ = [
    "ActivationModel",
    "CalibrationWarning",
    "Codec",
    "FormatError",
    "LwfcError",
    "Moments",
    "OptionWarning",
    "ParameterError",
    "StreamInfo",
    "TuneResult",
    "UncodedWarning",
    "calibrate",
    "decode",
    "dequantize",
    "design_ecsq",
    "digitize",
    "encode",
    "evaluate",
    "inspect",
    "load",
    "lookup",
    "moments",
    "quantize",
    "tune",
]

for _name in set(__all__) - {"load"}:  # so that messages and pickles name what users import
    globals()[_name].__module__ = __name__
