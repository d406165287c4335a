"""The transform's fit against slow formulas: coefficients, matrices, tables, integer parts."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwfc.base.errors import ParameterError
from lwfc.transform.basis import Second, Shape, make_basis
from lwfc.transform.geometry import Geometry, Layout, candidates, cosines, radial_bands
from lwfc.transform.integer import integer_matrix
from lwfc.transform.metric import regularized, smoothed
from lwfc.transform.rate import LARGEST, live_columns, make_tables, quantized
from lwfc.transform.steps import Goal, bisected
from lwfc.transform.subspace import find_subspace
from lwfc.transform.survey import Kept, survey
from lwfc.transform.trial import Point, Trial, coefficients, moments_of

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
import transform_fit as slow

SIDES = st.sampled_from([1, 2, 3, 5])


def smooth_maps(shape, seed=0):
    """Correlated over channels and places, as features are."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    for axis in range(1, len(shape)):
        x = x + 0.8 * np.roll(x, 1, axis)
    return x.astype(np.float32)


def fitted(shape, x, gradients=None):
    signal = Second(shape.geometry, np.arange(shape.geometry.frequencies))
    signal.add(shape.geometry.forward(x))
    slopes = None
    if gradients is not None:
        slopes = Second(shape.geometry, np.arange(shape.geometry.frequencies))
        slopes.add(shape.geometry.forward(gradients))
    return signal, slopes


@pytest.mark.parametrize("n", [1, 2, 7, 24, 64])
def test_cosines_are_orthonormal(n):
    np.testing.assert_allclose(cosines(n) @ cosines(n).T, np.eye(n), atol=1e-12)


@given(bh=SIDES, bw=SIDES, tall=st.integers(1, 3), wide=st.integers(1, 2), channels=SIDES)
def test_coefficients_are_those_of_the_formula_and_come_back(bh, bw, tall, wide, channels):
    x = smooth_maps((2, channels, bh * tall, bw * wide))
    geometry = Geometry(channels, bh * tall, bw * wide, bh, bw)
    found = geometry.forward(x)
    np.testing.assert_allclose(found, slow.coefficients(x, bh, bw), atol=2e-5)
    np.testing.assert_allclose(geometry.inverse(found), x, atol=2e-5)


def test_basis_is_that_of_the_symmetric_root():
    x, g = smooth_maps((30, 5, 6, 4)), smooth_maps((30, 5, 6, 4), seed=1)
    shape = Shape(Geometry(5, 6, 4, 3, 4), bands=False, smooth=False)
    basis = make_basis(shape, *fitted(shape, x, g))
    metric = slow.metric(slow.coefficients(g, 3, 4))
    for f, vectors in enumerate(slow.coefficients(x, 3, 4)):
        np.testing.assert_allclose(basis.metric[f], metric[f], rtol=2e-4, atol=1e-5)
        analysis, synthesis = slow.basis(slow.moments(vectors), metric[f])
        signs = np.sign((analysis * basis.analysis[f]).sum(1))  # eigenvectors have none
        np.testing.assert_allclose(basis.analysis[f], signs[:, None] * analysis, atol=2e-3)
        np.testing.assert_allclose(basis.synthesis[f], signs * synthesis, atol=2e-3)


@given(seed=st.integers(0, 50), bands=st.booleans(), smooth=st.booleans(), known=st.booleans())
def test_coefficients_are_uncorrelated_and_their_errors_cost_alike(seed, bands, smooth, known):
    x = smooth_maps((20, 4, 4, 4), seed)
    shape = Shape(Geometry(4, 4, 4, 4, 4), bands, smooth)
    gradients = smooth_maps((20, 4, 4, 4), seed + 100) if known else None
    basis = make_basis(shape, *fitted(shape, x, gradients))
    for a, b, g in zip(basis.synthesis, basis.analysis, basis.metric, strict=True):
        np.testing.assert_allclose(a.T @ g @ a, np.eye(4), atol=1e-8)
        np.testing.assert_allclose(b @ a, np.eye(4), atol=1e-8)
    if not (bands or smooth):
        y = basis.analyze(shape.geometry.forward(x)).astype(np.float64)
        power = y.transpose(0, 2, 1) @ y
        diagonal = np.einsum("fcc->fc", power)
        assert (np.diff(diagonal, axis=1) <= 1e-3 * diagonal[:, :1]).all()
        rest = power - np.stack([np.diag(d) for d in diagonal])
        assert np.abs(rest).max() < 1e-3 * diagonal.max()


def test_metric_keeps_its_scale_and_smoothing_its_traces():
    rng = np.random.default_rng(3)
    geometry = Geometry(3, 4, 5, 4, 5)
    roots = rng.standard_normal((20, 3, 3))
    matrices = roots @ roots.transpose(0, 2, 1)
    level = np.trace(regularized(matrices, np.ones(20)), axis1=1, axis2=2).mean() / 3
    assert level == pytest.approx(1)
    before, after = (
        np.trace(m, axis1=1, axis2=2) for m in (matrices, smoothed(geometry, matrices))
    )
    np.testing.assert_allclose(before, after)
    alike = np.arange(1, 21)[:, None, None] * np.eye(3)
    np.testing.assert_allclose(smoothed(geometry, alike), alike)


