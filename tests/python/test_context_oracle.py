"""The C fit of one channel's model against the same likelihood given to SciPy."""

import numpy as np
import pytest

from lwfc import _core

optimize = pytest.importorskip("scipy.optimize")

LOCAL, PLANES, ROWS = 12, 10, 900
RIDGE, BIAS_RIDGE = 10.0, 0.02  # csrc/fit/ordinal.c


def make_rows(levels, seed):
    """Two channels of symbols that follow what is around them, as the tuple the C core takes."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, levels, (PLANES, 2, ROWS)).astype(np.uint8)
    above = rng.integers(0, 256 * (levels - 1), (2, ROWS)).astype(np.uint16)
    decay = rng.uniform(0.1, 1, ROWS).astype(np.float32)
    score = 0.5 * planes[1, 1] + 0.4 * planes[3, 1] - 0.7 * planes[0, 0] + rng.logistic(size=ROWS)
    score = (score - score.mean()) / score.std()
    planes[0, 1] = np.clip(np.rint(score + 0.5 * (levels - 1)), 0, levels - 1)
    return planes, above, decay, planes[0].mean(1, dtype=np.float64), levels


def features(rows, references):
    """(rows, columns) of channel 1 in the model's order, and the columns that are used."""
    planes, above, decay, mean, levels = rows
    q = planes[:, 1].astype(float)
    last = levels - 1
    own = [q[1], q[1] > 0, q[1] == last, q[2], q[2] > 0, q[2] == last, q[3], q[4], q[5], q[6],
           q[3] > 0]  # fmt: skip
    activity = np.floor(above[1] / 16 + decay * np.float32(16 * mean[1])) / 16
    referred = [planes[0 if place == 0 else 7, 0].astype(float) for place in references]
    steps = [r > 0 for r in referred]
    if levels == 2:
        return np.stack([*own, activity, *referred], 1).astype(float)
    return np.stack([*own, activity, *referred, *steps], 1).astype(float)


def sides(levels):
    return np.sign(levels - 2 - 2 * np.arange(levels - 1))


def loss(theta, x, q, levels, ridge, scores):
    """Negative penalised log-likelihood of cumulative logits, and its gradient."""
    count = x.shape[1]
    weights, biases = theta[: scores * count].reshape(scores, count), theta[scores * count :]
    side = sides(levels) if scores == 2 else np.zeros(levels - 1)
    eta = (x @ weights[0])[:, None] + biases
    if scores == 2:
        eta = eta + side * (x @ weights[1])[:, None]
    above = 1 / (1 + np.exp(-eta))  # P(symbol > k)
    edges = np.hstack([np.ones((len(q), 1)), above, np.zeros((len(q), 1))])
    rows = np.arange(len(q))
    p = edges[rows, q] - edges[rows, q + 1]
    if (p <= 0).any():
        return np.inf, np.zeros_like(theta)
    density = np.hstack([np.zeros((len(q), 1)), above * (1 - above), np.zeros((len(q), 1))])
    slope = np.zeros((len(q), levels + 1))
    slope[rows, q] += density[rows, q] / p
    slope[rows, q + 1] -= density[rows, q + 1] / p
    slope = slope[:, 1:-1]
    gradient = [x.T @ slope.sum(1)]
    if scores == 2:
        gradient.append(x.T @ (slope @ side))
    gradient = np.concatenate([*gradient, slope.sum(0)])
    value = np.log(p).sum() - 0.5 * ridge @ theta**2
    return -value, ridge * theta - gradient


def hessian(theta, *arguments):
    """By central differences of the gradient."""
    steps = 1e-5 * np.eye(len(theta))
    rows = [loss(theta + h, *arguments)[1] - loss(theta - h, *arguments)[1] for h in steps]
    matrix = np.array(rows) / 2e-5
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("levels", [2, 3, 5])
def test_the_fit_in_c_finds_the_optimum(levels, spread):
    if levels == 2 and spread:
        pytest.skip("two levels have no spread")
    rows = make_rows(levels, 7 * levels + spread)
    order, places = np.array([0, 1], np.int32), np.array([[0, 1]], np.uint8)
    references = np.zeros((1, 2), np.int32), places, np.full(1, 2, np.int32)
    weights, biases, mean, _ = _core.context_fit(rows, order[1:], order, references, spread, 1)
    x, q = features(rows, places[0]), rows[0][0, 1].astype(int)
    count, scores = x.shape[1], 1 + spread
    np.testing.assert_allclose(mean[0, :count], x.mean(0), atol=1e-9)
    ridge = RIDGE * (x.var(0) + 0.02)
    penalties = np.concatenate([(1 + i) * ridge for i in range(scores)] +
                               [np.full(levels - 1, BIAS_RIDGE)])  # fmt: skip

    start = np.zeros(scores * count + levels - 1)
    share = np.array([(q > k).mean() for k in range(levels - 1)])
    start[scores * count :] = np.log(share / (1 - share))
    arguments = (x, q, levels, penalties, scores)
    best = optimize.minimize(loss, start, arguments, jac=True, hess=hessian, method="trust-exact",
                             options={"gtol": 1e-4})  # fmt: skip
    # The model's thresholds are at the features' mean.
    middle = weights[0, :, :count] @ mean[0, :count]
    found = biases[0] - middle[0] - (sides(levels) * middle[1] if spread else 0)
    theirs = np.concatenate([weights[0, :, :count].reshape(-1), found])
    value = loss(theirs, *arguments)[0]
    assert value <= best.fun + 1e-6 * ROWS
    assert value >= best.fun - 1e-6 * ROWS
    assert best.fun < loss(start, *arguments)[0] - 0.02 * ROWS  # there was something to find
