"""What a cut through a network is: its name, and the tensors that cross it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Cut", "LiveTensor"]

# Bytes of one element, by the name of its type.
SIZES = {"bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "float16": 2, "bfloat16": 2,
         "uint32": 4, "int32": 4, "float32": 4, "uint64": 8, "int64": 8, "float64": 8}  # fmt: skip
SMALL = 1024  # bytes of a sample below which a tensor is not worth a codec


@dataclass(frozen=True)
class LiveTensor:
    """A tensor that crosses a cut. ``shape`` has None where the number of samples stands;
    ``is_input``: it is the network's own input, untouched. ``affine``: scale and zero point of a
    quantized network's 8-bit integers, None for all others.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    is_input: bool = False
    affine: tuple[float, int] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What calibrate is told of it."""
        if self.affine is None:
            return {}
        return {"scale": self.affine[0], "zero_point": self.affine[1]}

    @property
    def elements(self) -> int:
        """Elements of one sample."""
        return math.prod(n for n in self.shape if n is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of one sample as it stands in memory."""
        return self.elements * SIZES.get(self.dtype, 8)

    @property
    def coded(self) -> bool:
        """Whether it is worth a codec: floats, or integers that stand for such; not small."""
        return ("float" in self.dtype or self.affine is not None) and self.nbytes > SMALL

    def matches(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape can be it, for some number of samples."""
        return len(shape) == len(self.shape) and all(
            mine is None or mine == its for mine, its in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        shape = ", ".join("N" if n is None else str(n) for n in self.shape)
        return f"{self.name} {self.dtype}({shape})"


@dataclass(frozen=True)
class Cut:
    """A place to cut: ``at`` are the layers named, ``tensors`` all that cross, ``macs`` the
    multiply-adds of one sample before and behind it (None where nobody counted).
    """

    name: str
    at: tuple[str, ...]
    tensors: tuple[LiveTensor, ...]
    macs: tuple[int, int] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of one sample, uncoded."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def elements(self) -> int:
        """Elements of one sample."""
        return sum(tensor.elements for tensor in self.tensors)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "Cut":
        """The cut of a :meth:`to_dict`, also after a way through JSON."""
        tensors = tuple(
            LiveTensor(t["name"], tuple(t["shape"]), t["dtype"], t["is_input"],
                       t["affine"] and (float(t["affine"][0]), int(t["affine"][1])))
            for t in config["tensors"]
        )  # fmt: skip
        macs = config["macs"]
        return cls(config["name"], tuple(config["at"]), tensors, macs and (macs[0], macs[1]))
