"""One chunk of an array store to bytes and back, and the configuration that says how."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from ..calibration.oneshot import encode
from ..codec.codec import Codec
from ..codec.stream import decode
from ..codec.text import from_text, to_text

__all__ = ["Chunks"]


class Chunks:
    """``codec``: a calibrated one, kept in the store's metadata; None: each chunk carries its own
    range, with ``levels`` and the other options of :func:`lwfc.encode`. ``bfloat16``: chunks are
    uint16 views of bfloat16, for stores without that type.
    """

    def __init__(self, codec: Any, bfloat16: bool, options: Mapping[str, Any]) -> None:
        if isinstance(codec, str):
            codec = from_text(codec)
        if codec is not None and not isinstance(codec, Codec):
            raise ParameterError(f"codec is a {type(codec).__name__}: pass an lwfc.Codec, or None")
        if codec is not None and options:
            raise ParameterError(
                f"codec and {sorted(options)} exclude each other: the codec decides"
            )
        self.codec, self.bfloat16, self.options = codec, bool(bfloat16), dict(options)

    def config(self) -> dict[str, Any]:
        """JSON-able arguments that make an equal one."""
        config = dict(self.options)
        if self.codec is not None:
            config["codec"] = to_text(self.codec)
        if self.bfloat16:
            config["bfloat16"] = True
        return config

    def encode(self, x: np.ndarray) -> bytes:
        """A chunk as a stream. Errors: ParameterError for types that come back as others."""
        if x.dtype.char not in ("H" if self.bfloat16 else "efdbB"):
            wanted = "uint16" if self.bfloat16 else "float16, 32 and 64, int8 or uint8"
            raise ParameterError(f"chunks of {x.dtype} do not come back as such: store {wanted}")
        if self.bfloat16:
            import ml_dtypes

            x = x.view(ml_dtypes.bfloat16)
        if self.codec is None:
            return encode(x, **self.options)
        try:
            return self.codec.encode(x)
        except ParameterError as error:
            inner = self.codec.inner_shape
            if not inner or x.shape[1:] == inner:
                raise
            whole = ", ".join(map(str, inner))
            raise ParameterError(
                f"{error}; chunks of whole samples, chunks=(n, {whole}), can be coded"
            ) from error

    def decode(self, data: Any, max_nbytes: int = 2**30) -> np.ndarray:
        """The chunk in a stream."""
        y = decode(data, self.codec, max_nbytes=max_nbytes)
        return (y.view(np.uint32) >> 16).astype(np.uint16) if self.bfloat16 else y
