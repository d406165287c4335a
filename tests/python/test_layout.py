"""Channel axes that nobody names: measured, said, warned of; encoded as calibrated."""

import warnings

import numpy as np
import pytest
from layouts import clips, maps, strided_clips, tokens, video

import lwfc
from lwfc.calibration.channels import preferred_axis

MAPS, CLIPS, TOKENS, VIDEO = maps(), clips(), tokens(), video()
# name -> features, channel axis
BATCHES = {
    "nchw": (MAPS, 1),
    "nhwc": (np.moveaxis(MAPS, 1, -1).copy(), 3),
    "nct": (CLIPS, 1),
    "ntc": (TOKENS, 2),
    "ntc-smooth": (np.moveaxis(CLIPS, 1, 2).copy(), 2),
    "ntchw": (np.moveaxis(VIDEO, 1, 2).copy(), 2),
    "nthwc": (np.moveaxis(VIDEO, 1, -1).copy(), 4),
    "ncthw": (VIDEO, 1),
}
SINGLE = {"chw": (MAPS[0], 0), "hwc": (BATCHES["nhwc"][0][0], 2), "ct": (CLIPS[0], 0)}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("options", [{}, {"coder": "context"}], ids=["rans", "context"])
def test_calibrate_finds_the_axis(name, options):
    x, axis = BATCHES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec = lwfc.calibrate(x, levels=4, **options)
    named = lwfc.calibrate(x, levels=4, channel_axis=axis, **options)
    assert lwfc.inspect(codec.encode(x), codec).channel_axis == axis
    assert len(codec.encode(x)) == len(named.encode(x))
    assert codec.metadata["channels"].startswith(f"axis {axis} of")
    assert f"axis {axis} of" in repr(codec) and "measured" in repr(codec)
    assert "given" in repr(named)


@pytest.mark.parametrize("name", BATCHES | SINGLE)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_encode_finds_the_axis(name, dtype):
    x, axis = (BATCHES | SINGLE)[name]
    x = x.astype(dtype)
    data = lwfc.encode(x, levels=4)
    assert lwfc.inspect(data).channel_axis == axis
    named = [len(lwfc.encode(x, levels=4, channel_axis=a)) for a in range(x.ndim)]
    assert len(data) <= named[axis] <= 1.05 * min(named)
    assert lwfc.decode(data).shape == x.shape


@pytest.mark.parametrize("axis", [1, 2])
def test_where_all_axes_code_alike_channels_have_means_of_their_own(axis):
    for seed in range(8):
        x = np.moveaxis(strided_clips(seed=seed), 1, axis).copy()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            codec = lwfc.calibrate(x, levels=4)
        assert codec.metadata["channels"].startswith(f"axis {axis} of")


def test_the_axis_given_holds():
    x, _ = BATCHES["nhwc"]
    assert lwfc.inspect(lwfc.encode(x, channel_axis=2)).channel_axis == 2
    codec = lwfc.calibrate(x, channel_axis=1)
    assert lwfc.inspect(codec.encode(x)).channel_axis == 1 and codec.channel_axis == 1


def test_one_sample_for_a_batch():
    x = MAPS[0]
    with pytest.warns(lwfc.CalibrationWarning, match="one sample"):
        codec = lwfc.calibrate(x, levels=4, coder="context")
    assert codec.metadata["samples"] == 1 and codec.inner_shape == x.shape
    assert lwfc.inspect(codec.encode(x), codec).channel_axis == 0
    assert lwfc.inspect(codec.encode(MAPS), codec).channel_axis == 1
    for given in (0, -3):
        assert lwfc.calibrate(x, levels=4, coder="context", channel_axis=given) == codec
    assert lwfc.calibrate(x, levels=4, batched=False).inner_shape == x.shape
    with pytest.warns(lwfc.CalibrationWarning, match=r"x\[None\]"):
        lwfc.calibrate(SINGLE["hwc"][0])
    with pytest.warns(lwfc.CalibrationWarning, match=r"x\[None\], flattened"):
        lwfc.calibrate(CLIPS[0])
    with pytest.warns(lwfc.CalibrationWarning, match="sample_axis"):
        lwfc.calibrate(np.moveaxis(TOKENS, 1, 0))


def test_two_axes_that_code_alike_are_named():
    spectra = maps(64, 2, 16)[:, 0]  # smooth both ways, as (n, time, frequency) is
    with pytest.warns(lwfc.CalibrationWarning, match="axes 2 and 1 code alike"):
        lwfc.calibrate(spectra, levels=4, batched=True)


