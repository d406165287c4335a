"""Finished work on disk: JSON lines under a fingerprint of everything that decided it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ..base.files import append_line, read_log

__all__ = ["Journal", "fingerprint"]


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits of JSON-able values and byte strings."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


class Journal:
    """Values by key, one JSON object a line; lines of another fingerprint are left alone.

    A line that was cut off while being written is dropped. ``path`` None keeps all in memory; a
    file of something else is refused (ParameterError).
    """

    def __init__(self, path: str | os.PathLike | None, mark: str) -> None:
        self._path = None if path is None else Path(path)
        self._mark = mark
        self._known: dict[str, Any] = {}
        if self._path is None:
            return
        for line in read_log(self._path, '{"mark": ').splitlines():
            try:
                entry = json.loads(line)
                if entry["mark"] == mark:
                    self._known[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, key: str) -> Any:
        """The value kept under this key, or None."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON-able value; on disk when this returns."""
        self._known[key] = value
        if self._path is not None:
            line = json.dumps({"mark": self._mark, "key": key, "value": value}, allow_nan=False)
            append_line(self._path, line)
