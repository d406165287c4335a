"""Tensors in files: .npy, .npz, .pt, and .npy through a pipe."""

import io
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..base.errors import FormatError, LwfcError

__all__ = ["OutputExists", "read_bytes", "read_tensors", "write_bytes", "write_tensor"]

PIPE = "-"


class OutputExists(LwfcError):
    """An output file is there already."""


def read_bytes(name: str) -> bytes:
    """All bytes of a file, or of standard input for "-"."""
    return sys.stdin.buffer.read() if name == PIPE else Path(name).read_bytes()


def write_bytes(name: str, data: bytes, *, force: bool) -> None:
    """Write a file, or standard output for "-"; an existing file only by force."""
    if name == PIPE:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and not force:
        raise OutputExists(f"{name} exists; -f overwrites it")
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        path.write_bytes(data)
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_tensors(name: str) -> dict[str, Any]:
    """The tensors of a file by their names; the one of an .npy has the name "".

    Errors: FormatError for files that hold no tensors, OSError for those that cannot be read.
    """
    data = read_bytes(name)
    try:
        if name.endswith((".pt", ".pth")):
            return _read_torch(io.BytesIO(data))
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            if not loaded.files:
                raise ValueError("it holds no arrays")
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, OSError, MemoryError) as error:
        raise FormatError(f"{name}: no .npy, .npz or .pt file of numbers ({error})") from error


def _read_torch(file: BinaryIO) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise FormatError("reading .pt files needs PyTorch: pip install torch") from error
    import pickle

    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if isinstance(loaded, torch.Tensor):
        return {"": loaded}
    if isinstance(loaded, (list, tuple)):
        loaded = {str(i): item for i, item in enumerate(loaded)}
    if not isinstance(loaded, Mapping):
        raise ValueError(f"it holds a {type(loaded).__name__}")
    tensors = {str(k): v for k, v in loaded.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        raise ValueError("it holds no tensors")
    return tensors


def write_tensor(name: str, array: np.ndarray, *, force: bool) -> None:
    """Write an array as the file's suffix says; "-" and other suffixes: .npy."""
    file = io.BytesIO()
    if array.dtype.name == "bfloat16" and not name.endswith((".pt", ".pth")):
        array = array.astype(np.float32)  # .npy knows no bfloat16
    if name.endswith(".npz"):
        np.savez(file, array)
    elif name.endswith((".pt", ".pth")):
        _write_torch(file, array)
    else:
        np.save(file, array, allow_pickle=False)
    write_bytes(name, file.getvalue(), force=force)


def _write_torch(file: BinaryIO, array: np.ndarray) -> None:
    try:
        import torch
    except ImportError as error:
        raise FormatError("writing .pt files needs PyTorch: pip install torch") from error
    if array.dtype.name == "bfloat16":
        torch.save(torch.from_numpy(array.view(np.int16)).view(torch.bfloat16), file)
    else:
        torch.save(torch.from_numpy(array), file)
