"""Any tensor to a NumPy array and back, with no copy where none is needed.

What happens to each element type:

=====================================  ==========================================================
float16, float32, float64              used as it is, with any strides
int8, uint8                            used as they are: results are integers again
bfloat16 (PyTorch, JAX, ml_dtypes)     used through its 16-bit patterns, without a copy
float8 and other small floats          converted to float32
long double                            converted to float64
bool and all other integers            converted to float32
big-endian                             converted to the machine's order
complex, object, text                  refused with ParameterError
=====================================  ==========================================================

Arrays of other libraries come in by ``__array__``, the array interface, a buffer, or DLPack, from
a device too. What a masked array masks counts as NaN. PyTorch's quantized
tensors of one scale are their integers. All arithmetic is float32's; the decoder gives back the
type used here. PyTorch is looked up in ``sys.modules`` only: a caller who has a tensor has imported
it.
"""

import sys
from typing import Any, NamedTuple

import numpy as np

from .errors import ParameterError

__all__ = [
    "Tensor",
    "as_float32",
    "as_float64",
    "as_tensor",
    "from_bits",
    "is_array",
    "is_torch",
    "saturate",
    "torch_like",
    "torch_view",
    "widen",
]


class Tensor(NamedTuple):
    """What the extension takes: floats, int8, uint8, or uint16 that means bfloat16."""

    array: np.ndarray
    bfloat16: bool

    @property
    def dtype_name(self) -> str:
        return "bfloat16" if self.bfloat16 else self.array.dtype.name


def is_torch(x: Any) -> bool:
    """Whether x is a PyTorch tensor, without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def _is_without_memory(tensor: Any) -> bool:
    """Whether this stands for a tensor: fake, meta, or one that torch.func looks into."""
    try:
        return tensor.device.type == "meta" or (not tensor.data_ptr() and tensor.numel() > 0)
    except RuntimeError:
        return True


def torch_view(tensor: Any) -> Tensor:
    """A PyTorch tensor's memory as an array of the same strides; copied only from a device."""
    torch = sys.modules["torch"]
    if tensor.is_nested:
        raise ParameterError(
            "a nested tensor has no one shape: code its samples one by one, x.unbind(), "
            "or pad it, x.to_padded_tensor(0.0)"
        )
    if tensor.is_quantized and tensor.qscheme() is torch.per_tensor_affine:
        tensor = tensor.detach().int_repr()
    if tensor.layout is not torch.strided or tensor.is_complex() or tensor.is_quantized:
        dense = "x.dequantize()" if tensor.is_quantized else "x.to_dense()"
        raise ParameterError(
            f"tensors of layout {tensor.layout} and type {tensor.dtype} cannot be coded; "
            f"pass {'a real tensor' if tensor.is_complex() else dense}"
        )
    if _is_without_memory(tensor):
        raise ParameterError(
            f"a {type(tensor).__name__} on {tensor.device} without values of its own, as inside "
            "torch.func, FakeTensorMode and on meta: there is nothing to code"
        )
    tensor = tensor.detach().cpu().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return Tensor(tensor.view(torch.int16).numpy().view(np.uint16), True)
    if tensor.is_floating_point() and tensor.element_size() == 1:
        tensor = tensor.float()
    return Tensor(tensor.numpy(), False)


def is_array(x: Any) -> bool:
    """Whether x is one array or tensor, of whatever library; lists and numbers are none."""
    if isinstance(x, (np.ndarray, Tensor)) or is_torch(x):
        return True
    names = ("__array__", "__array_interface__", "__dlpack__", "__cuda_array_interface__")
    if isinstance(x, (type, np.generic)):
        return False
    return any(hasattr(x, name) for name in names) or (
        hasattr(x, "shape") and hasattr(x, "dtype") and hasattr(x, "__getitem__")
    )


def _without_mask(x: np.ma.MaskedArray) -> np.ndarray:
    """NaN for what is masked; float types stay, others become float32."""
    mask = np.ma.getmaskarray(x)
    if not mask.any():
        return x.data
    floats = x.dtype.kind == "f" or x.dtype.name == "bfloat16"
    return np.where(mask, np.nan, x.data).astype(x.dtype if floats else np.float32)


def _asarray(x: Any) -> np.ndarray:
    """x as an array of NumPy's, by whatever protocol x follows."""
    if type(x) is np.ndarray:
        return x
    if isinstance(x, (list, tuple)) and any(
        is_array(item) and type(item) is not np.ndarray for item in x
    ):
        x = [as_float32(item) for item in x]
    problem: Exception | None = None
    for read in (np.asanyarray, _by_dlpack, np.from_dlpack, _by_get):
        try:
            array = read(x)
        except (TypeError, ValueError, RuntimeError, AttributeError, BufferError) as error:
            problem = problem or error
            continue
        if isinstance(array, np.ma.MaskedArray):
            return _without_mask(array)
        if array.dtype != object or not is_array(x) or isinstance(x, np.ndarray):
            return np.asarray(array)
    dense = next((name for name in ("toarray", "todense") if hasattr(x, name)), None)
    if dense is not None:
        raise ParameterError(f"a {type(x).__name__} is sparse: pass a dense array, x.{dense}()")
    raise ParameterError(f"a {type(x).__name__} is no array of numbers: {problem}")


