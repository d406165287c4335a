"""Later walks over the samples: the context model, the centroids, the restoration's weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from ..base.progress import Progress
from ..codec.codec import Codec
from ..context.fitter import ContextFitter
from ..restoration.fitter import CentroidFitter, RestorationFitter
from .channels import planes
from .samples import Batches

__all__ = ["Fitting", "fit_parts"]

STEPS = 100  # of the context model's progress


@dataclass(frozen=True, slots=True)
class Fitting:
    """What to fit: the names of ``lwfc.calibrate``; ``rate_weight`` in squared error per bit;
    ``zeros``: of which quantizers 0 is a mass point, ``at``: what stands for 0 there."""

    context: bool
    restore: str
    strength: float
    rate_weight: float
    bounds: tuple[float, float]
    zeros: np.ndarray
    at: np.ndarray
    progress: Progress | None
    num_threads: int


def fit_parts(plain: Codec, batches: Batches, fitting: Fitting) -> dict[str, Any]:
    """The Codec arguments to change in ``plain``, fitted on its symbols of the samples.

    With a rate-distortion pass (``rate_weight`` > 0 and ``context``) the symbols depend on the
    context model, so the model is fitted on plain symbols first, then all again on the final ones.
    Errors: ParameterError for what a coder or a restoration cannot do.
    """
    if not fitting.context and fitting.restore == "none":
        return {}
    try:
        if not fitting.context or fitting.rate_weight == 0:
            return _walk(plain, batches, fitting, fitting.restore)
        first = _walk(plain, batches, fitting, "none")
        first |= {"rate_weight": fitting.rate_weight, "bound": True}
        parts = first | _walk(plain.replace(**first), batches, fitting, fitting.restore)
        del parts["bound"]  # the caller's choice
        return parts
    except ValueError as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(str(error)) from error


def _walk(codec: Codec, batches: Batches, fitting: Fitting, restore: str) -> dict[str, Any]:
    """One walk over the samples with the symbols of ``codec``."""
    context: ContextFitter | None = None
    centroids: CentroidFitter | None = None
    weights: RestorationFitter | None = None
    for batch in batches.walk("symbols"):
        x, finite = batch, np.isfinite(batch)
        if not finite.all():  # what has no distance from anything is where its symbol puts it
            x = np.where(finite, x, codec.simulate(x, num_threads=fitting.num_threads))
        symbols = planes(codec.symbols(batch, num_threads=fitting.num_threads), codec.channel_axis)
        channels = symbols.shape[1]
        if fitting.context:
            context = context or ContextFitter(codec.levels, channels)
            context.update(symbols)
        values = planes(x, codec.channel_axis)
        if restore in ("local", "linear"):
            weights = weights or RestorationFitter(
                codec.levels,
                channels,
                restore,
                bounds=fitting.bounds,
                reference=codec.values,
            )
            weights.update(values, symbols, fitting.num_threads)
        elif restore == "centroid":
            centroids = centroids or CentroidFitter(codec.levels, channels)
            centroids.update(values, symbols, fitting.num_threads)
    return _finish(codec, fitting, context, weights, weights.centroids if weights else centroids)


def _finish(
    codec: Codec,
    fitting: Fitting,
    context: ContextFitter | None,
    weights: RestorationFitter | None,
    centroids: CentroidFitter | None,
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    say = fitting.progress or (lambda done, total, what: None)
    if context is not None:
        blob = context.finish(
            lambda share: say(int(share * STEPS), STEPS, "context model"), fitting.num_threads
        )
        changes |= {"coder": "context", "context": blob}
    if centroids is not None:
        zero = np.count_nonzero(codec.thresholds <= fitting.at[:, None], axis=-1)
        changes["values"] = centroids.table(codec.values, fitting.zeros, zero, fitting.at)
    if weights is not None:
        changes["restore"] = weights.finish(
            fitting.strength,
            lambda text: say(0, None, f"restoration: {text}"),
            fitting.num_threads,
        )
    return changes
