"""Ridge regression of values on the symbols around them, by features or by fewer rows."""

from __future__ import annotations

import numpy as np

from .rows import Rows, feature_rows, row_chunks

__all__ = ["Dual", "Normal", "equations_of", "joined", "ridge_solve"]

LEAST_ROWS = 256  # the largest rank: rows have as many directions at most
COLUMNS = 2048  # features scaled at a time


def ridge_solve(
    gram: np.ndarray, cross: np.ndarray, ridge: float, rough: bool = False
) -> np.ndarray:
    """Ridge solution with penalties in proportion to each feature's own variance.

    ``rough``: in single precision, for comparing.
    """
    penalized = gram.astype(np.float32 if rough else np.float64)
    penalized.flat[:: len(gram) + 1] += ridge * np.diag(gram) + 1.0
    return np.linalg.solve(penalized, cross.astype(penalized.dtype, copy=False))


class Normal:
    """Normal equations: the centred Gram matrix (F, F) and products with the values (F, C)."""

    def __init__(self, rows: Rows, values: np.ndarray) -> None:
        width, channels = (rows.s.shape[1] + 1) // 2 * 4, rows.s.shape[1]
        self.gram, self.cross = np.zeros((width, width)), np.zeros((width, channels))
        self._inputs, self._outputs = np.zeros(width), np.zeros(channels)  # means
        self._count = len(rows)
        for part in row_chunks(len(rows)):
            a = feature_rows(rows[part], values)
            x = rows.x[part]
            self.gram += a.T @ a
            self.cross += a.T @ x
            self._inputs += a.sum(0, dtype=np.float64) / self._count
            self._outputs += x.sum(0, dtype=np.float64) / self._count
        self._shift(-self._count, self._inputs, self._outputs)

    def _shift(self, factor: float, inputs: np.ndarray, outputs: np.ndarray) -> None:
        self.gram += np.outer(factor * inputs, inputs)
        self.cross += np.outer(factor * inputs, outputs)

    def add(self, other: Normal) -> None:
        """From now on the equations of both's rows."""
        total = self._count + other._count
        inputs, outputs = other._inputs - self._inputs, other._outputs - self._outputs
        self.gram += other.gram
        self.cross += other.cross
        self._shift(self._count * other._count / total, inputs, outputs)
        self._inputs += inputs * (other._count / total)
        self._outputs += outputs * (other._count / total)
        self._count = total

    def solve(self, ridge: float, outputs: np.ndarray | None = None) -> np.ndarray:
        """Weights (F, C), with penalties in proportion to each feature's own variance.

        ``outputs``: of these channels alone, roughly.
        """
        if outputs is None:
            return ridge_solve(self.gram, self.cross, ridge)
        return ridge_solve(self.gram, self.cross[:, outputs], ridge, rough=True)

    def directions(self, weights: np.ndarray, most: int) -> np.ndarray:
        """At most ``most`` output directions by falling explained variance.

        Reduced-rank regression: Izenman, "Reduced-rank regression for the multivariate linear
        model", 1975. In single precision: they are chosen among, and rounded, afterwards.
        """
        w = weights.astype(np.float32)
        _, vectors = np.linalg.eigh(w.T @ (self.gram.astype(np.float32) @ w))
        return vectors[:, ::-1][:, :most].astype(np.float64)

    def refined(self, weights: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """The same from those of other rows: a step of subspace iteration."""
        return np.linalg.qr(weights.T @ (self.gram @ (weights @ directions)))[0]


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

    def solve(self, ridge: float, outputs: np.ndarray | None = None) -> np.ndarray:
        """As :meth:`Normal.solve`."""
        x = self.x if outputs is None else self.x[:, outputs]
        scale = (1 / np.sqrt(ridge * self.diagonal + 1.0)).astype(np.float32)
        kernel = np.eye(len(self.a), dtype=np.float64 if outputs is None else np.float32)
        for part in self._parts():
            a = self.a[:, part] * scale[part]
            kernel += a @ a.T
        solved = np.linalg.solve(kernel, x.astype(kernel.dtype, copy=False)).astype(np.float32)
        return (self.a.T @ solved) * (scale * scale)[:, None]

    def directions(self, weights: np.ndarray, most: int) -> np.ndarray:
        """As :meth:`Normal.directions`, as many as there are rows."""
        found = self.a @ weights.astype(np.float32)
        squares, vectors = np.linalg.eigh(found @ found.T)
        lengths = np.sqrt(np.maximum(squares, 1e-12 * squares[-1] + 1e-30))
        return (found.T @ (vectors / lengths))[:, ::-1][:, :most].astype(np.float64)

    def refined(self, weights: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """As :meth:`Normal.refined`."""
        found = self.a @ weights.astype(np.float32)
        return np.linalg.qr((found.T @ (found @ directions)).astype(np.float64))[0]


def _is_dual(count: int, channels: int) -> bool:
    return LEAST_ROWS <= count < 2 * channels


def equations_of(rows: Rows, values: np.ndarray) -> Normal | Dual:
    """Whichever of both is less work."""
    return (Dual if _is_dual(*rows.s.shape) else Normal)(rows, values)


def joined(some: Normal | Dual, rows: Rows, others: Rows, values: np.ndarray) -> Normal | Dual:
    """The equations of all ``rows``: those of ``some`` and of ``others``, if these can be added."""
    if isinstance(some, Dual) or _is_dual(*rows.s.shape):
        return equations_of(rows, values)
    if len(others) < len(rows):
        some.add(Normal(others, values))
    return some
