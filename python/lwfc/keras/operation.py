"""A tensor through a codec on the host, in each of Keras's back-ends."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..codec.codec import Codec
from ..taps.gradients import ends
from ..taps.host import pass_through
from ..taps.report import Recorder

__all__ = ["Host", "through"]


class Host:
    """What the callbacks of one layer share: codec, recorder, and the first error.

    On JAX an exception inside predict, evaluate or fit costs the model its weights, so there it is
    kept, NaNs are handed on, and whoever called Keras raises it afterwards: :meth:`reraise`.
    """

    def __init__(self, codec: Codec, recorder: Recorder | None, bitstream: bool = True) -> None:
        self.codec, self.recorder, self.bitstream = codec, recorder, bitstream
        self.error: Exception | None = None
        self.code: Callable[..., np.ndarray] = pass_through

    def __call__(self, x: Any) -> np.ndarray:
        """One tensor, now. Errors: those of Codec.encode and decode."""
        return self.code(np.asarray(x), self.codec, self.recorder, bitstream=self.bitstream)

    def kept(self, x: Any) -> np.ndarray:
        """One tensor, now; an error is kept for later."""
        try:
            return self(x)
        except Exception as error:
            self.error = self.error or error
            return np.full(x.shape, math.nan, np.asarray(x).dtype)

    def reraise(self) -> None:
        """Raise what a callback kept."""
        error, self.error = self.error, None
        if error is not None:
            raise error


def through(x: Any, host: Host) -> Any:
    """``host(x)``, straight through for gradients inside the codec's range."""
    if isinstance(x, keras.KerasTensor):
        return keras.KerasTensor(x.shape, x.dtype)
    run = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}.get(keras.backend.backend())
    if run is None:
        raise NotImplementedError(
            f"Keras on {keras.backend.backend()!r} cannot run code on the host inside a model: "
            "lwfc.keras.split gives two models with bytes in between"
        )

    @keras.ops.custom_gradient
    def forward(value: Any) -> tuple[Any, Callable]:
        lo, hi = ends(host.codec, len(value.shape))

        def backward(*args: Any, upstream: Any = None) -> Any:
            grad = args[0] if upstream is None else upstream
            inside = keras.ops.logical_and(value >= lo, value <= hi)
            return grad * keras.ops.cast(inside, grad.dtype)

        return run(value, host), backward

    if run is not _torch:
        return forward(x)
    import torch

    return torch.compiler.disable(forward)(x)  # which would trace the codec's own NumPy


def _tensorflow(x: Any, host: Host) -> Any:
    import tensorflow

    y = tensorflow.numpy_function(host, [x], x.dtype, stateful=True)
    return tensorflow.ensure_shape(y, x.shape)


def _jax(x: Any, host: Host) -> Any:
    import jax

    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(host.kept, shape, x, vmap_method="sequential")


def _torch(x: Any, host: Host) -> Any:
    import torch

    source = x.detach().cpu()
    if source.dtype != torch.bfloat16:
        return torch.from_numpy(host(source.numpy())).to(x.device)
    import ml_dtypes

    bits = source.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return torch.from_numpy(host(bits).view(np.int16)).view(torch.bfloat16).to(x.device)
