"""attach: codecs behind layers of a Flax model, NNX or Linen."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..base.errors import ParameterError
from ..base.names import near
from ..codec.codec import Codec
from ..taps.host import check_attach
from ..taps.records import recorders_for, report_of, warn_uncoded
from ..taps.report import Recorder, Report
from .code import code

__all__ = ["Tap", "attach"]


class Tap:
    """What :func:`attach` gives inside its ``with``: the report."""

    def __init__(self, recorders: Mapping[str, Recorder]) -> None:
        self._recorders = recorders

    def report(self) -> Report:
        """Rates and times since attaching; a row for each layer. JAX runs on while Python goes
        ahead: ``jax.block_until_ready`` on the results first.
        """
        return report_of(self._recorders)


@contextlib.contextmanager
def attach(model: Any, codecs: Mapping[str, Codec], *, mode: str = "bitstream") -> Iterator[Tap]:
    """Replace the outputs of layers by ``codec.decode(codec.encode(output))``, inside a ``with``.

    ``model``: an ``nnx.Module``, whose layers are named by their path, as in "blocks.0.conv"; or
    None for Linen modules, of which every one called inside the ``with`` counts, named as in
    "Dense_0" or "encoder/Dense_0". ``mode``: "bitstream" or "simulate".

    A function that was jitted and called before is compiled without the codec, and one that was
    called inside with it: jit anew, or use ``nnx.jit``, which sees that the model has changed.
    Errors: ParameterError for unknown layers.
    """
    check_attach(codecs, mode)
    recorders = recorders_for(codecs)
    real = mode == "bitstream"
    if model is None:
        with _linen(codecs, recorders, real):
            yield Tap(recorders)
        warn_uncoded(recorders)
        return
    from flax import nnx

    if not isinstance(model, nnx.Module):
        raise ParameterError(
            f"model is a {type(model).__name__}: give an nnx.Module, or None for Linen"
        )
    places = {}
    for name in codecs:
        owner, key = _find(model, name)
        places[name] = owner, key, _get(owner, key)
    wrapped = _wrapper(nnx)
    try:
        for name, (owner, key, layer) in places.items():
            _set(owner, key, wrapped(layer, codecs[name], recorders[name], real))
        yield Tap(recorders)
    finally:
        for owner, key, layer in places.values():
            _set(owner, key, layer)
    warn_uncoded(recorders)


def _wrapper(nnx: Any) -> type:
    class Coded(nnx.Module):
        """A layer with a codec behind it."""

        def __init__(self, layer: Any, codec: Codec, recorder: Recorder, real: bool) -> None:
            self.layer = layer
            self.codec, self.recorder, self.real = codec, recorder, real

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return code(self.layer(*args, **kwargs), self.codec, self.recorder, self.real)

    return Coded


def _get(owner: Any, key: str) -> Any:
    if isinstance(owner, (list, tuple)) or type(owner).__name__ == "List":
        return owner[int(key)]
    return owner[key] if isinstance(owner, dict) else getattr(owner, key)


def _set(owner: Any, key: str, value: Any) -> None:
    if isinstance(owner, list) or type(owner).__name__ == "List":
        owner[int(key)] = value
    elif isinstance(owner, dict):
        owner[key] = value
    else:
        setattr(owner, key, value)


def _find(model: Any, name: str) -> tuple[Any, str]:
    """(object that holds the layer, its key there)."""
    owner: Any = model
    *path, last = name.split(".")
    try:
        for key in path:
            owner = _get(owner, key)
        found = _get(owner, last)
    except (AttributeError, KeyError, IndexError, ValueError):
        found = None
    if not callable(found):
        from flax import nnx

        known = [".".join(map(str, where)) for where, _ in nnx.iter_modules(model) if where]
        raise ParameterError(f"the model has no layer {name!r}; {near(name, known)}")
    return owner, last


@contextlib.contextmanager
def _linen(codecs: Mapping[str, Codec], recorders: Mapping, real: bool) -> Iterator[None]:
    from flax import linen

    def intercept(run: Any, args: Any, kwargs: Any, context: Any) -> Any:
        y = run(*args, **kwargs)
        path = "/".join(context.module.path)
        if context.method_name == "__call__" and path in codecs:
            return code(y, codecs[path], recorders[path], real)
        return y

    with linen.intercept_methods(intercept):
        yield
