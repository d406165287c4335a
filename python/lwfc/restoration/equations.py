"""Ridge regression of values on the symbols around them, by features or by fewer rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .rows import Rows, feature_rows, row_chunks

__all__ = ["Dual", "Normal", "equations_of", "joined", "ridge_solve"]

LEAST_ROWS = 256  # the largest rank: rows have as many directions at most
COLUMNS = 2048  # features scaled at a time
FACTORS = 1 << 25  # bytes of a matrix up to which the factors of other ridges are kept
ROUGH = 1e-2  # the least ridge that single precision is enough for
SPARE, TURNS = 8, 2  # directions more than asked for, and iterations, for accuracy


def _whitening(matrix: np.ndarray) -> np.ndarray:
    """The inverse of the lower Cholesky factor, by halves: nearly all of it products."""
    if len(matrix) <= 128:
        return np.linalg.inv(np.linalg.cholesky(matrix))
    half = len(matrix) // 2
    out = np.zeros_like(matrix)
    first = out[:half, :half] = _whitening(matrix[:half, :half])
    below = matrix[half:, :half] @ first.T
    second = out[half:, half:] = _whitening(matrix[half:, half:] - below @ below.T)
    out[half:, :half] = -second @ (below @ first)
    return out


class _Factor:
    """Of a symmetric positive definite matrix, for many solutions."""

    def __init__(self, matrix: np.ndarray) -> None:
        self._whitening = _whitening(matrix)

    def solve(self, x: np.ndarray) -> np.ndarray:
        return self._whitening.T @ (self._whitening @ x.astype(self._whitening.dtype))


class _Ridge:
    """Normal equations with penalties in proportion to each feature's own variance."""

    def __init__(self, gram: np.ndarray, ridge: float) -> None:
        dtype = np.float32 if ridge >= ROUGH else np.float64
        diagonal = np.diag(gram)
        scale = 1 / np.sqrt(diagonal + 1.0)
        self._scale = scale.astype(dtype)[:, None]
        matrix = gram.astype(dtype)
        matrix *= self._scale
        matrix *= self._scale.T
        matrix.flat[:: len(gram) + 1] += (ridge * diagonal + 1.0) * scale**2
        self._factor = _Factor(matrix)

    def solve(self, cross: np.ndarray) -> np.ndarray:
        found = self._scale * self._factor.solve(cross * self._scale)
        return found.astype(np.float32, copy=False)


