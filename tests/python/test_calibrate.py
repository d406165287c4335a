"""Calibration: ranges, sources of samples, fall-backs."""

import tracemalloc

import numpy as np
import pytest
from common import features

import lwfc
from lwfc.calibration.channels import planes
from lwfc.calibration.samples import Batches, Thinned
from lwfc.model.ranges import guess_activation


def laplace(activation, n=200_000, seed=3):
    rng = np.random.default_rng(seed)
    x = -0.3 + rng.exponential(1.5, n) - rng.exponential(0.4, n)
    if activation == "relu":
        x = np.maximum(x, 0)
    elif activation == "relu6":
        x = np.clip(2 * x, 0, 6)
    elif activation == "leaky_relu":
        x = np.where(x > 0, x, 0.1 * x)
    else:
        x = rng.laplace(0.2, 1, n)
    return x.reshape(-1, 8, 5, 5).astype(np.float32)


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "identity"])
def test_activation_is_recognised(activation):
    x = laplace(activation)
    codec = lwfc.calibrate(x, levels=4)
    assert codec.metadata["activation"] == activation
    if activation != "leaky_relu":  # whose lower end is 0 if named, the best if guessed
        assert lwfc.calibrate(x, levels=4, activation=activation) == codec
    assert codec.metadata["law"] == "model"
    assert guess_activation(lwfc.moments(x), x.ravel()) == activation


@pytest.mark.parametrize("levels", [2, 3, 4, 8])
def test_model_range_is_the_papers(levels):
    x = laplace("relu")
    m = lwfc.moments(x)
    model = lwfc.ActivationModel.fit(m.mean, m.variance, activation="relu")
    codec = lwfc.calibrate(x, levels=levels)
    assert codec.values[0, 0] == 0
    assert codec.values[0, -1] == pytest.approx(model.clip_range(levels)[1], rel=1e-6)


def test_ranges():
    x = laplace("relu")
    top = {
        clip: lwfc.calibrate(x, levels=4, clip=clip).values.max()
        for clip in ("model", "aciq", "minmax", "percentile", "mse")
    }
    assert top["minmax"] == x.max()
    assert top["percentile"] == pytest.approx(np.percentile(x, 99.9), rel=0.02)
    assert top["mse"] == pytest.approx(top["model"], rel=0.1)
    assert top["aciq"] < top["model"]
    assert lwfc.calibrate(x, levels=4, clip=(0.5, 2)).values.tolist() == [[0.5, 1, 1.5, 2]]
    wide = lwfc.calibrate(x, levels=4, clip_scale=1.5)
    assert wide.values.max() == pytest.approx(1.5 * top["model"])
    signed = lwfc.calibrate(laplace("identity"), levels=3, clip_scale=2)
    usual = lwfc.calibrate(laplace("identity"), levels=3)
    assert np.ptp(signed.values) == pytest.approx(2 * np.ptp(usual.values), rel=1e-6)
    assert signed.values.mean() == pytest.approx(usual.values.mean(), abs=1e-5)


def test_lower_end():
    x = laplace("leaky_relu")
    m = lwfc.moments(x)
    model = lwfc.ActivationModel.fit(m.mean, m.variance, activation="leaky_relu")
    for clip_lo, lo in ((None, 0.0), (-0.1, -0.1), ("free", None)):
        codec = lwfc.calibrate(x, levels=4, clip_lo=clip_lo, activation="leaky_relu")
        expected = model.clip_range(4, lo=lo)
        assert (codec.values.min(), codec.values.max()) == pytest.approx(expected, rel=1e-5)
    wide = lwfc.calibrate(x, levels=4, clip_lo=-0.1, clip_scale=2)
    hi = lwfc.calibrate(x, levels=4, clip_lo=-0.1).values.max()
    assert wide.values.min() == np.float32(-0.1)
    assert wide.values.max() == pytest.approx(2 * hi + 0.1, rel=1e-6)
    for clip in ("mse", "minmax", "percentile"):
        assert lwfc.calibrate(x, levels=4, clip=clip, clip_lo=-0.1).values.min() == np.float32(-0.1)


