"""Ridge regression of values on the symbols around them, by features or by fewer rows."""

from __future__ import annotations

import numpy as np

from .rows import Rows, feature_rows, row_chunks

__all__ = ["Dual", "Normal", "equations_of", "ridge_solve"]

LEAST_ROWS = 256  # the largest rank: rows have as many directions at most
COLUMNS = 2048  # features turned into doubles at a time


def ridge_solve(gram: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge solution with penalties in proportion to each feature's own variance."""
    diagonal = np.diag(gram)
    return np.linalg.solve(gram + np.diag(ridge * diagonal + 1.0), cross)


class Normal:
    """Normal equations: the centred Gram matrix (F, F) and products with the values (F, C)."""

    def __init__(self, rows: Rows, values: np.ndarray) -> None:
        width, channels = (rows.s.shape[1] + 1) // 2 * 4, rows.s.shape[1]
        self.gram, self.cross = np.zeros((width, width)), np.zeros((width, channels))
        total, mean = np.zeros(width), np.zeros(channels)
        for part in row_chunks(len(rows)):
            a = feature_rows(rows[part], values)
            x = rows.x[part]
            self.gram += a.T @ a
            self.cross += a.T @ x
            total += a.sum(0, dtype=np.float64)
            mean += x.sum(0, dtype=np.float64)
        n = len(rows)
        self.gram -= np.outer(total, total) / n
        self.cross -= np.outer(total, mean) / n

    def solve(self, ridge: float) -> np.ndarray:
        """Weights (F, C), with penalties in proportion to each feature's own variance."""
        return ridge_solve(self.gram, self.cross, ridge)

    def directions(self, weights: np.ndarray) -> np.ndarray:
        """Output directions by falling explained variance (reduced-rank regression)."""
        _, vectors = np.linalg.eigh(weights.T @ self.gram @ weights)
        return vectors[:, ::-1]


class Dual:
    """The same from fewer rows than features: (A'A + R)^-1 A'X = R^-1 A' (A R^-1 A' + I)^-1 X.

    C. Saunders, A. Gammerman, V. Vovk, "Ridge regression learning algorithm in dual variables",
    1998.
    """

    def __init__(self, rows: Rows, values: np.ndarray) -> None:
        self.a = feature_rows(rows, values)
        self.a -= self.a.mean(0, dtype=np.float64).astype(np.float32)
        self.x = rows.x - rows.x.mean(0, dtype=np.float64)
        self.diagonal = np.einsum("ij,ij->j", self.a, self.a, dtype=np.float64)

    def _parts(self) -> list[slice]:
        width = self.a.shape[1]
        return [slice(i, min(i + COLUMNS, width)) for i in range(0, width, COLUMNS)]

    def solve(self, ridge: float) -> np.ndarray:
        """As :meth:`Normal.solve`."""
        penalty = ridge * self.diagonal + 1.0
        kernel = np.eye(len(self.a))
        for part in self._parts():
            a = self.a[:, part].astype(np.float64)
            kernel += (a / penalty[part]) @ a.T
        solved = np.linalg.solve(kernel, self.x)
        weights = np.empty((self.a.shape[1], self.x.shape[1]))
        for part in self._parts():
            weights[part] = (self.a[:, part] / penalty[part]).T @ solved
        return weights

    def directions(self, weights: np.ndarray) -> np.ndarray:
        """As :meth:`Normal.directions`, as many as there are rows."""
        found = sum(self.a[:, part].astype(np.float64) @ weights[part] for part in self._parts())
        squares, vectors = np.linalg.eigh(found @ found.T)
        lengths = np.sqrt(np.maximum(squares, 1e-12 * squares[-1] + 1e-300))
        return (found.T @ (vectors / lengths))[:, ::-1]


def equations_of(rows: Rows, values: np.ndarray) -> Normal | Dual:
    """Whichever of both is less work."""
    few = LEAST_ROWS <= len(rows) < 2 * rows.s.shape[1]
    return (Dual if few else Normal)(rows, values)
