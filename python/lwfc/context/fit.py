"""The statistics behind `context_model`: channel order, references, ordinal regression.

The regression is Newton's method on a penalised log-likelihood of cumulative logits (McCullagh,
"Regression models for ordinal data", 1980); references are chosen by orthogonal matching pursuit
(Pati et al., 1993) on the covariances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_RIDGE = 10.0


def sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))


def channel_order(symbols: Array) -> Array:
    """Greedy facility location: each next channel explains most of those still to come."""
    matrix = Candidates(symbols).matrix
    scale = 1.0 / np.sqrt(np.diag(matrix) + 1e-3)
    gain = (matrix * scale[:, None] * scale) ** 2
    np.fill_diagonal(gain, 0.0)
    weight = np.diag(matrix) / (np.diag(matrix) + 0.05)
    gain *= weight[:, None]
    channels = len(gain)
    best = np.zeros(channels)
    left = np.ones(channels, bool)
    order = np.empty(channels, np.int64)
    for i in range(channels):
        score = np.maximum(gain[left] - best[left, None], 0.0).sum(axis=0)
        score[~left] = -1.0
        order[i] = int(np.argmax(score))
        left[order[i]] = False
        best = np.maximum(best, gain[:, order[i]])
    return order


class Candidates:
    """What channels may refer to: centred symbols (rows, n) and their covariances."""

    def __init__(self, symbols: Array) -> None:
        self.columns = symbols.astype(np.float32)
        self.columns -= self.columns.mean(axis=0)
        self.matrix = (self.columns.T @ self.columns) / np.float32(len(symbols))

    def choose(self, local: Array, q: Array, most: int) -> Array:
        """Orthogonal matching pursuit: columns that explain q beyond its own neighbours."""
        if self.columns.shape[1] == 0 or q.min() == q.max():
            return np.zeros(0, np.int64)
        rows = len(q)
        target = (q - q.mean()).astype(np.float32)
        basis = np.column_stack([local - local.mean(axis=0), target])
        cross = (basis.T @ self.columns) / rows
        gram = (basis.T @ basis).astype(np.float64) / rows
        solve = np.linalg.solve(
            gram[:-1, :-1] + 1e-4 * np.eye(len(gram) - 1),
            np.column_stack([cross[:-1].astype(np.float64), gram[:-1, -1]]),
        )
        residual = cross[-1] - gram[-1, :-1] @ solve[:, :-1]
        variance = np.diag(self.matrix) - (cross[:-1] * solve[:, :-1]).sum(axis=0)
        directions: list[Array] = []
        chosen: list[int] = []
        for _ in range(min(most, self.columns.shape[1])):
            score = np.where(variance > 2e-3, residual**2 / np.maximum(variance + 2e-3, 2e-3), -1.0)
            score[chosen] = -1.0
            j = int(np.argmax(score))
            if score[j] * rows < 4.0 * gram[-1, -1]:
                break
            chosen.append(j)
            column = self.matrix[j] - cross[:-1, j] @ solve[:, :-1]
            for d in directions:
                column = column - d[j] * d
            direction = column / np.sqrt(variance[j])
            residual = residual - direction * (residual[j] / np.sqrt(variance[j]))
            variance = variance - direction**2
            directions.append(direction)
        return np.array(chosen, np.int64)


@dataclass(frozen=True)
class OrdinalFit:
    """P(q >= k) = sigmoid(eta + b_k + side_k * spread), eta and spread linear in x - mean.

    weights (scores, d): of eta, then of the spread if it is fitted; biases (thresholds,), falling.
    """

    weights: Array
    biases: Array
    mean: Array

    def bits(self, features: Array, q: Array) -> float:
        """Code length of the symbols q (rows,) given features (rows, d).

        Thresholds that cross leave a symbol the coder's least frequency.
        """
        upper, lower = _edges((features - self.mean) @ self.weights.T, q, self.biases)
        frequency = np.maximum(sigmoid(upper) - sigmoid(lower), 1 / 256)
        return float(-np.log2(frequency).sum())


def sides(thresholds: int) -> Array:
    """Which way the spread moves each threshold: 1 in the lower half, -1 in the upper, else 0."""
    return np.sign(thresholds - 1 - 2 * np.arange(thresholds)).astype(np.float64)


def _edges(scores: Array, q: Array, biases: Array) -> tuple[Array, Array]:
    """The logits of P(q >= own symbol) and P(q >= next symbol) of each row."""
    side = np.concatenate([[0.0], sides(len(biases)), [0.0]])
    edges = np.concatenate([[1e3], biases, [-1e3]])
    upper = scores[:, 0] + edges[q]
    lower = scores[:, 0] + edges[q + 1]
    if scores.shape[1] > 1:
        upper = upper + side[q] * scores[:, 1]
        lower = lower + side[q + 1] * scores[:, 1]
    return upper, lower


def _log_likelihood(upper: Array, lower: Array) -> float:
    """Sum of log(sigmoid(upper) - sigmoid(lower)); -inf if they cross anywhere."""
    gap = lower - upper
    if gap.max() >= -1e-6:
        return -np.inf
    return float((np.log(-np.expm1(gap)) - np.logaddexp(0, -upper) - np.logaddexp(0, lower)).sum())


def fit_ordinal(features: Array, q: Array, thresholds: int, spread: bool = False) -> OrdinalFit:
    """Newton's method with step halving; features (rows, d) float32, q (rows,) in 0..thresholds.

    log P(q = k) = log F(a) + log(1 - F(b)) + log(1 - exp(b - a)), a and b the logits of
    P(q >= k) and P(q >= k + 1): concave in both, which are linear in the parameters.
    """
    rows, d = features.shape
    counts = np.bincount(q, minlength=thresholds + 1)
    tail = np.cumsum((counts + 0.5)[::-1])[::-1][1:] / (counts + 0.5).sum()
    mean = features.mean(axis=0)
    newton = _Newton(features - mean, q, thresholds, 2 if spread else 1)
    parameters = np.concatenate([np.zeros(newton.scores * d), np.log(tail / (1 - tail))])
    value, state = newton.value(parameters)
    for _ in range(12):
        gradient, hessian = newton.derivatives(parameters, *state)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        for _ in range(8):
            new = parameters + size * step
            new_value, new_state = newton.value(new)
            if new_value >= value:
                break
            size *= 0.5
        else:
            break
        gained = new_value - value
        parameters, value, state = new, new_value, new_state
        if gained < 1e-4 * rows:
            break
    weights = parameters[: newton.scores * d].reshape(newton.scores, d)
    return OrdinalFit(weights, parameters[newton.scores * d :], mean.astype(np.float64))


class _Newton:
    """The penalised log-likelihood of one channel and its derivatives."""

    def __init__(self, x: Array, q: Array, thresholds: int, scores: int) -> None:
        self.x, self.q, self.scores, self.thresholds = x, q, scores, thresholds
        side = np.concatenate([[0.0], sides(thresholds), [0.0]])
        self.side_upper, self.side_lower = side[q], side[q + 1]
        one_hot = np.zeros((2, len(q), thresholds + 2), np.float32)
        one_hot[0, np.arange(len(q)), q] = 1
        one_hot[1, np.arange(len(q)), q + 1] = 1
        self.upper, self.lower = one_hot[:, :, 1:-1]
        ridge = _RIDGE * (x.std(axis=0) ** 2 + 0.02).astype(np.float64)
        self.ridge = np.concatenate(
            [ridge * (1 + s) for s in range(scores)] + [np.full(thresholds, 0.02)]
        )

    def value(self, parameters: Array) -> tuple[float, tuple[Array, Array]]:
        d = self.x.shape[1]
        weights = parameters[: self.scores * d].reshape(self.scores, d).astype(np.float32)
        biases = parameters[self.scores * d :]
        if np.any(np.diff(biases) >= -1e-3):
            return -np.inf, (biases, biases)
        edges = _edges((self.x @ weights.T).astype(np.float64), self.q, biases)
        penalty = 0.5 * (self.ridge * parameters**2).sum()
        return _log_likelihood(*edges) - float(penalty), edges

    def derivatives(self, parameters: Array, upper: Array, lower: Array) -> tuple[Array, Array]:
        """Gradient and negative Hessian, in weights of eta, of the spread, and biases."""
        x, q, d = self.x, self.q, self.x.shape[1]
        fa, fb = sigmoid(upper), sigmoid(lower)
        fa[q == 0], fb[q == self.thresholds] = 1.0, 0.0
        inner = (q > 0) & (q < self.thresholds)
        gap = np.where(inner, np.exp(np.clip(lower - upper, -50.0, -1e-6)), 0.0)
        slope, curve = gap / (1 - gap), gap / (1 - gap) ** 2
        ga, gb = 1 - fa + slope, -fb - slope
        va, vb = fa * (1 - fa), fb * (1 - fb)
        sa, sb = self.side_upper, self.side_lower
        size = self.scores * d
        gradient = np.empty(size + self.thresholds)
        hessian = np.empty((len(gradient), len(gradient)))
        # What each score adds to the two logits of a row: (1, 1), and the sides.
        factor = ((np.ones_like(sa), np.ones_like(sb)), (sa, sb))[: self.scores]
        for i, (a, b) in enumerate(factor):
            part = slice(i * d, (i + 1) * d)
            gradient[part] = (ga * a + gb * b).astype(np.float32) @ x
            for j, (c, e) in enumerate(factor[: i + 1]):
                weight = va * a * c + vb * b * e + curve * (a - b) * (c - e)
                block = (x * weight.astype(np.float32)[:, None]).T @ x
                hessian[part, j * d : (j + 1) * d] = block
                hessian[j * d : (j + 1) * d, part] = block.T
            first = (va * a + curve * (a - b)).astype(np.float32)
            second = (vb * b + curve * (b - a)).astype(np.float32)
            cross = x.T @ (self.upper * first[:, None] + self.lower * second[:, None])
            hessian[part, size:], hessian[size:, part] = cross, cross.T
        gradient[size:] = ga @ self.upper + gb @ self.lower
        diagonal = (va + curve) @ self.upper + (vb + curve) @ self.lower
        beside = np.bincount(q[inner], curve[inner], self.thresholds + 1)[1 : self.thresholds]
        hessian[size:, size:] = np.diag(diagonal) - np.diag(beside, 1) - np.diag(beside, -1)
        gradient -= self.ridge * parameters
        hessian[np.diag_indices(len(gradient))] += self.ridge
        return gradient, hessian