@pytest.mark.parametrize("clip", ["model", "aciq", "minmax", "percentile", "mse"])
@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "identity"])
def test_every_range_of_every_activation(clip, activation):
    x = laplace(activation)
    codec = lwfc.calibrate(x, levels=4, clip=clip, activation=activation)
    if clip != "minmax":
        assert np.mean((codec.simulate(x) - x) ** 2) < x.var()
    assert x.min() <= codec.values.max() <= 2 * x.max()


def sources(x):
    yield x
    yield list(np.array_split(x, 7))
    yield (part for part in np.array_split(x, 7))
    yield iter(np.array_split(x, 3))

    class Again:
        def __iter__(self):
            return iter(np.array_split(x, 4))

    yield Again()


@pytest.mark.parametrize("options", [{}, {"restore": "centroid"}, {"granularity": "channel"}])
def test_sources_agree(options):
    x = laplace("relu", 60_000)
    made = [lwfc.calibrate(source, levels=3, **options) for source in sources(x)]
    for codec in made:
        assert np.allclose(codec.values, made[0].values, rtol=1e-6)
        assert codec.inner_shape == (8, 5, 5)
        assert codec.metadata["samples"] == len(x)


def test_generators_run_once_and_memory_stays():
    runs = 0

    def batches():
        nonlocal runs
        runs += 1
        for seed in range(40):
            yield features((10, 16, 28, 28), seed)

    tracemalloc.start()
    codec = lwfc.calibrate(batches(), levels=3, restore="centroid")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert runs == 1
    assert codec.metadata["samples"] == 400
    assert peak < 40e6  # the samples are 20 MB, a batch half a megabyte, the kept values 4 MB


def test_float_types_agree():
    x = laplace("relu", 40_000).astype(np.float16)
    reference = lwfc.calibrate(x.astype(np.float32), levels=4)
    assert lwfc.calibrate(x, levels=4) == reference
    assert lwfc.calibrate(x.astype(np.float64), levels=4) == reference
    assert lwfc.calibrate(x.astype(">f4"), levels=4) == reference


def test_thinning_keeps_all_parts_alike():
    thin = Thinned(1000)
    x = np.arange(100_000, dtype=np.float32)
    for part in np.array_split(x, 33):
        thin.add(part)
    kept = thin.values()
    assert 400 <= len(kept) <= 1000
    assert kept.mean() == pytest.approx(x.mean(), rel=0.05)
    thin.add(np.array([np.nan, np.inf] * 1000, np.float32))
    assert np.isfinite(thin.values()).all()


def test_planes():
    assert planes(np.zeros(5), None).shape == (1, 1, 1, 5)
    assert planes(np.zeros((2, 3, 4, 5)), None).shape == (2, 3, 4, 5)
    assert planes(np.zeros((2, 7, 16)), None).shape == (2, 16, 1, 7)
    assert planes(np.zeros((7, 16)), None).shape == (1, 16, 1, 7)
    assert planes(np.zeros((2, 4, 5, 3)), -1).shape == (2, 3, 4, 5)
    assert planes(np.zeros((2, 3, 4, 5, 6)), None).shape == (8, 3, 5, 6)
    assert planes(np.zeros((2, 4, 5, 6, 3)), -1).shape == (8, 3, 5, 6)
    assert planes(np.zeros((2, 3, 4, 1, 6)), None).shape == (2, 3, 4, 6)
    assert planes(np.zeros((3, 4, 5, 6)), 0).shape == (1, 3, 20, 6)
    x = np.arange(2 * 7 * 16).reshape(2, 7, 16)
    assert planes(x, None)[1, 3, 0, 5] == x[1, 5, 3]


