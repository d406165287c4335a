"""What crosses one cut, as bytes: the cut's tensors and the codecs both sides hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.arrays import Tensor
from ..base.errors import FormatError, ParameterError
from ..codec.codec import Codec
from ..codec.stream import buffer_of
from .bundle import LIMIT, STREAM, Entry, pack, read
from .cuts import Cut, LiveTensor

__all__ = ["Wire"]


class Wire:
    """Encodes and decodes all tensors of a cut together.

    A cut of one tensor with a codec is that codec's plain stream; every other is the container of
    :mod:`lwfc.split.bundle` without names. ``codecs``: by tensor name, or one codec for a cut of
    one tensor; a tensor whose codec is None is kept to the bit, which integer and small tensors
    are without being named. Errors: ParameterError for a tensor that lacks its codec.
    """

    def __init__(self, cut: Cut, codecs: Any) -> None:
        names = [tensor.name for tensor in cut.tensors]
        if not isinstance(codecs, Mapping):
            coded = [tensor.name for tensor in cut.tensors if tensor.coded] or names
            if len(coded) != 1:
                raise ParameterError(
                    f"{len(coded)} tensors cross the cut {cut.name!r}, each with its own codec: "
                    f"codec={{{', '.join(f'{name!r}: ...' for name in coded)}}}"
                )
            codecs = {coded[0]: codecs}
        for name in codecs:
            if name not in names:
                raise ParameterError(f"codec names {name!r}; across this cut go {names}")
        missing = [t.name for t in cut.tensors
                   if t.coded and t.affine is None and t.name not in codecs]  # fmt: skip
        if missing:
            raise ParameterError(
                f"codec lacks {missing[0]!r}: give its codec, or None to keep its floats to the bit"
            )
        for name, codec in codecs.items():
            if codec is not None and not (hasattr(codec, "encode") and hasattr(codec, "decode")):
                raise ParameterError(f"codec[{name!r}] is a {type(codec).__name__}, not a codec")
        for tensor in cut.tensors:
            _check_shape(tensor, codecs.get(tensor.name))
        self.cut, self.names = cut, names
        self.codecs = {name: codec for name, codec in codecs.items() if codec is not None}
        self.plain = len(names) == 1 and len(self.codecs) == 1

    def __str__(self) -> str:
        coded = (f"{name}: {_kind(codec)}" for name, codec in self.codecs.items())
        return f"bytes, codecs {{{', '.join(coded)}}}"

    def encode(self, tensors: Mapping[str, Any]) -> bytes:
        """The tensors of a batch as bytes."""
        if self.plain:
            (name,) = self.names
            return self.codecs[name].encode(tensors[name])
        return pack({name: tensors[name] for name in self.names}, self.codecs, named=False)

    def decode(self, data: Any, max_nbytes: int = LIMIT) -> dict[str, Tensor]:
        """The tensors in bytes that nobody has vouched for; bfloat16 as 16-bit patterns.

        Errors: FormatError for damaged bytes, other tensors, shapes or types than the cut's.
        """
        if self.plain:
            entries = [Entry(self.names[0], STREAM, buffer_of(data))]
        else:
            entries = read(data, self.names)
        found = {}
        for entry, tensor in zip(entries, self.cut.tensors, strict=True):
            codec = self.codecs.get(entry.name)
            if (entry.method == STREAM) != (codec is not None):
                raise FormatError(f"{entry.name!r} is coded in another way than this half expects")
            shape, dtype = entry.header(codec)
            if not tensor.matches(shape) or dtype != tensor.dtype:
                raise FormatError(f"the bytes hold {dtype}{shape}; this half takes {tensor}")
            found[entry.name] = entry.array(codec, max_nbytes)
            max_nbytes -= found[entry.name].array.nbytes
        return found


def _check_shape(tensor: LiveTensor, codec: Any) -> None:
    """Refuse a codec that cannot code such tensors, by a try. Errors: ParameterError."""
    if not isinstance(codec, Codec) or tensor.shape[:1] != (None,) or None in tensor.shape[1:]:
        return
    dtype = "float32" if tensor.dtype == "bfloat16" else tensor.dtype
    try:
        codec.simulate(np.zeros((1, *tensor.shape[1:]), dtype))
    except ParameterError as error:
        raise ParameterError(
            f"{tensor} crosses the cut, and its codec is not for such: calibrate it at this cut "
            f"({error})"
        ) from error


def _kind(codec: Any) -> str:
    """What a codec is, in a word."""
    if getattr(codec, "transform", None) is not None:
        return "transform"
    return getattr(codec, "coder", type(codec).__name__)
