"""Finished work on disk: JSON lines under a mark of everything that decided it."""

import errno
import hashlib
import json
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ParameterError

__all__ = ["Journal", "LogError", "fingerprint"]

BEGINNING = '{"mark": '  # of every line


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits of JSON-able values and byte strings."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


class Journal:
    """Values by key, one JSON object a line; lines of another mark are left alone.

    ``mark``: JSON-able; ``same(a, b)``: whether two marks, one as a file holds it, belong together.
    A line that was cut off while being written is dropped. ``path`` None keeps all in memory; a
    file of something else is refused (ParameterError).
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        mark: Any,
        same: Callable[[Any, Any], bool] = operator.eq,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._mark = mark
        self._known: dict[str, Any] = {}
        if self._path is None:
            return
        for line in _read_log(self._path).splitlines():
            try:
                entry = json.loads(line)
                if same(entry["mark"], mark):
                    self._known[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, key: str) -> Any:
        """The value kept under this key, or None."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON-able value; on disk when this returns. Errors: LogError."""
        self._known[key] = value
        if self._path is not None:
            _append_line(self._path, json.dumps({"mark": self._mark, "key": key, "value": value}))


class LogError(OSError):
    """A log that a line could not be added to; says which and why."""


def _read_log(path: str | os.PathLike) -> str:
    """The text of a log that is to be added to; empty if there is none yet. A last line that was
    cut off is ended, so that the next one is whole; others may be writing.

    Errors: ParameterError for a file that does not have a log's beginning, which is somebody's, and
    for one without a folder.
    """
    if not Path(path).absolute().parent.is_dir():
        raise ParameterError(f"log={os.fspath(path)!r}: its folder does not exist")
    if not Path(path).exists():
        return ""
    if not Path(path).is_file():  # a device may have no end
        raise ParameterError(f"log={os.fspath(path)!r} is a folder or a device: name a file")
    text = Path(path).read_bytes().decode(errors="replace")
    if not text.startswith(BEGINNING) and not BEGINNING.startswith(text):
        raise ParameterError(f"log={os.fspath(path)!r} is no log of this search: name another file")
    if text and not text.endswith("\n"):
        _append_line(path, "")
    return text


def _append_line(path: str | os.PathLike, line: str) -> None:
    """Add a line to a log by one write, unbuffered: lines of several processes do not mix.

    Errors: LogError.
    """
    data = f"{line}\n".encode()
    try:
        with Path(path).open("ab", buffering=0) as file:
            written = file.write(data)
    except OSError as error:
        raise _unwritten(path, error.errno, str(error.strerror)) from error
    if written != len(data):
        raise _unwritten(path, errno.ENOSPC, "no room for a line")


def _unwritten(path: str | os.PathLike, number: int | None, why: str) -> LogError:
    return LogError(number, f"log={os.fspath(path)!r}: {why}; what it holds is kept: make room and "
                    "run again, or name another file")  # fmt: skip