def ridge_solve(gram: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """Weights of one regression."""
    return _Ridge(gram, ridge).solve(cross)


def _leading(
    explain: Callable[[np.ndarray], np.ndarray], channels: int, most: int
) -> np.ndarray:
    """Leading eigenvectors of a symmetric matrix of which products with others are known.

    Halko, Martinsson, Tropp, "Finding structure with randomness", 2011, algorithm 4.4.
    """
    count = min(channels, most + SPARE)
    found = np.random.default_rng(0).normal(size=(channels, count)).astype(np.float32)
    for _ in range(TURNS):
        found = np.linalg.qr(explain(found))[0]
    within = found.T @ explain(found)
    _, vectors = np.linalg.eigh(within + within.T)
    return found @ vectors[:, ::-1][:, :most]


def _outputs(x: np.ndarray, outputs: np.ndarray | None) -> np.ndarray:
    """All columns, those of some numbers, or sums of columns weighted by (C, k)."""
    if outputs is None:
        return x
    return x[:, outputs] if outputs.ndim == 1 else x @ outputs.astype(x.dtype)


class _Equations:
    """What a ridge regression of all channels' values explains, and of sums of them."""

    channels: int

    def explain(self, ridge: float, outputs: np.ndarray) -> np.ndarray:
        """X' A (A'A + R)^-1 A' X times ``outputs`` (C, k): (C, k)."""
        raise NotImplementedError

    def directions(self, ridge: float, most: int) -> np.ndarray:
        """At most ``most`` output directions (C, most) by falling explained variance.

        Mukherjee, Zhu, "Reduced rank ridge regression and its kernel extensions", 2011.
        """
        return _leading(lambda u: self.explain(ridge, u), self.channels, most)

    def refined(self, ridge: float, directions: np.ndarray) -> np.ndarray:
        """The same from those of other rows: a step of subspace iteration."""
        return np.linalg.qr(self.explain(ridge, directions))[0]


class Normal(_Equations):
    """Normal equations: the centred Gram matrix (2 C, 2 C), products with the values (2 C, C)."""

    def __init__(self, rows: Rows, values: np.ndarray) -> None:
        channels = rows.s.shape[1]
        width = 2 * channels
        self.gram, self.cross = np.zeros((width, width)), np.zeros((width, channels), np.float32)
        self._inputs, self._outputs = np.zeros(width), np.zeros(channels)  # means
        self.channels, self._count = channels, len(rows)
        self._known: dict[float, _Ridge] = {}
        for part in row_chunks(len(rows)):
            a = feature_rows(rows[part], values)
            x = rows.x[part]
            self.gram += a.T @ a
            self.cross += a.T @ x
            self._inputs += a.sum(0, dtype=np.float64) / self._count
            self._outputs += x.sum(0, dtype=np.float64) / self._count
        self._shift(-self._count, self._inputs, self._outputs)

    def _shift(self, factor: float, inputs: np.ndarray, outputs: np.ndarray) -> None:
        for gram, cross, mean in zip(self.gram, self.cross, factor * inputs, strict=True):
            gram += mean * inputs
            cross += (mean * outputs).astype(np.float32)

    def add(self, other: Normal) -> None:
        """From now on the equations of both's rows."""
        total = self._count + other._count
        inputs, outputs = other._inputs - self._inputs, other._outputs - self._outputs
        self.gram += other.gram
        self.cross += other.cross
        self._shift(self._count * other._count / total, inputs, outputs)
        self._inputs += inputs * (other._count / total)
        self._outputs += outputs * (other._count / total)
        self._count, self._known = total, {}

    def _regression(self, ridge: float) -> _Ridge:
        if ridge not in self._known:
            if self.gram.nbytes > FACTORS:
                self._known.clear()
            self._known[ridge] = _Ridge(self.gram, ridge)
        return self._known[ridge]

    def solve(self, ridge: float, outputs: np.ndarray | None = None) -> np.ndarray:
        """Weights (2 C, C), with penalties in proportion to each feature's own variance.

        ``outputs``: of these channels alone, or (C, k), of k sums of channels.
        """
        return self._regression(ridge).solve(_outputs(self.cross, outputs))

    def explain(self, ridge: float, outputs: np.ndarray) -> np.ndarray:
        """As :meth:`_Equations.explain`."""
        return self.cross.T @ self._regression(ridge).solve(_outputs(self.cross, outputs))


class Dual(_Equations):
    """The same from fewer rows than features: (A'A + R)^-1 A'X = R^-1 A' (A R^-1 A' + I)^-1 X.

    C. Saunders, A. Gammerman, V. Vovk, "Ridge regression learning algorithm in dual variables",
    1998. Weights of all channels are never formed: they would outweigh everything else.
    """

    def __init__(self, rows: Rows, values: np.ndarray) -> None:
        self.channels = rows.s.shape[1]
        self.a = feature_rows(rows, values)
        self.a -= self.a.mean(0, dtype=np.float64).astype(np.float32)
        self.x = rows.x - rows.x.mean(0, dtype=np.float64).astype(np.float32)
        self.diagonal = np.einsum("ij,ij->j", self.a, self.a, dtype=np.float64)
        self._known: tuple[float, np.ndarray, _Factor] | None = None

    def _regression(self, ridge: float) -> tuple[np.ndarray, _Factor]:
        """1 / R of each feature, and A R^-1 A' + I."""
        if self._known is None or self._known[0] != ridge:
            penalty = ridge * self.diagonal + 1.0
            scale, width = (1 / np.sqrt(penalty)).astype(np.float32), len(penalty)
            kernel = np.eye(len(self.a), dtype=np.float32 if ridge >= ROUGH else np.float64)
            for i in range(0, width, COLUMNS):
                a = self.a[:, i : i + COLUMNS] * scale[i : i + COLUMNS]
                kernel += a @ a.T
            self._known = ridge, scale * scale, _Factor(kernel)
        return self._known[1:]

    def solve(self, ridge: float, outputs: np.ndarray | None = None) -> np.ndarray:
        """As :meth:`Normal.solve`."""
        inverse, factor = self._regression(ridge)
        solved = factor.solve(_outputs(self.x, outputs)).astype(np.float32, copy=False)
        return (self.a.T @ solved) * inverse[:, None]

    def explain(self, ridge: float, outputs: np.ndarray) -> np.ndarray:
        """As :meth:`_Equations.explain`, which here is X' K (K + I)^-1 X, K = A R^-1 A'."""
        x = _outputs(self.x, outputs)
        return self.x.T @ (x - self._regression(ridge)[1].solve(x).astype(np.float32))


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
