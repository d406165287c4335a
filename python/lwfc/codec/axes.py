"""Tensors that are not what a codec was calibrated on: refused, warned of, or explained."""

from collections.abc import Sequence

from ..base.arrays import Tensor
from ..base.checks import channel_axis_of
from ..base.errors import CalibrationWarning, LwfcError, ParameterError
from ..base.warn import warn_caller
from .value import CodecValue

__all__ = ["checked_type", "explained", "warn_of_moved_axes"]


def checked_type(codec: CodecValue, tensor: Tensor) -> Tensor:
    """The tensor. A codec of a quantized network's integers takes these only. ParameterError."""
    if codec.integer_type is not None and codec.integer_type != tensor.dtype_name:
        raise ParameterError(
            f"a tensor of {tensor.dtype_name} for a codec of a quantized network's "
            f"{codec.integer_type}: pass these integers, not what they stand for"
        )
    return tensor


def _moved(codec: CodecValue, shape: Sequence[int]) -> tuple[int, int, int] | None:
    """(channel axis, channels of the tensor, channels of the codec) where these differ."""
    inner = codec.inner_shape
    if len(shape) != len(inner) + 1 or len(shape) < 2:
        return None
    try:
        axis = channel_axis_of(len(shape), codec.channel_axis)
    except ParameterError:
        return None
    if not axis or shape[axis] == inner[axis - 1]:
        return None
    return axis, shape[axis], inner[axis - 1]


def warn_of_moved_axes(codec: CodecValue, shape: Sequence[int]) -> None:
    """Channels-last tensors for a channels-first codec, and the like, would cost bits silently.

    Context models do not apply to any other number of channels.
    """
    inner = codec.inner_shape
    if len(inner) < 2 or tuple(shape[1:]) == inner:
        return
    if codec.coder != "context" and sorted(shape[1:]) != sorted(inner):
        return
    moved = _moved(codec, shape)
    if moved is not None:
        lost = ", without the context model" if codec.coder == "context" else ""
        warn_caller(
            f"a tensor of shape {tuple(shape)} for a codec of samples {inner}: taking axis "
            f"{moved[0]} for the channels{lost}; move its axes, or calibrate with channel_axis on "
            "such tensors",
            CalibrationWarning,
        )


def _samples(codec: CodecValue) -> str:
    return f", samples of shape {codec.inner_shape}" if codec.inner_shape else ""


def explained(error: LwfcError, what: str, tensor: Tensor, codec: CodecValue) -> LwfcError:
    """The error, saying what was coded with which codec, and why channels do not fit."""
    shape = tensor.array.shape
    axis = codec.channel_axis
    if axis is not None and not -len(shape) <= axis < len(shape) and shape != codec.inner_shape:
        error = ParameterError(
            f"x has {len(shape)} axes, and the codec's channels are on axis {axis}"
            f"{_samples(codec)}: pass tensors as calibrated"
        )
    elif "number of channels" in str(error):
        moved = _moved(codec, shape)
        found = "" if moved is None else f": {moved[2]}, where axis {moved[0]} of x has {moved[1]}"
        error = type(error)(
            f"{error}{found} (x {shape}{_samples(codec)}); if the channels are on another axis, "
            "move it there, or calibrate with channel_axis"
        )
    elif "inner shape" in str(error):
        lone = ": pass one as a batch of one, x[None]" if shape == codec.inner_shape else ""
        error = type(error)(f"{error}: x {shape}{_samples(codec)}{lone}")
    error.add_note(f"while {what} {tensor.dtype_name} {shape} with {codec!r}")
    return error
