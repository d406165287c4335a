"""What a search may try: the values of each option, checked before anything is calibrated."""

import difflib
import inspect
import itertools
import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from ..base.arrays import is_array
from ..base.errors import ParameterError
from .calibrate import calibrate
from .options import check_options, idle

__all__ = ["GRID", "Grid"]

# What is searched unless given: few values of each, from the coarse end of the rate.
GRID: dict[str, tuple[Any, ...]] = {
    "levels": (2, 3, 4),
    "clip_scale": (1.0, 1.3, 1.6, 2.0, 2.5),
    "restore": ("none", "centroid", "linear"),
    "restore_strength": (0.5, 1.0),
    "rate_weight": (0.0, 0.03, 0.1),
    "coder": ("rans", "context"),
}
DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(calibrate).parameters.items()
    if name not in ("samples", "progress", "batched", "sample_axis", "num_threads")
}
MOST_CHECKED = 1 << 14  # combinations; of more, each value by itself


class Grid:
    """``values`` to try by option; ``fixed`` options of ``calibrate`` are not searched.

    Errors: ParameterError that names the option, for unknown ones, empty lists, values and
    combinations that cannot work.
    """

    def __init__(self, grid: Mapping[str, Any] | None, fixed: Mapping[str, Any]) -> None:
        if grid is not None and not isinstance(grid, Mapping):
            raise ParameterError(f"grid is a {type(grid).__name__}: must map options to values")
        for name in (*(grid or {}), *fixed):
            if name not in DEFAULTS:
                near = difflib.get_close_matches(str(name), DEFAULTS, n=3, cutoff=0.4) or DEFAULTS
                raise ParameterError(
                    f"calibrate has no option {name!r} to search; it has "
                    f"{', '.join(map(repr, near))}"
                )
        self._fixed = dict(fixed)
        self.values = {
            name: _values(name, chosen)
            for name, chosen in (GRID | dict(grid or {})).items()
            if name not in fixed
        }
        if self._options({}).get("transform", "none") == "none":
            self._check()

    def _options(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return DEFAULTS | self._fixed | settings

    def _check(self) -> None:
        if math.prod(map(len, self.values.values())) <= MOST_CHECKED:
            tried = (
                dict(zip(self.values, chosen, strict=True))
                for chosen in itertools.product(*self.values.values())
            )
        else:
            tried = ({name: v} for name, values in self.values.items() for v in values)
        for settings in tried:
            check_options(self._options(settings))

    def effective(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with what has no effect at its default: equal ones are one setting."""
        without = idle(self._options(settings))
        return {k: DEFAULTS[k] if k in without else value for k, value in settings.items()}


def _values(name: str, chosen: Any) -> tuple[Any, ...]:
    """The values to try as plain Python values, each once; a bare value is a list of one."""
    if is_array(chosen):
        chosen = np.asarray(chosen).tolist()
    pair = name == "clip" and _is_pair(chosen)
    if pair or isinstance(chosen, (str, bytes, Mapping)) or not isinstance(chosen, Iterable):
        chosen = (chosen,)
    plain = [_plain(value) for value in chosen]
    if not plain:
        raise ParameterError(f"grid[{name!r}] is empty: name at least one value")
    return tuple(value for i, value in enumerate(plain) if value not in plain[:i])


def _is_pair(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and len(x) == 2 and all(isinstance(v, Real) for v in x)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic) or is_array(value):
        value = np.asarray(value).tolist()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value
