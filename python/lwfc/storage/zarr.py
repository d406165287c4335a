"""A zarr v3 array-bytes codec, named "lwfc" in a store's metadata."""

import math
from dataclasses import dataclass
from typing import Any

try:
    from zarr.abc.codec import ArrayBytesCodec
except ImportError as error:
    raise ImportError(
        f"lwfc.storage.zarr needs zarr 3: pip install 'lwfc[storage]' ({error})"
    ) from error

from ..base.errors import FormatError
from .chunks import Chunks

__all__ = ["LwfcCodec"]


@dataclass(frozen=True)
class LwfcCodec(ArrayBytesCodec):
    """Chunks by lwfc: ``serializer=LwfcCodec(codec)`` or ``LwfcCodec(levels=8)``.

    Give ``compressors=None`` as well, or zarr compresses the streams once more, in vain. Chunks at
    the edge of an array arrive padded. bfloat16: an array of type uint16 and ``bfloat16=True``.
    """

    chunks: Chunks

    is_fixed_size = False

    def __init__(self, codec: Any = None, *, bfloat16: bool = False, **options: Any) -> None:
        object.__setattr__(self, "chunks", Chunks(codec, bfloat16, options))

    @classmethod
    def from_dict(cls, data: Any) -> "LwfcCodec":
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        return {"name": "lwfc", "configuration": self.chunks.config()}

    async def _encode_single(self, chunk_array: Any, chunk_spec: Any) -> Any:
        data = self.chunks.encode(chunk_array.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        item = max(chunk_spec.dtype.to_native_dtype().itemsize, 4)  # bfloat16 comes as float32
        y = self.chunks.decode(chunk_bytes.as_numpy_array(), item * math.prod(chunk_spec.shape))
        if y.shape != tuple(chunk_spec.shape):
            raise FormatError(f"a chunk of shape {y.shape}, where {chunk_spec.shape} belongs")
        return chunk_spec.prototype.nd_buffer.from_numpy_array(y)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        raise NotImplementedError("the size of a coded chunk depends on its values")
