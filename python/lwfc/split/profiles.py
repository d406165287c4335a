"""Profiles: what is asked of ``calibrate`` at a cut, and the ladder of its coarseness."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import ParameterError

__all__ = ["PROFILES", "Profile", "choose_profiles"]

CONTEXT_MAX = 16  # levels the context coder takes
LEVELS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class Profile:
    """Options of :func:`lwfc.calibrate`, and one of them, ``knob``, with values from the coarsest
    to the finest: the explorer takes the coarsest whose loss is small enough.
    """

    name: str
    options: Mapping[str, Any]
    knob: str = "levels"
    ladder: tuple[Any, ...] = field(default=LEVELS)

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
    )
}


def choose_profiles(profiles: Any) -> list[Profile]:
    """The profiles meant by "auto", a name, names, or a mapping of names to options of calibrate.

    In a mapping, ``levels`` fixes the coarseness; without it the usual ladder is tried.
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
    if "levels" in options:
        levels = options.pop("levels")
        return Profile(name, options, ladder=tuple(levels) if isinstance(levels, (tuple, list))
                       else (levels,))  # fmt: skip
    fits = options.get("coder") == "context"
    return Profile(name, options, ladder=PROFILES["context"].ladder if fits else LEVELS)
