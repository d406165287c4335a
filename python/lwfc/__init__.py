"""lwfc, the lightweight feature codec: a layer's activations in a few tenths of a bit each.

data = lwfc.encode(x, levels=4)          # self-contained bytes
y = lwfc.decode(data)
codec = lwfc.calibrate(samples, ...)     # once per layer; codec.encode, codec.decode, codec.save
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
    "inspect",
    "load",
    "lookup",
    "moments",
    "quantize",
    "tune",
]

for _name in set(__all__) - {"load"}:  # so that messages and pickles name what users import
    globals()[_name].__module__ = __name__
