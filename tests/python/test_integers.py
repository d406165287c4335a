"""8-bit integers of quantized networks: calibrated for what they stand for, decoded as they are."""

import json

import numpy as np
import pytest

import lwfc
from lwfc.tools.cli import main

RNG = np.random.default_rng(0)
SMOOTH = RNG.normal(0, 1, (24, 12, 10, 10)).cumsum(2).cumsum(3) / 6
CASES = {  # name: (real values, zero point, type)
    "relu int8": (np.maximum(SMOOTH, 0), -128, "int8"),
    "relu uint8": (np.maximum(SMOOTH, 0), 0, "uint8"),
    "identity int8": (SMOOTH, 3, "int8"),
    "identity uint8": (SMOOTH, 131, "uint8"),
}


def quantized(name):
    """(integers, scale, zero point, what they stand for)"""
    real, zero, dtype = CASES[name]
    ends = np.iinfo(dtype)
    scale = float(np.abs(real).max() / (min(ends.max - zero, 120) if zero > -100 else 255))
    q = np.clip(np.rint(real / scale) + zero, ends.min, ends.max).astype(dtype)
    return q, scale, zero, ((q.astype(float) - zero) * scale).astype(np.float32)


OPTIONS = [
    {}, {"granularity": "channel"}, {"quantizer": "ecsq", "rate_weight": 0.01},
    {"restore": "centroid"}, {"coder": "context", "restore": "linear"}, {"clip": "minmax"},
    {"coder": "context", "rate_weight": 0.02},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_integers_are_coded_as_what_they_stand_for(name, options):
    q, scale, zero, real = quantized(name)
    options = {"levels": 3, "channel_axis": 1} | options
    codec = lwfc.calibrate(q[:12], scale=scale, zero_point=zero, **options)
    like = lwfc.calibrate(real[:12], **options)
    data = codec.encode(q[12:])
    y = codec.decode(data)
    assert y.dtype == q.dtype and lwfc.inspect(data, codec).dtype == q.dtype.name
    np.testing.assert_array_equal(codec.simulate(q[12:]), y)
    # The rate-distortion pass weighs errors of rounded values: a few symbols differ.
    alike = 0.99 if "rate_weight" in options else 0.9999
    assert np.mean(codec.symbols(q[12:]) == like.symbols(real[12:])) > alike
    apart = 0.05 if "rate_weight" in options else 0.03
    assert len(data) == pytest.approx(len(like.encode(real[12:])), rel=apart)
    error = np.square((y.astype(float) - zero) * scale - real[12:]).mean()
    other = np.square(like.simulate(real[12:]) - real[12:], dtype=float).mean()
    assert error < 1.02 * other + scale**2 / 3  # half a step of rounding


def test_tables_hold_integers_and_zero_stays_zero():
    q, scale, zero, _ = quantized("relu int8")
    for options in ({}, {"restore": "centroid"}, {"granularity": "channel"}):
        codec = lwfc.calibrate(q, levels=4, scale=scale, zero_point=zero, channel_axis=1, **options)
        np.testing.assert_array_equal(codec.values, np.rint(codec.values))
        np.testing.assert_array_equal(codec.thresholds % 1, 0.5)
        assert (codec.simulate(q)[q == zero] == zero).all()
        assert codec.values.min() == zero


def test_the_scale_goes_with_the_codec(tmp_path):
    q, scale, zero, _ = quantized("identity int8")
    codec = lwfc.calibrate(q, levels=4, scale=scale, zero_point=zero, channel_axis=1)
    codec.save(tmp_path / "c.lwfc")
    copied = lwfc.Codec.from_config(codec.get_config())
    for same in (lwfc.load(tmp_path / "c.lwfc"), copied, codec.replace(coder="cabac")):
        assert (same.integer_type, same.scale, same.zero_point) == ("int8", scale, zero)
    assert lwfc.calibrate(q, channel_axis=1).scale is None


def test_a_scale_for_each_channel():
    q, scale, zero, _ = quantized("relu uint8")
    scales = scale * np.linspace(0.5, 2, q.shape[1])
    codec = lwfc.calibrate(q, levels=4, scale=scales, channel_axis=1, clip=(0, 4))
    for c, one in enumerate(scales):
        alone = lwfc.calibrate(q[:, c], levels=4, scale=one, clip=(0, 4), channel_axis=-1)
        np.testing.assert_array_equal(codec.values[c], alone.values[0])
        np.testing.assert_array_equal(codec.simulate(q)[:, c], alone.simulate(q[:, c]))
    assert codec.scale == list(scales) and codec.bound


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_all_values_come_back_at_256_levels(dtype):
    ends = np.iinfo(dtype)
    x = np.arange(ends.min, ends.max + 1).astype(dtype).reshape(2, 8, 16)
    data = lwfc.encode(x, levels=256, lo=ends.min, hi=ends.max)
    np.testing.assert_array_equal(lwfc.decode(data), x)
    for out in (np.zeros_like(x), np.zeros((16, 8, 2), dtype).T, np.zeros((4, 8, 16), dtype)[::2]):
        np.testing.assert_array_equal(lwfc.decode(data, out=out), x)
    with pytest.raises(lwfc.ParameterError, match=dtype):
        lwfc.decode(data, out=np.zeros(x.shape, np.float32))


def test_symbols_and_limits():
    x = np.array([[-128, -1, 0, 1, 127]], np.int8)
    codec = lwfc.Codec([-0.5, 0.5, 1.5], [-500, -0.5, 0.5, 500], coder="raw")
    data = codec.encode(x)
    assert codec.decode_symbols(data)[1] == "int8"
    assert codec.encode_symbols(codec.symbols(x), dtype="int8") == data
    assert codec.decode(data).tolist() == [[-128, -128, 0, 0, 127]]  # ties to even, ends
    assert codec.simulate(x.view(np.uint8)).tolist() == [[255, 255, 0, 0, 255]]


def test_mistakes_are_named():
    q, scale, zero, real = quantized("relu int8")
    codec = lwfc.calibrate(q, scale=scale, zero_point=zero, channel_axis=1)
    for wrong in (real, q.view(np.uint8), q.astype(np.int32)):
        with pytest.raises(lwfc.ParameterError, match="int8: pass these integers"):
            codec.encode(wrong)
    with pytest.raises(lwfc.ParameterError, match="leave it out for floats"):
        lwfc.calibrate(real, scale=scale, channel_axis=1)
    for wrong in (0, -1, np.nan, "x", [[1.0]]):
        with pytest.raises(lwfc.ParameterError, match="scale="):
            lwfc.calibrate(q, scale=wrong, channel_axis=1)
    with pytest.raises(lwfc.ParameterError, match="zero_point=0.5"):
        lwfc.calibrate(q, scale=1, zero_point=0.5, channel_axis=1)
    with pytest.raises(lwfc.ParameterError, match="must have as many"):
        lwfc.calibrate(q, scale=[1.0, 2.0], channel_axis=1)
    with pytest.raises(lwfc.ParameterError, match="one scale"):
        many = dict(scale=np.ones(q.shape[1]), coder="context", rate_weight=0.1)
        lwfc.calibrate(q, channel_axis=1, **many)


def test_transform_takes_integers():
    q, *_ = quantized("identity int8")
    codec = lwfc.calibrate(q[:12], transform="dct", step=4.0, channel_axis=1)
    y = codec.decode(codec.encode(q[12:]))
    assert y.dtype == np.int8
    assert np.square(y.astype(float) - q[12:]).mean() < 0.1 * q.astype(float).var()


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    q, scale, zero, _ = quantized("relu int8")
    np.save("q.npy", q)
    options = ["--scale", str(scale), "--zero-point", str(zero), "--channel-axis", "1", "-q"]
    assert main(["calibrate", "q.npy", "-o", "c.lwfc", *options]) == 0
    codec = lwfc.load("c.lwfc")
    assert (codec.integer_type, codec.scale, codec.zero_point) == ("int8", scale, zero)
    assert main(["encode", "q.npy", "--codec", "c.lwfc", "-o", "s.lwfc", "-q"]) == 0
    assert main(["decode", "s.lwfc", "--codec", "c.lwfc", "-o", "back.npy", "-q"]) == 0
    np.testing.assert_array_equal(np.load("back.npy"), codec.simulate(q))
    assert main(["encode", "q.npy", "--dtype", "int8", "-q"]) == 0
    assert lwfc.decode((tmp_path / "q.npy.lwfc").read_bytes()).dtype == np.int8
    assert main(["encode", "q.npy", "--dtype", "uint8", "-q", "-f"]) == 1
    capsys.readouterr()
    assert main(["inspect", "c.lwfc", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)[0]
    assert (told["integers"], told["scale"], told["zero_point"]) == ("int8", scale, zero)


def test_torch():
    torch = pytest.importorskip("torch")
    import lwfc.torch as lt

    q, scale, zero, _ = quantized("relu uint8")
    codec = lwfc.calibrate(q, levels=4, scale=scale, zero_point=zero, channel_axis=1)
    x = torch.from_numpy(q[:2])
    data = lt.encode(x, codec)
    y = lt.decode(data, codec)
    assert y.dtype == torch.uint8 and data == codec.encode(q[:2])
    torch.testing.assert_close(codec.simulate(x), y, rtol=0, atol=0)
    out = torch.zeros_like(x)
    codec.decode(data, out=out)
    torch.testing.assert_close(out, y, rtol=0, atol=0)
    if not hasattr(torch, "_make_per_tensor_quantized_tensor"):
        pytest.skip("no quantized tensors")
    known = torch._make_per_tensor_quantized_tensor(torch.from_numpy(q), scale, zero)
    assert lwfc.calibrate(known, levels=4, channel_axis=1) == codec

    class Quantized(torch.nn.Module):
        def forward(self, x):
            return torch._make_per_tensor_quantized_tensor(x, scale, zero)

    model = torch.nn.Sequential(Quantized(), torch.nn.Identity())
    assert lt.calibrate(model, "0", [torch.from_numpy(q)], levels=4, channel_axis=1) == codec
    with lt.attach(model, {"0": codec}) as tap:
        coded = model(x)
    assert coded.q_scale() == pytest.approx(scale) and torch.equal(coded.int_repr(), y)
    assert tap.report()["0"]["bytes_out"] == len(data)
    two = [known, torch._make_per_tensor_quantized_tensor(torch.from_numpy(q), 2 * scale, zero)]
    with pytest.raises(lwfc.ParameterError, match="2 scales"):
        lwfc.calibrate(two, levels=4, channel_axis=1)
