"""Families of codecs: a way to code features, and the settings it may choose from."""

import hashlib
import itertools
import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate
from ..codec.codec import Codec
from .study import Study

__all__ = ["GROUPS", "PROFILES", "Coder", "Family", "choose_families", "settings"]

GROUPS = ("paper", "ours", "rival", "input")
Setting = dict[str, Any]


class Coder(Protocol):
    """A codec at one setting. Arrays hold samples along axis 0."""

    def encode(self, x: np.ndarray) -> bytes:
        """Everything that must be sent for these samples."""

    def decode(self, data: bytes) -> np.ndarray:
        """What the other side makes of it."""

    # Optional: ``expected(x)``, what decoding will give, known without coding: the loss is then
    # that of all samples, the bits those of a few streams. ``encode_all(list of arrays)`` and
    # ``decode_all(list of bytes)``: many streams, for programs that are slow to start.


@dataclass(frozen=True)
class Family:
    """``make(study, **setting)`` gives a :class:`Coder`, fitted to the study's calibration split.

    ``group``: "paper", the codec that gains are counted against; "ours"; "rival"; "input", which
    codes ``study.images`` instead of features. ``settings``: candidates, JSON-able. ``tool``: what
    runs, in words, with all that is fixed; a log's points belong to it. ``logged``: whether points
    are kept in a log; not where nothing tells one coder from the next of that name.
    """

    name: str
    make: Callable[..., Coder]
    settings: tuple[Setting, ...] = ({},)
    group: str = "rival"
    tool: str = ""
    logged: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ParameterError(f"codec {self.name!r}: must be a name, a string")
        if self.group not in GROUPS:
            raise ParameterError(f"group={self.group!r}: must be one of {', '.join(GROUPS)}")
        if not self.settings:
            raise ParameterError(f"family {self.name!r} has no settings to choose from")
        for setting in self.settings:
            try:
                json.dumps(dict(setting), allow_nan=False)
            except (TypeError, ValueError):
                raise ParameterError(f"family {self.name!r} has the setting {setting!r}: must be "
                                     "a dict of plain Python values") from None  # fmt: skip


def settings(**lists: Iterable[Any]) -> tuple[Setting, ...]:
    """Every combination of the listed values."""
    return tuple(dict(zip(lists, chosen, strict=True))
                 for chosen in itertools.product(*map(tuple, lists.values())))  # fmt: skip


def _plain(**fixed: Any) -> Callable[..., Coder]:
    def make(study: Study, **setting: Any) -> Coder:
        options = {"bound": True, "restore": "none"} | dict(study.options) | fixed | setting
        return calibrate(study.x("calibration"), batched=True, **options)

    return make


def _transform(study: Study, **setting: Any) -> Coder:
    if study.transform is not None:
        return study.transform(**setting)
    axis = {k: v for k, v in study.options.items() if k == "channel_axis"}
    return calibrate(study.x("calibration"), batched=True, transform="dct", **axis, **setting)


# The paper's pinned entropy-constrained design.
DESIGNED = settings(levels=(4, 6), clip_scale=(1.0, 1.6), quantizer=("ecsq",),
                    rate_weight=(0.05, 0.15))  # fmt: skip
WIDE = tuple(setting for setting in DESIGNED if setting["clip_scale"] == 1.6)
# Ranges of each channel, which the paper does not have.
CHANNELS = settings(levels=(2, 3, 4, 8), clip_scale=(1.8,), granularity=("channel",))
# Uniform levels over the model's range or a wider one, and the paper's design.
PAPER = (
    *settings(levels=(2, 3, 4, 6, 8, 10), clip_scale=(1.0, 1.4, 1.8, 2.2)),
    *settings(levels=(8, 12), clip_scale=(2.6,)),
    *DESIGNED,
    *settings(levels=(8,), clip_scale=(2.2,), quantizer=("ecsq",), rate_weight=(0.02, 0.05)),
)
PLAIN = (*settings(levels=(2, 3, 4, 6), clip_scale=(1.4, 2.2)),
         *settings(levels=(10,), clip_scale=(1.0, 2.2)), *WIDE, *CHANNELS)  # fmt: skip
RESTORED = (
    *settings(levels=(2,), clip_scale=(1.6, 2.2)),
    *settings(levels=(3, 4), clip_scale=(1.6, 2.4)),
    *settings(levels=(6, 10), clip_scale=(1.4, 2.2)),
    *WIDE,
    *CHANNELS,
)
# Aimed-at distortions of the outputs; without gradients a share of the features' power.
DISTORTIONS = settings(distortion=(0.002, 0.004, 0.008, 0.015, 0.025, 0.04, 0.07, 0.12, 0.2))

PROFILES = {
    family.name: family
    for family in (
        Family("paper", _plain(coder="cabac"), PAPER, "paper",
               "lwfc, coder=cabac: the paper's quantizers and coder, uniform or designed"),
        Family("rans", _plain(coder="rans"), PAPER + CHANNELS, "ours", "lwfc, coder=rans"),
        Family("context", _plain(coder="context"), PLAIN, "ours", "lwfc, coder=context"),
        Family("context+linear", _plain(coder="context", restore="linear"), RESTORED, "ours",
               "lwfc, coder=context, restore=linear"),
        Family("transform", _transform, DISTORTIONS, "ours", "lwfc, transform=dct"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class _Pair:
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes], np.ndarray]


def choose_families(codecs: Any) -> list[Family]:
    """The families meant by "auto" (all of lwfc's), a name, a family, a mapping of names to codecs
    or pairs (encode, decode), or an iterable of these.
    """
    if isinstance(codecs, (str, Family, Mapping)):
        codecs = [codecs]
    if not isinstance(codecs, Iterable):
        raise ParameterError(f"codecs is a {type(codecs).__name__}: must be names or families, or "
                             'a mapping, as {"mine": codec}')  # fmt: skip
    found: list[Family] = []
    for given in codecs:
        if isinstance(given, Mapping):
            found += [_named(name, codec) for name, codec in given.items()]
        elif isinstance(given, Family):
            found.append(given)
        elif isinstance(given, str) and given in ("auto", *PROFILES):
            found += PROFILES.values() if given == "auto" else [PROFILES[given]]
        else:
            known = ", ".join(map(repr, PROFILES))
            raise ParameterError(f"codecs names {reprlib.repr(given)}: must be among {known}, a "
                                 "Family, or a mapping of names to codecs")  # fmt: skip
    names = [family.name for family in found]
    if len(set(names)) < len(names) or not names:
        raise ParameterError(f"codecs {names}: each must be named once, and one at least")
    return found


def _named(name: str, given: Any) -> Family:
    if isinstance(given, Family):
        return given
    if isinstance(given, tuple) and len(given) == 2 and all(map(callable, given)):
        return Family(name, lambda study: _Pair(*given), logged=False)
    if isinstance(given, Codec):
        tool = f"codec {hashlib.sha256(given.to_bytes()).hexdigest()[:16]}"
        return Family(name, lambda study: given, group="ours", tool=tool)
    if hasattr(given, "encode") and hasattr(given, "decode"):
        return Family(name, lambda study: given, logged=False)
    raise ParameterError(f"codecs[{name!r}] is a {type(given).__name__}: must be a codec, a pair "
                         "(encode, decode), or a Family")  # fmt: skip
