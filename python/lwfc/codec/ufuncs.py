"""Calling the extension's ufuncs as NumPy calls its own, with PyTorch tensors besides."""

import sys
from typing import Any

import numpy as np

from ..base.arrays import is_torch, saturate, torch_view, widen
from ..base.outputs import Output, check_distinct

__all__ = ["PLAIN", "as_arrays", "call", "loop_of"]

PLAIN = (np.ndarray, np.generic, int, float, list, tuple)  # what no other library takes over


def loop_of(x: Any) -> str | None:
    """The letter of the ufunc loop for x, or None to leave the choice to x's own class."""
    dtype = getattr(x, "dtype", None)
    if not isinstance(dtype, np.dtype):
        return "f" if isinstance(x, PLAIN) else None
    return dtype.char if dtype.char in "efd" else "f"


def as_arrays(*arguments: Any) -> list[Any]:
    """PyTorch tensors as arrays, bfloat16 widened; all else untouched."""
    return [
        (widen(t.array) if t.bfloat16 else t.array) if is_torch(a) and (t := torch_view(a)) else a
        for a in arguments
    ]


def call(ufunc: Any, inputs: tuple, signature: str | None, dtype: Any, options: dict) -> Any:
    """One call; ``dtype`` is the result's where no ``out`` is given.

    ``out`` is filled or refused. Without one, places where ``where`` is false are 0.
    """
    out = options.pop("out")
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    tensors = any(is_torch(a) for a in (*inputs, out))
    inputs = tuple(as_arrays(*inputs))
    options["where"] = as_arrays(options.get("where"))[0]
    if signature is not None:
        options["signature"] = signature
    options = {k: v for k, v in options.items() if v is not None}
    if "where" in options and options["where"] is not True and out is None:
        result = _zeros(inputs, options["where"], signature)
    else:
        result = out
    with np.errstate(all="ignore"):  # NaN, infinities and overflow have defined symbols
        if is_torch(out):
            _fill_tensor(ufunc, inputs, out, options)
        elif _is_narrow(out):
            _fill_narrow(ufunc, inputs, out, options)
        else:
            if isinstance(out, np.ndarray):
                check_distinct(out.shape, out.strides, out.itemsize)
            result = ufunc(*inputs, out=result, **options)
    if out is None:
        result = _converted(result, dtype)
        return sys.modules["torch"].from_numpy(np.asarray(result)) if tensors else result
    return result


def _zeros(inputs: tuple, where: Any, signature: str | None) -> np.ndarray | None:
    if signature is None or not all(isinstance(x, PLAIN) for x in (*inputs, where)):
        return None  # another class decides what it makes
    shape = np.broadcast_shapes(*(np.shape(x) for x in (*inputs, where)))
    return np.zeros(shape, signature[-1])


def _converted(result: Any, dtype: Any) -> Any:
    if dtype is None or not hasattr(result, "astype"):
        return result
    result = saturate(result, dtype)
    return (
        result.astype(dtype, copy=False) if isinstance(result, np.ndarray) else dtype.type(result)
    )


def _is_narrow(out: Any) -> bool:
    """Whether ``out`` takes values that float32 does not fit into."""
    return isinstance(out, np.ndarray) and out.dtype.kind in "fV" and out.dtype.itemsize < 4


def _fill_narrow(ufunc: Any, inputs: tuple, out: np.ndarray, options: dict) -> None:
    """By way of float32."""
    check_distinct(out.shape, out.strides, out.itemsize)
    where, casting = options.pop("where", True), options.pop("casting")
    np.copyto(out, saturate(ufunc(*inputs, **options), out.dtype), casting, where)


def _fill_tensor(ufunc: Any, inputs: tuple, out: Any, options: dict) -> None:
    """In place where NumPy can write there, else by way of a copy of what it holds."""
    target = Output(out)
    if target.memory is not None and not target.memory.bfloat16:
        if _is_narrow(target.memory.array):
            _fill_narrow(ufunc, inputs, target.memory.array, options)
        else:
            ufunc(*inputs, out=target.memory.array, **options)
        return
    values = target.values()
    ufunc(*inputs, out=values, **options)
    if out.is_floating_point() and out.element_size() < 4:
        most = sys.modules["torch"].finfo(out.dtype).max
        np.clip(values, -most, most, out=values)
    target.fill(values)
