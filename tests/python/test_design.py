"""Quantizer design against the reference, and ranges from samples."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import model_ref  # noqa: E402

from lwfc import _core  # noqa: E402
from lwfc.base.errors import ParameterError  # noqa: E402
from lwfc.model.activation import ActivationModel  # noqa: E402
from lwfc.model.design import (  # noqa: E402
    clip_range_samples,
    deadzone_quantizer,
    design_ecsq,
    uniform_quantizer,
)
from lwfc.model.empirical import sort_samples  # noqa: E402

LAYER = model_ref.Model(0.7716595, -1.4350621, 0.5, 0.1)
SAMPLES = LAYER.sample_y(50_000, np.random.default_rng(1))
NAMES = {"entropy": "entropy", "truncated_unary": "tu"}


def quantize(y, design):
    index = np.searchsorted(design.thresholds.astype(float), y, "right")
    return index, design.values.astype(float)[index]


@pytest.mark.parametrize("lengths", ["entropy", "truncated_unary"])
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("levels", [2, 3, 4, 8])
@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 2.0])
def test_design_against_reference(lengths, pinned, levels, weight):
    got = design_ecsq(SAMPLES, levels, 0.0, 9.0, weight, pinned, lengths)
    values, thresholds, p, history = model_ref.ecq_design(
        SAMPLES, levels, weight, 0.0, 9.0, pinned, NAMES[lengths]
    )
    live = p > 0
    np.testing.assert_allclose(got.values, values[live], atol=2e-6)
    np.testing.assert_allclose(got.probabilities, p[live], atol=1e-4)
    assert got.thresholds.dtype == got.values.dtype == np.float32
    assert got.levels == live.sum() == got.thresholds.size + 1
    if live.all():
        np.testing.assert_allclose(got.thresholds, thresholds, atol=2e-6)
        lagrangian = _core.samples_design(
            sort_samples(SAMPLES), levels, 0.0, 9.0, weight, pinned, int(lengths != "entropy"),
            1e-9, 500,
        )[5]  # fmt: skip
        assert lagrangian == pytest.approx(history[-1], rel=1e-10)


def test_design_reports_what_it_does():
    for weight in (0.0, 1.0, 4.0):
        design = design_ecsq(SAMPLES, 6, 0.0, 9.0, weight)
        index, values = quantize(SAMPLES, design)
        p = np.bincount(index, minlength=design.levels) / SAMPLES.size
        np.testing.assert_allclose(design.probabilities, p, atol=1e-12)
        assert design.distortion == pytest.approx(np.square(SAMPLES - values).mean(), rel=1e-9)
        assert design.rate == pytest.approx(model_ref.entropy(p), abs=1e-9)


# N, weight, pinned -> error against unclipped values, entropy; from 200,000 samples of the model by
# the reference, hence two digits.
DESIGNS = [
    (2, 1.0, True, 1.660, 0.620),
    (2, 2.0, True, 1.718, 0.581),
    (2, 1.0, False, 1.726, 0.652),
    (2, 2.0, False, 1.755, 0.569),
    (3, 0.5, True, 0.778, 0.972),
    (3, 1.0, True, 0.831, 0.901),
    (3, 2.0, True, 1.040, 0.762),
    (4, 1.0, True, 0.587, 1.013),
    (4, 2.0, True, 1.003, 0.724),
    (8, 2.0, True, 0.863, 0.751),
]


@pytest.mark.parametrize(("levels", "weight", "pinned", "error", "bits"), DESIGNS)
def test_design_of_the_model(levels, weight, pinned, error, bits):
    model = ActivationModel.fit(1.1235656, 4.9280124, "leaky_relu")
    design = design_ecsq(model, levels, *model.clip_range(levels), weight, pinned)
    assert design.distortion == pytest.approx(error, rel=0.015)
    assert design.rate == pytest.approx(bits, rel=0.01)


def test_design_of_model_and_of_its_samples_agree():
    model = ActivationModel(0.9, 0.4, 0.5, 0.1)
    y = model_ref.Model(0.9, 0.4, 0.5, 0.1).sample_y(400_000, np.random.default_rng(2))
    for lengths in NAMES:
        a = design_ecsq(model, 4, 0.0, 8.0, 0.5, lengths=lengths)
        b = design_ecsq(y, 4, 0.0, 8.0, 0.5, lengths=lengths)
        np.testing.assert_allclose(a.values, b.values, atol=0.05)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.01)
        assert a.distortion == pytest.approx(b.distortion, rel=0.03)
    assert sum(a.probabilities) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.integers(2, 24),
    weight=st.floats(0, 5),
    pinned=st.booleans(),
    lengths=st.integers(0, 1),
    of_model=st.booleans(),
)
def test_lagrangian_never_rises(seed, levels, weight, pinned, lengths, of_model):
    rng = np.random.default_rng(seed)
    lo, hi = -0.1, float(rng.uniform(0.5, 9))
    if of_model:
        source = (0.8, float(rng.uniform(-2, 2)), 0.5, float(rng.choice([0, 0.1, 1])), 6.0)
        run = _core.model_design
    else:
        y = LAYER.sample_y(int(rng.integers(1, 2000)), rng)
        source, run = sort_samples(np.round(y, int(rng.integers(1, 8)))), _core.samples_design
    before = math.inf
    for count in range(1, 16):
        j = run(source, levels, lo, hi, weight, pinned, lengths, 0.0, count)[5]
        assert j <= before * (1 + 1e-9) + 1e-12
        before = j


def test_design_drops_and_keeps_levels():
    design = design_ecsq([0.0, 0.0, 5.0, 5.0], 16, 0.0, 5.0, 0.1)
    assert design.levels == 2
    np.testing.assert_array_equal(design.values, [0, 5])
    np.testing.assert_array_equal(design.probabilities, [0.5, 0.5])
    # All in one cell: a second level stays, out of reach.
    design = design_ecsq(np.full(10, 0.5), 4, 0.0, 5.0, 0.1)
    assert design.levels == 2 and design.rate == 0.0
    assert quantize(np.full(3, 9.0), design)[0].tolist() == [0, 0, 0]
    design = design_ecsq(np.full(10, 4.9), 4, 0.0, 5.0, 0.1)
    assert quantize(np.full(3, -9.0), design)[0].tolist() == [1, 1, 1]
    # Many levels over a range of few floats stay increasing.
    tiny = np.linspace(1.0, 1.0 + 1e-6, 100)
    design = design_ecsq(tiny, 64, 1.0, 1.0 + 1e-6, 0.0)
    assert (np.diff(design.values) > 0).all() and (np.diff(design.thresholds) > 0).all()


def test_pinned_ends_stay():
    for weight in (0.0, 0.5):
        design = design_ecsq(SAMPLES, 5, 0.0, 9.0, weight)
        assert design.values[0] == 0.0 and design.values[-1] == 9.0


def test_uniform_quantizer_rule():
    for lo, hi, levels in ((0, 4.8, 4), (-0.1, 1 / 3, 7), (0.0, 3.0, 2), (-5.5, 1e4, 256)):
        thresholds, values = uniform_quantizer(lo, hi, levels)
        a, b = float(np.float32(lo)), float(np.float32(hi))
        want = [np.float32(a + i * (b - a) / (levels - 1)) for i in range(levels)]
        np.testing.assert_array_equal(values, want)
        want = [np.float32(a + (i - 0.5) * (b - a) / (levels - 1)) for i in range(1, levels)]
        np.testing.assert_array_equal(thresholds, want)
        assert values[-1] == np.float32(hi)


def test_deadzone_quantizer():
    thresholds, values = deadzone_quantizer(0, 3, 4, 0.25)
    np.testing.assert_allclose(thresholds, [0.75, 1.75, 2.75])
    np.testing.assert_allclose(values, [0, 1, 2, 3])
    np.testing.assert_array_equal(deadzone_quantizer(0, 3, 4, 0)[0], uniform_quantizer(0, 3, 4)[0])
    with pytest.raises(ParameterError, match="fraction"):
        deadzone_quantizer(0, 3, 4, 0.5)


def test_samples_error():
    samples = sort_samples(SAMPLES)
    for lo, hi, levels in ((0.0, 5.0, 2), (-0.2, 9.0, 5), (0.4, 12.0, 256)):
        index = model_ref.quantise(SAMPLES, lo, hi, levels)
        want = np.square(SAMPLES - model_ref.dequantise(index, lo, hi, levels)).mean()
        got = _core.samples_error(samples, lo, hi, levels)
        assert got == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("levels", [2, 3, 4, 8, 64])
def test_range_of_least_squares(levels):
    samples = sort_samples(SAMPLES)
    lo, hi = clip_range_samples(SAMPLES, levels, "mse")
    assert lo == 0.0
    error = _core.samples_error(samples, lo, hi, levels)
    reference = model_ref.Empirical(SAMPLES)
    best = reference.best_cmax(levels)
    assert error <= reference.e_tot(0.0, best, levels) * (1 + 1e-7)
    free = clip_range_samples(SAMPLES, levels, "mse", lo=None)
    assert _core.samples_error(samples, *free, levels) <= error * (1 + 1e-12)
    model = clip_range_samples(SAMPLES, levels, "model", lo=None, activation="leaky_relu")
    found = _core.samples_error(samples, *free, levels)
    assert found <= _core.samples_error(samples, *model, levels) * (1 + 1e-6)


def test_baseline_ranges():
    y = SAMPLES
    deviation = np.abs(y - y.mean()).mean()
    for levels in (2, 4, 255):
        got = clip_range_samples(y, levels, "aciq")
        want = model_ref.aciq_laplace(deviation, levels)
        assert got == (0.0, pytest.approx(want, rel=1e-12))
        got = clip_range_samples(y, levels, "aciq", activation="identity")
        want = model_ref.aciq_laplace(deviation, levels, half_range=False)
        assert got == pytest.approx((y.mean() - want, y.mean() + want), rel=1e-9)
    assert clip_range_samples(y, 4, "minmax") == (0.0, y.max())
    assert clip_range_samples(y, 4, "minmax", lo=None) == (y.min(), y.max())
    assert clip_range_samples(y, 4, "percentile")[1] == pytest.approx(np.percentile(y, 99.9))
    lo, hi = clip_range_samples(y, 4, "percentile", lo=None, percentile=99)
    assert (lo, hi) == pytest.approx(tuple(np.percentile(y, [1, 99])))
    fit = ActivationModel.fit(y.mean(), y.var(), "leaky_relu")
    got = clip_range_samples(y, 4, activation="leaky_relu")
    assert got == pytest.approx(fit.clip_range(4), rel=1e-9)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "model"])
def test_samples_without_a_range(method):
    for samples in (np.zeros(9), -np.ones(9)):
        with pytest.raises(ParameterError):
            clip_range_samples(samples, 4, method)


def test_argument_errors():
    for bad in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ParameterError, match="samples"):
            design_ecsq(bad, 4, 0, 1, 0.1)
        with pytest.raises(ParameterError, match="samples"):
            clip_range_samples(bad, 4)
    with pytest.raises(ParameterError, match="method"):
        clip_range_samples([1.0, 2.0], 4, "best")
    with pytest.raises(ParameterError, match="percentile"):
        clip_range_samples([1.0, 2.0], 4, "percentile", percentile=10)
    with pytest.raises(ParameterError, match="rate_weight"):
        design_ecsq([1.0], 4, 0, 1, -1)
    with pytest.raises(ParameterError, match="lengths"):
        design_ecsq([1.0], 4, 0, 1, 0, lengths="golomb")
    with pytest.raises(ParameterError, match="levels"):
        design_ecsq([1.0], 1, 0, 1, 0)
    for lo, hi in ((1, 1), (2, 1), (0, math.inf), (1, 1 + 1e-12)):
        with pytest.raises(ParameterError, match="range"):
            uniform_quantizer(lo, hi, 4)
        with pytest.raises(ParameterError, match="range"):
            design_ecsq([1.0], 4, lo, hi, 0)
