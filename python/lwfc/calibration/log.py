"""The log of a search: rows on disk that belong to their options and to their samples."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import append_line, read_log

__all__ = ["Fingerprint", "Log"]

CLOSE = 1e-6  # relative: sums of the same values in another order or by other kernels


class Fingerprint:
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


def _same(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> bool:
    return len(a) == len(b) and all(map(_agree, a, b))


def _agree(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if any(a[name] != b[name] for name in ("samples", "elements", "shape")):
        return False
    (*firsts, one), (*seconds, two) = a["sums"], b["sums"]
    energy = max(firsts[1], seconds[1], 1e-300)
    near = abs(firsts[1] - seconds[1]) <= CLOSE * energy
    # A sum of n values is uncertain by its root mean square times n, a projection by their norm.
    tolerance = CLOSE * np.sqrt(energy * max(1, a["elements"]))
    return near and abs(firsts[0] - seconds[0]) <= tolerance and abs(one - two) <= tolerance


class Log:
    """One JSON object a line; one that was cut off is passed over."""

    def __init__(
        self,
        path: str | os.PathLike | None,
        fixed: Mapping[str, Any],
        samples: Sequence[Mapping[str, Any]],
    ) -> None:
        self._path = None if path is None else Path(path)
        self._fixed = json.dumps(fixed, sort_keys=True, default=str)
        self._samples = samples
        self._known: dict[str, dict[str, Any]] = {}
        if self._path is None:
            return
        for line in read_log(self._path, '{"fixed": ').splitlines():
            try:
                entry = json.loads(line)
                if entry["fixed"] == self._fixed and _same(entry["samples"], samples):
                    self._known[entry["key"]] = entry["row"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, key: str, *names: str) -> dict[str, Any] | None:
        """What was put under a key, for these options and samples; None also where somebody edited
        it so that these names hold no numbers.
        """
        row = self._known.get(key)
        if not isinstance(row, dict):
            return None
        return row if all(isinstance(row.get(name), (int, float)) for name in names) else None

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row, on disk too."""
        self._known[key] = row
        if self._path is not None:
            entry = {"fixed": self._fixed, "samples": self._samples, "key": key, "row": row}
            append_line(self._path, json.dumps(entry))
