"""The extension itself: layouts, types, threads and SIMD levels give one result."""

import numpy as np
import pytest

from lwfc import _core
from lwfc.base.errors import FormatError, ParameterError

F0, F2 = np.float32(0), np.float32(2)
RAW, CABAC, RANS = 0, 1, 2


def make(levels, coder, **changes):
    i = np.arange(levels)
    values = (i * 2.0 / (levels - 1)).astype(np.float32)
    thresholds = ((i[1:] - 0.5) * 2.0 / (levels - 1)).astype(np.float32)
    arguments = dict(
        levels=levels, thresholds=thresholds, values=values, coder=coder, channel_axis=None,
        bound=False, inner_shape=(), rate_weight=0.0, nan=0, context=None, restore=None,
        metadata=b"{}",
    )  # fmt: skip
    return _core.codec_make(**(arguments | changes))


@pytest.fixture(scope="module")
def feature():
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(3, 40, 30, 31)).cumsum(2).cumsum(3) / 20
    return np.maximum(smooth[:, :, 1:-1, 1:-2], 0).astype(np.float32)


def layouts(x):
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return {
        "float16": x.astype(np.float16),
        "float64": x.astype(np.float64),
        "channels last": last,
        "channels last, float16": last.astype(np.float16),
        "reversed channels": x[:, ::-1],
        "strided": x[:, :, ::2, 1::3],
        "byte-swapped": x.astype(">f4"),
        "int8": (20 * x - 50).astype(np.int8),
        "uint8, channels last": (20 * last).astype(np.uint8),
        "transposed plane": x.transpose(0, 1, 3, 2),
        "rank 3": x[0],
        "rank 2": x[0, 0],
        "rank 1": x[0, 0, 0],
        "rank 0": x[0, 0, 3, 3],
        "rank 5": x.reshape(3, 5, 8, 28, 28),
        "no samples": x[:0],
    }


@pytest.mark.parametrize("levels", [2, 3, 4, 8, 17, 256])
@pytest.mark.parametrize("coder", [RAW, CABAC, RANS])
def test_decode_is_dequantize_of_quantize_for_every_layout(feature, levels, coder):
    codec = make(levels, coder)
    for name, x in layouts(feature).items():
        q = _core.quantize(x, F0, F2, levels)
        expected = _core.dequantize(q, F0, F2, levels)
        expected = (np.rint(expected) if x.dtype.kind in "iu" else expected).astype(x.dtype)
        data = _core.encode(codec, x)
        y = _core.decode(data)
        assert y.shape == x.shape and y.dtype == x.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(y, expected, err_msg=name)
        np.testing.assert_array_equal(_core.symbols(codec, x), q, err_msg=name)
        out = np.empty_like(x).astype(y.dtype)
        _core.simulate(codec, x, out)
        np.testing.assert_array_equal(out, expected, err_msg=name)


@pytest.mark.parametrize("coder", [RAW, CABAC, RANS])
def test_threads_and_simd_levels_agree(feature, coder):
    x = np.concatenate([feature] * 4)
    codec = make(4, coder)
    data = _core.encode(codec, x)
    assert _core.inspect(data)["nblocks"] > 1
    moments = _core.moments(x)
    for threads in (2, 3, 7, 0):
        assert _core.encode(codec, x, threads) == data
        np.testing.assert_array_equal(
            _core.decode(data, num_threads=threads), _core.decode(data)
        )
        assert _core.moments(x, threads) == moments
    y = _core.decode(data)
    try:
        for level in ("scalar", "avx2"):
            _core.limit_cpu(level)
            assert _core.encode(codec, x) == data
            np.testing.assert_array_equal(_core.decode(data), y)
            assert _core.moments(x) == moments
    finally:
        _core.limit_cpu(None)


def test_moments_are_those_of_numpy(feature):
    x = feature.astype(np.float64)
    m = _core.moments(feature)
    assert m["count"] == x.size and m["zeros"] == (x == 0).sum() and m["max"] == x.max()
    np.testing.assert_allclose(
        [m["sum"], m["sum_squares"]], [x.sum(), np.square(x).sum()], rtol=1e-12
    )
    odd = np.array([np.nan, np.inf, -np.inf, 1.0, -2.0], np.float32)
    m = _core.moments(odd)
    assert (m["count"], m["nonfinite"], m["min"], m["max"]) == (2, 3, -2.0, 1.0)
    assert m["sum_magnitudes"] == 3.0


def test_nan_and_infinity():
    x = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert list(_core.symbols(make(3, RAW), x)) == [0, 2, 0, 1]
    with pytest.raises(ParameterError, match="NaN"):
        _core.encode(make(3, RAW, nan=1), x)


def test_bound_header_is_small_and_needs_its_codec(feature):
    codec = make(4, CABAC, bound=True, inner_shape=feature.shape[1:])
    data = _core.encode(codec, feature[:1])
    assert _core.inspect(data, codec)["header_nbytes"] <= 16
    assert _core.inspect(data)["shape"] == (1, -1, -1, -1)
    np.testing.assert_array_equal(
        _core.decode(data, codec), _core.decode(_core.encode(make(4, CABAC), feature[:1]))
    )
    with pytest.raises(FormatError, match="digest"):
        _core.decode(data)
    with pytest.raises(FormatError, match="digest"):
        _core.decode(data, make(4, RAW, bound=True))


def test_constant_tensors_are_a_handful_of_bytes():
    assert len(_core.encode(make(4, RANS), np.zeros((1, 256, 28, 28), np.float32))) <= 40


def test_every_damage_is_reported(feature):
    data = _core.encode(make(3, CABAC), feature[0, :2])
    for position in range(len(data)):
        for mask in (1, 128):
            damaged = bytearray(data)
            damaged[position] ^= mask
            with pytest.raises(FormatError):
                _core.decode(bytes(damaged))
        with pytest.raises(FormatError):
            _core.decode(data[:position])
    with pytest.raises(FormatError):
        _core.decode(data + b"\0")


def test_output_limit_comes_before_allocation():
    data = _core.encode(make(2, RAW), np.zeros((1, 1000, 100), np.float32))
    with pytest.raises(FormatError, match="max_nbytes"):
        _core.decode(data, max_nbytes=399_999)
    assert _core.decode(data, max_nbytes=400_000).nbytes == 400_000


def test_codec_file_round_trip():
    codec = make(5, CABAC, bound=True, inner_shape=(3, 4), channel_axis=-1)
    file = _core.codec_write(codec)
    again = _core.codec_read(file)
    assert _core.codec_write(again) == file
    assert _core.codec_fields(again) == _core.codec_fields(codec)
    for damaged in (file[:-1], file + b"0", b"", file[:3] + b"\x07" + file[4:]):
        with pytest.raises(FormatError):
            _core.codec_read(damaged)


@pytest.mark.parametrize(
    "changes",
    [
        {"coder": 7},
        {"coder": 3},
        {"thresholds": np.float32([0.5, 0.1, 0.7])},
        {"thresholds": np.float32([0.5, 0.6])},
        {"values": np.float32([0, 1, np.nan, 2])},
        {"rate_weight": -1.0},
        {"restore": b"x"},
        {"channel_axis": 99},
        {"levels": 257},
    ],
)
def test_impossible_codecs_are_refused(changes):
    arguments = {"levels": 4, "coder": RAW} | changes
    with pytest.raises(ParameterError):
        make(arguments.pop("levels"), arguments.pop("coder"), **arguments)
