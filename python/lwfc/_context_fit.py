"""The statistics behind `context_model`: channel order, references, ordinal regression.

The regression is Newton's method on a penalised log-likelihood of cumulative logits (McCullagh,
"Regression models for ordinal data", 1980); references are chosen by orthogonal matching pursuit
(Pati et al., 1993) on the covariances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_RIDGE = 3.0


def sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))


def covariance(symbols: Array) -> Array:
    """Covariances of the channels (C, C) from symbols (rows, C)."""
    values = symbols.astype(np.float32)
    values -= values.mean(axis=0)
    return (values.T @ values) / np.float32(len(values))


def channel_order(symbols: Array) -> Array:
    """Greedy facility location: each next channel explains most of those still to come."""
    matrix = covariance(symbols)
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


def choose(
    local: Array, q: Array, symbols: Array, candidates: Array, matrix: Array, most: int
) -> Array:
    """Orthogonal matching pursuit: channels that explain q beyond its own neighbours."""
    if len(candidates) == 0 or q.min() == q.max():
        return np.zeros(0, np.int64)
    rows = len(q)
    centred = local - local.mean(axis=0)
    target = (q - q.mean()).astype(np.float32)
    basis = np.column_stack([centred, target])
    cross = (basis.T @ symbols[:, candidates].astype(np.float32)) / rows
    gram = (basis.T @ basis).astype(np.float64) / rows
    solve = np.linalg.solve(
        gram[:-1, :-1] + 1e-4 * np.eye(len(gram) - 1),
        np.column_stack([cross[:-1].astype(np.float64), gram[:-1, -1]]),
    )
    residual = cross[-1] - gram[-1, :-1] @ solve[:, :-1]
    variance = matrix[candidates, candidates] - (cross[:-1] * solve[:, :-1]).sum(axis=0)
    directions: list[Array] = []
    chosen: list[int] = []
    for _ in range(min(most, len(candidates))):
        score = np.where(variance > 2e-3, residual**2 / (variance + 2e-3), -1.0)
        score[chosen] = -1.0
        j = int(np.argmax(score))
        if score[j] * rows < 4.0 * gram[-1, -1]:
            break
        chosen.append(j)
        column = matrix[candidates[j], candidates] - cross[:-1, j] @ solve[:, :-1]
        for d in directions:
            column = column - d[j] * d
        direction = column / np.sqrt(variance[j])
        residual = residual - direction * (residual[j] / np.sqrt(variance[j]))
        variance = variance - direction**2
        directions.append(direction)
    return candidates[np.array(chosen, np.int64)]


def _log_likelihood(eta: Array, q: Array, biases: Array) -> float:
    edges = np.concatenate([[1e3], biases, [-1e3]])
    a, b = eta + edges[q], eta + edges[q + 1]
    return float((np.log(-np.expm1(b - a)) - np.logaddexp(0, -a) - np.logaddexp(0, b)).sum())


def fit_ordinal(features: Array, q: Array, thresholds: int) -> tuple[Array, Array, Array]:
    """Newton's method with step halving; features (rows, d) float32, q (rows,) in 0..thresholds.

    Returns weights (d,), biases (thresholds,) of the centred features, and their means (d,).
    log P(q = k) = log F(a) + log(1 - F(b)) + log(1 - exp(b - a)) with a = eta + b_k and
    b = eta + b_{k+1}: the last term does not depend on eta.
    """
    rows, d = features.shape
    counts = np.bincount(q, minlength=thresholds + 1)
    tail = np.cumsum((counts + 0.5)[::-1])[::-1][1:] / (counts + 0.5).sum()
    biases = np.log(tail / (1 - tail))
    mean = features.mean(axis=0)
    x = features - mean
    ridge = _RIDGE * (x.std(axis=0) ** 2 + 0.02).astype(np.float64)
    weights, eta = np.zeros(d), np.zeros(rows)
    lower = np.zeros((rows, thresholds + 2), np.float32)
    upper = np.zeros((rows, thresholds + 2), np.float32)
    lower[np.arange(rows), q] = 1
    upper[np.arange(rows), q + 1] = 1
    lower, upper = lower[:, 1:-1], upper[:, 1:-1]

    def penalty(w: Array, b: Array) -> float:
        return float(0.5 * (ridge * w * w).sum() + 0.01 * (b * b).sum())

    value = _log_likelihood(eta, q, biases) - penalty(weights, biases)
    for _ in range(12):
        gradient, hessian = _derivatives(x, q, eta, biases, lower, upper, counts)
        gradient -= np.concatenate([ridge * weights, 0.02 * biases])
        hessian[np.diag_indices(d + thresholds)] += np.concatenate(
            [ridge, np.full(thresholds, 0.02)]
        )
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        for _ in range(8):
            new_w, new_b = weights + size * step[:d], biases + size * step[d:]
            if np.all(np.diff(new_b) < -1e-3):
                new_eta = (x @ new_w.astype(np.float32)).astype(np.float64)
                new_value = _log_likelihood(new_eta, q, new_b) - penalty(new_w, new_b)
                if new_value >= value:
                    break
            size *= 0.5
        else:
            break
        gained = new_value - value
        weights, biases, eta, value = new_w, new_b, new_eta, new_value
        if gained < 1e-4 * rows:
            break
    return weights, biases, mean.astype(np.float64)


def _derivatives(
    x: Array, q: Array, eta: Array, biases: Array, lower: Array, upper: Array, counts: Array
) -> tuple[Array, Array]:
    """Gradient and negative Hessian of the log-likelihood in (weights, biases)."""
    d, thresholds = x.shape[1], len(biases)
    edges = np.concatenate([[1e3], biases, [-1e3]])
    fa, fb = sigmoid(eta + edges[q]), sigmoid(eta + edges[q + 1])
    fa[q == 0], fb[q == thresholds] = 1.0, 0.0
    va, vb = (fa * (1 - fa)).astype(np.float32), (fb * (1 - fb)).astype(np.float32)
    gap = np.exp(np.clip(np.diff(edges), -50.0, -1e-4))
    slope, curve = counts * gap / (1 - gap), counts * gap / (1 - gap) ** 2
    gradient = np.empty(d + thresholds)
    gradient[:d] = (1 - fa - fb).astype(np.float32) @ x
    gradient[d:] = (1 - fa) @ lower - fb @ upper + slope[1:] - slope[:-1]
    hessian = np.empty((d + thresholds, d + thresholds))
    hessian[:d, :d] = (x * (va + vb)[:, None]).T @ x
    hessian[:d, d:] = x.T @ (lower * va[:, None] + upper * vb[:, None])
    hessian[d:, :d] = hessian[:d, d:].T
    inner = np.diag(va @ lower + vb @ upper + curve[1:] + curve[:-1])
    inner -= np.diag(curve[1:-1], 1) + np.diag(curve[1:-1], -1)
    hessian[d:, d:] = inner
    return gradient, hessian
