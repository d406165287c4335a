"""Samples side by side with the gradients that tell what an error of each value costs."""

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base.arrays import as_tensor, is_array, widen
from ..base.checks import channel_axis_of
from ..base.errors import ParameterError
from ..transform.geometry import Layout
from .layout import find_layout
from .samples import Batches

__all__ = ["Pairs", "Samples"]


def _layout(
    shapes: set[tuple[int, ...]], channel_axis: int | None
) -> tuple[Layout, tuple[int, ...]]:
    """(layout of what is transformed, the usual inner shape) of samples of these inner shapes.

    Samples of one shape are maps. Vectors, and samples that differ in everything but their
    channels, are transformed place by place; the latter have no usual shape, ().
    Errors: ParameterError where there are no channels or they differ.
    """
    counts = set()
    for inner in shapes:
        axis = channel_axis_of(len(inner) + 1, channel_axis)
        if not axis:
            raise ParameterError(
                f"samples of shape {inner} have no channel axis: a transform mixes channels, so "
                'name their axis with channel_axis=, or use transform="none"'
            )
        if 0 in inner:
            raise ParameterError(f"samples of shape {inner} hold nothing to transform")
        counts.add(inner[axis - 1])
    if len(counts) > 1:
        raise ParameterError(f"the samples differ in channels: {sorted(counts)}; name channel_axis")
    if len(shapes) > 1 or len(inner) == 1:
        return Layout((counts.pop(),), 0), inner if len(shapes) == 1 else ()
    return Layout(inner, axis - 1), inner


class Samples:
    """Batches of samples, to be iterated as often as wanted."""

    def __init__(self, batches: Batches, stacked: bool) -> None:
        self._batches, self._stacked = batches, stacked

    def __iter__(self) -> Iterator[np.ndarray]:
        for x in self._batches:
            yield x[:, 0] if self._stacked else x


class _Joined:
    """Batches, one after the other."""

    def __init__(self, *parts: Batches) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[np.ndarray]:
        return itertools.chain(*self._parts)

    def walk(self, what: str) -> Iterator[np.ndarray]:
        """See :meth:`Batches.walk`."""
        for part in self._parts:
            yield from part.walk(what)


