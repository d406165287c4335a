"""What the rows of a search's log belong to: options, and samples told apart in one walk."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .samples import Batches

__all__ = ["identity", "same_mark"]

CLOSE = 1e-6  # relative: sums of the same values in another order or by other kernels


def identity(batches: Batches) -> dict[str, Any]:
    """What tells these samples from others, JSON-able; also spools what can be walked once only."""
    found = _Fingerprint()
    for batch in batches.walk("samples"):
        found.add(batch)
    return found.to_json()


class _Fingerprint:
    """Tells sets of samples apart in one walk, whatever the order of samples and batches.

    Counts, the sums of values and of squares, and the values' projection on one fixed random
    vector: equal data agree but for rounding, other data do not.
    """

    def __init__(self) -> None:
        self._count = self._elements = 0
        self._shape: tuple[int, ...] | None = None
        self._sums = np.zeros(3)
        self._vector = np.empty(0, np.float32)

    def add(self, batch: np.ndarray) -> None:
        """Adds float32 samples, shape (n, ...)."""
        shape = batch.shape[1:]
        self._shape = shape if self._shape in (None, shape) else ()
        self._count += len(batch)
        self._elements += batch.size
        flat = np.nan_to_num(batch.reshape(len(batch), -1), posinf=0, neginf=0)
        if flat.shape[1] != len(self._vector):
            self._vector = np.random.default_rng(1).standard_normal(flat.shape[1], np.float32)
        self._sums += (
            flat.sum(dtype=np.float64),
            np.square(flat, dtype=np.float64).sum(),
            (flat @ self._vector).sum(dtype=np.float64),
        )

    def to_json(self) -> dict[str, Any]:
        """As a log holds it."""
        counts = {"samples": self._count, "elements": self._elements}
        return counts | {"shape": list(self._shape or ()), "sums": self._sums.tolist()}


def _agree(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if any(a[name] != b[name] for name in ("samples", "elements", "shape")):
        return False
    (*firsts, one), (*seconds, two) = a["sums"], b["sums"]
    energy = max(firsts[1], seconds[1], 1e-300)
    near = abs(firsts[1] - seconds[1]) <= CLOSE * energy
    # A sum of n values is uncertain by its root mean square times n, a projection by their norm.
    tolerance = CLOSE * np.sqrt(energy * max(1, a["elements"]))
    return near and abs(firsts[0] - seconds[0]) <= tolerance and abs(one - two) <= tolerance


def same_mark(kept: Mapping[str, Any], mark: Mapping[str, Any]) -> bool:
    """Whether a log's line is of these options and samples."""
    samples, ours = kept["samples"], mark["samples"]
    return (
        kept["options"] == mark["options"]
        and len(samples) == len(ours)
        and all(map(_agree, samples, ours))
    )
