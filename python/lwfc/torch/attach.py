"""attach: put codecs behind layers of a model, as forward hooks that can be taken off again."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from ..base.errors import ParameterError
from ..codec.codec import Codec
from .layers import Select, check_attachable, find_layers, pick, replace
from .operator import code, record_under, register
from .report import Recorder, Report

__all__ = ["Hook", "Tap", "attach"]

MODES = ("bitstream", "simulate")
GRADIENTS = ("ste", "none")


class Hook:
    """The forward hook: replaces a layer's output by what the codec makes of it. Pickles."""

    def __init__(self, name: str, codec: Codec, mode: str, select: Select, grad: str) -> None:
        self.name, self.codec, self.mode, self.select, self.grad = name, codec, mode, select, grad
        self.recorder = Recorder(name)
        self.digest = register(codec)
        self.lo, self.hi = codec.clip_range
        self.bitstream = mode == "bitstream"
        self.straight = grad == "ste"
        self.number = record_under(self.recorder)

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        x = pick(output, self.select)
        if not self.straight:
            x = x.detach()
        y = code(x, self.digest, self.lo, self.hi, self.bitstream, self.number)
        return replace(output, self.select, y)

    def __reduce__(self) -> tuple:
        return Hook, (self.name, self.codec, self.mode, self.select, self.grad)


class Tap:
    """What :func:`attach` returns: a context manager that takes the codecs off at its end."""

    def __init__(self, attached: list[tuple[Hook, RemovableHandle]]) -> None:
        self._attached = attached

    def report(self) -> Report:
        """Rates and times since attaching, or since :meth:`reset`; a row for each layer."""
        return Report([hook.recorder.row() for hook, _ in self._attached])

    def reset(self) -> None:
        """Start the report anew."""
        for hook, _ in self._attached:
            hook.recorder.reset()

    def remove(self) -> None:
        """Take the codecs off. Models copied or compiled meanwhile keep theirs."""
        for _, handle in self._attached:
            handle.remove()

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<lwfc.torch.Tap on {', '.join(repr(hook.name) for hook, _ in self._attached)}>"

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()


def attach(
    model: nn.Module,
    codecs: Mapping[str, Codec],
    *,
    mode: str = "bitstream",
    select: Select | Mapping[str, Select] = None,
    grad: str = "ste",
) -> Tap:
    """Replace the outputs of layers by ``codec.decode(codec.encode(output))``.

    Parameters

    ``codecs``
        Layer name (as in ``named_modules()``, globs allowed) to codec.
    ``mode``
        "bitstream" makes the bytes, and reports their number; "simulate" gives the same values
        faster.
    ``select``
        Which tensor of layers that return tuples, dicts or objects: an index, a key, a path of
        these, or a mapping from the names in ``codecs`` to these.
    ``grad``
        "ste": gradients pass where the value lies inside the range; "none": they stop here.

    Attach before ``torch.compile`` or ``torch.export``: compiled code ignores later hooks, so a
    compiled model is refused. Works under autocast, no_grad, any memory format; on a copy of
    the output for other devices. ``copy.deepcopy`` and pickle keep the hooks.

    Errors: ParameterError for unknown layers (naming near ones), codecs, modes and outputs.
    """
    if mode not in MODES:
        raise ParameterError(f"mode={mode!r}: must be one of {', '.join(map(repr, MODES))}")
    if grad not in GRADIENTS:
        raise ParameterError(f"grad={grad!r}: must be one of {', '.join(map(repr, GRADIENTS))}")
    if not isinstance(codecs, Mapping) or not all(isinstance(c, Codec) for c in codecs.values()):
        raise ParameterError('codecs must map layer names to codecs, e.g. {"layer2": codec}')
    check_attachable(model)
    chosen: dict[str, tuple[nn.Module, Hook]] = {}
    for pattern, codec in codecs.items():
        picked = select.get(pattern) if isinstance(select, Mapping) else select
        for name, layer in find_layers(model, pattern):
            if name in chosen:
                raise ParameterError(f"layer {name!r} is named twice in codecs")
            chosen[name] = layer, Hook(name, codec, mode, picked, grad)
    return Tap([(hook, layer.register_forward_hook(hook)) for layer, hook in chosen.values()])
