"""Ridge regression by features and by rows is the same regression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwfc.restoration.equations import LEAST_ROWS, Dual, Normal, equations_of
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
    wanted = min(count - 1, channels) // 2
    if wanted:
        mine, theirs = (e.directions(weights)[:, :wanted] for e in (dual, normal))
        kept = [np.trace(u.T @ weights.T @ normal.gram @ weights @ u) for u in (mine, theirs)]
        assert kept[0] == pytest.approx(kept[1], rel=1e-3, abs=1e-6)
        assert np.allclose(mine.T @ mine, np.eye(wanted), atol=1e-2)


def test_rows_decide_where_they_are_fewer():
    for count, channels, kind in (
        (LEAST_ROWS, LEAST_ROWS, Dual),
        (LEAST_ROWS - 1, LEAST_ROWS, Normal),
        (LEAST_ROWS, LEAST_ROWS // 2, Normal),
    ):
        assert type(equations_of(rows_of(count, channels, 0), VALUES)) is kind
