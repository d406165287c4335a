"""Profiles: what is asked of ``calibrate`` at a cut, and the ladder of its coarseness."""

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import ParameterError

__all__ = ["PROFILES", "Profile", "choose_profiles", "first_fine"]

CONTEXT_MAX = 16  # levels the context coder takes
LEVELS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class Profile:
    """Options of :func:`lwfc.calibrate`, and one of them, ``knob``, with values from the coarsest
    to the finest: the explorer takes the coarsest whose loss is small enough. A transform's knob is
    its step; with an empty ladder any step may be taken.
    """

    name: str
    options: Mapping[str, Any]
    knob: str = "levels"
    ladder: tuple[Any, ...] = field(default=LEVELS)

    @property
    def transforms(self) -> bool:
        """Whether it is a transform, whose fit does not depend on the step."""
        return self.options.get("transform", "none") != "none"

    def at(self, rung: int) -> dict[str, Any]:
        """The options with the knob at one value of the ladder."""
        return {**self.options, self.knob: self.ladder[rung]}


PROFILES = {
    profile.name: profile
    for profile in (
        # The paper's: a uniform quantizer on the model's range, truncated unary, binary contexts.
        Profile("paper", {"quantizer": "uniform", "coder": "cabac", "restore": "none"}),
        Profile("rans", {"coder": "rans", "restore": "none", "bound": True}),
        Profile(
            "context",
            {"coder": "context", "restore": "linear", "bound": True, "clip_scale": 1.6},
            ladder=tuple(n for n in LEVELS if n <= CONTEXT_MAX),
        ),
        # In the metric of the second half where the network gives gradients.
        Profile("transform", {"transform": "dct"}, "step", ()),
    )
}


def first_fine(
    ladder: Sequence[float], start: int, loss: Callable[[int], float], most: float
) -> int:
    """The first rung whose loss is at most ``most``, else the last. Few calls: losses are taken to
    fall with the square of the numbers of levels on the ladder, as a quantizer's do.
    """
    low, high = -1, len(ladder) - 1  # low loses too much, high is taken to be fine enough
    rung = min(max(start, 0), high)
    while high - low > 1:
        found = loss(rung)
        if found <= most:
            high = rung
        else:
            low = rung
        wanted = ladder[rung] * math.sqrt(found / max(most, 1e-30))
        rung = min(max(bisect.bisect_left(ladder, wanted), low + 1), high - 1)
    return high


def choose_profiles(profiles: Any) -> list[Profile]:
    """The profiles meant by "auto", a name, names, or a mapping of names to options of calibrate.

    In a mapping, ``levels`` fixes the coarseness, or ``step`` that of a transform; without them
    the usual ladder is tried, or any step.
    """
    if isinstance(profiles, str):
        profiles = list(PROFILES) if profiles == "auto" else [profiles]
    if isinstance(profiles, Mapping):
        return [_profile(name, options) for name, options in profiles.items()]
    if not isinstance(profiles, Iterable):
        raise ParameterError(f'profiles={profiles!r}: pass "auto", names, or a mapping')
    found = []
    for wanted in profiles:
        if not isinstance(wanted, Profile) and wanted not in PROFILES:
            known = ", ".join(map(repr, PROFILES))
            raise ParameterError(f"profiles names {wanted!r}: must be among {known}, or a mapping")
        found.append(wanted if isinstance(wanted, Profile) else PROFILES[wanted])
    return found


def _profile(name: str, options: Any) -> Profile:
    if isinstance(options, Profile):
        return options
    if not isinstance(options, Mapping):
        raise ParameterError(f"profiles[{name!r}] must be a mapping of options of lwfc.calibrate")
    options = dict(options)
    if options.get("transform", "none") != "none":
        for wish in {"distortion", "target_bits", "metric"} & set(options):
            raise ParameterError(
                f"profiles[{name!r}] names {wish}: the explorer looks at the outputs itself, and "
                "keeps them within max_loss; step= fixes a transform's coarseness"
            )
        return Profile(name, options, "step", _several(options.pop("step", ())))
    if "levels" in options:
        return Profile(name, options, ladder=_several(options.pop("levels")))
    fits = options.get("coder") == "context"
    return Profile(name, options, ladder=PROFILES["context"].ladder if fits else LEVELS)


def _several(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)
