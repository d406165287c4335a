"""The command line's files: bytes in and out, and what outputs are called."""

import hashlib
import os
import string
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..base.errors import LwfcError, ParameterError
from ..base.files import replace_file

__all__ = ["PIPE", "SUFFIX", "OutputRefused", "Outputs", "check_free", "check_place", "file_part",
           "read_bytes", "said", "write_bytes"]  # fmt: skip

PIPE = "-"
SUFFIX = ".lwfc"
PART_MAX = 120  # bytes of a file's name that a tensor's name may take; most systems allow 255
PLAIN = frozenset(string.ascii_letters + string.digits + "-_.+=,@()[]{} ")


class OutputRefused(LwfcError):
    """An output file is there already, or has no folder to go to."""


def said(error: Exception) -> str:
    """An error in words; those of the operating system begin with the file."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


def read_bytes(name: str) -> bytes:
    """All bytes of a file, or of standard input for "-"."""
    if not name:
        raise ParameterError("an input's name is empty")
    return sys.stdin.buffer.read() if name == PIPE else Path(name).read_bytes()


def check_free(name: str, force: bool) -> None:
    """Refuse a file that exists, unless by force, and one in a folder that does not.

    Devices and pipes are there to be written to.
    """
    if name == PIPE:
        return
    if not name:
        raise ParameterError("the output's name is empty: name a file with -o")
    if not force and Path(name).is_file():
        raise OutputRefused(f"{name} exists; -f overwrites it")
    check_place(name)


def check_place(name: str) -> None:
    """Refuse a file in a folder that does not exist, and one that is a folder, before the work."""
    folder = Path(name).absolute().parent
    if not folder.is_dir():
        raise OutputRefused(f"{name}: there is no folder {os.path.dirname(name)}; make it first")
    if not Path(name).exists() and not os.access(folder, os.W_OK):
        raise OutputRefused(f"{name}: nothing may be written to {folder}; name another folder")
    if Path(name).is_dir():
        raise OutputRefused(f"{name} is a folder: name a file in it")


def write_bytes(name: str, data: bytes, *, force: bool) -> None:
    """Write a file, or standard output for "-"; an existing file only by force."""
    if name == PIPE:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    check_free(name, force)
    replace_file(name, data)


def file_part(key: str) -> str:
    """A tensor's name as a part of a file's name: one that stays in its folder.

    Letters, digits and harmless signs stay; all else is %XX of its UTF-8, so that no two names
    become one. Very long names are cut, with eight digits of their SHA-256.
    """
    part = "".join(
        c if c in PLAIN or (c.isalnum() and not c.isascii())
        else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "surrogatepass"))
        for c in key
    )  # fmt: skip
    if len(part.encode()) <= PART_MAX:
        return part
    digest = hashlib.sha256(part.encode()).hexdigest()[:8]
    return part.encode()[: PART_MAX - 9].decode(errors="ignore") + "~" + digest


class Outputs:
    """Where results go: one file, a folder, standard output, or beside the inputs.

    ``given``: -o's value, "-" for standard output, or None. A folder is one that exists, or a name
    that ends in a slash. ``others``: files that are read too; none of those that are read is
    written to. Errors: ParameterError.
    """

    def __init__(self, given: str | None, inputs: list[str], others: Sequence[str] = ()) -> None:
        separators = tuple(filter(None, (os.sep, os.altsep)))
        self._given = given
        self.folder = given is not None and (given.endswith(separators) or os.path.isdir(given))
        if self.folder and PIPE in inputs:
            raise ParameterError("standard input has no name for the folder; name a file with -o")
        self._sources = [name for name in (*inputs, *others) if name != PIPE]
        self._taken: dict[str, str] = {}

    def one_file(self, names: Iterable[str]) -> None:
        """Refuse more than one result where only one has a place."""
        names = list(names)
        if len(names) > 1 and self._given is not None and not self.folder:
            listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            raise ParameterError(
                f"{len(names)} results ({listed}) do not fit one output: name a folder with -o, "
                "as in -o streams/, or leave -o and -c out"
            )

    def name(self, source: str, own: str) -> str:
        """The output for ``source``, which is called ``own`` unless -o names a file."""
        target = self._name(source, own)
        for name in self._sources:
            if target != PIPE and os.path.realpath(name) == os.path.realpath(target):
                raise ParameterError(
                    f"{target} is read here, and writing it would lose it: name another file with "
                    "-o"
                )
        return target

    def _name(self, source: str, own: str) -> str:
        if self._given is not None and not self.folder:
            return self._given
        if self.folder:
            own = os.path.join(self._given, os.path.basename(own))
            try:
                os.makedirs(self._given, exist_ok=True)
            except FileExistsError:
                raise OutputRefused(f"{self._given}: that is a file, not a folder") from None
        place = os.path.normcase(os.path.abspath(own))
        if place in self._taken:
            raise ParameterError(
                f"{self._taken[place]} and {source} would both become {own}: code them one by one"
            )
        self._taken[place] = source
        return own
