"""Tensors in files: .npy, .npz, .pt, .safetensors, and .npy through a pipe."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..base.arrays import Tensor, as_tensor, is_torch, widen
from ..base.errors import FormatError, ParameterError
from ..base.kinds import NPY, ZIP, kind_of
from ..codec.names import INTEGERS
from .files import read_bytes, write_bytes

__all__ = [
    "DTYPES",
    "TensorFile",
    "read_array",
    "read_tensors",
    "typed",
    "write_tensor",
]

FLOATS = ("float16", "float32", "float64")
SMALL = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
DTYPES = (*FLOATS, "bfloat16", *SMALL, *INTEGERS)
# How safetensors calls its types, where NumPy has none of that name.
NAMED = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
         "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}  # fmt: skip
TORCH = (".pt", ".pth")


class TensorFile(NamedTuple):
    """The tensors of a file by their names (that of an .npy is ""), and what else was in it."""

    tensors: dict[str, Any]
    left_out: list[str]


def read_tensors(name: str) -> TensorFile:
    """What a file holds. Errors: OSError, or FormatError if there are no tensors in it."""
    data = read_bytes(name)
    try:
        if name.endswith(TORCH):
            found = TensorFile({}, [])
            _collect(_load_torch(io.BytesIO(data)), "", found, set())
        elif name.endswith(".safetensors"):
            found = TensorFile(_load_safetensors(data), [])
        elif data.startswith(b"PK"):
            found = TensorFile(_load_archive(data), [])
        else:
            found = TensorFile({"": _load_npy(data)}, [])
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, OSError, MemoryError,
            RuntimeError) as error:  # fmt: skip
        raise FormatError(
            f"{name}: no .npy, .npz, .pt or .safetensors file of numbers ({_reason(data, error)})"
        ) from error
    if not found.tensors:
        rest = f", but {', '.join(found.left_out[:5])}" if found.left_out else ""
        raise FormatError(f"{name} holds no tensors{rest}")
    return found


def _reason(data: bytes, error: Exception) -> str:
    """Why a file has no tensors, without the libraries' advice to load it unsafely."""
    if not data:
        return "it is empty"
    kind = kind_of(data)
    if kind is not None and kind not in (NPY, ZIP):
        return f"these bytes are {kind}"
    text = str(error)
    if "allow_pickle" in text and kind is None:
        return "its bytes are none of these"
    if "allow_pickle" in text or text.startswith("Weights only load failed"):
        return "it holds Python objects, perhaps a whole model: save tensors alone"
    return text


