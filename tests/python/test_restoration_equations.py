"""Ridge regression by features and by rows is the same regression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwfc.restoration import tables
from lwfc.restoration.equations import LEAST_ROWS, Dual, Normal, equations_of, joined
from lwfc.restoration.fitter import CentroidFitter
from lwfc.restoration.rows import Rows


def rows_of(count, channels, seed):
    rng = np.random.default_rng(seed)
    s, h, v, d = rng.integers(0, 3, (4, count, channels)).astype(np.uint8)
    x = s + 0.3 * h + rng.normal(size=(count, channels))
    return Rows(s, h, v, d, x.astype(np.float32))


VALUES = np.array([0, 2, 5], np.uint8)


@settings(deadline=None, max_examples=20)
@given(
    st.integers(2, 40), st.integers(1, 12), st.sampled_from([1e-3, 0.1, 3.0]), st.integers(0, 99)
)
def test_both_forms_agree(count, channels, ridge, seed):
    rows = rows_of(count, channels, seed)
    normal, dual = Normal(rows, VALUES), Dual(rows, VALUES)
    weights = normal.solve(ridge)
    assert np.allclose(dual.solve(ridge), weights, atol=1e-4)
    some = np.arange(0, channels, 2)
    for equations in (normal, dual):
        assert np.allclose(equations.solve(ridge, some), weights[:, some], atol=1e-3)
    wanted = min(count - 1, channels) // 2
    if wanted:
        explained = weights.T @ normal.cross
        best = np.linalg.eigvalsh(explained)[::-1][:wanted].sum()
        for equations in (normal, dual):
            some, again = equations.directions(ridge, wanted), np.eye(channels)[:, :wanted]
            for _ in range(20):
                again = equations.refined(ridge, again)
            for u in (some, again):
                assert np.allclose(u.T @ u, np.eye(wanted), atol=1e-4)
                assert np.trace(u.T @ explained @ u) == pytest.approx(best, rel=0.02, abs=1e-3)


def test_rows_decide_where_they_are_fewer():
    for count, channels, kind in (
        (LEAST_ROWS, LEAST_ROWS, Dual),
        (LEAST_ROWS - 1, LEAST_ROWS, Normal),
        (LEAST_ROWS, LEAST_ROWS // 2, Normal),
    ):
        assert type(equations_of(rows_of(count, channels, 0), VALUES)) is kind


def test_equations_of_parts_join():
    rows, some = rows_of(60, 5, 1), slice(0, 41)
    whole, found = Normal(rows, VALUES), joined(Normal(rows[some], VALUES), rows, rows[41:], VALUES)
    assert np.allclose(found.gram, whole.gram)
    assert np.allclose(found.cross, whole.cross, rtol=1e-4, atol=1e-3)
    assert isinstance(joined(found, rows_of(LEAST_ROWS, LEAST_ROWS, 0), rows, VALUES), Dual)


@pytest.mark.parametrize("levels", [2, 3, 256])
@pytest.mark.parametrize("count", [1, 70])
def test_sums_and_errors_are_those_of_numpy(levels, count):
    rng = np.random.default_rng(levels)
    channels = 67
    s, h, v, d = rng.integers(0, levels, (4, count, channels)).astype(np.uint8)
    x, score = rng.normal(size=(2, count, channels)).astype(np.float32)
    rows, own = Rows(s, h, v, d, x), rng.normal(size=(channels, 3)).astype(np.float32)
    everything, scored = np.zeros((channels, levels, 6, 6)), np.zeros((channels, levels, 5))
    z = score.astype(float)
    for k, plane in enumerate((h, v, d)):
        z = z + own[:, k] * plane
    for c in range(channels):
        for i in range(count):
            found = np.array([1, score[i, c], h[i, c], v[i, c], d[i, c], x[i, c]], float)
            everything[c, s[i, c]] += np.outer(found, found)
            zi, xi = z[i, c], float(x[i, c])
            scored[c, s[i, c]] += 1, zi, xi, zi * zi, zi * xi
    for threads in (1, 2):
        found = tables.all_moments(rows, score, levels, threads)
        np.testing.assert_allclose(found, everything, rtol=1e-9, atol=1e-9)
        found = tables.scored_moments(rows, score, own, levels, threads)
        np.testing.assert_allclose(found, scored, rtol=1e-4, atol=1e-3 * levels)
    alone = tables.own_moments(tables.all_moments(rows, None, levels), own)
    wanted = tables.scored_moments(rows, None, own, levels)
    np.testing.assert_allclose(alone, wanted, rtol=1e-4, atol=1e-3 * levels)
    offset, slope = rng.normal(size=(2, channels, levels))
    limits = np.float32([np.full(levels, -0.7), np.linspace(-0.7, 2, levels)])
    cell = np.arange(channels), s
    wanted = np.clip(offset[cell] + slope[cell] * z, limits[0][s], limits[1][s]) - x
    found = tables.squared_errors(rows, score, own, tables.Tables(offset, slope, offset), limits, 2)
    np.testing.assert_allclose(found, np.mean(wanted**2, 0), rtol=1e-4)


@pytest.mark.parametrize("levels", [2, 3, 256])
def test_cells_are_those_of_numpy(levels):
    rng = np.random.default_rng(levels)
    x = rng.normal(size=(3, 7, 5, 9)).astype(np.float32)
    s = rng.integers(0, levels, x.shape).astype(np.uint8)
    s[:, 2] = 1
    fitters = [CentroidFitter(levels, 7) for _ in range(2)]
    fitters[0].update(x, s)
    fitters[1].update(x[:2, :, ::-1], s[:2, :, ::-1], 2)
    fitters[1].update(x[:0], s[:0])
    fitters[1].update(np.ascontiguousarray(x[2:].astype(float)), s[2:])
    for found in fitters:
        for k in range(levels):
            cells = [np.moveaxis(x, 1, 0)[c][np.moveaxis(s, 1, 0)[c] == k] for c in range(7)]
            assert found.counts[:, k].tolist() == [cell.size for cell in cells]
            wanted = [cell.sum(dtype=float) for cell in cells]
            np.testing.assert_allclose(found.sums[:, k], wanted, rtol=1e-9, atol=1e-9)
            every = np.concatenate(cells)
            assert found.low[k] == every.min(initial=np.inf)
            assert found.high[k] == every.max(initial=-np.inf)
