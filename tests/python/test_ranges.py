"""Ranges of squared error: held against a search of its own, for every kind of activation."""

import warnings

import numpy as np
import pytest
from common import features
from hypothesis import given, settings
from hypothesis import strategies as st

import lwfc
from lwfc.model.empirical import SampleLaw
from lwfc.model.ranges import guess_activation

SHAPE = (6, 8, 12, 12)
NORMAL = np.random.default_rng(0).normal(size=SHAPE)


def leaky(z, slope):
    return np.where(z > 0, z, slope * z)


KINDS = {
    "silu": lambda z: z / (1 + np.exp(-z)),
    "hard-swish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
    "gelu": lambda z: z / (1 + np.exp(-1.702 * z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "batchnorm": lambda z: 0.8 * np.maximum(z - 0.5, 0) - 0.28,
    "leaky 0.01": lambda z: leaky(z, 0.01),
    "leaky 0.25": lambda z: leaky(z, 0.25),
    "prelu 0.8": lambda z: leaky(z, 0.8),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-3 * z)),
    "kelvin": lambda z: 273.15 + z,
    "pressure": lambda z: 101_325 + 300 * z,
}


def relative_error(codec, x):
    return np.mean((codec.simulate(x).astype(np.float64) - x) ** 2) / x.var(dtype=np.float64)


def least_error(x, levels):
    """Of any evenly spaced quantizer: pairs of quantiles, then a descent from the best few."""
    law = SampleLaw(x)
    ends = np.quantile(x.ravel(), np.r_[np.linspace(0, 1, 40), 0.001, 0.999])
    pairs = [(a, b) for a in ends for b in np.r_[ends, 1.3 * ends[-1] - 0.3 * ends[0]] if a < b]
    shares = np.arange(levels) / (levels - 1)

    def errors(pairs):
        return law.error(pairs[:, :1] + np.diff(pairs) * shares)

    pairs = np.array(pairs)
    least = np.inf
    for lo, hi in pairs[errors(pairs).argsort()[:6]]:
        step = 0.1 * (hi - lo)
        while step > 1e-3 * (hi - lo):
            moves = step * np.linspace(-1, 1, 7)
            near = np.array([(lo + a, hi + b) for a in moves for b in moves])
            found = errors(near)
            (lo, hi), step = near[found.argmin()], step / 2
            least = min(least, found.min())
    return least / x.var(dtype=np.float64)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shift, scale", [(0, 1), (-1, 1), (0.5, 2)])
