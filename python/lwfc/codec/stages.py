"""The stages of the codec, one by one, with the manners of NumPy's ufuncs.

``out=``, ``where=``, ``casting=``, ``order=``, ``dtype=``, ``subok=``, broadcasting, any strides
and ``__array_ufunc__`` work as they do there: a per-channel range of an (N, C, H, W) tensor is
simply an array of shape (C, 1, 1). The extension's ufuncs stay hidden behind these functions,
since a ufunc chooses its loop from the inputs alone and would wrap at 256 levels. PyTorch tensors
come back as PyTorch tensors.

A symbol is the number of thresholds not above x, compared in float32: float64 values are rounded
to float32 first. NaN becomes the symbol whose value is nearest 0 (0 in ``digitize``, which knows no
values); infinities take the outer symbols. Values of a narrower type never overflow: what is too
large becomes its largest finite number.
"""

import operator
from typing import Any

import numpy as np

from .. import _core
from ..base.arrays import is_torch
from ..base.checks import shown
from ..base.errors import ParameterError
from .ufuncs import PLAIN, as_arrays, call, loop_of

__all__ = ["dequantize", "digitize", "lookup", "quantize"]

_INTEGER = np.dtype(np.int64).char


def check_levels(levels: Any) -> Any:
    """levels, if every one is an integer 2..256; foreign array classes pass unseen."""
    if isinstance(levels, np.ndarray):
        good = levels.dtype.kind in "iu" and (
            not levels.size or (levels.min() >= 2 and levels.max() <= 256)
        )
    elif hasattr(levels, "__array_ufunc__") and not isinstance(levels, np.generic):
        return levels
    else:
        try:
            levels = operator.index(levels)
        except TypeError:
            good = False
        else:
            good = 2 <= levels <= 256
    if not good:
        raise ParameterError(
            f"levels={shown(levels)}: must be an integer from 2 to 256, as symbols are bytes"
        )
    return levels


def _check_range(lo: Any, hi: Any) -> None:
    if isinstance(lo, PLAIN) and isinstance(hi, PLAIN):
        with np.errstate(all="ignore"):
            lo, hi = np.asarray(lo, np.float32), np.asarray(hi, np.float32)
            good = np.isfinite(lo).all() and np.isfinite(hi).all() and np.less(lo, hi).all()
        if not good:
            raise ParameterError(
                f"the range lo={lo}, hi={hi} must be finite with lo < hi in float32"
            )


def _output_dtype(dtype: Any, largest: Any) -> np.dtype | None:
    if dtype is None:
        return None
    dtype = np.dtype(dtype)
    if dtype.kind not in "iuf" or (dtype.kind in "iu" and np.iinfo(dtype).max < largest):
        raise ParameterError(f"dtype={dtype.name} cannot hold the results; use a wider type")
    return dtype


def quantize(
    x: Any,
    lo: Any,
    hi: Any,
    levels: Any,
    *,
    out: Any = None,
    where: Any = True,
    casting: str = "same_kind",
    order: str = "K",
    dtype: Any = None,
    subok: bool = True,
    nan: str = "zero",
) -> Any:
    """Symbols of x under a uniform quantizer whose outer levels are lo and hi.

    Parameters: ``x`` real, any shape; ``lo`` < ``hi``, finite, broadcast against x; ``levels`` an
    integer from 2 to 256 (an integer array broadcasts too); ``dtype`` any number type that holds
    levels - 1, uint8 by default; ``nan="zero"`` gives NaN the symbol whose value is nearest 0,
    "raise" refuses NaN and infinities. The others are those of NumPy's ufuncs; places where
    ``where`` is false keep what ``out`` held, and are 0 without one.

    Returns: ``round((x - lo) / (hi - lo) * (levels - 1))``, halves up, clamped to 0..levels - 1.

    Errors: ParameterError for levels, range or non-finite values; TypeError as in NumPy.
    """
    levels = check_levels(levels)
    lo, hi = (as_arrays(lo, hi)) if is_torch(lo) or is_torch(hi) else (lo, hi)
    _check_range(lo, hi)
    if nan not in ("zero", "raise"):
        raise ParameterError(f'nan={nan!r}: must be "zero" or "raise"')
    if nan == "raise" and not np.isfinite(as_arrays(x)[0]).all():
        raise ParameterError('x holds NaN or infinities; nan="zero" gives NaN the level nearest 0')
    largest = int(np.max(levels, initial=2)) - 1 if isinstance(levels, (int, np.ndarray)) else 255
    dtype = _output_dtype(dtype, largest)
    loop = loop_of(as_arrays(x)[0])
    signature = None if loop is None else f"{loop}ff{_INTEGER}->B"
    options = dict(out=out, where=where, casting=casting, order=order, subok=subok)
    return call(_core.quantize, (x, lo, hi, levels), signature, dtype, options)


