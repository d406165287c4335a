"""FeatureCodec: a codec as a layer of a Keras model."""

from typing import Any

import keras

from ..base.checks import choose
from ..base.errors import ParameterError
from ..codec.codec import Codec
from ..codec.text import from_text, to_text
from ..taps.host import MODES
from ..taps.records import recorders_for, report_of
from ..taps.report import Report
from .operation import Host, through

__all__ = ["FeatureCodec"]


@keras.saving.register_keras_serializable(package="lwfc")
class FeatureCodec(keras.layers.Layer):
    """y = decode(encode(x)), of x's shape and type; saved with its codec inside .keras files.

    ``codec``: an lwfc.Codec; ``mode``: "bitstream" makes the bytes, "simulate" the same values
    faster. Gradients pass straight through inside the codec's range. On JAX an error of the codec
    inside predict or fit gives NaNs, and is raised by the layer's next call outside of compiled
    code, or by :meth:`reraise`: raised inside, it would cost the model its weights.
    """

    supports_jit = False  # TensorFlow's XLA cannot call back to the host

    def __init__(self, codec: Any, *, mode: str = "bitstream", **options: Any) -> None:
        super().__init__(**options)
        if isinstance(codec, str):  # from get_config: text survives every way of saving
            codec = from_text(codec)
        if not isinstance(codec, Codec):
            raise ParameterError(f"codec is a {type(codec).__name__}: pass an lwfc.Codec")
        choose("mode", mode, MODES)
        self.codec, self.mode = codec, mode
        self._recorders = recorders_for({self.name: codec})
        self._host = Host(codec, self._recorders[self.name], mode == "bitstream")
        self.built = True

    def call(self, x: Any) -> Any:
        self._host.reraise()
        return through(x, self._host)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def reraise(self) -> None:
        """Raise the error that a compiled run kept, if there was one."""
        self._host.reraise()

    def report(self) -> Report:
        """Bytes, rates and times so far."""
        return report_of(self._recorders)

    def get_config(self) -> dict[str, Any]:
        codec = to_text(self.codec)
        return super().get_config() | {"codec": codec, "mode": self.mode}