def read_array(name: str) -> np.ndarray:
    """The one array of an .npy file, which stays in the file where it can."""
    try:
        array = np.load(name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        with open(name, "rb") as file:
            start = file.read(8)
        raise FormatError(f"{name}: no .npy file of numbers ({_reason(start, error)})") from error
    if not isinstance(array, np.ndarray):
        raise FormatError(f"{name} holds several arrays: an .npy file holds one")
    return array


def _load_npy(data: bytes) -> np.ndarray:
    # What np.save writes of ml_dtypes' float8_e5m2, np.load refuses: raw bytes to us.
    head, tail = data[:128].replace(b"'descr': '<f1'", b"'descr': '|V1'"), data[128:]
    return np.load(io.BytesIO(head + tail if head != data[:128] else data), allow_pickle=False)


def _load_archive(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.namelist()
        if any(member.endswith("/data.pkl") for member in members):
            raise FormatError("torch.save wrote this: call the file .pt")
        return {m.removesuffix(".npy"): _load_member(m, archive.read(m)) for m in members}


def _load_member(name: str, data: bytes) -> np.ndarray:
    try:
        return _load_npy(data)
    except (ValueError, EOFError) as error:
        raise ValueError(f"its {name}: {_reason(data, error)}") from error


def _load_safetensors(data: bytes) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise FormatError(
            "reading .safetensors files needs safetensors: pip install 'lwfc[safetensors]'"
        ) from error
    try:
        rows = deserialize(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    tensors: dict[str, Any] = {}
    for name, row in rows:
        kind = row["dtype"]
        array = np.frombuffer(row["data"], PLAIN.get(kind, f"V{_width(row)}"))
        array = array.reshape(row["shape"])
        tensors[name] = typed(array, NAMED[kind], name) if kind in NAMED else array
    return tensors


def _width(row: Mapping[str, Any]) -> int:
    return max(1, len(row["data"]) // max(1, int(np.prod(row["shape"], dtype=np.int64))))


def _load_torch(file: BinaryIO) -> Any:
    try:
        import torch
    except ImportError as error:
        raise FormatError("reading .pt files needs PyTorch: pip install 'lwfc[torch]'") from error
    import pickle

    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _collect(item: Any, name: str, found: TensorFile, above: set[int]) -> None:
    """Names nested tensors with dots, "layer1.out" or "0.deep", and notes everything else."""
    if is_torch(item) or isinstance(item, np.ndarray):
        if name in found.tensors:
            raise ValueError(f"two of its tensors are called {name!r}")
        found.tensors[name] = item
        return
    pairs: Iterator[tuple[Any, Any]] | None = None
    if isinstance(item, Mapping):
        pairs = iter(item.items())
    elif isinstance(item, (list, tuple)):
        pairs = iter(enumerate(item))
    if pairs is None or id(item) in above:
        found.left_out.append(f"{name or 'the file'} ({type(item).__name__})")
        return
    for key, value in pairs:
        _collect(value, f"{name}.{key}" if name else str(key), found, above | {id(item)})


def typed(tensor: Any, dtype: str | None, where: str) -> Any:
    """A tensor that lwfc codes: floats, or what ``dtype`` makes of integers and raw bytes.

    Raw bytes ("V2", as np.save writes bfloat16) and unsigned integers of their width become
    bfloat16 or float8 by their bits, integers become float16, 32 or 64 by value. "int8" and "uint8"
    are what they are: a quantized network's.
    Errors: FormatError for what cannot be coded without a word from the user.
    """
    if isinstance(tensor, Tensor):  # bfloat16 of a .safetensors
        if dtype in (None, tensor.dtype_name):
            return tensor
        tensor = widen(tensor.array)
    if dtype is None:
        try:
            as_tensor(tensor)
        except ParameterError as error:
            raise FormatError(f"{where}: {error}{_remedy(tensor)}") from error
        kind = str(tensor.dtype).removeprefix("torch.")
        if not _is_real(tensor):
            raise FormatError(
                f"{where} holds {kind}: lwfc codes features, which are floats, with loss. Keep "
                "integers as they are (np.savez_compressed), or take them for numbers with "
                "--dtype float32, or for a quantized network's with --dtype int8 or uint8"
            )
        return tensor
    if dtype in INTEGERS:
        kind = str(tensor.dtype).removeprefix("torch.")
        if kind != dtype:
            raise FormatError(f"{where} holds {kind}, which --dtype {dtype} cannot be")
        return tensor
    if is_torch(tensor):
        import torch

        return tensor.to(getattr(torch, dtype))
    array, wide = np.asarray(tensor), 2 if dtype == "bfloat16" else 1
    if dtype in FLOATS and array.dtype.kind in "biuf":
        return array.astype(dtype)
    if dtype not in FLOATS and array.dtype.itemsize == wide and array.dtype.kind in "Vu":
        if dtype == "bfloat16":
            return Tensor(array.view(np.uint16), True)
        try:
            import ml_dtypes
        except ImportError as error:
            raise FormatError(
                f"--dtype {dtype} needs ml_dtypes: pip install 'lwfc[bf16]'"
            ) from error
        return array.view(getattr(ml_dtypes, dtype))
    raise FormatError(f"{where} holds {array.dtype}, which --dtype {dtype} cannot be")


def _is_real(tensor: Any) -> bool:
    if is_torch(tensor):
        return tensor.is_floating_point()
    return tensor.dtype.kind in "fV"


def _remedy(tensor: Any) -> str:
    dtype = getattr(tensor, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "V" and dtype.itemsize <= 2:
        return f"; on the command line, --dtype {'bfloat16' if dtype.itemsize == 2 else SMALL[0]}"
    return ""


def write_tensor(name: str, tensor: Tensor, *, force: bool) -> None:
    """Write what was decoded as the file's suffix says; "-" and other suffixes: .npy.

    bfloat16 stays in .pt and .safetensors and becomes float32 elsewhere, where it has no name.
    """
    file = io.BytesIO()
    array = widen(tensor.array) if tensor.bfloat16 else tensor.array
    if name.endswith(".npz"):
        np.savez(file, array)
    elif name.endswith(TORCH):
        _write_torch(file, tensor)
    elif name.endswith(".safetensors"):
        file.write(_safetensors_bytes(tensor))
    else:
        np.save(file, array, allow_pickle=False)
    write_bytes(name, file.getvalue(), force=force)


def _write_torch(file: BinaryIO, tensor: Tensor) -> None:
    try:
        import torch
    except ImportError as error:
        raise FormatError("writing .pt files needs PyTorch: pip install 'lwfc[torch]'") from error
    if tensor.bfloat16:
        torch.save(torch.from_numpy(tensor.array.view(np.int16)).view(torch.bfloat16), file)
    else:
        torch.save(torch.from_numpy(tensor.array), file)


def _safetensors_bytes(tensor: Tensor) -> bytes:
    try:
        import ml_dtypes
        from safetensors.numpy import save
    except ImportError as error:
        raise FormatError(
            f"writing .safetensors files needs {error.name}: pip install 'lwfc[safetensors]'"
        ) from error
    array = tensor.array.view(ml_dtypes.bfloat16) if tensor.bfloat16 else tensor.array
    # Its save takes the memory of a view as it lies: a contiguous copy has the right order.
    return save({"tensor": np.ascontiguousarray(array)})
