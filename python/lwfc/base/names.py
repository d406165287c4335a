"""Names of layers and tensors: those that are meant, and those near a wrong one."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from .checks import shown
from .errors import ParameterError

__all__ = ["near", "several"]


def near(name: Any, known: Iterable[str]) -> str:
    """The end of an error's text: names like this one, or some of all."""
    names = list(dict.fromkeys(one for one in known if one))
    found = get_close_matches(str(name), names, n=5, cutoff=0.4)
    listed = ", ".join(map(repr, found or names[:8])) or "none"
    return f"{'near it' if found else 'it has'}: {listed}"


def several(at: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several as a tuple. Errors: ParameterError for what is no name."""
    names = tuple(at) if isinstance(at, (list, tuple)) else (at,)
    if not all(isinstance(name, str) for name in names):
        raise ParameterError(
            f"at={shown(at)}: must be a name, or several; the codec comes after it"
        )
    if not names:
        raise ParameterError("at names no layer: pass a name, or several; the explorer's rows "
                             "without a cut have none")  # fmt: skip
    return names
