"""Settings and gains in a few characters."""

from collections.abc import Mapping
from typing import Any

__all__ = ["gain_text", "setting_text"]


def setting_text(setting: Mapping[str, Any]) -> str:
    """A setting in a few characters."""
    return " ".join(f"{name}={value:g}" if isinstance(value, (int, float)) else str(value)
                    for name, value in setting.items())  # fmt: skip


def gain_text(found: Mapping[str, Any] | None) -> str:
    """Percent saved with its interval."""
    if not found:
        return "-"
    if found["low"] is None:
        return f"{found['saved']:.0f} %"
    return f"{found['saved']:.0f} % ({found['low']:.0f} to {found['high']:.0f})"
