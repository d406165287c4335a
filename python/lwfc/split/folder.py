"""Halves in folders: the model by whoever made it, and beside it the cut and its codecs."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import FormatError
from ..codec.codec import Codec
from .cuts import Cut
from .wire import Wire

__all__ = ["read_half", "write_half"]


def write_half(folder: str | os.PathLike, half: Any, notes: Mapping[str, Any]) -> Path:
    """Make the folder and write half.json and a codec file for each coded tensor into it."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    codecs = {}
    for number, (name, codec) in enumerate((half.wire.codecs if half.wire else {}).items()):
        codecs[name] = f"codec{number}.lwfc"
        codec.save(path / codecs[name])
    what = {"half": type(half).__name__.lower(), "cut": half.cut.to_dict()}
    what |= {"wire": half.wire is not None, "codecs": codecs, **notes}
    (path / "half.json").write_text(json.dumps(what, indent=1))
    return path


def read_half(
    folder: str | os.PathLike, kinds: Mapping[str, type]
) -> tuple[type, Cut, Wire | None, dict[str, Any]]:
    """(class, cut, wire, notes) of a folder that :func:`write_half` made.

    Errors: OSError; FormatError for notes that describe no half, or point out of the folder.
    """
    path = Path(folder)
    where = path / "half.json"
    try:
        notes = json.loads(where.read_text())
        kind, cut = kinds[notes["half"]], Cut.from_dict(notes["cut"])
        coded, files = bool(notes["wire"]), dict(notes["codecs"])
        names = {name: Path(file).name for name, file in files.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{where} describes no half: {error!r}") from error
    if names != files:
        raise FormatError(f"{where} names codec files outside of its folder")
    if not coded:
        return kind, cut, None, notes
    codecs: dict[str, Any] = {tensor.name: None for tensor in cut.tensors if tensor.coded}
    codecs |= {name: Codec.load(path / file) for name, file in files.items()}
    return kind, cut, Wire(cut, codecs), notes
