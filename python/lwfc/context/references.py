"""Which channels come first: greedy facility location on the covariances of the symbols."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["coding_order", "covariances"]

Array = npt.NDArray[Any]


def covariances(symbols: Array) -> tuple[Array, Array]:
    """Of symbols uint8 (C, rows): float32 (C, C), and the means (C,) float64.

    The sums are whole numbers below 2^24, which float32 holds: the same for every BLAS.
    """
    columns = symbols.astype(np.float32)
    mean = symbols.mean(axis=1, dtype=np.float64)
    matrix = columns @ columns.T
    matrix *= np.float32(1 / symbols.shape[1])
    for row, own in zip(matrix, mean, strict=True):
        row -= (own * mean).astype(np.float32)
    return matrix, mean


def coding_order(matrix: Array) -> Array:
    """Each next channel explains most of those still to come; int32 (C,)."""
    diagonal = np.diag(matrix)
    scale = 1.0 / np.sqrt(diagonal + 1e-3)
    gain = matrix * scale
    gain *= scale[:, None]
    gain *= gain
    np.fill_diagonal(gain, 0.0)
    gain *= diagonal / (diagonal + np.float32(0.05))  # row: who explains, column: whom
    # What a channel adds only ever falls, so a stale figure is a bound.
    heap = [(-float(score), j) for j, score in enumerate(gain.sum(axis=1))]
    heapq.heapify(heap)
    best = np.zeros(len(gain), np.float32)
    order: list[int] = []
    while heap:
        _, j = heapq.heappop(heap)
        score = -float(np.maximum(gain[j] - best, 0.0).sum())
        if heap and (score, j) > heap[0]:
            heapq.heappush(heap, (score, j))
            continue
        order.append(j)
        np.maximum(best, gain[j], out=best)
        best[j] = np.inf  # explained: it adds to no other's score
    return np.array(order, np.int32)
