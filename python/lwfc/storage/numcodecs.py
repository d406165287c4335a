"""A numcodecs codec, for zarr v2 stores and whatever else speaks numcodecs."""

from typing import Any

import numpy as np

try:
    from numcodecs.abc import Codec as NumcodecsCodec
    from numcodecs.compat import ensure_ndarray, ndarray_copy
except ImportError as error:
    raise ImportError(
        f"lwfc.storage.numcodecs needs numcodecs: pip install 'lwfc[storage]' ({error})"
    ) from error

from ..base.errors import ParameterError
from .chunks import Chunks

__all__ = ["Lwfc"]


class Lwfc(NumcodecsCodec):
    """Float arrays by lwfc: ``Lwfc(codec)`` or ``Lwfc(levels=8)``; see :class:`Chunks`."""

    codec_id = "lwfc"

    def __init__(self, codec: Any = None, *, bfloat16: bool = False, **options: Any) -> None:
        self._chunks = Chunks(codec, bfloat16, options)

    def encode(self, buf: Any) -> bytes:
        x = ensure_ndarray(buf)
        if not x.dtype.isnative:  # stores would read the decoder's bytes, this machine's, as theirs
            raise ParameterError(f"chunks of {x.dtype.str}: store {x.dtype.newbyteorder('=').str}")
        return self._chunks.encode(x)

    def decode(self, buf: Any, out: Any = None) -> Any:
        y = self._chunks.decode(np.ascontiguousarray(ensure_ndarray(buf)).view("u1"))
        return y if out is None else ndarray_copy(y, out)

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, **self._chunks.config()}

    @classmethod
    def from_config(cls, config: Any) -> "Lwfc":
        return cls(**config)

    def __repr__(self) -> str:
        return f"Lwfc({self._chunks.codec or self._chunks.options})"
