"""Codecs and streams: exact round trips, values, and refusal of everything hostile."""

import contextlib
import copy
import json
import mmap
import pickle
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from common import any_floats, arrays, codecs, expected_symbols, expected_values, features
from hypothesis import given, settings
from hypothesis import strategies as st

import lwfc

ARRAYS = arrays()
CODECS = codecs()
each_array = pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


@each_codec
@each_array
def test_round_trip(array, codec):
    kept = array.copy()
    data = codec.encode(array)
    y = codec.decode(data)
    expected = expected_values(codec, array)
    assert y.dtype == expected.dtype and y.shape == array.shape
    assert np.array_equal(y, expected, equal_nan=True)
    assert np.array_equal(codec.simulate(array), y, equal_nan=True)
    assert np.array_equal(codec.symbols(array), expected_symbols(codec, array))
    assert np.array_equal(array, kept, equal_nan=True)
    assert codec.encode(array) == data
    assert codec.encode(array, num_threads=3) == data
    if not codec.bound:
        assert np.array_equal(lwfc.decode(data), y, equal_nan=True)


@given(any_floats(), st.sampled_from(sorted(CODECS)))
def test_round_trip_of_anything(x, name):
    codec = CODECS[name]
    data = codec.encode(x)
    assert np.array_equal(codec.decode(data), expected_values(codec, x), equal_nan=True)
    assert np.array_equal(codec.simulate(x), codec.decode(data), equal_nan=True)


@each_array
def test_one_shot(array):
    data = lwfc.encode(array, levels=4)
    y = lwfc.decode(data)
    info = lwfc.inspect(data)
    assert y.shape == array.shape == info.shape
    assert info.nbytes == len(data) and info.levels == 4 and not info.bound
    assert info.dtype == y.dtype.name
    if array.size:
        assert info.bits_per_element == 8 * len(data) / array.size
    finite = array[np.isfinite(array)]
    if finite.size and finite.min() == finite.max():
        assert np.array_equal(y, array)


def test_levels_buy_accuracy_and_cost_bits():
    x = features((8, 16, 14, 14))
    sizes, errors = [], []
    for levels in (2, 3, 4, 6, 8, 16, 64, 256):
        data = lwfc.encode(x, levels=levels, coder="cabac")
        sizes.append(len(data))
        errors.append(np.mean((lwfc.decode(data) - x) ** 2))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_constant_tensors_cost_a_handful_of_bytes():
    for value in (0, 3.3, -7.5, 1e-30, 3e38):
        x = np.full((64, 32, 14, 14), value, np.float32)
        data = lwfc.encode(x)
        assert len(data) < 200
        assert np.array_equal(lwfc.decode(data), x)


def test_bound_header_is_short():
    x = features((1, 8, 10, 9))
    codec = lwfc.calibrate(x, levels=4, bound=True)
    info = lwfc.inspect(codec.encode(x), codec)
    assert info.header_nbytes <= 16
    assert info.bound and f"{codec.digest:016x}".endswith(info.digest_tag)
    unknown = lwfc.inspect(codec.encode(x))
    assert unknown.levels is None and unknown.bound


@pytest.mark.parametrize("coder", ["raw", "cabac", "rans"])
def test_one_vector_of_a_codec_of_vectors(coder):
    x = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
    codec = lwfc.calibrate(x, levels=4, coder=coder)
    for bound in (True, False):
        one = codec.replace(bound=bound)
        assert np.array_equal(one.decode(one.encode(x[0])), one.simulate(x)[0])
        assert lwfc.inspect(one.encode(x[0]), one).shape == (8,)


def test_bound_streams_need_their_codec():
    x = features()
    codec = lwfc.calibrate(x, levels=4, bound=True)
    other = lwfc.calibrate(x * 2, levels=4, bound=True)
    data = codec.encode(x)
    with pytest.raises(lwfc.FormatError, match="codec"):
        lwfc.decode(data)
    with pytest.raises(lwfc.FormatError, match="codec"):
        other.decode(data)
    with pytest.raises(lwfc.ParameterError, match=r"lwfc\.Codec"):
        lwfc.decode(data, "layer2.lwfc")


@each_codec
def test_a_codec_is_a_value(codec):
    same = [
        pickle.loads(pickle.dumps(codec)),
        copy.copy(codec),
        copy.deepcopy(codec),
        lwfc.Codec.from_bytes(codec.to_bytes()),
        lwfc.Codec.from_config(json.loads(json.dumps(codec.get_config()))),
        codec.replace(),
        codec.replace(metadata={"note": "differs"}),
    ]
    for other in same:
        assert other == codec and hash(other) == hash(codec) and other.digest == codec.digest
    assert codec != codec.replace(nan="raise") and codec != 3
    assert lwfc.Codec.from_bytes(codec.to_bytes()).to_bytes() == codec.to_bytes()
    assert f"levels {codec.levels}," in repr(codec) and len(repr(codec)) < 400
    assert f"{codec.digest:016x}" in codec._repr_html_()


