"""code: a tensor through a codec's bytes, eagerly and inside tf.function."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from ..base.errors import ParameterError
from ..codec.codec import Codec
from ..taps.gradients import ends
from ..taps.host import check_attach, check_traced, pass_through
from ..taps.records import recorders_for, report_of, warn_uncoded
from ..taps.report import Recorder, Report

__all__ = ["Tap", "attach", "code"]

# XLA and other processes name the operation that they cannot run, and nothing else that helps.
NODE = "lwfc_code_needs_this_process_and_jit_compile_False__or_use_lwfc_tensorflow_split"


def code(
    x: Any, codec: Codec, recorder: Recorder | None = None, bitstream: bool = True
) -> tf.Tensor:
    """decode(encode(x)) of x's shape and type, by ``tf.numpy_function``.

    Gradients pass straight through where x lies inside the codec's range. The codec lives in this
    process: a SavedModel that holds this call runs nowhere else, and functions with
    ``jit_compile=True`` cannot hold it; :func:`split` gives two that can.
    Errors: ParameterError for types and codecs, when the function is traced.
    """
    x = tf.convert_to_tensor(x)
    check_traced(codec, x.dtype.name, x.shape.rank)
    lo, hi = ends(codec, x.shape.rank)

    def host(value: Any) -> Any:
        return pass_through(value, codec, recorder, bitstream=bitstream)

    @tf.custom_gradient
    def forward(value: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            inside = tf.logical_and(value >= tf.cast(lo, value.dtype),
                                    value <= tf.cast(hi, value.dtype))  # fmt: skip
            return tf.where(inside, upstream, tf.zeros_like(upstream))

        y = tf.numpy_function(host, [value], value.dtype, name=NODE)
        return tf.ensure_shape(y, value.shape), backward

    return forward(x)


class Tap:
    """What :func:`attach` gives inside its ``with``: the report."""

    def __init__(self, recorders: Mapping[str, Recorder]) -> None:
        self._recorders = recorders

    def report(self) -> Report:
        """Bytes, rates and times since attaching; a row for each function."""
        return report_of(self._recorders)


@contextlib.contextmanager
def attach(module: tf.Module, codecs: Mapping[str, Codec], *, mode: str = "bitstream"
           ) -> Iterator[Tap]:  # fmt: skip
    """Replace what callables of a ``tf.Module`` give by decode(encode(.)), inside a ``with``.

    ``codecs``: paths of attributes, "encoder" or "encoder.conv1", to codecs: sub-modules or
    functions that give one tensor. Functions of the module that were traced before keep what they
    were traced with: call them by ``function.python_function``, or wrap them anew inside.
    Keras models: :func:`lwfc.keras.attach`. Errors: ParameterError for unknown paths.
    """
    check_attach(codecs, mode)
    recorders = recorders_for(codecs)
    places = []
    for name in codecs:
        *path, last = name.split(".")
        owner: Any = module
        for key in path:
            owner = getattr(owner, key, None)
        if not callable(getattr(owner, last, None)):
            raise ParameterError(f"{type(module).__name__} has nothing to call at {name!r}")
        places.append((name, owner, last, getattr(owner, last), last in vars(owner)))
    try:
        for name, owner, last, own, _ in places:
            def coded(*args: Any, own: Any = own, name: str = name, **kwargs: Any) -> Any:
                y = own(*args, **kwargs)
                return code(y, codecs[name], recorders[name], mode == "bitstream")

            setattr(owner, last, coded)
        yield Tap(recorders)
    finally:
        for _, owner, last, own, listed in places:
            if listed:
                setattr(owner, last, own)
            else:
                delattr(owner, last)
    warn_uncoded(recorders)
