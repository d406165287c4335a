"""How far outputs moved."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["Loss", "spread"]


def _floats(outputs: Sequence[Any]) -> list[np.ndarray]:
    """The outputs that can move by degrees: floats, and quantized networks' 8-bit integers."""
    arrays = [np.asarray(y) for y in outputs]
    return [
        x.astype(np.float64)
        for x in arrays
        if x.dtype.kind == "f" or (x.dtype.kind in "iu" and x.itemsize == 1)
    ]


def spread(outputs: Sequence[Any]) -> float:
    """Squared distance of the outputs from their mean, each output tensor by itself, in sum."""
    return sum(float(np.square(y - y.mean()).sum()) for y in _floats(outputs) if y.size)


class Loss:
    """Sums over batches. ``relative``: squared error of the outputs over their :func:`spread`;
    ``agreement``: share of samples whose largest output keeps its place, None where the first
    output is no (samples, classes) matrix.
    """

    def __init__(self) -> None:
        self._error = self._spread = 0.0
        self._same = self._samples = 0
        self._classes = True

    def add(self, coded: Sequence[Any], whole: Sequence[Any]) -> None:
        """Count the outputs of one batch against those of the uncut network."""
        for y, x in zip(_floats(coded), _floats(whole), strict=True):
            self._error += float(np.square(y - x).sum())
        self._spread += spread(whole)
        first, true = np.asarray(coded[0]), np.asarray(whole[0])
        self._classes = self._classes and true.ndim == 2 and len(_floats([true])) > 0
        if self._classes:
            self._same += int((first.argmax(1) == true.argmax(1)).sum())
            self._samples += len(true)

    @property
    def relative(self) -> float:
        if not math.isfinite(self._error):
            return math.inf
        if self._spread == 0:
            return 0.0 if self._error == 0 else math.inf
        return self._error / self._spread

    @property
    def agreement(self) -> float | None:
        known = self._classes and self._samples
        return self._same / self._samples if known else None


def total_loss(pairs: Iterable[tuple[Sequence[Any], Sequence[Any]]]) -> Loss:
    """The loss over (outputs, outputs of the uncut network) of several batches."""
    loss = Loss()
    for coded, whole in pairs:
        loss.add(coded, whole)
    return loss
