"""code: a tensor through a codec's bytes, inside JAX programs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from ..codec.codec import Codec
from ..taps.gradients import ends
from ..taps.host import check_traced, pass_through
from ..taps.report import Recorder

__all__ = ["check", "code"]

# The identity, which tells at lowering time what jax.export says in other words: its error names a
# host callback, from which nobody guesses what to do.
_here = Primitive("lwfc_needs_this_process")
_here.def_impl(lambda x: x)
_here.def_abstract_eval(lambda x: x)
batching.defvectorized(_here)


def _lower(context: Any, x: Any) -> Any:
    if context.module_context.lowering_parameters.for_export:
        raise NotImplementedError(
            "lwfc.jax.code runs on the host of this process, which jax.export cannot store: export "
            "the two halves without it, and put bytes between them by lwfc.jax.split"
        )
    return [x]


mlir.register_lowering(_here, _lower)


def check(x: Any, codec: Any) -> None:
    """What can be told before anything runs. Errors: ParameterError."""
    check_traced(codec, x.dtype.name, x.ndim)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def code(
    x: Any, codec: Codec, recorder: Recorder | None = None, bitstream: bool = True
) -> jax.Array:
    """decode(encode(x)) on the host, by ``jax.pure_callback``.

    Works under jit, vmap (each element is a tensor of its own), grad (straight through where x
    lies inside the codec's range, 0 outside) and scan; under jax.export an error names the way.
    ``recorder``: counts bytes and times, see :func:`attach`; a result that nobody uses is never
    computed, nor counted. ``bitstream`` False: the same values without making bytes.
    Errors: ParameterError for types and codecs, when the function is traced.
    """
    x = jnp.asarray(x)
    check(x, codec)
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(
        partial(pass_through, codec=codec, recorder=recorder, bitstream=bitstream),
        shape,
        _here.bind(x),
        vmap_method="sequential",
    )


def _forward(x: Any, codec: Codec, recorder: Any, bitstream: bool) -> tuple[Any, Any]:
    x = jnp.asarray(x)
    lo, hi = ends(codec, x.ndim)
    return code(x, codec, recorder, bitstream), (x >= lo) & (x <= hi)


def _backward(codec: Codec, recorder: Any, bitstream: bool, inside: Any, grad: Any) -> tuple:
    return (jnp.where(inside, grad, 0).astype(grad.dtype),)


code.defvjp(_forward, _backward)
