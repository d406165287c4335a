"""lwfc, the lightweight feature codec: a layer's activations in a few tenths of a bit each.

data = lwfc.encode(x, levels=4)          # self-contained bytes
y = lwfc.decode(data)
codec = lwfc.calibrate(samples, ...)     # once per layer; codec.encode, codec.decode, codec.save
"""

from .activation import ActivationModel
from .calibrate import calibrate
from .codec import Codec
from .design import design_ecsq
from .errors import CalibrationWarning, FormatError, LwfcError, ParameterError
from .moments import Moments, moments
from .oneshot import encode
from .ops import dequantize, digitize, lookup, quantize
from .stream import StreamInfo, decode, inspect
from .tune import TuneResult, tune

__version__ = "0.1.0"

load = Codec.load

__all__ = [
    "ActivationModel",
    "CalibrationWarning",
    "Codec",
    "FormatError",
    "LwfcError",
    "Moments",
    "ParameterError",
    "StreamInfo",
    "TuneResult",
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