def test_bands_leave_dc_alone_and_grow_outwards():
    geometry = Geometry(1, 24, 24, 24, 24)
    bands = radial_bands(geometry, 13)
    assert bands.max() < 13
    assert (bands == 0).sum() == 1
    order = np.argsort(geometry.radius, kind="stable")
    assert (np.diff(bands[order]) >= 0).all()


@pytest.mark.parametrize(
    ("inner", "sides"),
    [
        ((120, 17, 17), {(1, 1), (17, 17)}),
        ((480, 1, 60), {(1, 1), (1, 4), (1, 10), (1, 12), (1, 60)}),
        ((24, 112, 112), {(1, 1), (4, 4), (8, 8), (14, 14)}),
        ((64, 10, 10), {(1, 1), (5, 5), (10, 10)}),
        ((3, 5, 16, 10), {(1, 1), (4, 5), (8, 10), (16, 10)}),  # video: no block across frames
    ],
)
def test_candidates_are_never_padded(inner, sides):
    found = candidates(Layout(inner, 0))
    for geometry in found:
        assert geometry.height % geometry.block_height == 0
        assert geometry.width % geometry.block_width == 0
    assert {(g.block_height, g.block_width) for g in found} == sides


@given(seed=st.integers(0, 30), scale=st.sampled_from([0.3, 1, 5, 60]))
def test_code_length_is_that_of_the_tables(seed, scale):
    rng = np.random.default_rng(seed)
    y = rng.laplace(0, scale, (3, 40, 21)) * np.linspace(1, 0.05, 21)
    columns = live_columns((np.rint(y) != 0).mean(1))
    symbols = quantized(y.astype(np.float32), 1.0, columns)
    tables = make_tables(symbols)
    assert (tables.counts.sum(1) == 4096).all()
    assert (tables.counts[:, :-1] == tables.counts[:, -2::-1]).all()
    assert (tables.counts[:, [LARGEST, -1]] >= 1).all()
    other = quantized((2 * y).astype(np.float32), 1.0, columns)  # symbols the tables never saw
    expected = [
        slow.code_length(list(block), columns, tables.flags, tables.classes, tables.counts, LARGEST)
        for block in other.values.T.astype(int)
    ]
    assert tables.bits(other) == pytest.approx(sum(expected))


def test_live_columns_come_in_groups_and_something_lives():
    share = np.zeros((3, 40))
    assert live_columns(share).tolist() == [16, 0, 0]
    share[1, 17] = 0.5
    share[2, 39] = 0.0005  # rarer than a thousandth
    assert live_columns(share).tolist() == [0, 32, 0]


@given(seed=st.integers(0, 30), columns=st.integers(0, 6), step=st.sampled_from([1e-3, 1, 1e3]))
def test_integer_matrices_undo_each_other_within_their_bounds(seed, columns, step):
    rng = np.random.default_rng(seed)
    synthesis = rng.standard_normal((6, 6))[:, :columns] * np.logspace(0, 2, 6)[:columns]
    root = rng.standard_normal((6, 6))
    matrix = integer_matrix(synthesis, root @ root.T + np.eye(6), step, step / 300, None)
    assert matrix.mantissas.shape == (columns, 6)
    assert (np.abs(matrix.mantissas.astype(int)) << matrix.exponents[:, None]).max(
        initial=0
    ) < 2**15
    assert matrix.limit >= 1000
    real = (matrix.mantissas.T * 2.0**matrix.exponents) * (step / 300) / 2.0**matrix.shift
    np.testing.assert_allclose(matrix.analysis @ real, np.eye(columns), atol=1e-4)
    scales, rows = matrix.rows(0.01)
    assert np.abs(rows.astype(int)).sum(1).max(initial=0) <= 65535
    np.testing.assert_allclose(rows * scales[:, None], matrix.analysis * 0.01,
                               atol=float(scales.max(initial=1)) * 0.51)  # fmt: skip


def test_subspace_finds_what_there_is():
    rng = np.random.default_rng(5)
    few = rng.standard_normal((20, 10, 4, 4))
    wide = np.einsum("dc,ndhw->nchw", rng.standard_normal((10, 600)), few).astype(np.float32)
    kept = Kept(wide, None)
    mean = wide.mean(0)
    space = find_subspace(kept, mean)
    back = np.einsum("cd,ndhw->nchw", space.outward, space.features(wide - mean)) + mean
    np.testing.assert_allclose(back, wide, atol=1e-3)
    assert space.inward.shape == (512, 600)


class Source:
    def __init__(self, *batches):
        self.batches = batches

    def walk(self, what):
        return (x if isinstance(x, tuple) else (x, None) for x in self.batches)