def test_a_codec_never_changes():
    codec = CODECS["rans 5"]
    with pytest.raises(AttributeError):
        codec.levels = 3
    with pytest.raises(AttributeError):
        codec._handle = None
    with pytest.raises(AttributeError):
        del codec._handle
    with pytest.raises(ValueError):
        codec.values[0, 0] = 1
    codec.metadata["activation"] = "other"
    assert codec.metadata["activation"] == "relu"


def test_save_and_load(tmp_path):
    codec = CODECS["ecsq"]
    path = tmp_path / "layer.lwfc"
    codec.save(path)
    assert lwfc.load(path) == codec and lwfc.Codec.load(str(path)) == codec
    assert [p.name for p in tmp_path.iterdir()] == ["layer.lwfc"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(lwfc.FormatError):
        lwfc.load(path)
    with pytest.raises(FileNotFoundError):
        lwfc.load(tmp_path / "none")


def test_any_buffer_decodes():
    x = features()
    codec = CODECS["rans 5"]
    data = codec.encode(x)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with mmap.mmap(file.fileno(), len(data)) as mapped:
            y = lwfc.decode(mapped)
    for buffer in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert np.array_equal(lwfc.decode(buffer), y)
    for thing in (3, None, [1, 2], memoryview(data)[::2]):
        with pytest.raises(lwfc.ParameterError, match="buffer"):
            lwfc.decode(thing)
    for name in ("x.lwfc", Path("x.lwfc")):
        with pytest.raises(lwfc.ParameterError, match="read_bytes"):
            lwfc.decode(name)
    with pytest.raises(lwfc.ParameterError, match="after the stream"):
        lwfc.decode(codec, data)


def test_out():
    x = features()
    codec = CODECS["rans 5"]
    data = codec.encode(x)
    y = lwfc.decode(data)
    out = np.empty(x.shape, np.float32)
    assert lwfc.decode(data, out=out) is out and np.array_equal(out, y)
    last = np.empty((6, 10, 9, 8), np.float32).transpose(0, 3, 1, 2)
    assert np.array_equal(codec.decode(data, out=last), y)
    for wrong in (
        np.empty(x.shape, np.float64),
        np.empty(x.shape[1:], np.float32),
        np.empty((6, 8, 9, 10), np.float32),
    ):
        with pytest.raises(lwfc.ParameterError):
            lwfc.decode(data, out=wrong)
    readonly = np.zeros(x.shape, np.float32)
    readonly.setflags(write=False)
    for wrong in (readonly, [1.0], b"bytes"):
        with pytest.raises((lwfc.ParameterError, TypeError)):
            lwfc.decode(data, out=wrong)
    assert not readonly.any()


def test_max_nbytes_is_checked_before_allocating():
    x = np.zeros((1000, 1000), np.float32)
    data = lwfc.encode(x)
    assert lwfc.decode(data, max_nbytes=x.nbytes).shape == x.shape
    with pytest.raises(lwfc.FormatError, match="max_nbytes"):
        lwfc.decode(data, max_nbytes=x.nbytes - 1)
    with pytest.raises(lwfc.ParameterError):
        lwfc.decode(data, max_nbytes=-1)


@pytest.mark.parametrize("name", ["raw 5", "cabac 5", "rans 5", "ecsq", "256 levels", "bound"])
def test_truncation_and_bit_flips(name):
    codec = CODECS[name]
    data = codec.encode(features((2, 3, 5, 7)))
    for length in range(len(data)):
        with pytest.raises(lwfc.FormatError):
            codec.decode(data[:length])
    with pytest.raises(lwfc.FormatError):
        codec.decode(data + b"\0")
    damaged = bytearray(data)
    for position in range(len(data)):
        for bit in (1, 128):
            damaged[position] ^= bit
            with pytest.raises(lwfc.FormatError):
                codec.decode(damaged)
            damaged[position] ^= bit


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    readers = [lwfc.decode, lwfc.inspect, lwfc.Codec.from_bytes]
    if len(data) >= 8 and data[0] >> 5 == 5:
        readers.remove(lwfc.inspect)  # a compact header, which only its codec can check
    for read in readers:
        with pytest.raises(lwfc.FormatError):
            read(data)


@given(st.data())
def test_damaged_codec_files(data):
    good = CODECS["ecsq"].to_bytes()
    position = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(lwfc.FormatError):
        lwfc.Codec.from_bytes(bad)


def test_nan_policy():
    x = features()
    x[0, 0, 0, 0] = np.nan
    codec = CODECS["rans 5"]
    assert codec.decode(codec.encode(x))[0, 0, 0, 0] == codec.values[0, 0]
    strict = codec.replace(nan="raise")
    for call in (strict.encode, strict.simulate):
        with pytest.raises(lwfc.ParameterError, match="NaN") as caught:
            call(x)
        assert "float32 (6, 8, 10, 9)" in caught.value.__notes__[0]
    with pytest.raises(lwfc.ParameterError, match="NaN"):
        lwfc.encode(x, nan="raise")
    assert lwfc.decode(lwfc.encode(np.full(5, np.nan, np.float32))).tolist() == [0] * 5


@pytest.mark.parametrize("coder", ["rans", "context"])
def test_nan_becomes_the_level_nearest_zero(coder):
    x = np.random.default_rng(0).normal(size=(6, 4, 10, 9)).astype(np.float32)
    x[:, 1] += 1.5
    broken = x.copy()
    broken[0, :, 0, 0] = np.nan, np.nan, -np.inf, np.inf
    for options in ({}, {"granularity": "channel"}, {"restore": "centroid"}, {"rate_weight": 0.2}):
        codec = lwfc.calibrate(x, levels=5, activation="identity", coder=coder, **options)
        for dtype in (np.float32, np.float16, np.float64):
            z = broken.astype(dtype)
            y = codec.decode(codec.encode(z))
            assert np.array_equal(codec.simulate(z), y)
            last = np.ascontiguousarray(z.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            assert np.array_equal(codec.simulate(last), y)
            rows = codec.values.astype(dtype) if len(codec.values) > 1 else [codec.values[0]] * 4
            nearest = [row[np.abs(row).argmin()].astype(dtype) for row in rows]
            assert y[0, :2, 0, 0].tolist() == nearest[:2]
            assert y[0, 2:, 0, 0].tolist() == [rows[2][0].astype(dtype), rows[3][-1].astype(dtype)]


def test_narrow_types_never_overflow():
    codec = lwfc.Codec([-1, 0, 1], [-3.4e38, -7e4, 7e4, 3.4e38])
    x = np.array([-2, -0.5, 0.5, 2], np.float16)
    expected = [-65504.0, -65504.0, 65504.0, 65504.0]
    for made in (codec, codec.replace(bound=True)):
        assert made.decode(made.encode(x)).tolist() == made.simulate(x).tolist() == expected
    assert lwfc.decode(codec.encode(x)).tolist() == expected
    wide = x.astype(np.float32)
    assert np.array_equal(codec.decode(codec.encode(wide)), codec.values[0])
    features = np.abs(np.random.default_rng(0).normal(size=(4, 8, 8, 8))) * 3e4
    features = np.minimum(features, 65504).astype(np.float16)
    features[0, 0, 0, 0] = 65504
    for options in ({"levels": 16}, {"clip": "minmax", "clip_scale": 2.5}, {"restore": "linear"}):
        codec = lwfc.calibrate(features, **options)
        assert np.isfinite(codec.simulate(features)).all()


def test_per_channel_quantizers():
    x = features() * np.linspace(0.2, 3, 8, dtype=np.float32)[:, None, None]
    assert lwfc.calibrate(x, levels=4, granularity="channel").bound
    codec = lwfc.calibrate(x, levels=4, granularity="channel", coder="cabac", bound=False)
    assert codec.thresholds.shape == (8, 3)
    y = codec.decode(codec.encode(x))
    assert np.array_equal(y, expected_values(codec, x))
    assert np.array_equal(lwfc.decode(codec.encode(x)), y)
    whole = lwfc.calibrate(x, levels=4)
    assert np.mean((y - x) ** 2) < np.mean((whole.simulate(x) - x) ** 2)
    with pytest.raises(lwfc.ParameterError, match="channel"):
        codec.encode(x[:, :5])
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    for bad in (x[0, 0, 0], np.float32(1)):
        for call in (whole.replace(channel_axis=1).encode, whole.replace(channel_axis=1).simulate):
            with pytest.raises(lwfc.ParameterError, match="axes, and the codec's channels"):
                call(bad)
    moved = codec.replace(channel_axis=-1, inner_shape=())
    assert np.array_equal(moved.simulate(last), y.transpose(0, 2, 3, 1))
    assert np.array_equal(lwfc.decode(moved.encode(last)), y.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"values": [1, 2, 3]}, "thresholds"),
        ({"values": [1]}, "2 to 256"),
        ({"values": np.zeros((2, 0))}, "2 to 256"),
        ({"thresholds": [2, 1], "values": [1, 2, 3]}, "ascending"),
        ({"thresholds": [np.nan]}, "finite"),
        ({"values": [2, 1]}, "ascending"),
        ({"coder": "zip"}, "must be one of"),
        ({"coder": "context"}, "calibrate"),
        ({"nan": "keep"}, "must be one of"),
        ({"rate_weight": -1}, "from 0"),
        ({"rate_weight": np.nan}, "from 0"),
        ({"rate_weight": "much"}, "from 0"),
        ({"metadata": {"a": {1}}}, "JSON"),
        ({"channel_axis": 99}, "from -8 to 7"),
        ({"inner_shape": (-1,)}, "at most 7"),
        ({"inner_shape": range(20)}, "at most 7"),
        ({"restore": b"x", "bound": False}, "bound"),
    ],
)
def test_impossible_codecs(arguments, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        lwfc.Codec(**({"thresholds": [0.5], "values": [0, 1]} | arguments))


@pytest.mark.parametrize(
    "config", [{}, {"id": "zstd"}, {"thresholds": [1], "values": [0, 1], "colour": 1}]
)
def test_bad_configurations(config):
    with pytest.raises(lwfc.ParameterError):
        lwfc.Codec.from_config(config)


@pytest.mark.parametrize(
    "x", [np.array([1j]), np.array(["a"]), np.array([object()]), np.zeros((1,) * 9, np.float32)]
)
def test_what_cannot_be_coded(x):
    for call in (lwfc.encode, CODECS["rans 5"].encode, CODECS["rans 5"].simulate):
        with pytest.raises(lwfc.ParameterError):
            call(x)


def test_bad_options_of_encode():
    x = features()
    for options, text in (
        ({"levels": 257}, "2 to 256"),
        ({"lo": 1.0}, "together"),
        ({"lo": 2, "hi": 1}, "lo < hi"),
        ({"coder": "context"}, "calibrate"),
        ({"coder": "lzma"}, "one of"),
        ({"clip": "best"}, "one of"),
        ({"num_threads": -1}, "num_threads"),
        ({"channel_axis": "C"}, "channel_axis"),
    ):
        with pytest.raises(lwfc.ParameterError, match=text):
            lwfc.encode(x, **options)


def test_given_range():
    x = features()
    y = lwfc.decode(lwfc.encode(x, levels=4, lo=0, hi=3))
    assert set(np.unique(y)) == {0, 1, 2, 3}
    assert np.array_equal(y, lwfc.decode(lwfc.encode(x, levels=4, clip=(0, 3))))
    assert np.array_equal(y, lwfc.dequantize(lwfc.quantize(x, 0, 3, 4), 0, 3, 4))


def test_stream_info_is_a_mapping():
    info = lwfc.inspect(lwfc.encode(features()))
    assert dict(info)["levels"] == 4 == info["levels"]
    assert json.loads(json.dumps(dict(info)))["coder"] == "rans"
    assert "levels" in info._repr_html_()
    assert "  levels: 4\n" in str(info) and repr(info).startswith("StreamInfo(")
    with pytest.raises(KeyError):
        info["colour"]


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = features().astype(ml_dtypes.bfloat16)
    codec = CODECS["rans 5"]
    data = codec.encode(x)
    assert lwfc.inspect(data).dtype == "bfloat16"
    y = codec.decode(data)
    assert y.dtype == np.float32  # whatever is installed
    simulated = codec.simulate(x)
    assert simulated.dtype == x.dtype and np.array_equal(y, simulated)
    assert np.array_equal(simulated, codec.simulate(x.astype(np.float32)).astype(x.dtype))
    out = np.zeros_like(x)
    assert codec.decode(data, out=out) is out and np.array_equal(out, simulated)
    wide = np.zeros(x.shape, np.float32)
    assert np.array_equal(codec.decode(data, out=wide), simulated)
    with pytest.raises(lwfc.ParameterError, match="bfloat16"):
        codec.decode(data, out=np.zeros(x.shape, np.uint16))


@settings(max_examples=25)
@given(st.integers(0, 2**64 - 1), st.integers(1, 40))
def test_huge_claims_in_headers_allocate_nothing(number, position):
    data = bytearray(lwfc.encode(np.zeros((100, 100), np.float32)))
    data[position % len(data) :] = struct.pack("<Q", number) + bytes(
        data[position % len(data) + 8 :]
    )
    with contextlib.suppress(lwfc.FormatError):
        lwfc.decode(data, max_nbytes=1 << 20)
