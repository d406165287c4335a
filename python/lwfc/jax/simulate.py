"""simulate: what a codec does to values, in jax.numpy."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..base.errors import ParameterError
from ..codec.codec import Codec
from ..taps.gradients import ends
from .code import check

__all__ = ["simulate"]


def _channels_shape(codec: Codec, ndim: int) -> tuple[int, ...]:
    axis = codec.channel_axis
    axis = (1 if ndim > 3 else ndim - 1) if axis is None else axis
    shape = [1] * ndim
    shape[axis] = len(codec.values)
    return tuple(shape)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def simulate(x: Any, codec: Codec) -> jax.Array:
    """``codec.simulate(x)`` wholly in jax.numpy: equal to the last bit, on x's device.

    Gradients pass straight through inside the codec's range. For codecs whose values follow from
    each element's symbol alone: those with a restoration, a transform or a rate-distortion pass
    look at neighbours, and raise a ParameterError that names :func:`code`.
    """
    x = jnp.asarray(x)
    check(x, codec)
    looks_around = codec.restore or getattr(codec, "transform", None) or codec.rate_weight
    if looks_around or codec.nan != "zero":
        raise ParameterError(
            "this codec looks beyond single values (restoration, transform, rate_weight or "
            "nan='raise'): use lwfc.jax.code"
        )
    if len(codec.values) == 1:
        shape: tuple[int, ...] = (1,) * x.ndim
    else:
        shape = _channels_shape(codec, x.ndim)
    narrow = x.astype(jnp.float32)
    symbol = jnp.zeros(x.shape, jnp.int32)
    for row in codec.thresholds.T:  # NaN compares false with every threshold: symbol 0
        symbol += narrow >= jnp.asarray(row.reshape(shape))
    symbol = jnp.where(jnp.isnan(narrow), jnp.asarray(_nan_symbol(codec).reshape(shape)), symbol)
    y = jnp.zeros(x.shape, jnp.float32)
    for number, row in enumerate(codec.values.T):
        y = jnp.where(symbol == number, jnp.asarray(row.reshape(shape)), y)
    if x.dtype.name in ("float16", "bfloat16"):
        largest = float(jnp.finfo(x.dtype).max)
        return jnp.clip(y, -largest, largest).astype(x.dtype)
    return y.astype(x.dtype)


def _nan_symbol(codec: Codec) -> np.ndarray:
    """For each group, the symbol NaN takes."""
    probe = np.full((1, len(codec.values), 1, 1), np.nan, np.float32)
    plain = codec.replace(channel_axis=1, inner_shape=())
    return plain.symbols(probe).reshape(-1).astype(np.int32)


def _forward(x: Any, codec: Codec) -> tuple[Any, Any]:
    x = jnp.asarray(x)
    lo, hi = ends(codec, x.ndim)
    return simulate(x, codec), (x >= lo) & (x <= hi)


def _backward(codec: Codec, inside: Any, grad: Any) -> tuple:
    return (jnp.where(inside, grad, 0).astype(grad.dtype),)


simulate.defvjp(_forward, _backward)
