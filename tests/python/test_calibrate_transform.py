"""lwfc.calibrate(transform=...): what it meets, what it takes, what it refuses."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwfc
from lwfc.transform import fit, subspace

SMALL = (12, 6, 6)


def maps(shape=(60, *SMALL), seed=0, channel_axis=1):
    """ReLU features, smooth over places and redundant over channels."""
    rng = np.random.default_rng(seed)
    n, channels, *spatial = shape
    x = rng.standard_normal((n, 4, *spatial))
    for axis in range(2, x.ndim):
        for _ in range(2):
            x = x + np.roll(x, 1, axis)
    mix = np.random.default_rng(1).standard_normal((4, channels))
    x = np.einsum("kc,nk...->nc...", mix, x) + 0.1 * rng.standard_normal(shape)
    return np.moveaxis(np.maximum(x, 0), 1, channel_axis).astype(np.float32)


def gradients(x, rank=3, seed=2):
    """Gradients of random projections of a linear second half that sums channels over places."""
    rng = np.random.default_rng(seed)
    jacobian = np.repeat(rng.standard_normal((rank, x.shape[1])), x[0, 0].size, axis=1)
    signs = rng.choice([-1.0, 1.0], (2, len(x), rank))
    return (signs @ jacobian).reshape(2, *x.shape).astype(np.float32), jacobian


def outputs_distortion(jacobian, x, y):
    moved = (y - x).reshape(len(x), -1) @ jacobian.T
    out = x.reshape(len(x), -1) @ jacobian.T
    return np.square(moved).mean() / out.var(0).mean()


def check_stream(codec, x):
    data = codec.encode(x)
    decoded = codec.decode(data)
    assert decoded.shape == x.shape
    np.testing.assert_array_equal(decoded, codec.simulate(x))
    assert lwfc.Codec.from_bytes(codec.to_bytes()) == codec
    return data, decoded


def bits(codec, x):
    return 8 * sum(len(codec.encode(x[i : i + 1])) for i in range(len(x))) / x.size


def test_gradients_spend_the_bits_where_the_outputs_look():
    x, test = maps(), maps(seed=5)
    slopes, jacobian = gradients(x)
    options = {"transform": "dct", "block": 3}
    seeing = lwfc.calibrate(x, distortion=0.005, metric=slopes, **options)
    blind = lwfc.calibrate(x, step=seeing.metadata["step"], **options)
    (_, y), (_, z) = check_stream(seeing, test), check_stream(blind, test)
    assert seeing.metadata["distortion_measure"] == "gradients"
    assert blind.metadata["distortion_measure"] == "features"
    assert bits(seeing, test) < bits(blind, test)
    moved, moved_blind = (outputs_distortion(jacobian, test, t) for t in (y, z))
    assert moved < 0.02
    assert moved < 0.3 * moved_blind
    assert np.square(z - test).mean() < np.square(y - test).mean()  # outputs, not features


def test_target_bits_are_met_with_every_byte_counted():
    x = maps((200, *SMALL))
    codec = lwfc.calibrate(x, transform="dct", target_bits=0.7)
    assert bits(codec, maps((60, *SMALL), seed=9)) == pytest.approx(0.7, rel=0.12)


@pytest.mark.parametrize("shape", [(64, 8, 8), (16, 7, 7)])
@pytest.mark.parametrize("wanted", [0.2, 0.5])
def test_target_bits_are_kept_with_few_samples(shape, wanted):
    rng = np.random.default_rng(3)
    x, fresh = (rng.normal(size=(n, *shape)).astype(np.float32) for n in (8, 40))
    options = {"transform": "dct", "target_bits": wanted, "batched": True, "channel_axis": 1}
    codec = lwfc.calibrate(x, **options)
    assert bits(codec, x) <= 1.01 * wanted
    assert 0.6 * wanted < bits(codec, fresh) < 1.1 * wanted


def test_target_bits_of_samples_that_vary_count_whole_streams():
    rng = np.random.default_rng(3)
    mix = rng.normal(size=(8, 24))
    x = [(rng.normal(size=(1, n, 8)) @ mix).astype(np.float32) for n in rng.integers(20, 60, 30)]
    codec = lwfc.calibrate(x, transform="dct", target_bits=0.4, batched=True, channel_axis=2)
    real = 8 * sum(len(codec.encode(one)) for one in x) / sum(one.size for one in x)
    assert 0.3 < real <= 0.4


def test_what_no_step_meets_falls_back_and_says_so():
    rng = np.random.default_rng(4)
    vectors = np.maximum(rng.normal(size=(8, 64)), 0).astype(np.float32)
    with pytest.warns(lwfc.CalibrationWarning, match="no step of the transform brings"):
        codec = lwfc.calibrate(vectors, transform="dct", distortion=0.1, batched=True)
    assert codec.transform is None
    errors = np.square(codec.decode(codec.encode(vectors)) - vectors).mean()
    assert errors < 0.1 * vectors.var()
    with pytest.warns(lwfc.CalibrationWarning, match="at best, not 0.1"):
        lwfc.calibrate(vectors[:3], transform="dct", distortion=0.1, batched=True)


def test_a_finer_step_costs_bits_and_brings_the_features_back():
    x, test = maps(), maps(seed=3)
    rates, errors = [], []
    for step in (4.0, 1.0, 0.1, 0.01):
        codec = lwfc.calibrate(x, transform="dct", step=step, block=3)
        rates.append(bits(codec, test))
        errors.append(np.square(check_stream(codec, test)[1] - test).mean() / test.var())
    assert rates == sorted(rates)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("axis", [0, 1])
def test_draws_may_come_first_or_second_or_in_batches(axis):
    x = maps()
    slopes, _ = gradients(x)
    given_ = np.moveaxis(slopes, 0, axis)
    options = {"transform": "dct", "step": 1.0, "block": 3}
    codec = lwfc.calibrate(x, metric=given_, **options)
    pieces = [slice(0, 25), slice(25, 60)]
    batched = lwfc.calibrate(
        (x[p] for p in pieces),
        metric=(np.moveaxis(slopes[:, p], 0, axis) for p in pieces),
        **options,
    )
    np.testing.assert_allclose(batched.simulate(x[:9]), codec.simulate(x[:9]), atol=0.02)
    single = lwfc.calibrate(x, metric=slopes[0], **options)
    assert single != codec


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((40, 17, 5), -1),  # tokens x channels
        ((40, 5, 17), 1),  # channels x time
        ((64, 24), None),  # vectors
        ((30, 7, 5, 6), -1),  # channels last
        ((30, 6, 2, 3, 4), None),  # video
        ((20, 3, 1, 13), None),
        ((9, 1, 4, 4), None),
    ],
)
def test_any_rank_and_any_place_of_the_channels(shape, axis):
    rank = len(shape)
    place = 1 if axis in (1, None) else rank - 1
    channels_first = (shape[0], shape[place], *np.delete(shape[1:], place - 1))
    x = maps(channels_first, channel_axis=place).reshape(shape)
    codec = lwfc.calibrate(x, transform="dct", step=0.3, channel_axis=axis)
    for part in (x[:1], x[:7], np.asfortranarray(x[:3])):
        check_stream(codec, part)
    assert np.square(codec.simulate(x) - x).mean() < 0.3 * x.var()


def test_tokens_of_any_number_are_transformed_one_by_one():
    tokens = [maps((4, 12, n), channel_axis=2) for n in (5, 9, 30)]
    codec = lwfc.calibrate(tokens, transform="dct", step=0.2, batched=True)
    assert codec.inner_shape == ()
    for x in (*tokens, maps((2, 12, 77), channel_axis=2)):
        check_stream(codec, x)


@pytest.mark.parametrize(
    "shape", [(8, 12, 7, 7), (3, 40, 1, 11), (1, 5, 4, 4), (2, 30), (12, 64, 5, 5)]
)
def test_few_samples_still_give_a_codec(shape):
    x = maps(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lwfc.CalibrationWarning)  # it may be the plain profile
        codec = lwfc.calibrate(x, transform="dct")
    check_stream(codec, maps(shape, seed=8))


def test_one_sample_and_samples_beyond_squaring_are_told():
    with pytest.warns(lwfc.CalibrationWarning, match="one sample"):
        lwfc.calibrate(maps((1, *SMALL)), transform="dct")
    with pytest.raises(lwfc.ParameterError, match="samples reach .* scale them"):
        lwfc.calibrate(1e20 * maps(), transform="dct")


def test_values_far_beyond_all_others_are_left_out_and_told():
    x, endless = maps(), maps()
    x[7, 3, 2, 2], endless[7, 3, 2, 2] = 1e30, np.inf
    with pytest.warns(lwfc.CalibrationWarning, match="1 of them, are left out"):
        codec = lwfc.calibrate(x, transform="dct", distortion=0.1)
    assert codec == lwfc.calibrate(endless, transform="dct", distortion=0.1)
    check_stream(codec, x)


@pytest.mark.parametrize(
    ("samples", "channels", "gradient", "message"),
    [
        (np.s_[7:8], np.s_[:], 1, "lies in 1 of 60 samples"),
        (np.s_[7:8], np.s_[2:3], 1, "lies in 1 of 60 samples"),
        (np.s_[:], np.s_[3:4], 1, "lies in 1 of 20 channels .3.: .*metric="),
        (np.s_[:0], np.s_[:], 1e3, "gradients' power lies in 1 of 60 samples"),
    ],
)
def test_power_that_lies_in_few_samples_or_channels_is_told(samples, channels, gradient, message):
    x = maps((60, 20, 6, 6))
    metric = gradients(x)[0]
    x[samples, channels] *= 1e3
    metric[:, 7] *= gradient
    with pytest.warns(lwfc.CalibrationWarning, match=message):
        lwfc.calibrate(x, transform="dct", metric=None if gradient == 1 else metric)


def test_gradients_that_are_not_finite_are_told():
    x = maps()
    g = gradients(x)[0]
    g[0, 3, 2, 1, 1] = np.inf
    with pytest.warns(lwfc.CalibrationWarning, match="NaN or infinite, 1 of them, count as 0"):
        lwfc.calibrate(x, transform="dct", metric=g)


def test_distortions_beyond_the_decoder_s_integers_are_told():
    x = maps()
    codec = lwfc.calibrate(x, transform="dct", distortion=1e-4)  # warnings are errors
    assert codec.metadata["distortion"] <= 1.1e-4
    with pytest.warns(lwfc.CalibrationWarning, match="integers lose .* ask for no less"):
        codec = lwfc.calibrate(x, transform="dct", distortion=1e-6)
    assert 1e-6 < codec.metadata["distortion"] < 1e-4


def test_no_step_is_finer_than_symbols_hold():
    x = maps()
    with pytest.warns(lwfc.CalibrationWarning, match="at best"):
        codec = lwfc.calibrate(x, transform="dct", distortion=1e-9)
    y = check_stream(codec, x)[1]
    assert np.square(y - x).mean() < 1e-3 * x.var()
    finest = float(np.abs(y).mean()) * 1e-5
    assert codec.metadata["step"] > finest


@pytest.mark.parametrize("value", [0.0, 3.5, -1e6])
def test_constant_samples_come_back(value):
    x = np.full((20, 5, 4, 4), value, np.float32)
    codec = lwfc.calibrate(x, transform="dct")
    np.testing.assert_allclose(check_stream(codec, x)[1], x, rtol=1e-3)


def test_constant_channels_beside_others():
    x = maps()
    x[:, 3], x[:, 7] = 0, 2.5
    codec = lwfc.calibrate(x, transform="dct", step=0.05)
    y = check_stream(codec, x)[1]
    np.testing.assert_allclose(y[:, 3], 0, atol=0.05)
    np.testing.assert_allclose(y[:, 7], 2.5, atol=0.05)


def test_inputs_far_from_calibration_are_clipped_not_spread():
    x, test = maps(), maps(seed=4)
    codec = lwfc.calibrate(x, transform="dct", step=0.5)
    usual = codec.simulate(test)
    for value in (np.nan, np.inf, -np.inf, 1e30, 1e3):
        spoiled = test.copy()
        spoiled[:, 2, 1, 1] = value
        data, y = check_stream(codec, spoiled)
        assert np.isfinite(y).all()
        rest = np.ones(SMALL, bool)
        rest[:, 1, 1] = False
        assert np.abs(y - usual)[:, rest].mean() < x.std()
        assert len(data) < 3 * len(codec.encode(test))
    _, far = check_stream(codec, 100 * test)
    assert np.abs(far).max() < 20 * x.max()


def test_what_is_not_finite_is_left_out_or_refused():
    x = maps()
    x[5, 2, 3, 3], x[6, 0, 0, 0] = np.nan, np.inf
    codec = lwfc.calibrate(x, transform="dct", step=0.5)
    check_stream(codec, maps(seed=1))
    with pytest.raises(lwfc.ParameterError, match="2 NaN or infinities"):
        lwfc.calibrate(x, transform="dct", nan="raise")
    with pytest.raises(lwfc.ParameterError, match="no finite value"):
        lwfc.calibrate(np.full_like(x, np.nan), transform="dct")


@pytest.mark.parametrize("known", [False, True])
def test_wide_layers_are_fitted_in_a_subspace(monkeypatch, known):
    for module in (subspace, fit):
        monkeypatch.setattr(module, "DIRECTIONS", 16)
    x = maps((60, 40, 3, 3))  # four directions and a little noise
    metric = gradients(x)[0] if known else None
    codec = lwfc.calibrate(x, transform="dct", distortion=0.02, metric=metric)
    y = check_stream(codec, x)[1]
    if known:
        assert outputs_distortion(gradients(x)[1], x, y) < 0.2
    else:
        assert np.square(y - x).mean() < 0.1 * x.var()


def test_gradients_of_nothing_fall_back_and_say_so():
    x = maps()
    with pytest.warns(lwfc.CalibrationWarning, match="all zero"):
        codec = lwfc.calibrate(x, transform="dct", step=1.0, metric=np.zeros_like(x))
    assert codec == lwfc.calibrate(x, transform="dct", step=1.0)


def test_auto_takes_the_plain_profile_where_it_is_smaller():
    rng = np.random.default_rng(0)
    # Two values at random places: one bit each, and nothing to transform.
    sparse = (rng.random((40, 8, 8, 8)) < 0.03).astype(np.float32)
    with pytest.warns(lwfc.CalibrationWarning, match="plain profile codes smaller"):
        codec = lwfc.calibrate(sparse, transform="auto", distortion=0.01)
    assert codec.transform is None
    check_stream(codec, sparse)
    smooth = lwfc.calibrate(maps((60, 12, 12, 12)), transform="auto", distortion=0.1)
    assert smooth.transform is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 4}, "levels"),
        ({"coder": "rans"}, "coder"),
        ({"quantizer": "uniform"}, "quantizer"),
        ({"clip": "model"}, "clip"),
        ({"clip_scale": 1.0}, "clip_scale"),
        ({"restore": "linear"}, "restore"),
        ({"rate_weight": 0.1}, "rate_weight"),
        ({"bound": False}, "bound"),
        ({"step": 1.0, "target_bits": 1.0}, "step and target_bits"),
        ({"step": 0}, "step"),
        ({"step": 1e-7}, "16-bit .* below step=0.000"),
        ({"distortion": 2}, "distortion"),
        ({"target_bits": 0.01}, "before its first symbol"),
        ({"block": 4}, "1, 2, 3, 6"),
        ({"block": (2, 4)}, "1, 2, 3, 6"),
        ({"block": "whole"}, "map"),
        ({"block": (1, 2, 3)}, "block"),
        ({"nan": "ignore"}, "nan"),
        ({"metric": np.zeros((7, *SMALL))}, "metric"),
        ({"metric": [np.zeros((60, 5, 6, 6))]}, "metric"),
        ({"metric": [np.zeros((30, *SMALL), np.float32)]}, "metric"),
        ({"metric": 1e20 * maps()}, "gradients reach .* scale them"),
    ],
)
def test_refusals_name_the_argument(options, message):
    with pytest.raises(lwfc.ParameterError, match=message):
        lwfc.calibrate(maps(), transform="dct", **options)


def test_options_of_a_transform_need_one():
    for name, value in {"step": 1.0, "distortion": 0.1, "block": 3, "metric": maps()}.items():
        with pytest.raises(lwfc.ParameterError, match=name):
            lwfc.calibrate(maps(), **{name: value})
    with pytest.raises(lwfc.ParameterError, match="transform='dwt'"):
        lwfc.calibrate(maps(), transform="dwt")
    with pytest.raises(lwfc.ParameterError, match="channel axis"):
        lwfc.calibrate(np.linspace(0, 1, 50, dtype=np.float32), transform="dct")
    with pytest.raises(lwfc.ParameterError, match="no samples"):
        lwfc.calibrate([], transform="dct")


@settings(max_examples=25)
@given(
    n=st.integers(1, 9),
    channels=st.integers(1, 20),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    seed=st.integers(0, 99),
    step=st.sampled_from([1e-2, 0.3, 50.0]),
)
def test_any_samples_give_a_codec_that_simulates_what_it_decodes(
    n, channels, height, width, seed, step
):
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-3, 3)
    x = (scale * rng.standard_normal((n, channels, height, width))).astype("f4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lwfc.CalibrationWarning)
        codec = lwfc.calibrate(x, transform="dct", step=step * scale)
    check_stream(codec, x)
    check_stream(codec, np.float32(3) * x[:1])


def scores_of(jacobian, x):
    """evaluate: of each sample, whether the largest output of a linear second half stays."""
    before = (x.reshape(len(x), -1) @ jacobian.T).argmax(1)

    def evaluate(codec):
        y = x if codec is None else codec.simulate(x)
        return (before == (y.reshape(len(x), -1) @ jacobian.T).argmax(1)).astype(float)

    return evaluate


@pytest.mark.parametrize("transform", ["dct", "auto"])
def test_tune_holds_the_upper_bound_of_the_loss(transform):
    x, test = maps((80, *SMALL)), maps((120, *SMALL), seed=6)
    slopes, jacobian = gradients(x)
    seen = []
    scores = scores_of(jacobian, test)

    def evaluate(codec):
        seen.append(codec)
        return scores(codec)

    result = lwfc.tune(x, evaluate, transform=transform, metric=slopes, max_loss=0.1, block=3)
    assert 2 <= len(result.rows) == len(seen) - 1 <= 10
    assert result.reference == 1
    assert result.best["upper"] <= 0.1
    lost = 1 - scores(result.codec)
    assert result.best["loss"] == pytest.approx(lost.mean())
    assert result.best["upper"] == pytest.approx(
        lost.mean() + 1.645 * lost.std(ddof=1) / np.sqrt(len(lost))
    )
    allowed = [r["bits_per_element"] for r in result.rows if r["upper"] <= 0.1]
    assert result.best["bits_per_element"] == min(allowed)
    assert any(r["upper"] > 0.1 for r in result.rows)  # the bound was bracketed
    assert "*" in str(result)
    means = lwfc.tune(x, lambda c: scores(c).mean(), transform="dct", metric=slopes, max_loss=0.1,
                      block=3)  # fmt: skip
    assert means.best["bits_per_element"] <= result.best["bits_per_element"] * 1.05


def test_tune_with_a_transform_has_no_grid():
    with pytest.raises(lwfc.ParameterError, match="grid"):
        lwfc.tune(maps(), lambda codec: 1.0, transform="dct", grid={"levels": (2,)})
    with pytest.raises(lwfc.ParameterError, match="evaluate returned"):
        lwfc.tune(maps(), lambda codec: "good", transform="dct", block=3)
