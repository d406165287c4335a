"""Torch ops against the C kernels, bit for bit: any device's arithmetic, run here on the CPU."""

import numpy as np
import pytest
from restoration_data import features

import lwfc

torch = pytest.importorskip("torch")

from lwfc.torch.ondevice import OnDevice, on_device, takes  # noqa: E402
from lwfc.torch.operator import _on_device  # noqa: E402

WILD = [
    float(v) for v in ("nan", "inf", "-inf", "0", "-0.0", "1e-45", "-1e-45", "3.4e38", "-3.4e38")
]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def wild(shape, thresholds, dtype, seed=0):
    """Values of every kind, those of the thresholds and their neighbours among them."""
    rng = np.random.default_rng(seed)
    edge = np.asarray(thresholds, np.float32).reshape(-1)
    edges = np.concatenate(
        [edge, np.nextafter(edge, np.float32(9)), np.nextafter(edge, -np.float32(9))]
    )
    pool = np.concatenate([WILD, np.repeat(edges, 3), rng.normal(scale=3, size=60)])
    x = rng.choice(pool, size=shape)
    return torch.from_numpy(x).to(dtype)


def codecs():
    rng = np.random.default_rng(1)
    for levels in (2, 3, 4, 17, 40, 256):
        edge = np.sort(rng.normal(size=levels - 1))
        yield lwfc.Codec(edge, np.sort(rng.normal(scale=2, size=levels)))
    yield lwfc.Codec([-0.0, 0.0, 0.0], [-1, -0.0, 0.0, 1], coder="cabac")  # equal thresholds
    yield lwfc.Codec([1e30, 2e30], [-3e38, 1, 3e38], coder="raw")  # too large for float16
    per_channel = np.sort(rng.normal(size=(6, 3))), np.sort(rng.normal(size=(6, 4)))
    for axis in (None, 1, -1, 2):
        yield lwfc.Codec(*per_channel, channel_axis=axis)


def bits(tensor):
    return tensor.reshape(-1).view(torch.uint8)


def same(codec, x):
    tables = OnDevice(codec, x.device)
    symbols = tables.quantize(x)
    assert symbols.dtype == torch.uint8
    assert np.array_equal(symbols.numpy(), codec.symbols(x))
    for bitstream in (True, False):  # the way of an accelerator's tensors, on the CPU
        y, data, _ = _on_device(x, codec, bitstream)
        assert (
            torch.equal(bits(y), bits(codec.simulate(x)))
            and y.stride() == torch.empty_like(x).stride()
        )
        assert data == (codec.encode(x) if bitstream else None)
    values = tables.dequantize(symbols, x.dtype)
    assert values.dtype == x.dtype and values.shape == x.shape
    assert torch.equal(bits(values), bits(codec.simulate(x)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_symbols_and_values_equal_the_cores(dtype):
    for codec in codecs():
        if len(codec.values) == 1:
            shapes = [(3, 6, 5, 7), (9,), (), (0, 4), (4, 6)]
        else:
            shapes = [
                {None: (3, 6, 5, 7), 1: (2, 6, 9), -1: (5, 4, 6), 2: (2, 3, 6, 5)}[
                    codec.channel_axis
                ]
            ]
        for shape in shapes:
            same(codec, wild(shape, codec.thresholds, dtype))


def test_memory_formats():
    codec = lwfc.Codec([0.5, 1.0], [0.0, 0.7, 2.0])
    x = torch.rand(2, 6, 8, 8) * 2
    for view in (x.to(memory_format=torch.channels_last), x[:, ::2], x.transpose(1, 3), x.flip(0)):
        same(codec, view)


CASES = [
    ("local", 2, 5, {}),
    ("local", 4, 5, {"restore_strength": 0.5}),
    ("linear", 2, 12, {}),
    ("linear", 3, 7, {"restore_strength": 0.25}),
    ("linear", 30, 9, {}),
    ("centroid", 4, 6, {}),
]


@pytest.mark.parametrize("restore, levels, channels, options", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_restoration_equals_the_cores(restore, levels, channels, options, dtype):
    x = features(8, channels)
    codec = lwfc.calibrate(x, levels=levels, restore=restore, **options)
    fresh = torch.from_numpy(features(3, channels, seed=5)).to(dtype)
    same(codec, fresh)
    assert takes(codec, fresh.device)


@pytest.mark.parametrize("axis, order", [(-1, (0, 2, 3, 1)), (2, (0, 2, 1, 3))])
def test_restoration_along_other_axes(axis, order):
    x = np.ascontiguousarray(features(8, 6).transpose(order))
    codec = lwfc.calibrate(x, levels=3, restore="linear", channel_axis=axis)
    same(codec, torch.from_numpy(x[:3]))
    tokens = features(8, 6).reshape(8, 6, -1).transpose(0, 2, 1).copy()
    codec = lwfc.calibrate(tokens, levels=3, restore="linear", channel_axis=-1)
    same(codec, torch.from_numpy(tokens[:3]))
    same(codec, torch.from_numpy(tokens[0]))


def test_frames_and_single_samples():
    """More than two spatial axes, and samples without the axis that counts them."""
    video = np.stack([features(6, 4, seed=s) for s in range(3)], 2)  # (n, C, T, H, W)
    for options in ({"restore": "linear"}, {"restore": "local"}, {"granularity": "channel"}):
        codec = lwfc.calibrate(video, levels=3, channel_axis=1, **options)
        same(codec, torch.from_numpy(video[:2]))
        same(codec, torch.from_numpy(video[0]))
        image = lwfc.calibrate(features(8, 6), levels=3, channel_axis=1, **options)
        same(image, torch.from_numpy(features(1, 6)[0]))
        last = np.ascontiguousarray(features(8, 6).transpose(0, 2, 3, 1))
        image = lwfc.calibrate(last, levels=3, channel_axis=-1, **options)
        same(image, torch.from_numpy(last[0]))


def test_wrong_channels_and_nonfinite_values_are_refused():
    per_channel = lwfc.Codec([[0.5]] * 3, [[0.0, 1.0]] * 3)
    restoring = lwfc.calibrate(features(8, 6), levels=3, restore="local")
    for codec in (per_channel, restoring):
        tables = on_device(codec, torch.device("cpu"))
        with pytest.raises(lwfc.ParameterError, match="channels"):
            tables.dequantize(tables.quantize(torch.zeros(2, 5, 4, 4)), torch.float32)
    strict = on_device(lwfc.Codec([0.5], [0.0, 1.0], nan="raise"), torch.device("cpu"))
    for value in (torch.nan, torch.inf):
        with pytest.raises(lwfc.ParameterError, match="NaN"):
            strict.quantize(torch.tensor([0.0, value]))


def test_tables_are_made_once_and_leave_with_the_codec():
    import gc

    from lwfc.torch import ondevice

    codec = lwfc.Codec([0.25], [0.0, 1.0])
    assert on_device(codec, torch.device("cpu")) is on_device(codec, torch.device("cpu"))
    before = len(ondevice._made)
    del codec
    gc.collect()
    assert len(ondevice._made) < before


def test_what_needs_values_does_not_take_symbols():
    x = features(8, 6)
    device = torch.device("cpu")
    assert not takes(lwfc.calibrate(x, levels=3, rate_weight=0.05, coder="context"), device)
