"""Ordinal regression of a channel's symbols: Newton's method on the penalised log-likelihood of
cumulative logits (McCullagh, "Regression models for ordinal data", 1980).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_RIDGE = 10.0
_STEPS = 16
_CURVATURE_ROWS = 1536
_COARSE, _COARSE_ROWS = 4, 1024  # the first steps take every fourth row, if that leaves enough
_CERTAIN, _FARTHEST, _LEAST = 60.0, 25.0, 1e-30  # float32: logits and a probability


def sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))


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


def fit_ordinal(features: Array, q: Array, thresholds: int, spread: bool = False) -> OrdinalFit:
    """Newton's method with step halving; features (rows, d) float32, q (rows,) in 0..thresholds.

    log P(q = k) = log F(a) + log(1 - F(b)) + log(1 - exp(b - a)), a and b the logits of
    P(q >= k) and P(q >= k + 1): concave in both, which are linear in the parameters. Curvature is
    taken from some of the rows, which steers as well as all of them; value and gradient from all.
    """
    counts = np.bincount(q, minlength=thresholds + 1)
    tail = np.cumsum((counts + 0.5)[::-1])[::-1][1:] / (counts + 0.5).sum()
    mean = features.mean(axis=0)
    x, scores = features - mean, 2 if spread else 1
    size = scores * x.shape[1]
    parameters = start = np.concatenate([np.zeros(size), np.log(tail / (1 - tail))])
    newton = _Newton(x, q, thresholds, scores)
    if len(x) >= _COARSE * _COARSE_ROWS:
        some = slice(None, None, _COARSE)
        coarse = _Newton(np.ascontiguousarray(x[some]), q[some], thresholds, scores)
        parameters = _climb(coarse, start)
        if newton.value(parameters)[1] is None:  # thresholds cross on a row not among them
            parameters = start
    parameters = _climb(newton, parameters)
    weights = parameters[:size].reshape(scores, -1)
    return OrdinalFit(weights, parameters[size:], mean.astype(np.float64))


def _climb(newton: _Newton, parameters: Array) -> Array:
    value, state = newton.value(parameters)
    for _ in range(_STEPS):
        gradient, hessian = newton.derivatives(parameters, state)
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
        if gained < 1e-4 * len(newton.x):
            break
    return parameters


@dataclass
class _State:
    """Of each row, float32: F(a), F(b) and exp(b - a)."""

    upper: Array
    lower: Array
    gap: Array


class _Newton:
    """The penalised log-likelihood of one channel and its derivatives."""

    def __init__(self, x: Array, q: Array, thresholds: int, scores: int) -> None:
        self.x, self.q, self.scores, self.thresholds = x, q, scores, thresholds
        self.some = slice(None, None, max(1, len(x) // max(_CURVATURE_ROWS, 16 * x.shape[1])))
        part = q[self.some]
        self.some_x = np.ascontiguousarray(x[self.some])
        self.share = len(x) / len(part)
        side = np.concatenate([[0.0], sides(thresholds), [0.0]]).astype(np.float32)
        self.side_upper, self.side_lower = side[q], side[q + 1]
        one_hot = np.zeros((2, len(part), thresholds + 2), np.float32)
        one_hot[0, np.arange(len(part)), part] = 1
        one_hot[1, np.arange(len(part)), part + 1] = 1
        self.upper, self.lower = one_hot[:, :, 1:-1]
        self.inner = (part > 0) & (part < thresholds)
        ridge = _RIDGE * (x.std(axis=0) ** 2 + 0.02).astype(np.float64)
        self.ridge = np.concatenate(
            [ridge * (1 + s) for s in range(scores)] + [np.full(thresholds, 0.02)]
        )

    def value(self, parameters: Array) -> tuple[float, _State | None]:
        d = self.x.shape[1]
        weights = parameters[: self.scores * d].reshape(self.scores, d).astype(np.float32)
        biases = parameters[self.scores * d :]
        if np.any(np.diff(biases) >= -1e-3):
            return -np.inf, None
        # Beyond the ends as far as float32 can tell from certain.
        edges = np.concatenate([[_CERTAIN], biases, [-_CERTAIN]]).astype(np.float32)
        scores = np.clip(self.x @ weights.T, -_FARTHEST, _FARTHEST)
        upper, lower = edges[self.q] + scores[:, 0], edges[self.q + 1] + scores[:, 0]
        if self.scores > 1:
            upper += self.side_upper * scores[:, 1]
            lower += self.side_lower * scores[:, 1]
        gap = lower - upper
        if gap.max() >= -1e-6:
            return -np.inf, None  # thresholds cross
        gap = np.exp(gap)
        with np.errstate(over="ignore"):  # an infinite exponential is a certain symbol
            fa, fb = 1 / (1 + np.exp(-upper)), 1 / (1 + np.exp(-lower))
            likely = fa * (1 / (1 + np.exp(lower))) * (1 - gap)
        penalty = 0.5 * float((self.ridge * parameters**2).sum())
        value = float(np.log(np.maximum(likely, _LEAST)).sum(dtype=np.float64))
        return value - penalty, _State(fa, fb, gap)

    def derivatives(self, parameters: Array, state: _State) -> tuple[Array, Array]:
        """Gradient and negative Hessian, in weights of eta, of the spread, and biases."""
        d, size = self.x.shape[1], self.scores * self.x.shape[1]
        slope = state.gap / (1 - state.gap)
        ga, gb = 1 - state.upper + slope, -state.lower - slope
        some = self.some
        fa, fb, slope = state.upper[some], state.lower[some], slope[some]
        va, vb, curve = fa * (1 - fa), fb * (1 - fb), slope / (1 - state.gap[some])
        sa, sb = self.side_upper, self.side_lower
        # What each score adds to the two logits of a row: (1, 1), and the sides.
        every = ((np.float32(1), np.float32(1)), (sa, sb))[: self.scores]
        factor = ((np.ones_like(va), np.ones_like(vb)), (sa[some], sb[some]))[: self.scores]
        x = self.some_x
        gradient = np.empty(size + self.thresholds)
        hessian = np.empty((len(gradient), len(gradient)))
        for i, (a, b) in enumerate(factor):
            part = slice(i * d, (i + 1) * d)
            gradient[part] = (ga * every[i][0] + gb * every[i][1]) @ self.x
            for j, (c, e) in enumerate(factor[: i + 1]):
                weight = va * a * c + vb * b * e + curve * (a - b) * (c - e)
                block = (x * weight[:, None]).T @ x
                hessian[part, j * d : (j + 1) * d] = block
                hessian[j * d : (j + 1) * d, part] = block.T
            first = va * a + curve * (a - b)
            second = vb * b + curve * (b - a)
            cross = x.T @ (self.upper * first[:, None] + self.lower * second[:, None])
            hessian[part, size:], hessian[size:, part] = cross, cross.T
        count = self.thresholds + 1
        gradient[size:] = np.bincount(self.q, ga, count)[1:] + np.bincount(self.q, gb, count)[:-1]
        diagonal = (va + curve) @ self.upper + (vb + curve) @ self.lower
        q = self.q[some][self.inner]
        beside = np.bincount(q, curve[self.inner], count)[1 : self.thresholds]
        hessian[size:, size:] = np.diag(diagonal) - np.diag(beside, 1) - np.diag(beside, -1)
        hessian *= self.share
        gradient -= self.ridge * parameters
        hessian[np.diag_indices(len(gradient))] += self.ridge
        return gradient, hessian
