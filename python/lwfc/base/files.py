"""Reading and writing files that others may read or write at the same moment."""

import errno
import os
import secrets
from pathlib import Path

from .errors import ParameterError

__all__ = ["LogError", "append_line", "read_log", "replace_file"]


class LogError(OSError):
    """A log that a line could not be added to; says which and why."""


def read_log(path: str | os.PathLike, beginning: str) -> str:
    """The text of a log that is to be added to; empty if there is none yet. A last line that was
    cut off is ended, so that the next one is whole; others may be writing.

    Errors: ParameterError for a file that does not have a log's beginning, which is somebody's, and
    for one without a folder.
    """
    if not Path(path).absolute().parent.is_dir():
        raise ParameterError(f"log={os.fspath(path)!r}: its folder does not exist")
    if not Path(path).exists():
        return ""
    if Path(path).is_dir():
        raise ParameterError(f"log={os.fspath(path)!r} is a folder: name a file in it")
    text = Path(path).read_bytes().decode(errors="replace")
    if not text.startswith(beginning) and not beginning.startswith(text):
        raise ParameterError(f"log={os.fspath(path)!r} is no log of this search: name another file")
    if text and not text.endswith("\n"):
        append_line(path, "")
    return text


def append_line(path: str | os.PathLike, line: str) -> None:
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


def replace_file(path: str | os.PathLike, data: bytes) -> None:
    """Write a file so that a reader finds the old bytes or the new ones, all of them.

    The bytes go to a file beside it that no other writer, thread or machine shares. Links are
    followed; a device or a pipe, which cannot be replaced, is written to. Errors: OSError.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
        return
    partial = path.with_name(f"{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        partial.unlink(missing_ok=True)
