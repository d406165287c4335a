"""Later walks over the samples: the context model, the centroids, the restoration's weights."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .codec import Codec
from .samples import Batches, Progress, planes

__all__ = ["fit_parts"]


def fit_parts(
    plain: Codec,
    batches: Batches,
    *,
    context: bool,
    restore: str,
    strength: float,
    rate_weight: float,
    bounds: tuple[float | None, float | None],
    progress: Progress | None,
    num_threads: int,
) -> dict[str, Any]:
    """The Codec arguments to change in ``plain``, fitted on its symbols of the samples.

    With a rate-distortion pass (``rate_weight`` > 0 and ``context``) the symbols depend on the
    context model, so the model is fitted on plain symbols first, then all again on the final ones.
    """
    if not context and restore == "none":
        return {}
    changes: dict[str, Any] = {}
    codec = plain
    if context and rate_weight > 0:
        changes = _walk(codec, batches, True, "none", strength, bounds, progress, num_threads)
        changes |= {"coder": "context", "rate_weight": rate_weight}
        codec = plain.replace(**changes)
    changes |= _walk(codec, batches, context, restore, strength, bounds, progress, num_threads)
    return changes


def _walk(
    codec: Codec,
    batches: Batches,
    context: bool,
    restore: str,
    strength: float,
    bounds: tuple[float | None, float | None],
    progress: Progress | None,
    num_threads: int,
) -> dict[str, Any]:
    from .context_model import ContextFitter
    from .restoration import CentroidFitter, RestorationFitter

    contexts = centroids = weights = None
    for batch in batches.walk("symbols"):
        x = batch if np.isfinite(batch).all() else np.nan_to_num(batch)
        symbols = planes(codec.symbols(x, num_threads=num_threads), codec.channel_axis)
        channels = symbols.shape[1]
        if context:
            contexts = contexts or ContextFitter(codec.levels, channels)
            contexts.update(symbols)
        if restore == "none":
            continue
        values = planes(x, codec.channel_axis)
        centroids = centroids or CentroidFitter(codec.levels, len(codec.values))
        centroids.update(values, symbols)
        if restore in ("local", "linear"):
            weights = weights or RestorationFitter(
                codec.levels, channels, kind=restore, bounds=bounds
            )
            weights.update(values, symbols)
    changes: dict[str, Any] = {}
    if contexts is not None:
        changes |= {
            "coder": "context",
            "context": contexts.finish(progress=_named(progress, "context model")),
        }
    if centroids is not None:
        changes["values"] = centroids.finish(codec.values)
    if weights is not None:
        changes["restore"] = weights.finish(
            strength=strength, progress=_named(progress, "restoration")
        )
    return changes


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(done, total, what)
