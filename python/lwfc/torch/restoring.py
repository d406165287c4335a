"""calibrate with a restoration on a model: kept if the model's outputs are the better for it."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor

from ..base.errors import CalibrationWarning, ParameterError
from ..base.progress import Progress, takes_progress
from ..base.warn import warn_caller
from ..calibration.calibrate import calibrate
from ..calibration.samples import Batches as Samples
from ..codec.codec import Codec
from .features import Batches
from .heldout import HELD_MAX, HeldOut, Picked, held_out_batches

__all__ = ["calibrate_restored"]


@takes_progress
def calibrate_restored(
    loader: Batches,
    features_of: Callable[[Any], Iterable[Tensor]],
    held_out: HeldOut,
    *,
    progress: Progress | bool | None = None,
    **options: Any,
) -> Codec:
    """:func:`lwfc.torch.calibrate` with ``restore``, left out where outputs are worse for it.

    Batches held out judge what is fitted on the others; the choice is fitted on all.
    """
    fits: list[bool] = []  # of each array of features: whether it is not held out

    def arrays() -> Iterator[Tensor]:
        for batch, back in held_out_batches(loader):
            back = back and fits.count(False) < HELD_MAX
            if back:
                held_out.add(batch)
            for x in features_of(batch):
                fits.append(not back)
                yield x

    with Samples(arrays(), progress, batched=True) as samples:
        errors = _judge(Picked(samples, fits), fits, held_out, options)
        worse = errors is not None and errors["restored"] > errors["plain"]
        chosen = _plain(options) if worse else options
        codec = calibrate(samples, progress=progress, **chosen)
    if worse:
        warn_caller(
            f"restore={options['restore']!r} is left out: with it the model's outputs on held-out "
            f"inputs are further from those without a codec ({errors['measure']} "
            f"{errors['restored']:.3g}) than with the quantizer's own values "
            f"({errors['plain']:.3g}); compare=False keeps it",
            CalibrationWarning,
        )
    return codec.replace(metadata=codec.metadata | {"compared": errors})


def _judge(
    fitted: Picked, fits: list[bool], held_out: HeldOut, options: dict[str, Any]
) -> dict[str, Any] | None:
    """The outputs' distortion with and without restoration; None where it cannot be measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last fit says all of it once more
        if not options.get("rate_weight"):
            options = options | {"coder": "rans"}  # which does not change what is decoded
        options = {"batched": True} | options
        restored = calibrate(fitted, **options)
        if all(fits):
            return None
        plain = calibrate(fitted, **_plain(options))
    try:
        found = {"restored": held_out.distortion(restored), "plain": held_out.distortion(plain)}
    except ParameterError:  # outputs without floats, or of a new shape at every run
        return None
    return found | {"measure": held_out.kind}


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if not k.startswith("restore")}
