"""Streams made from symbols and taken apart to symbols: those of encode and decode, exactly."""

import numpy as np
import pytest
from restoration_data import features

import lwfc

SHAPES = [
    ((3, 8, 20, 30), None),
    ((3, 20, 30, 8), -1),
    ((5, 7), None),
    ((40, 16), 0),
    ((0, 3), None),
    ((), None),
    ((9,), None),
    ((2, 3, 4, 5, 6), None),
    ((6, 64, 7), 1),
    ((1, 40, 90, 90), 1),
]


@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("coder", ["raw", "cabac", "rans"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_both_ways(shape, axis, coder, dtype):
    x = np.abs(np.random.default_rng(0).normal(size=shape)).astype(dtype)
    for bound in (False, True):
        codec = lwfc.Codec(
            [0.5, 1, 1.5], [0, 0.7, 1.2, 2], coder=coder, channel_axis=axis, bound=bound
        )
        symbols = codec.symbols(x)
        data = codec.encode_symbols(symbols, dtype=dtype, num_threads=2)
        assert data == codec.encode(x)
        found, name = codec.decode_symbols(data, num_threads=2)
        assert name == dtype and np.array_equal(found, symbols) and found.shape == x.shape
    strided = np.stack([symbols, symbols], -1)[..., 0]
    assert codec.encode_symbols(strided, dtype=dtype) == data


def test_calibrated_coders_and_restorations():
    x = features(6, 9)
    for options in (
        {"restore": "linear"},
        {"granularity": "channel", "channel_axis": 1},
        {"rate_weight": 0.1},
    ):
        codec = lwfc.calibrate(x, levels=3, coder="context", **options)
        data = codec.encode_symbols(codec.symbols(x))
        assert data == codec.encode(x)
        assert np.array_equal(codec.decode_symbols(data)[0], codec.symbols(x))
    assert codec.encode_symbols(codec.symbols(x), dtype="bfloat16") != data


def test_what_is_refused():
    codec = lwfc.Codec([0.5], [0.0, 1.0])
    symbols = np.zeros((2, 3), np.uint8)
    for bad in (symbols + 2, symbols.astype(np.int64), symbols / 2):
        with pytest.raises(lwfc.ParameterError, match="uint8 below 2"):
            codec.encode_symbols(bad)
    with pytest.raises(lwfc.ParameterError, match="dtype="):
        codec.encode_symbols(symbols, dtype="int16")
    data = codec.encode_symbols(symbols)
    with pytest.raises(lwfc.FormatError, match="max_nbytes"):
        codec.decode_symbols(data, max_nbytes=5)
    with pytest.raises(lwfc.FormatError, match="another codec"):
        lwfc.Codec([0.5, 1], [0.0, 1.0, 2.0]).decode_symbols(data)
    with pytest.raises(lwfc.FormatError):
        codec.decode_symbols(data[:-1])
    bound, other = codec.replace(bound=True), lwfc.Codec([0.4], [0.0, 1.0], bound=True)
    with pytest.raises(lwfc.FormatError, match="codec"):
        other.decode_symbols(bound.encode_symbols(symbols))