class Pairs:
    """A :class:`lwfc.transform.survey.Source` of samples and, if given, of gradients.

    ``stacked``: the samples' batches are (n, 1 + draws, ...), each sample before its gradients.
    ``metric``: gradients as :func:`lwfc.calibrate` takes them. ``measured``: a ``channel_axis`` of
    None is to be measured; else it is the usual one, as a Codec takes it.
    """

    def __init__(
        self,
        batches: Batches,
        metric: Any,
        channel_axis: int | None,
        *,
        stacked: bool = False,
        measured: bool = True,
    ) -> None:
        self._batches, self._stacked, self._blind = batches, stacked, False
        if not measured:
            self.channel_axis = channel_axis
        elif stacked:  # measured on the features alone
            head = [x[:, 0] for x in batches.head()]
            self.channel_axis = find_layout(head, channel_axis, False).channel_axis
        else:
            self.channel_axis = batches.layout(channel_axis).channel_axis
        shapes: set[tuple[int, ...]] = set()
        self.nsamples = values = 0
        for x in batches.walk("samples"):
            inner = x.shape[2:] if stacked else x.shape[1:]
            shapes.add(inner)
            self.nsamples += len(x)
            values += len(x) * math.prod(inner)
        if not self.nsamples:
            raise ParameterError("there are no samples to calibrate on")
        self.sample_size = max(1, values // self.nsamples)  # elements, on average
        self.layout, self.inner_shape = _layout(shapes, self.channel_axis)
        self._varies = self.inner_shape != self.layout.inner_shape
        self._metric = metric
        if metric is not None and not is_array(metric):
            self._metric = Batches(metric, batched=True)

    @property
    def free(self) -> bool:
        """Whether every place is a sample of its own."""
        return self.layout.height * self.layout.width == 1

    def samples(self) -> "Samples":
        """The samples alone, as they came."""
        return Samples(self._batches, self._stacked)

    def joined(self, other: "Pairs") -> "Pairs":
        """These samples, then the other's; both stacked or both without gradients."""
        both = copy.copy(self)
        both._batches = _Joined(self._batches, other._batches)
        both.nsamples = self.nsamples + other.nsamples
        return both

    def without_metric(self) -> "Pairs":
        """The same, gradients forgotten."""
        plain = copy.copy(self)
        plain._metric = None
        plain._blind = True
        return plain

    def walk(self, what: str) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """(samples, gradients or None) as float32 maps; see :class:`Source`."""
        gradients = None if self._metric is None else _Gradients(self._metric, self.nsamples)
        for x in self._batches.walk(what):
            own = None
            if self._stacked:
                own = None if self._blind or x.shape[1] == 1 else np.moveaxis(x[:, 1:], 1, 0)
                x = x[:, 0]  # noqa: PLW2901
            elif gradients is not None:
                own = gradients.take(x.shape)
            yield self.maps(x), None if own is None else np.stack([self.maps(g) for g in own])

    def beside(self, values: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """(samples as they came, and as :meth:`walk` gives them), cut to about ``values`` each."""
        for x, (maps, gradients) in zip(self.samples(), self.walk("samples"), strict=True):
            count = max(1, values * len(x) // max(1, x.size))
            rows = count * len(maps) // len(x)  # a sample's places may be samples of their own
            yield x[:count], maps[:rows], None if gradients is None else gradients[:, :rows]

    def maps(self, x: np.ndarray) -> np.ndarray:
        """Samples (n, ...) as maps; see :class:`Layout`."""
        if self._varies:
            axis = channel_axis_of(x.ndim, self.channel_axis)
            return np.moveaxis(x, axis, -1).reshape(-1, self.layout.channels, 1, 1)
        return self.layout.maps(x)


class _Gradients:
    """One walk over gradients, handed out in the samples' batches."""

    def __init__(self, metric: Any, nsamples: int) -> None:
        self._ready: list[np.ndarray] = []  # (n, draws, ...)
        if isinstance(metric, Batches):
            self._items: Iterator[np.ndarray] = metric.walk("gradients")
            return
        tensor = as_tensor(metric)
        array = widen(tensor.array) if tensor.bfloat16 else tensor.array
        if nsamples not in array.shape[:2]:
            raise ParameterError(
                f"metric of shape {array.shape}: must be one gradient for each of the {nsamples} "
                "samples, with a first or second axis of draws if there are several"
            )
        self._items = iter([array])

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """float32 (draws, *shape). Errors: ParameterError where they do not fit the samples."""
        while sum(map(len, self._ready)) < shape[0]:
            item = next(self._items, None)
            if item is None:
                raise ParameterError("metric ends before the samples: one gradient for each")
            self._ready.append(_samples_first(item, shape))
        found = self._ready[0] if len(self._ready) == 1 else np.concatenate(self._ready)
        self._ready = [found[shape[0] :]]
        return np.moveaxis(found[: shape[0]], 1, 0).astype(np.float32, copy=False)


def _samples_first(item: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Gradients as (n, draws, ...); of two leading axes the shorter one counts draws."""
    inner = shape[1:]
    if item.shape[1:] == inner:
        return item[:, None]
    if item.ndim == len(shape) + 1 and item.shape[2:] == inner:
        second = item.shape[1] == shape[0] or item.shape[0] <= item.shape[1]
        return np.moveaxis(item, 1, 0) if second and item.shape[0] != shape[0] else item
    raise ParameterError(
        f"metric has a batch of shape {item.shape}: must be gradients with respect to samples of "
        f"shape {inner}, with a first or second axis of draws if there are several"
    )