def dequantize(
    q: Any,
    lo: Any,
    hi: Any,
    levels: Any,
    *,
    out: Any = None,
    where: Any = True,
    casting: str = "same_kind",
    order: str = "K",
    dtype: Any = None,
    subok: bool = True,
) -> Any:
    """Values of symbols under a uniform quantizer: ``lo + q * (hi - lo) / (levels - 1)``.

    Parameters: ``q`` uint8, any shape, symbols above levels - 1 count as levels - 1; ``dtype`` a
    float type, float32 by default; the rest as in :func:`quantize`. Errors likewise.
    """
    levels = check_levels(levels)
    lo, hi = (as_arrays(lo, hi)) if is_torch(lo) or is_torch(hi) else (lo, hi)
    _check_range(lo, hi)
    dtype = _output_dtype(dtype, 0)
    if dtype is not None and dtype.kind != "f":
        raise ParameterError(f"dtype={dtype.name}: values are floats")
    signature = f"Bff{_INTEGER}->f" if isinstance(q, PLAIN) or is_torch(q) else None
    options = dict(out=out, where=where, casting=casting, order=order, subok=subok)
    return call(_core.dequantize, (_symbols(q), lo, hi, levels), signature, dtype, options)


def digitize(
    x: Any,
    thresholds: Any,
    *,
    out: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    dtype: Any = None,
    subok: bool = True,
) -> Any:
    """Symbols of x: the number of thresholds not above it. A gufunc ``(),(t)->()``.

    Parameters: ``x`` real, any shape; ``thresholds`` ascending along the last axis, 1 to 255 of
    them; further axes broadcast against x, e.g. (C, 1, 1, t) for one set per channel of
    (N, C, H, W). Returns uint8 unless ``dtype`` says otherwise. gufuncs know no ``where``.
    Errors: ParameterError for thresholds that do not ascend, or of another number.
    """
    thresholds = as_arrays(thresholds)[0]
    if isinstance(thresholds, PLAIN):
        thresholds = np.asarray(thresholds, np.float32)
        count = thresholds.shape[-1] if thresholds.ndim else 0
        if not 1 <= count <= 255:
            raise ParameterError(f"{count} thresholds along the last axis: must be 1 to 255")
        if not (np.diff(thresholds, axis=-1) >= 0).all() or np.isnan(thresholds).any():
            raise ParameterError("thresholds must ascend along the last axis; sort them first")
    else:
        count = 255
    dtype = _output_dtype(dtype, count)
    loop = loop_of(as_arrays(x)[0])
    signature = None if loop is None else f"{loop}f->B"
    options = dict(out=out, casting=casting, order=order, subok=subok)
    return call(_core.digitize, (x, thresholds), signature, dtype, options)


def lookup(
    q: Any,
    values: Any,
    *,
    out: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    dtype: Any = None,
    subok: bool = True,
) -> Any:
    """values[q] along the last axis of ``values``. A gufunc ``(),(n)->()``.

    Parameters: ``q`` uint8, any shape, symbols from n on count as n - 1; ``values`` with n = 1 to
    256 floats along the last axis, further axes broadcast against q. Returns float32 unless
    ``dtype`` names another float type. Errors: ParameterError for another number of values.
    """
    values = as_arrays(values)[0]
    if isinstance(values, PLAIN):
        values = np.asarray(values, np.float32)
        count = values.shape[-1] if values.ndim else 0
        if not 1 <= count <= 256:
            raise ParameterError(f"{count} values along the last axis: must be 1 to 256")
    dtype = _output_dtype(dtype, 0)
    if dtype is not None and dtype.kind != "f":
        raise ParameterError(f"dtype={dtype.name}: values are floats")
    signature = "Bf->f" if isinstance(q, PLAIN) or is_torch(q) else None
    options = dict(out=out, casting=casting, order=order, subok=subok)
    return call(_core.lookup, (_symbols(q), values), signature, dtype, options)


def _symbols(q: Any) -> Any:
    """q, with Python integers and lists as uint8, which is what the loops take."""
    if isinstance(q, (int, list, tuple)):
        array = np.asarray(q)
        if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > 255)):
            raise ParameterError("symbols must be integers from 0 to 255")
        return array.astype(np.uint8)[()]
    return q