@pytest.mark.parametrize(
    "x, lo, hi",
    [
        (np.zeros((3, 4)), 0, 1),
        (np.full((3, 4), 2.5), 2.5, 5.0),
        (np.full((3, 4), -2.5), -2.5, 0),
        (np.full((3, 4), 3e38), 1.5e38, 3e38),
    ],
)
def test_constant_samples(x, lo, hi):
    with pytest.warns(lwfc.CalibrationWarning, match="equal"):
        codec = lwfc.calibrate(x, levels=4)
    assert codec.values.min() == np.float32(lo) and codec.values.max() == np.float32(hi)
    assert np.array_equal(codec.simulate(x.astype(np.float32)), x.astype(np.float32))


def test_statistics_that_no_model_fits():
    x = laplace("identity") - 5
    with pytest.warns(lwfc.CalibrationWarning, match="mean"):
        codec = lwfc.calibrate(x, levels=4, activation="relu")
    best = lwfc.calibrate(x, levels=4, activation="identity", clip="mse")
    assert np.allclose(codec.values, best.values, rtol=1e-6)
    assert codec.metadata["law"] == "samples"
    top = np.where(np.arange(1000) % 2, 6.0, 0.0)
    with pytest.warns(lwfc.CalibrationWarning):
        lwfc.calibrate(top, levels=4, activation="relu6")


def test_dead_channels():
    x = features()
    x[:, 3] = 0
    with pytest.warns(lwfc.CalibrationWarning, match="channel 3"):
        codec = lwfc.calibrate(x, levels=4, granularity="channel")
    assert not codec.simulate(x)[:, 3].any()


def test_no_warning_on_ordinary_features(recwarn):
    lwfc.calibrate(features(), levels=4)
    lwfc.encode(np.zeros(10, np.float32))
    assert not recwarn.list


def test_not_finite_samples():
    x = laplace("relu", 40_000)
    bad = x.copy()
    bad[0, 0, 0] = np.nan
    bad[1, 1, 1, 1] = np.inf
    codec = lwfc.calibrate(bad, levels=4, restore="centroid")
    assert np.allclose(
        codec.values, lwfc.calibrate(x, levels=4, restore="centroid").values, rtol=0.01
    )
    with pytest.raises(lwfc.ParameterError, match="NaN"):
        lwfc.calibrate(bad, nan="raise")


@pytest.mark.parametrize(
    "samples, text",
    [
        (np.empty((0, 3, 4, 4)), "no samples"),
        ([], "no samples"),
        (np.full((3, 3), np.nan), "nothing"),
        (3.5, "axis 0"),
        ([1.0, 2.0], "axis 0"),
        ("file.npy", "pass an array"),
        ({"a": 1}, "pass an array"),
        (np.array(["a"]), "float32"),
    ],
)
def test_bad_samples(samples, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        lwfc.calibrate(samples)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"levels": 1}, "2 to 256"),
        ({"activation": "gelu"}, "activation="),
        ({"slope": 2}, "slope="),
        ({"kappa": 0}, "kappa="),
        ({"clip": "best"}, "clip="),
        ({"clip": (1, 0)}, "clip="),
        ({"clip": (0, 1, 2)}, "clip="),
        ({"clip_scale": 0}, "clip_scale="),
        ({"clip_lo": "low"}, "clip_lo="),
        ({"quantizer": "vector"}, "quantizer="),
        ({"rate_weight": -1}, "rate_weight="),
        ({"coder": "zip"}, "coder="),
        ({"restore": "network"}, "restore="),
        ({"restore_strength": 2}, "restore_strength="),
        ({"granularity": "pixel"}, "granularity="),
        ({"granularity": "channel", "channel_axis": 7}, "channel_axis"),
        ({"granularity": "channel", "quantizer": "ecsq"}, "tensor"),
        ({"nan": "keep"}, "nan="),
        ({"num_threads": 1.5}, "num_threads="),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        lwfc.calibrate(features(), **options)