def _by_dlpack(x: Any) -> np.ndarray:
    return np.from_dlpack(x, device="cpu")  # copies from a device, where the library can


def _by_get(x: Any) -> np.ndarray:
    return np.asarray(x.get())  # CuPy


def as_tensor(x: Any) -> Tensor:
    """x (array, tensor, anything ``np.asarray`` takes) for the extension; see above."""
    if type(x) is np.ndarray and x.dtype.char in "efd" and x.ndim <= 8 and x.dtype.isnative:
        return Tensor(x, False)  # what nearly all callers have, before the looks that take time
    if isinstance(x, Tensor):
        return x
    array, bfloat16 = torch_view(x) if is_torch(x) else (_asarray(x), False)
    if array.ndim > 8:
        raise ParameterError(f"a tensor of {array.ndim} axes: at most 8; reshape it")
    if bfloat16:
        return Tensor(array, True)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size in (2, 4, 8):
        native = array.dtype.isnative
        return Tensor(array if native else array.astype(array.dtype.newbyteorder("=")), False)
    if array.dtype.name == "bfloat16":
        return Tensor(array.view(np.uint16), True)
    if kind == "f":
        return Tensor(array.astype(np.float64 if size > 8 else np.float32), False)
    if kind in "iu" and size == 1:
        return Tensor(array, False)
    if kind in "biu" or (kind == "V" and array.dtype.name.startswith(("float", "int", "uint"))):
        return Tensor(array.astype(np.float32), False)
    if array.dtype.names:
        raise ParameterError(
            f"arrays of fields {', '.join(map(repr, array.dtype.names))} cannot be coded; "
            f"pass one, as x[{array.dtype.names[0]!r}]"
        )
    if kind == "O":
        raise ParameterError(
            f"a {type(x).__name__} is no dense array of numbers, or makes one of type object"
        )
    if kind == "V" and size <= 2:
        real = "bfloat16" if size == 2 else "float8_e4m3fn"
        raise ParameterError(
            f"arrays of type {array.dtype} are raw bytes, as .npy and HDF5 keep {real} and other "
            f"types that they have no name for; pass x.view(ml_dtypes.{real})"
        )
    raise ParameterError(f"arrays of type {array.dtype} cannot be coded; convert to float32 first")


def widen(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bit patterns (uint16) to the same values in float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def as_float32(x: Any) -> np.ndarray:
    """x as a float32 array; copied only where its type is another."""
    array, bfloat16 = as_tensor(x)
    return widen(array) if bfloat16 else array.astype(np.float32, copy=False)


def as_float64(x: Any) -> np.ndarray:
    """x as a float64 array: scores and other measured numbers, of whatever library."""
    array, bfloat16 = as_tensor(x)
    return (widen(array) if bfloat16 else array).astype(np.float64, copy=False)


def saturate(values: Any, dtype: np.dtype) -> Any:
    """values with what overflows a float type replaced by its largest finite number."""
    if dtype.itemsize >= 4 or dtype.kind not in "fV":
        return values
    if dtype.kind == "f":
        most = np.finfo(dtype).max
    else:  # bfloat16 and smaller ones, which are ml_dtypes'
        import ml_dtypes

        most = ml_dtypes.finfo(dtype).max
    return np.clip(values, -float(most), float(most))


def from_bits(array: np.ndarray, bfloat16: bool, like: Any) -> np.ndarray:
    """Results for the caller who gave ``like``, an array: bfloat16 in its type, else float32."""
    if not bfloat16:
        return array
    dtype = getattr(like, "dtype", None)
    return array.view(dtype) if isinstance(dtype, np.dtype) else widen(array)


def torch_like(array: np.ndarray, bfloat16: bool, tensor: Any) -> Any:
    """A PyTorch tensor of array's values, with the type and device of ``tensor``."""
    torch = sys.modules["torch"]
    if bfloat16:
        result = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        result = torch.from_numpy(array)
    if tensor.is_quantized:
        scale, zero = tensor.q_scale(), tensor.q_zero_point()
        return torch._make_per_tensor_quantized_tensor(result.to(tensor.device), scale, zero)
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize < 2:  # float8 was coded as float32
        most = torch.finfo(tensor.dtype).max
        result = result.clamp(-most, most)
    return result.to(device=tensor.device, dtype=tensor.dtype)
