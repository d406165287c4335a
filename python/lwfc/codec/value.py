"""CodecValue: what makes a Codec a value - its fields, comparison, copies and looks."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _core
from ..base.errors import FormatError, ParameterError
from ..base.show import field_text, html_fields
from .names import CODERS, INTEGERS, NAN_POLICIES

__all__ = ["BLOBS", "CodecValue", "notes_bytes"]

BLOBS = ("context", "restore", "transform")
CLIP_AT = 20  # where a transform's section has its clip range: two f32 (FORMAT.md, section 14)


def notes_bytes(metadata: Mapping[str, Any] | None) -> bytes:
    """metadata as the codec file holds it."""
    try:
        return json.dumps(dict(metadata or {}), sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ParameterError(f"metadata: must be a mapping of JSON-able values ({error})") from None


def _axis_text(axis: int | None) -> str:
    return "axis 1 of four or more, the last of fewer" if axis is None else f"axis {axis}"


def _integers(notes: Mapping[str, Any]) -> tuple[str | None, Any, Any]:
    """(type, scale, zero point) of a quantized network's integers; None each for other codecs."""
    kind, scale, zero = (notes.get(name) for name in ("dtype", "scale", "zero_point"))
    numbers = [*(scale if isinstance(scale, list) else [scale]),
               *(zero if isinstance(zero, list) else [zero])]  # fmt: skip
    good = all(isinstance(n, (int, float)) for n in numbers)
    return (kind, scale, zero) if good and kind in INTEGERS else (None, None, None)


class CodecValue:
    """An immutable view of the extension's codec, ``_handle``."""

    __slots__ = ("__weakref__", "_digest", "_fields", "_handle", "_integers")

    def _adopt(self, handle: Any) -> None:
        fields = dict(_core.codec_fields(handle))
        levels = fields["levels"]
        for name, count in (("thresholds", levels - 1), ("values", levels)):
            if not levels:
                fields[name] = None
                continue
            table = np.frombuffer(bytes(fields[name]), np.float32).reshape(-1, count)
            table.setflags(write=False)
            fields[name] = table
        metadata = bytes(fields["metadata"] or b"{}")
        try:
            notes = json.loads(metadata)
        except ValueError:
            notes = None
        if not isinstance(notes, dict):
            raise FormatError("codec file: the metadata is not a JSON object")
        fields["metadata"] = metadata
        object.__setattr__(self, "_integers", _integers(notes))
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_digest", fields.pop("digest"))
        object.__setattr__(self, "_fields", fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Codec never changes; make another with codec.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Codec never changes")

    @property
    def levels(self) -> int | None:
        """Number of symbols, 2 to 256; None with a transform."""
        return self._fields["levels"] or None

    @property
    def thresholds(self) -> np.ndarray | None:
        """Read-only float32 (groups, levels - 1); groups is 1, or the number of channels.

        None with a transform.
        """
        return self._fields["thresholds"]

    @property
    def values(self) -> np.ndarray | None:
        """Read-only float32 (groups, levels); None with a transform."""
        return self._fields["values"]

    @property
    def clip_range(self) -> tuple[float, float]:
        """The least and largest value that the encoder does not clip."""
        if self.transform is not None:
            return struct.unpack_from("<ff", self.transform, CLIP_AT)
        return float(self.values.min()), float(self.values.max())

    @property
    def coder(self) -> str:
        """Name of the entropy coder."""
        return CODERS[self._fields["coder"]]

    @property
    def channel_axis(self) -> int | None:
        """The channels' axis; None: chosen by rank."""
        return self._fields["channel_axis"]

    @property
    def bound(self) -> bool:
        """Whether streams need this codec to decode."""
        return bool(self._fields["bound"])

    @property
    def inner_shape(self) -> tuple[int, ...]:
        """The usual shape without the first axis; () if none was given."""
        return tuple(self._fields["inner_shape"])

    @property
    def rate_weight(self) -> float:
        """Squared error per bit in the rate-distortion pass; 0: none."""
        return self._fields["rate_weight"]

    @property
    def nan(self) -> str:
        """The policy for NaN and infinities: "zero" or "raise"."""
        return NAN_POLICIES[self._fields["nan"]]

    @property
    def context(self) -> bytes | None:
        """The context coder's model."""
        return self._fields["context"] or None

    @property
    def restore(self) -> bytes | None:
        """The restoration's weights."""
        return self._fields["restore"] or None

    @property
    def transform(self) -> bytes | None:
        """The transform's section of the codec file."""
        return self._fields["transform"] or None

    @property
    def metadata(self) -> dict[str, Any]:
        """Notes for people, e.g. how it was calibrated; a fresh copy."""
        return json.loads(self._fields["metadata"])

    @property
    def integer_type(self) -> str | None:
        """"int8" or "uint8": the only tensors a codec calibrated with a scale takes; else None."""
        return self._integers[0]

    @property
    def scale(self) -> Any:
        """What a step of these integers stands for: a float, a list of one for each channel, None.

        The integer q is (q - ``zero_point``) * ``scale``.
        """
        return self._integers[1]

    @property
    def zero_point(self) -> Any:
        """The integer that stands for 0, or a list of one for each channel; None without scale."""
        return self._integers[2]

    @property
    def digest(self) -> int:
        """64 bits that tell codecs apart; bound streams carry them."""
        return self._digest

    def _arguments(self) -> dict[str, Any]:
        names = ("coder", "channel_axis", "bound", "inner_shape", "rate_weight", "nan")
        names += (*BLOBS, "metadata")
        return {name: getattr(self, name) for name in ("thresholds", "values", *names)}

    def __copy__(self) -> "CodecValue":
        return self

    def __deepcopy__(self, memo: dict) -> "CodecValue":
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CodecValue):
            return NotImplemented
        return self._digest == other._digest and all(
            value.tobytes() == other._fields[name].tobytes()
            if isinstance(value, np.ndarray)
            else value == other._fields[name]
            for name, value in self._fields.items()
            if name != "metadata"
        )

    def __hash__(self) -> int:
        return hash(self._digest)

    def summary(self) -> dict[str, Any]:
        """What matters about it, as JSON-able values: numbers, lists of them, and words."""
        bounds = list(self.clip_range)
        ends = {"bound": self.bound, "nbytes": len(_core.codec_write(self._handle)),
                "digest": f"{self.digest:016x}"}  # fmt: skip
        if self.transform is not None:
            layout = _core.transform_layout(self._handle)
            return {
                "transform": "dct-klt",
                "block": [layout["block_height"], layout["block_width"]],
                "map": [layout["height"], layout["width"]],
                "step": self.metadata.get("step"),
                "range": bounds,
            } | ends
        groups = "tensor" if len(self.values) == 1 else f"{len(self.values)} channels"
        integers = {"integers": self.integer_type, "scale": self.scale,
                    "zero_point": self.zero_point}  # fmt: skip
        return {
            "levels": self.levels,
            "range": bounds,
            "range_from": self.metadata.get("law", "given"),
            "quantizer_per": groups,
            "channels": self.metadata.get("channels", _axis_text(self.channel_axis)),
            "coder": self.coder,
            "restore": self.metadata.get("restore", "none" if not self.restore else "yes"),
        } | (integers if self.integer_type else {}) | ends

    def __repr__(self) -> str:
        shown = (f"{name} {field_text(value)}" for name, value in self.summary().items())
        return f"<Codec {', '.join(shown)}>"

    def _repr_html_(self) -> str:
        return html_fields("lwfc.Codec", self.summary())
