"""Reading and writing files that others may read or write at the same moment."""

import os
import secrets
from pathlib import Path

__all__ = ["replace_file"]


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
