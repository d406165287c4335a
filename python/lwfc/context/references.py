"""Which channels come first, and which earlier ones a channel refers to.

The order is greedy facility location; references are chosen by orthogonal matching pursuit
(Pati et al., 1993). Both work on covariances, which are summed once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Covariances", "choose_columns"]

Array = npt.NDArray[Any]

_SCREENED_ROWS = 2048  # for covariances with a channel's own neighbours
_CANDIDATES = 192  # channels a reference is chosen from
_CHUNK = 2048


class Covariances:
    """Of all channels at the same place: centred symbols of some rows, and the matrix of all rows.

    columns float32 (at most SCREENED rows, C), picked evenly; matrix float32 (C, C).
    """

    def __init__(self, symbols: Array) -> None:
        rows, channels = symbols.shape
        self.step = max(1, rows // _SCREENED_ROWS)
        self.matrix = np.zeros((channels, channels), np.float32)
        self.mean = symbols.mean(axis=0, dtype=np.float64).astype(np.float32)
        for start in range(0, rows, _CHUNK):
            part = symbols[start : start + _CHUNK].astype(np.float32)
            part -= self.mean
            self.matrix += part.T @ part
        self.matrix /= np.float32(rows)
        self.columns = symbols[:: self.step].astype(np.float32)
        self.columns -= self.mean

    def order(self) -> Array:
        """Greedy facility location: each next channel explains most of those still to come."""
        diagonal = np.diag(self.matrix)
        scale = 1.0 / np.sqrt(diagonal + 1e-3)
        gain = self.matrix * scale
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
        return np.array(order, np.int64)

    def choose(self, channel: int, earlier: Array, local: Array, most: int) -> Array:
        """Which of the channels `earlier` to refer to; local (rows, n): own neighbours."""
        if len(earlier) == 0 or self.matrix[channel, channel] == 0:
            return np.zeros(0, np.int64)
        shared = self.matrix[channel, earlier]
        near = np.arange(len(earlier))
        if len(earlier) > _CANDIDATES:
            strength = shared**2 / (self.matrix[earlier, earlier] + np.float32(2e-3))
            near = np.sort(np.argpartition(-strength, _CANDIDATES)[:_CANDIDATES])
        local = local[:: self.step]
        local = local - local.mean(axis=0)
        basis = np.column_stack([local, self.columns[:, channel]])
        columns = self.columns[:, earlier[near]]
        own = (basis.T @ basis).astype(np.float64) / len(basis)
        own[-1, -1] = self.matrix[channel, channel]
        cross = (basis.T @ columns) / np.float32(len(basis))
        cross[-1] = shared[near]
        names = earlier[near]
        return near[
            pursue(own, cross, lambda j: self.matrix[names[j], names], self.matrix[names, names],
                   most, self.step * len(basis))
        ]  # fmt: skip


def choose_columns(columns: Array, local: Array, q: Array, most: int) -> Array:
    """Orthogonal matching pursuit: columns that explain q beyond its own neighbours.

    columns uint8 (rows, n), local float32 (rows, m), q (rows,).
    """
    if columns.shape[1] == 0 or q.min() == q.max():
        return np.zeros(0, np.int64)
    rows = len(q)
    target = (q - q.mean()).astype(np.float32)
    joined = np.column_stack([local - local.mean(axis=0), target, columns.astype(np.float32)])
    size = local.shape[1] + 1
    joined[:, size:] -= joined[:, size:].mean(axis=0)
    gram = (joined.T @ joined) / np.float32(rows)
    matrix = gram[size:, size:]
    own, cross = gram[:size, :size].astype(np.float64), gram[:size, size:]
    return pursue(own, cross, lambda j: matrix[j], np.diag(matrix), most, rows)


def pursue(
    own: Array, cross: Array, row: Callable[[int], Array], variance: Array, most: int, rows: int
) -> Array:
    """Orthogonal matching pursuit on covariances, after the first ones of the basis.

    own (m + 1, m + 1): of the basis, whose last is the target; cross (m + 1, n): with the
    candidates; row(j) (n,): of candidate j with all; variance (n,): of each.
    """
    solve = np.linalg.solve(
        own[:-1, :-1] + 1e-4 * np.eye(len(own) - 1),
        np.column_stack([cross[:-1].astype(np.float64), own[:-1, -1]]),
    ).astype(np.float32)
    residual = cross[-1] - own[-1, :-1].astype(np.float32) @ solve[:, :-1]
    variance = variance - (cross[:-1] * solve[:, :-1]).sum(axis=0)
    directions = np.zeros((most, len(residual)), np.float32)
    chosen: list[int] = []
    least = 4.0 * own[-1, -1] / rows
    for i in range(min(most, len(residual))):
        score = np.where(variance > 2e-3, residual**2 / np.maximum(variance + 2e-3, 2e-3), -1.0)
        score[chosen] = -1.0
        j = int(np.argmax(score))
        if score[j] < least:
            break
        chosen.append(j)
        column = row(j) - cross[:-1, j] @ solve[:, :-1]
        column -= directions[:i, j] @ directions[:i]
        directions[i] = column / np.sqrt(variance[j])
        residual = residual - directions[i] * (residual[j] / np.sqrt(variance[j]))
        variance = variance - directions[i] ** 2
    return np.array(chosen, np.int64)
