"""Why a hook never fired, as far as that can be told afterwards."""

from collections.abc import Sequence

from torch import nn

from ..base.errors import UncodedWarning
from ..base.warn import warn_caller
from .hooks import Hook

__all__ = ["warn_forgotten", "warn_silent", "why_silent"]


def why_silent(model: nn.Module, layer: nn.Module, hook: Hook) -> str:
    """The reason, or the likely reasons, why the layer's codec has not been used."""
    name = hook.name
    now = dict(model.named_modules(remove_duplicate=False)).get(name)
    if now is not layer:
        what = "is gone" if now is None else f"was replaced by a {type(now).__name__}"
        return f"the layer {what} after attach (surgery, fusing, converting?); attach afterwards"
    if hook not in layer._forward_hooks.values():
        return (
            "its hook was taken off by somebody else (layer._forward_hooks cleared or copied, "
            "a later attach?); attach afterwards"
        )
    copies = "; the model was copied or pickled meanwhile, and a copy has codecs of its own that "
    copies = copies + "this tap does not count" if hook.copies else ""
    if not hook.passes.ran:
        return (
            f"the model that was given to attach has not run{copies or ''}. Was another one run: "
            "a copy, one compiled or exported before, or a table of its outputs?"
        )
    outer = name.rpartition(".")[0]
    parent = model.get_submodule(outer) if outer else model
    fused = ""
    if isinstance(parent, (nn.TransformerEncoderLayer, nn.MultiheadAttention)):
        fused = " in the fused fast path of PyTorch's transformer layers,"
    return (
        f"the model ran, but never called this layer{copies}. That is so{fused} on a branch that "
        "was not taken, where its forward() is called directly, and where a function uses its "
        "weights, all of which run no hooks"
    )


def warn_silent(hook: Hook, reason: str) -> None:
    """Say once that a layer's codec has not been used."""
    if not hook.told:
        hook.told = True
        text = f"nothing was coded at layer {hook.name!r}: {reason}"
        warn_caller(text, UncodedWarning)


def warn_forgotten(hooks: Sequence[Hook]) -> None:
    """The same for a tap that nobody took off, at the end of its model or of the program."""
    for hook in hooks:
        if not hook.fired:
            what = "ran, but never called this layer" if hook.passes.ran else "has not run"
            warn_silent(hook, f"the model that was given to attach {what}")
