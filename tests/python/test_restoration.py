"""Fitting of centroids and restoration weights, on synthetic features."""

import numpy as np
import pytest
from restoration_data import features, quantize

import lwfc
from lwfc.restoration.blob import LINEAR, Restoration, level_values
from lwfc.restoration.fitter import CentroidFitter, RestorationFitter


def fit(kind, levels=2, samples=30, strength=1.0, parts=1, **options):
    fitter = RestorationFitter(levels, 12, kind, bounds=(0.0, np.inf), **options)
    for x in np.array_split(features(samples), parts):
        fitter.update(x, quantize(x, levels))
    return fitter, fitter.finish(strength)


def error(blob, levels=2):
    x = features(8, seed=5)
    return float(np.mean((Restoration.from_bytes(blob).apply(quantize(x, levels)) - x) ** 2))


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_each_mode_gains(levels):
    x = features(8, seed=5)
    s = quantize(x, levels)
    centroids = CentroidFitter(levels, 12)
    calibration = features(30)
    centroids.update(calibration, quantize(calibration, levels))
    tensor = np.mean((centroids.finish()[s] - x) ** 2)
    channel = np.mean((centroids.finish(True)[np.arange(12)[:, None, None], s] - x) ** 2)
    local, linear = (error(fit(kind, levels)[1], levels) for kind in ("local", "linear"))
    assert channel <= tensor * 1.01
    assert local < 0.95 * channel
    assert linear < 0.8 * local


def test_rank_form_is_close_to_the_full_one():
    full, low = (error(fit("linear", rank=r)[1]) for r in (0, 8))
    assert low < 1.1 * full


def test_streaming_in_parts_is_the_same():
    assert fit("linear", parts=1)[1] == fit("linear", parts=7)[1]


def test_few_rows_still_work_and_memory_is_bounded():
    fitter, blob = fit("linear", samples=60, rows=500)
    assert fitter.report["positions"] <= 500
    assert error(blob) < 1.5 * error(fit("linear", samples=60)[1])
    more_samples_than_rows = RestorationFitter(2, 12, rows=40)
    x = features(120)
    more_samples_than_rows.update(x, quantize(x, 2))
    more_samples_than_rows.finish()
    assert more_samples_than_rows.report["positions"] <= 40


def test_strength_blends():
    x = features(2, seed=3)
    s = quantize(x, 2)
    zero, half, one = (
        Restoration.from_bytes(fit("linear", strength=t)[1]).apply(s) for t in (0.0, 0.5, 1.0)
    )
    np.testing.assert_allclose(half, (zero + one) / 2, atol=1e-5)


def test_noise_falls_back_to_centroids():
    random = np.random.default_rng(0)
    x = random.normal(size=(20, 6, 5, 5)).astype(np.float32)
    s = (x > 0).astype(np.uint8)
    fitter = RestorationFitter(2, 6)
    fitter.update(x, s)
    blob = fitter.finish()
    held = fitter.report["heldout"]
    assert held["chosen"] <= held["centroid"] * (1 + 1e-9)
    y = random.normal(size=(20, 6, 5, 5)).astype(np.float32)
    t = (y > 0).astype(np.uint8)
    estimate = Restoration.from_bytes(blob).apply(t)
    level = fitter.centroids.finish()[t]
    assert np.mean((estimate - y) ** 2) < 1.05 * np.mean((level - y) ** 2)


def test_values_stay_in_their_symbols_range():
    x = features(8, seed=5)
    s = quantize(x, 2)
    fitter, blob = fit("linear")
    estimate = Restoration.from_bytes(blob).apply(s)
    for k in range(2):
        assert estimate[s == k].min() >= np.float32(fitter.centroids.low[k])
        assert estimate[s == k].max() <= np.float32(fitter.centroids.high[k])


@pytest.mark.parametrize("shape", [(40, 5, 1, 1), (40, 5, 1, 7), (3, 1, 4, 4), (1, 3, 2, 2)])
@pytest.mark.parametrize("kind", ["local", "linear"])
def test_odd_shapes(shape, kind):
    x = np.random.default_rng(1).gamma(1.0, size=shape).astype(np.float32)
    fitter = RestorationFitter(3, shape[1], kind)
    fitter.update(x, quantize(x, 3))
    assert np.isfinite(Restoration.from_bytes(fitter.finish()).apply(quantize(x, 3))).all()


@pytest.mark.parametrize("rank", ["auto", 8, 16])
def test_constant_features_and_large_ranks(rank):
    x = np.full((10, 9, 4, 4), 2.0, np.float32)
    fitter = RestorationFitter(2, 9, rank=rank)
    fitter.update(x, quantize(x, 2))
    np.testing.assert_allclose(Restoration.from_bytes(fitter.finish()).apply(quantize(x, 2)), x)


def test_levels_never_met_get_values_in_between():
    fitter = CentroidFitter(4, 2)
    fitter.update(np.array([[0.0, 3.0]]), np.array([[0, 3]], np.uint8))
    np.testing.assert_allclose(fitter.finish(), [0, 1, 2, 3])
    assert fitter.finish(True).shape == (2, 4)


def test_level_values_fit_a_byte_sum():
    for levels in (2, 26, 27, 256):
        values = level_values(levels).astype(int)
        assert values[0] == 0 and values[-1] <= 25 and np.all(np.diff(values) >= 0)


def test_wrong_arguments():
    x = features(2)
    with pytest.raises(ValueError, match="kind"):
        RestorationFitter(2, 12, "nonlinear")
    with pytest.raises(ValueError, match="rank"):
        RestorationFitter(2, 12, rank=3)
    fitter = RestorationFitter(2, 12)
    with pytest.raises(ValueError, match="no calibration"):
        fitter.finish()
    with pytest.raises(ValueError, match="below 2"):
        fitter.update(x, np.full(x.shape, 2, np.uint8))
    with pytest.raises(ValueError, match="finite"):
        fitter.update(np.full(x.shape, np.nan, np.float32), quantize(x, 2))
    with pytest.raises(ValueError, match="must be"):
        fitter.update(x, quantize(x, 2)[:1])


def test_blob_round_trip_and_refusals():
    blob = fit("linear", rank=8)[1]
    r = Restoration.from_bytes(blob)
    assert r.kind == LINEAR and r.rank == 8 and r.to_bytes() == blob
    for wrong in (blob[:-1], blob + b"\0", b"\2" + blob[1:], b""):
        with pytest.raises(ValueError):
            Restoration.from_bytes(wrong)


@pytest.mark.parametrize("kind", ["local", "linear"])
@pytest.mark.parametrize("shape", [(20, 12, 10, 9), (20, 7, 3, 21)])
def test_decoder_gives_the_definition_bit_for_bit(kind, shape):
    x = features(*shape)
    codec = lwfc.calibrate(
        x, levels=3, activation="relu", clip=(0.0, 3.0), restore=kind, restore_strength=0.75
    )
    test = features(4, *shape[1:], seed=6)
    decoded = codec.decode(codec.encode(test))
    want = Restoration.from_bytes(codec.restore).apply(codec.symbols(test))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded.view(np.uint32), want.view(np.uint32))
    np.testing.assert_array_equal(codec.simulate(test), decoded)
    np.testing.assert_array_equal(codec.decode(codec.encode(test[2:3])), decoded[2:3])