def test_within_five_percent_of_the_best(name, shift, scale):
    x = KINDS[name](shift + scale * NORMAL).astype(np.float32)
    before = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for levels in (2, 3, 4, 6, 8):
            codec = lwfc.calibrate(x, levels=levels)
            error = relative_error(codec, x)
            assert error <= 1.05 * least_error(x, levels)
            assert error <= before
            assert codec.metadata["law"] in ("model", "samples")
            before = error


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.floats(-2, 2),
    st.floats(0.3, 3),
    st.integers(2, 8),
    st.sampled_from(["tensor", "channel"]),
)
def test_more_levels_never_cost_error(name, shift, scale, levels, granularity):
    x = KINDS[name](shift + scale * NORMAL[:2]).astype(np.float32)
    options = {"granularity": granularity, "channel_axis": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few, more = (lwfc.calibrate(x, levels=n, **options) for n in (levels, levels + 1))
    assert relative_error(more, x) <= 1.0001 * relative_error(few, x)


@pytest.mark.parametrize("clip", ["mse", "percentile", "minmax"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("shift", [-400.0, -0.28, 0.0, 273.15])
def test_empirical_ranges_take_any_mean(clip, granularity, shift):
    x = (0.8 * np.maximum(NORMAL, 0) + shift).astype(np.float32)
    codecs = [
        lwfc.calibrate(x, levels=8, clip=clip, granularity=granularity, channel_axis=1, **options)
        for options in ({}, {"activation": "leaky_relu", "clip_lo": "free"})
    ]
    limit = 0.05 if clip == "mse" else 0.3
    assert all(relative_error(codec, x) < limit for codec in codecs)


@pytest.mark.parametrize("levels", [3, 4, 8])
@pytest.mark.parametrize("restore", ["none", "centroid"])
@pytest.mark.parametrize("clip", ["model", "mse", "percentile", "minmax"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_zero_stays_zero(levels, restore, clip, granularity):
    holes = np.random.default_rng(1).random(SHAPE) < 0.3
    for x in (
        np.maximum(NORMAL, 0),
        np.clip(3 * NORMAL - 1, 0, 6),
        KINDS["hard-swish"](2 * NORMAL - 1),
        np.where(holes, 0, NORMAL),
        np.minimum(NORMAL, 0),
        np.sign(NORMAL) * np.maximum(np.abs(NORMAL) - 0.6, 0),
    ):
        x = x.astype(np.float32)
        options = {"restore": restore, "clip": clip, "granularity": granularity}
        for scale in (1.0, 1.37):
            codec = lwfc.calibrate(x, levels=levels, clip_scale=scale, channel_axis=1, **options)
            y = codec.decode(codec.encode(x))
            assert not y[x == 0].any()
            assert (np.diff(codec.values) >= 0).all()


def test_zero_of_two_levels():
    for x in (np.maximum(NORMAL, 0), np.clip(3 * NORMAL, 0, 6)):
        x = x.astype(np.float32)
        for restore in ("none", "centroid"):
            assert not lwfc.calibrate(x, levels=2, restore=restore).simulate(x)[x == 0].any()


@pytest.mark.parametrize("levels", [2, 3, 4, 8, 16, 64])
def test_values_that_stop_at_their_upper_end(levels):
    """A negated ReLU, as in log-likelihoods and penalties; a ReLU6 that was shifted."""
    negated = -np.maximum(NORMAL - 0.3, 0).astype(np.float32)
    y = lwfc.calibrate(negated, levels=levels).simulate(negated)
    assert not y[negated == 0].any()
    mirrored = lwfc.calibrate(-negated, levels=levels, clip="mse").simulate(-negated)
    assert np.square(y - negated).mean() <= 1.001 * np.square(mirrored + negated).mean()
    if levels > 2:
        shifted = (np.clip(3 * NORMAL + 3, 0, 6) - 3).astype(np.float32)
        codec = lwfc.calibrate(shifted, levels=levels)
        even = np.linspace(-3, 3, levels)
        error = np.square(codec.simulate(shifted) - shifted).mean()
        assert error <= 1.05 * SampleLaw(shifted).error(even)


@pytest.mark.parametrize("levels", [2, 3, 4, 16])
@pytest.mark.parametrize("clip", ["model", "mse", "aciq", "percentile", "minmax"])
def test_largest_numbers_of_float32(levels, clip):
    """With which masks are filled."""
    most = np.finfo(np.float32).max
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for x in ([most, -most, 0], [most, 0.99 * most], [-most, -most, 1, 2, 3]):
            x = np.array([x] * 4, np.float32)
            y = lwfc.decode(lwfc.encode(x, levels=levels, clip=clip))
            assert np.isfinite(y).all()


def test_a_floor_is_a_level():
    x = KINDS["batchnorm"](NORMAL).astype(np.float32)
    for levels in (2, 3, 4, 8):
        for options in ({}, {"clip": "mse"}, {"clip_scale": 1.7}):
            assert lwfc.calibrate(x, levels=levels, **options).values.min() == x.min()


def test_a_level_on_zero_costs_no_table():
    """Evenly spaced levels through 0 are told by their ends, in self-contained streams too."""
    x = np.where(NORMAL > 0.8, NORMAL, np.where(NORMAL < -0.8, NORMAL, 0)).astype(np.float32)
    codec = lwfc.calibrate(x, levels=5, activation="identity", clip="mse")
    lo, hi = codec.values[0, 0], codec.values[0, -1]
    assert np.array_equal(codec.values[0], lwfc.dequantize(np.arange(5, dtype=np.uint8), lo, hi, 5))
    assert 0 in codec.values


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_named_activations_keep_the_papers_range_and_say_when_it_does_not_fit(activation):
    rng = np.random.default_rng(0)
    z = np.where(rng.random(SHAPE) < 0.2, rng.normal(4.0, 0.05, SHAPE), 0.015 + 0.03 * NORMAL)
    x = leaky(z, 0.1).astype(np.float32)
    m = lwfc.moments(x)
    model = lwfc.ActivationModel.fit(m.mean, m.variance, activation, kappa=None)
    with pytest.warns(lwfc.CalibrationWarning, match="do not follow the model"):
        codec = lwfc.calibrate(x, levels=6, activation=activation)
    assert codec.metadata["law"] == "model"
    ends = model.clip_range(6, lo=None if activation == "identity" else 0.0)
    assert (codec.values.min(), codec.values.max()) == pytest.approx(ends, rel=1e-5)


def test_trouble_of_many_channels_is_one_warning():
    x = features((6, 40, 10, 9))
    x[:, 5:35] = 1
    with pytest.warns(lwfc.CalibrationWarning) as said:
        lwfc.calibrate(x, levels=4, granularity="channel")
    (warning,) = said
    text = str(warning.message)
    assert text.startswith("channel 5: all values are equal") and "29 more channels" in text


def test_no_relu_without_values_near_zero():
    for x in (273.15 + NORMAL, 5 + np.abs(NORMAL), 1000 + 10 * NORMAL):
        x = x.astype(np.float32)
        assert guess_activation(lwfc.moments(x), x.ravel()) == "identity"
    for x in (np.abs(NORMAL), np.maximum(NORMAL, 0), np.maximum(NORMAL + 2, 0)):
        x = x.astype(np.float32)
        assert guess_activation(lwfc.moments(x), x.ravel()) == "relu"


@pytest.mark.parametrize("axis, index", [(1, 3), (2, 0)])
def test_massive_channels_and_tokens_are_named(axis, index):
    x = np.random.default_rng(0).normal(size=(8, 40, 64)).astype(np.float32)
    np.moveaxis(x, axis, 0)[index] *= 100
    with pytest.warns(lwfc.CalibrationWarning, match=f"{index} .*granularity=.channel"):
        lwfc.calibrate(x, levels=8, channel_axis=2)
    with pytest.warns(lwfc.CalibrationWarning, match="granularity"):
        lwfc.encode(x, channel_axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lwfc.calibrate(x, levels=8, channel_axis=axis, granularity="channel")
        lwfc.calibrate(x, levels=8, channel_axis=2, clip=(-3, 3))


def test_channels_of_ordinary_networks_are_not_massive(recwarn):
    scales = np.geomspace(0.3, 3, 16)[:, None, None].astype(np.float32)
    for levels in (2, 4, 8):
        lwfc.calibrate(features((6, 16, 10, 9)) * scales, levels=levels, channel_axis=1)
    assert not recwarn.list


def test_clip_scale_has_an_effect_or_a_warning():
    x = NORMAL.astype(np.float32)
    options = {"levels": 2, "activation": "identity", "channel_axis": 1}
    with pytest.warns(lwfc.CalibrationWarning, match="clip_scale=2 has no effect"):
        lwfc.calibrate(x, clip_scale=2.0, restore="centroid", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, wide = (lwfc.calibrate(x, clip_scale=scale, **options) for scale in (1.0, 2.0))
        lwfc.calibrate(x, clip_scale=2.0, restore="centroid", **options | {"levels": 3})
    assert np.ptp(wide.values) == pytest.approx(2 * np.ptp(plain.values), rel=1e-5)


@pytest.mark.parametrize("restore", ["centroid", "local", "linear"])
@pytest.mark.parametrize("options", [{"granularity": "channel"}, {"granularity": "tensor"}])
@pytest.mark.parametrize("levels", [2, 4])
def test_restoration_is_never_worse_than_none(restore, options, levels):
    x = NORMAL + 0.5 * np.roll(NORMAL, 1, -1)
    x[:, 3] += 25
    x[:, 4] = np.maximum(x[:, 4], 0)
    x[:, 5] *= 0.01
    x[:, 6] = 0
    x = x.astype(np.float32)
    options = options | {"levels": levels, "activation": "identity", "channel_axis": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        none, made = (lwfc.calibrate(x, restore=name, **options) for name in ("none", restore))
    axes = (0, 2, 3)
    before, after = (np.mean((codec.simulate(x) - x) ** 2, axes) for codec in (none, made))
    if len(made.values) > 1 or restore != "centroid":
        assert (after <= before * 1.0001 + 1e-12).all()
    assert after.mean() <= before.mean()
    assert not made.simulate(x)[:, 6].any() or len(made.values) == 1
    assert made.bound == (len(made.values) > 1 or restore != "centroid")