def test_no_structure_no_warning(recwarn):
    x = np.random.default_rng(0).random((16, 8, 8), np.float32)
    assert lwfc.calibrate(x).channel_axis is None
    assert lwfc.calibrate(x[0]).channel_axis is None
    lwfc.calibrate(np.arange(12.0).reshape(3, 4))
    assert not recwarn.list


@pytest.mark.parametrize("options", [{}, {"coder": "context"}, {"restore": "linear"},
                                     {"granularity": "channel"}])  # fmt: skip
@pytest.mark.parametrize("name", ["nchw", "nhwc", "nct", "ntc", "ncthw", "nthwc"])
def test_a_sample_is_coded_like_its_batch(name, options):
    x, axis = BATCHES[name]
    codec = lwfc.calibrate(x, levels=3, **options)
    data = codec.encode(x[0])
    assert lwfc.inspect(data, codec).channel_axis == axis - 1
    assert np.array_equal(codec.decode(data), codec.simulate(x[:1])[0])
    assert np.array_equal(codec.simulate(x[0]), codec.decode(data))
    assert len(data) <= len(codec.encode(x[:1])) + 4  # the shape, which batches leave to the codec


@pytest.mark.parametrize("options", [{"restore": "linear"}, {"granularity": "channel"}])
def test_errors_name_the_axis(options):
    codec = lwfc.calibrate(CLIPS, levels=3, channel_axis=2, **options)
    for call in (codec.encode, codec.simulate, codec.symbols):
        with pytest.raises(lwfc.ParameterError, match=r"80, where axis 2 of x has 60.*calibrate"):
            call(CLIPS[:, :, :60])


def test_moved_axes_are_warned_of():
    context = lwfc.calibrate(CLIPS, levels=3, coder="context", channel_axis=2)
    with pytest.warns(lwfc.CalibrationWarning, match="without the context model") as said:
        data = context.encode(CLIPS[:, :, :60])
    assert said[0].filename == __file__
    assert np.array_equal(context.decode(data), context.simulate(CLIPS)[:, :, :60])
    codec = lwfc.calibrate(MAPS, levels=3)
    last = np.moveaxis(MAPS, 1, -1)
    for call in (codec.encode, codec.simulate):
        with pytest.warns(lwfc.CalibrationWarning, match="axis 1 for the channels"):
            call(last)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec.encode(MAPS[:, :, :, :10])
        codec.encode(last[0])
        lwfc.calibrate(MAPS[:, :, :10], levels=3).encode(np.swapaxes(MAPS[:, :, :10], 2, 3))


@pytest.mark.parametrize("coder", ["rans", "context"])
@pytest.mark.parametrize("axis", [1, -1])
def test_a_video_costs_what_its_frames_do(coder, axis):
    x = np.moveaxis(VIDEO, 1, axis).copy()
    frames = np.moveaxis(VIDEO, 1, 2).reshape(-1, 8, 12, 12).copy()
    codec = lwfc.calibrate(x, levels=4, coder=coder)
    single = lwfc.calibrate(frames, levels=4, coder=coder)
    data = codec.encode(x)
    assert len(data) <= 1.01 * len(single.encode(frames))
    assert np.array_equal(codec.decode(data), codec.simulate(x))
    assert np.array_equal(
        np.moveaxis(codec.symbols(x), axis, 2 if axis == 1 else -3).reshape(frames.shape),
        single.symbols(frames),
    )
    if coder == "rans":
        assert len(lwfc.encode(x)) <= 1.01 * len(lwfc.encode(frames))
        assert len(lwfc.encode(x[0])) <= 1.02 * len(lwfc.encode(x[:1]))


def test_restored_video_is_its_restored_frames():
    frames = np.moveaxis(VIDEO, 1, 2).reshape(-1, 8, 12, 12).copy()
    made = [lwfc.calibrate(x, levels=3, restore="linear") for x in (VIDEO, frames)]
    assert made[0].restore == made[1].restore
    restored = np.moveaxis(made[0].simulate(VIDEO), 1, 2).reshape(frames.shape)
    assert np.array_equal(restored, made[1].simulate(frames))


def test_maps_of_few_places_keep_the_usual_axis():
    # A layer of 256 maps of 4x4: another axis saves 2.3 %, and yet channels differ the most.
    costs, unlike = {1: 25828, 3: 25240, 2: 26734}, [0.486, 0.603, 0.455, 0.546]
    assert preferred_axis(costs, unlike) == 1
    assert preferred_axis({1: 25828, 3: 23240, 2: 26734}, unlike) == 3
