"""Finding layers by name, in nested models too, and wrapping what they do."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from ..base.checks import shown
from ..base.errors import ParameterError
from ..base.names import near

__all__ = ["find_layer", "wrapped"]

# A model's compiled functions: each remembers the layers' calls as they were at its first run.
COMPILED = ("predict_function", "test_function", "train_function")


def _layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for layer in getattr(model, "layers", ()):
        yield prefix + layer.name, layer
        yield from _layers(layer, f"{prefix}{layer.name}/")


def find_layer(model: Any, name: str) -> Any:
    """The layer of this name; in nested models also "inner/layer". Errors: ParameterError."""
    if not isinstance(model, keras.Layer):
        raise ParameterError(f"model is a {type(model).__name__}, not a Keras model")
    known = list(_layers(model))
    if not isinstance(name, str):
        own = next((path for path, layer in known if layer is name), None)
        raise ParameterError(f"layer={shown(name)}: must be its name{f', {own!r}' if own else ''}")
    found = [layer for path, layer in known if path == name]
    found = found or [layer for path, layer in known if path.rpartition("/")[2] == name]
    found = list({id(layer): layer for layer in found}.values())
    if len(found) == 1:
        return found[0]
    if found:
        paths = [path for path, layer in known if layer.name == name]
        raise ParameterError(f"several layers are named {name!r}: use one of {paths}")
    hint = near(name, (path for path, _ in known))
    raise ParameterError(f"the model has no layer {name!r}; {hint}")


def _models(model: Any) -> Iterator[Any]:
    yield from (part for _, part in [("", model), *_layers(model)] if isinstance(part, keras.Model))


def _forget_compiled(model: Any) -> None:
    """Compiled functions go on with the calls they were made from, so they are made anew."""
    for part in _models(model):
        for name in COMPILED:
            if getattr(part, name, None) is not None:
                setattr(part, name, None)


@contextlib.contextmanager
def wrapped(model: Any, changes: dict[str, Callable[[Any], Any]]) -> Iterator[None]:
    """Inside, each layer named gives ``change(output)`` instead of its output."""
    places = {name: find_layer(model, name) for name in changes}
    if len({id(layer) for layer in places.values()}) < len(places):
        raise ParameterError(f"two of the names {list(places)} mean the same layer")

    def replace(layer: Any, change: Callable[[Any], Any]) -> None:
        own = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            return change(own(*args, **kwargs))

        # Keras asks a layer's call for its signature: training= and mask= must stay known.
        call.__wrapped__ = own
        layer.call = call

    taken = [layer for layer in places.values() if "call" in vars(layer)]
    if taken:
        raise ParameterError(f"layer {taken[0].name!r} has a codec already: leave its with first")
    try:
        for name, layer in places.items():
            replace(layer, changes[name])
        _forget_compiled(model)
        yield
    finally:
        for layer in places.values():
            vars(layer).pop("call", None)
        _forget_compiled(model)