def test_survey_leaves_out_what_is_not_finite_and_what_is_absurd():
    x = smooth_maps((40, 3, 4, 4))
    holes = x.copy()
    holes[3, 1, 2, 2], holes[5, 0, 0, 0], holes[6, 0, 0, 1] = np.nan, np.inf, 1e30
    found = survey(Source(holes[:25], holes[25:]))
    assert found.nonfinite == 2
    assert found.nsamples == 40
    assert np.isfinite(found.kept.features).all()
    assert found.high < 1e6
    rest = np.delete(x[:, 1, 2, 2], 3)
    assert found.mean[1, 2, 2] == pytest.approx(rest.mean(), abs=1e-5)
    with pytest.raises(ParameterError, match="no finite value"):
        survey(Source(np.full((2, 3, 1, 1), np.nan, np.float32)))


@pytest.mark.parametrize("sizes", [(41,), (1,) * 41, (7, 30, 4), (2, 39)])
def test_survey_keeps_every_so_manyth_sample_whatever_the_batches(sizes, monkeypatch):
    x = smooth_maps((41, 3, 4, 4))
    gradients = np.stack([x, -x])
    cuts = np.cumsum(sizes)[:-1]
    batches = zip(np.split(x, cuts), np.split(gradients, cuts, axis=1), strict=True)
    monkeypatch.setattr("lwfc.transform.survey.KEPT", 12 * x[0].size)
    found = survey(Source(*batches))
    np.testing.assert_array_equal(found.kept.features, x[::4])
    np.testing.assert_array_equal(found.kept.gradients, gradients[:, ::4])
    assert found.nsamples == 41 and not found.everything


def test_part_is_some_of_the_samples():
    x = smooth_maps((11, 3, 4, 4))
    where = np.array([0, 3, 4, 9])
    part = Kept(x, np.stack([x, -x])).take(where)
    copied = part.copied()
    np.testing.assert_array_equal(copied.features, x[where])
    np.testing.assert_array_equal(copied.gradients[1], -x[where])
    np.testing.assert_allclose(part.mean(), x[where].mean(0), atol=1e-6)
    assert [len(piece) for piece in part.chunks(2 * x[0].size)] == [2, 2]
    np.testing.assert_array_equal(part.spread(2 * x[0].size).where, [0, 9])


@pytest.mark.parametrize("together", [6, 4])
def test_crossed_distortion_is_the_mean_over_samples_and_all_gradients(together, monkeypatch):
    monkeypatch.setattr("lwfc.transform.trial.CROSSED", together)
    x, g = smooth_maps((12, 3, 8, 4)), smooth_maps((2, 12, 3, 8, 4), seed=1)
    kept, geometry = Kept(x, g), Geometry(3, 8, 4, 4, 4)
    fit, code = kept.take(np.arange(6)), kept.take(np.arange(6, 12))
    mean = x[:6].mean(0)
    moments = moments_of(geometry, fit, mean, np.arange(16))
    parts = coefficients(geometry, fit, code, mean, moments, values=1 << 20, whole=1.0, channels=3)
    trial = Trial(Shape(geometry, False, False), parts)
    step = 0.8 * trial.deviation
    symbols = quantized(trial.basis.analyze(parts.coded), step, trial.columns(step))
    y = np.zeros_like(parts.coded)
    row = 0
    for f, count in enumerate(symbols.columns):
        y[f, :, :count] = symbols.values[row : row + count].T * step
        row += count
    error = geometry.inverse(trial.basis.synthesize(y)) - (x[6:] - mean)
    products = np.einsum("dichw,jchw->dij", g[:, 6:].astype(np.float64), error)
    own = np.square(products[:, range(6), range(6)]).mean()
    assert trial.at(step).distortion == pytest.approx(own, rel=1e-3)
    met = np.arange(6) // together
    crossed = np.square(products[:, met[:, None] == met]).mean()
    assert trial.at(step, crossed=True).distortion == pytest.approx(crossed, rel=1e-3)


@given(power=st.floats(0.8, 2.5), wanted=st.floats(1e-4, 0.5), start=st.floats(1e-3, 1e3))
def test_search_meets_its_goal_from_any_start(power, wanted, start):
    seen = []

    def at(step):
        seen.append(step)
        return Point(step, 1.0, 0.1 * step**power)

    found = bisected(at, Goal(distortion=wanted).beyond, start, near=0.02)
    assert 0.97 * wanted <= found.distortion <= wanted * (1 + 1e-9)
    assert len(seen) <= 12


@given(floor=st.floats(0.05, 0.8), start=st.floats(1e-2, 1e2))
def test_search_that_cannot_meet_its_goal_stays_near_what_can_be_had(floor, start):
    def at(step):
        distortion = 1.0 if step < 1e-4 else min(1.0, floor + 0.1 * step**1.5)
        return Point(step, 1.0, distortion)

    found = bisected(at, Goal(distortion=0.01).beyond, start)
    assert found.distortion <= 1.2 * floor
    assert found.step > 0.01
