"""encode: a tensor to bytes in one call, with nothing calibrated before."""

import warnings
from typing import Any

import numpy as np

from ..base.arrays import as_tensor, is_torch, widen
from ..base.checks import channel_axis_of, check_axis
from ..base.errors import CalibrationWarning, ParameterError
from ..base.warn import warn_caller
from ..codec.codec import Codec
from ..codec.stages import check_levels
from .calibrate import calibrate
from .channels import one_shot_axis
from .layout import Layout
from .samples import Batches

__all__ = ["encode"]


def encode(
    x: Any,
    levels: int = 4,
    *,
    lo: float | None = None,
    hi: float | None = None,
    clip: Any = "model",
    clip_scale: float = 1.0,
    clip_lo: float | str | None = None,
    activation: str = "auto",
    slope: float = 0.1,
    kappa: float | None = None,
    quantizer: str = "uniform",
    rate_weight: float = 0.0,
    coder: str = "rans",
    channel_axis: int | None = None,
    nan: str = "zero",
    num_threads: int | None = 1,
) -> bytes:
    """Self-contained bytes of a float array or tensor; ``lwfc.decode`` needs nothing else.

    The clip range is fitted to x itself: ``lo`` and ``hi`` (or ``clip=(lo, hi)``) fix it. All
    other options are those of :func:`lwfc.calibrate`, where the calibrated parts (coder
    "context", restoration) need samples. ``channel_axis=None``: "rans" measures the axis on a part
    of x; the stream records it (``lwfc.inspect``). Tensors with a single value decode exactly;
    empty ones, and those without a finite value, are coded over [0, 1].

    Streams may end in NULs, which NumPy's bytes type drops (``np.array([data])``, ``np.savez``,
    fixed strings of HDF5): keep them as ``np.frombuffer(data, np.uint8)``.

    Integers are taken for numbers, with a CalibrationWarning, as not all that differ come back
    different: those of 8 bits in their own type, others as float32.
    Errors: ParameterError for options, types and shapes that do not fit, naming the fix.
    """
    if isinstance(levels, Codec):
        raise ParameterError("levels is a Codec: codec.encode(x) codes with it")
    check_levels(levels)
    channel_axis = check_axis(channel_axis)
    if coder == "context":
        raise ParameterError(
            'coder="context" needs a calibrated codec: lwfc.calibrate(samples, ...)'
        )
    if (lo is None) != (hi is None):
        raise ParameterError("lo and hi go together; give both or none")
    if lo is not None:
        if clip != "model":
            raise ParameterError(f"lo={lo!r}, hi={hi!r} and clip={clip!r}: give one of them")
        clip = (lo, hi)
    _warn_of_integers(x)
    array, bfloat16 = as_tensor(x)
    values = widen(array) if bfloat16 else array
    options: dict[str, Any] = dict(coder=coder, channel_axis=channel_axis, nan=nan, bound=False)
    if not np.isfinite(values).any():
        codec = calibrate(np.array([0, 1], np.float32), levels=levels, clip=(0, 1), **options)
        return codec.encode(x, num_threads=num_threads)
    samples = Batches(np.atleast_1d(values), batched=True)
    axis = channel_axis_of(values.ndim, channel_axis) if values.ndim else None
    samples.set_layout(channel_axis, Layout(channel_axis, axis, "of one tensor"))
    with warnings.catch_warnings():
        # A single value decodes exactly, whatever range it has.
        warnings.filterwarnings("ignore", ".*all values are equal", CalibrationWarning)
        codec = calibrate(
            samples,
            levels=levels,
            clip=clip,
            clip_scale=clip_scale,
            clip_lo=clip_lo,
            activation=activation,
            slope=slope,
            kappa=kappa,
            quantizer=quantizer,
            rate_weight=rate_weight,
            num_threads=num_threads,
            **options,
        )
    if channel_axis is None and coder == "rans" and values.ndim > 1:
        axis, one = one_shot_axis(values, codec)
        if one:  # tensors of the inner shape are single samples
            codec = codec.replace(channel_axis=axis - values.ndim, inner_shape=values.shape)
        elif axis != channel_axis_of(values.ndim, None):
            codec = codec.replace(channel_axis=axis)
    return codec.encode(x, num_threads=num_threads)


def _warn_of_integers(x: Any) -> None:
    dtype = getattr(x, "dtype", None)
    if isinstance(dtype, np.dtype):
        integers = dtype.kind in "biu"
    else:
        integers = is_torch(x) and not (x.is_floating_point() or x.is_complex())
    if integers:
        kept = dtype.itemsize == 1 and "bool" not in str(dtype)
        loss = "to that type, but not all different" if kept else "to float32"
        warn_caller(
            f"x holds {dtype}, which is coded with loss and decodes {loss}; keep integers as "
            "they are, or say x.astype(numpy.float32)",
            CalibrationWarning,
        )
