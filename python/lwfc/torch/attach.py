"""attach: put codecs behind layers of a model, as forward hooks that can be taken off again."""

import weakref
from collections.abc import Mapping

from torch import distributed, nn
from torch.utils.hooks import RemovableHandle

from ..base.checks import check_axis, choose
from ..base.errors import ParameterError, UncodedWarning
from ..base.warn import warn_caller
from ..codec.codec import Codec
from ..taps.host import check_attach
from ..taps.report import Report
from .hooks import Hook, Passes
from .layers import Select
from .names import check_attachable, check_layer, find_layers, inside
from .silence import warn_forgotten, warn_silent, why_silent

__all__ = ["Hook", "Tap", "attach"]

GRADIENTS = ("ste", "none")
WITHOUT_VALUES = (
    "it ran on tensors without values (the meta device, fake tensors), which nothing can code"
)


class Tap:
    """What :func:`attach` returns: a context manager that takes the codecs off at its end."""

    def __init__(
        self,
        model: nn.Module,
        attached: list[tuple[nn.Module, Hook]],
        passes: Passes,
    ) -> None:
        self._model = model
        self._attached = attached
        self._passes = passes
        self._reasons: dict[Hook, str] = {}  # of those that have never run when taken off
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(passes.begin, with_kwargs=True),
            *(layer.register_forward_hook(hook) for layer, hook in attached),
            model.register_forward_hook(passes.end),
        ]
        self._forgotten = weakref.finalize(model, warn_forgotten, [hook for _, hook in attached])

    def report(self, *, sync: bool = False) -> Report:
        """Rates and times since attaching, or since :meth:`reset`; a row for each layer.

        ``sync``: the sums of all processes of torch.distributed, each of which must call this.
        """
        report = Report(
            (hook.name, dict(hook.recorder.by_call), self._silence(layer, hook))
            for layer, hook in self._attached
        )
        return _sum_of_processes(report) if sync else report

    def _silence(self, layer: nn.Module, hook: Hook) -> str:
        """Why the layer's codec has done nothing so far; empty if it has."""
        if hook.fired:
            empty = hook.abstract and not hook.recorder.by_call
            return WITHOUT_VALUES if empty else ""
        return self._reasons.get(hook) or why_silent(self._model, layer, hook)

    def reset(self) -> None:
        """Start the report anew."""
        for _, hook in self._attached:
            hook.recorder.reset()

    def remove(self) -> None:
        """Take the codecs off; an UncodedWarning names each layer that has never run. It comes at
        the end of the model, or of the program, where nobody does.

        Models copied or exported meanwhile keep theirs.
        """
        self.detach()
        for layer, hook in self._attached:
            if reason := self._silence(layer, hook):
                warn_silent(hook, reason)

    def detach(self) -> None:
        """Take the codecs off without a word."""
        self._reasons = {hook: self._silence(layer, hook) for layer, hook in self._attached}
        for handle in self._handles:
            handle.remove()
        self._forgotten.detach()
        self._passes.hooks.clear()
        self._passes.inputs = ()

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        # After an exception nobody asks why a layer has not run.
        self.remove() if kind is None else self.detach()

    def __repr__(self) -> str:
        return f"<lwfc.torch.Tap on {', '.join(repr(hook.name) for _, hook in self._attached)}>"

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()


def _sum_of_processes(report: Report) -> Report:
    """The sum of the reports of all processes of torch.distributed; each must call this."""
    if not (distributed.is_available() and distributed.is_initialized()):
        raise ParameterError("sync=True needs torch.distributed's process group; start it first")
    reports = [report] * distributed.get_world_size()
    distributed.all_gather_object(reports, report)
    return sum(reports[1:], reports[0])


def attach(
    model: nn.Module,
    codecs: Mapping[str, Codec],
    *,
    mode: str = "bitstream",
    select: Select | Mapping[str, Select] = None,
    grad: str = "ste",
    sample_axis: int | None = None,
) -> Tap:
    """Replace the outputs of layers by ``codec.decode(codec.encode(output))``.

    Parameters

    ``codecs``
        Layer name (as in ``named_modules()``, globs allowed) to codec. A layer that has a codec of
        an earlier ``attach`` gets the new one instead, with an UncodedWarning.
    ``mode``
        "bitstream" makes the bytes, and reports their number; "simulate" gives the same values
        faster.
    ``select``
        Which tensor of layers that return tuples, dicts or objects: an index, a key, a path of
        these, or a mapping from the names in ``codecs`` to these.
    ``grad``
        "ste", the straight-through estimator: gradients pass unchanged where the value lies inside
        the codec's range, and are 0 outside; "none": they stop here.
    ``sample_axis``
        Which axis of the model's input counts samples, for the report; None: axis 0, but unknown
        for models with sequence-first parts (``nn.LSTM``, ``nn.Transformer`` and such without
        ``batch_first``). The report then has no figures per sample.

    Attach before ``torch.compile`` or ``torch.export``: compiled code ignores later hooks, so a
    compiled model is refused, and so are traced and exported ones, layers that are never called
    (``nn.ModuleList``, the ``out_proj`` of ``nn.MultiheadAttention``) and globs that match a layer
    inside another. Works under autocast, no_grad, any memory format; nested tensors are coded
    sample by sample; on a copy of the output for other devices. ``copy.deepcopy`` and pickle keep
    the hooks.

    Errors: ParameterError for unknown layers (naming near ones), codecs, modes and outputs.
    """
    check_attach(codecs, mode)
    choose("grad", grad, GRADIENTS)
    check_axis(sample_axis, "sample_axis")
    check_attachable(model)
    if not codecs:
        warn_caller("codecs is empty: the model runs as it is", UncodedWarning)
    chosen: dict[int, tuple[str, nn.Module, Codec, Select]] = {}
    for pattern, codec in codecs.items():
        picked = select.get(pattern) if isinstance(select, Mapping) else select
        for name, layer in find_layers(model, pattern):
            check_layer(model, name, layer)
            if id(layer) in chosen:
                other = chosen[id(layer)][0]
                same = "" if other == name else f", the same module as {other!r},"
                raise ParameterError(f"layer {name!r}{same} is named twice in codecs")
            chosen[id(layer)] = name, layer, codec, picked
    _check_nesting([name for name, *_ in chosen.values()])
    passes = Passes(sample_axis, _sequence_first(model))
    attached = []
    for name, layer, codec, picked in chosen.values():
        _drop_earlier(name, layer)
        attached.append((layer, Hook(name, codec, mode, picked, grad, passes)))
    return Tap(model, attached, passes)


def _check_nesting(names: list[str]) -> None:
    nested = inside(names)
    if nested:
        warn_caller(
            f"layer {nested[1]!r} is inside {nested[0]!r} and both get codecs: what the first "
            "decodes is coded again by the second, and their losses add up",
            UncodedWarning,
        )


def _drop_earlier(name: str, layer: nn.Module) -> None:
    """Take off a codec that an earlier attach left on the layer, saying so."""
    earlier = [key for key, hook in layer._forward_hooks.items() if isinstance(hook, Hook)]
    for key in earlier:
        hook = layer._forward_hooks.pop(key)
        hook.told = True
    if earlier:
        warn_caller(
            f"layer {name!r} had a codec of an earlier attach, which is replaced, as the features "
            "would have been coded twice: call tap.remove(), or use `with attach(...) as tap:`",
            UncodedWarning,
        )


def _sequence_first(model: nn.Module) -> bool:
    """Whether a part of the model takes (time, batch, channels), so that axis 0 may be time."""
    return any(
        isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and not module.batch_first
        for module in model.modules()
    )