def test_quantizers():
    x = laplace("relu")
    bits = {}
    for weight in (0.0, 0.05, 0.2):
        codec = lwfc.calibrate(
            x, levels=8, quantizer="ecsq", rate_weight=weight, coder="cabac", clip_scale=1.2
        )
        bits[weight] = len(codec.encode(x))
        assert codec.values[0, 0] == 0
        assert codec.values.max() == pytest.approx(
            1.2 * lwfc.calibrate(x, levels=8).values.max(), rel=1e-6
        )
    assert bits[0.0] > bits[0.05] > bits[0.2]
    uniform = lwfc.calibrate(x, levels=4, coder="cabac")
    dead = lwfc.calibrate(x, levels=4, coder="cabac", quantizer="deadzone")
    assert np.array_equal(dead.values, uniform.values)
    assert len(dead.encode(x)) < len(uniform.encode(x))
    signed = lwfc.calibrate(laplace("identity"), levels=5, quantizer="deadzone", clip=(-2, 2))
    assert signed.thresholds[0] == pytest.approx(
        [-1.5 - 1 / 6, -0.5 - 1 / 6, 0.5 + 1 / 6, 1.5 + 1 / 6]
    )


def test_centroids_lower_the_error():
    x = laplace("relu")
    plain = lwfc.calibrate(x, levels=3)
    better = lwfc.calibrate(x, levels=3, restore="centroid")
    assert np.array_equal(plain.thresholds, better.thresholds)
    assert np.mean((better.simulate(x) - x) ** 2) < np.mean((plain.simulate(x) - x) ** 2)
    assert not better.bound
    for symbol in range(3):
        cell = x[plain.symbols(x) == symbol]
        mean = cell.mean() if symbol else 0  # where most values are 0 exactly
        assert better.values[0, symbol] == pytest.approx(mean, rel=1e-4)


def test_progress_is_told():
    calls = []
    lwfc.calibrate(
        (part for part in np.array_split(features(), 3)),
        levels=3,
        restore="centroid",
        progress=lambda *call: calls.append(call),
    )
    assert calls[:3] == [(1, None, "statistics"), (2, None, "statistics"), (3, None, "statistics")]
    assert calls[3:6] == [(1, 3, "symbols"), (2, 3, "symbols"), (3, 3, "symbols")]


def test_batches_can_be_walked_again():
    x = features()
    for source in sources(x):
        with Batches(source) as batches:
            for _ in range(3):
                assert np.array_equal(np.concatenate(list(batches.walk("test"))), x)


@pytest.mark.parametrize(
    "coder, restore", [("context", "none"), ("rans", "local"), ("context", "linear")]
)
def test_calibrated_parts(coder, restore):
    x = features((40, 4, 8, 8))
    codec = lwfc.calibrate(x, levels=3, coder=coder, restore=restore)
    assert codec.bound and codec.coder == coder
    assert (codec.context is not None) == (coder == "context")
    assert (codec.restore is not None) == (restore != "none")
    y = codec.decode(codec.encode(x))
    assert np.array_equal(codec.simulate(x), y)
    assert lwfc.Codec.from_config(codec.get_config()) == codec
    assert lwfc.Codec.from_bytes(codec.to_bytes()) == codec
    with pytest.raises(lwfc.ParameterError, match="bound"):
        codec.replace(bound=False)
    with pytest.raises(lwfc.FormatError, match="codec"):
        lwfc.decode(codec.encode(x))


def test_limits_of_the_context_coder_are_parameter_errors():
    with pytest.raises(lwfc.ParameterError, match="levels"):
        lwfc.calibrate(features(), levels=200, coder="context")


@pytest.mark.parametrize("lowest", [np.finfo(np.float32).min, np.finfo(np.float16).min])
def test_filled_masks_are_named(lowest):
    x = features((8, 4, 6, 5))
    x[:, :, :, 4] = lowest
    with pytest.warns(lwfc.CalibrationWarning, match="20 % of the values.*mask="):
        lwfc.calibrate(x, levels=4, clip=(-1, 1))
