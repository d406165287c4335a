"""attach: codecs behind layers of a Keras model."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from ..base.errors import ParameterError
from ..codec.codec import Codec
from ..taps.host import check_attach
from ..taps.records import recorders_for, report_of, warn_uncoded
from ..taps.report import Recorder, Report
from .layers import wrapped
from .operation import Host, through

__all__ = ["Tap", "attach"]

RUNS = ("predict", "evaluate", "fit", "predict_on_batch", "test_on_batch", "train_on_batch")


class Tap:
    """What :func:`attach` gives inside its ``with``: the report."""

    def __init__(self, hosts: Mapping[str, Host], recorders: Mapping[str, Recorder]) -> None:
        self._hosts, self._recorders = hosts, recorders

    def report(self) -> Report:
        """Bytes, rates and times since attaching; a row for each layer."""
        return report_of(self._recorders)

    def reraise(self) -> None:
        """Raise what a callback kept; done by itself after predict, evaluate and fit."""
        for host in self._hosts.values():
            host.reraise()


def _one_tensor(change: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    def checked(output: Any) -> Any:
        if isinstance(output, (list, tuple, dict)):
            raise ParameterError(f"layer {name!r} gives several tensors; name a layer with one")
        return change(output)

    return checked


@contextlib.contextmanager
def attach(model: Any, codecs: Mapping[str, Codec], *, mode: str = "bitstream") -> Iterator[Tap]:
    """Replace the outputs of layers by ``codec.decode(codec.encode(output))``, inside a ``with``.

    Parameters

    ``model``
        A functional, Sequential (built or not) or subclassed model.
    ``codecs``
        Layer name to codec; a layer of a nested model is "inner/layer".
    ``mode``
        "bitstream" makes the bytes; "simulate" the same values faster.

    Compiled predict, test and train functions are dropped on entry and exit, so that ``predict``,
    ``evaluate``, ``fit`` and plain calls all follow; a ``tf.function`` or ``jax.jit`` of your own
    around the model keeps what it was traced with. Gradients pass straight through.
    Errors: ParameterError for unknown layers; those of the codec come out of the call that met
    them, on JAX at its end, with the model whole.
    """
    check_attach(codecs, mode)
    if getattr(model, "jit_compile", None) is True and keras.backend.backend() == "tensorflow":
        raise ParameterError(
            "the model is compiled with jit_compile=True, and TensorFlow's XLA cannot call the "
            "codec: model.compile(..., jit_compile=False), or lwfc.keras.split"
        )
    recorders = recorders_for(codecs)
    hosts = {name: Host(codec, recorders[name], mode == "bitstream")
             for name, codec in codecs.items()}  # fmt: skip
    tap = Tap(hosts, recorders)
    changes = {
        name: _one_tensor(lambda x, host=host: through(x, host), name)
        for name, host in hosts.items()
    }
    with wrapped(model, changes), _raising(model, tap):
        yield tap
        tap.reraise()
    warn_uncoded(recorders)


@contextlib.contextmanager
def _raising(model: Any, tap: Tap) -> Iterator[None]:
    """Inside, the model's runs raise what their callbacks kept, once they are over."""

    def after(run: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped_run(*args: Any, **kwargs: Any) -> Any:
            result = run(*args, **kwargs)
            tap.reraise()
            return result

        return wrapped_run

    names = [name for name in RUNS if hasattr(model, name)]
    try:
        for name in names:
            setattr(model, name, after(getattr(model, name)))
        yield
    finally:
        for name in names:
            vars(model).pop(name, None)
