"""The container of several tensors: exact, small, readable from its description, hard to fool."""

import random
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from common import features
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lwfc
from lwfc.split import pack, unpack
from lwfc.split.bundle import TYPES

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
import bundle as second  # noqa: E402

KEPT = [np.dtype(name) for name in TYPES if name != "bfloat16"]


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", KEPT, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5, 7), (2, 3, 4, 5)], ids=str)
def test_everything_without_a_codec_comes_back_to_the_bit(dtype, shape):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    x = (bits[..., 0] > 99) if dtype.kind == "b" else bits.view(dtype)[..., 0]
    data = pack({"x": x, "again": x[..., ::-1] if shape else x})
    assert same(unpack(data)["x"], x)
    for (_, read), (_, mine) in zip(second.read(data), unpack(data).items(), strict=True):
        assert read.tobytes() == mine.tobytes() and read.shape == mine.shape


@given(
    hnp.arrays(
        st.sampled_from([np.int64, np.int16, np.bool_, np.float16]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0),
    )
)
def test_any_array(x):
    assert same(unpack(pack({"é": x}))["é"], x)


def test_big_endian_and_bfloat16_keep_their_values():
    found = unpack(pack({"x": np.arange(5, dtype=">i4")}))
    assert np.array_equal(found["x"], np.arange(5)) and found["x"].dtype.isnative
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.arange(7, dtype=np.float32).astype(ml_dtypes.bfloat16)
    assert same(unpack(pack({"x": x}))["x"], x.astype(np.float32))
    coded = unpack(pack({"x": x}, {"x": lwfc.Codec([0.5], [0, 1])}))["x"]
    assert same(coded, np.minimum(np.arange(7), 1).astype(np.float32))


def test_integers_are_deflated_and_noise_is_not():
    tokens = np.arange(1000, dtype=np.int64) % 50
    assert len(pack({"t": tokens})) < 300
    noise = np.random.default_rng(0).bytes(1000)
    assert len(pack({"n": np.frombuffer(noise, np.uint8)})) < 1040


@pytest.mark.parametrize("named", [True, False])
def test_a_codec_for_each_tensor(named):
    x, y = features((2, 4, 6, 6)), features((2, 8), 1)
    codecs = {"a": lwfc.calibrate(x, bound=True), "b": lwfc.calibrate(y, levels=7)}
    tensors = {"a": x, "mask": np.array([True, False]), "b": y}
    data = pack(tensors, codecs, named=named)
    names = None if named else list(tensors)
    found = unpack(data, codecs, names=names)
    assert list(found) == list(tensors) and same(found["mask"], tensors["mask"])
    for name, codec in codecs.items():
        assert same(found[name], codec.simulate(tensors[name]))
        assert dict(second.read(data, names))[name] == codec.encode(tensors[name])
    assert len(pack(tensors, codecs, named=False)) < len(pack(tensors, codecs))


def test_missing_and_other_names_are_refused():
    data = pack({"a": np.arange(3), "b": np.arange(4)}, named=False)
    with pytest.raises(lwfc.FormatError, match="names="):
        unpack(data)
    with pytest.raises(lwfc.FormatError, match="other tensors"):
        unpack(data, names=["b", "a"])
    with pytest.raises(lwfc.ParameterError, match="'c'"):
        pack({"a": np.arange(3)}, {"c": lwfc.calibrate(features())})
    with pytest.raises(lwfc.ParameterError, match="complex"):
        pack({"a": np.zeros(3, complex)})


def test_more_bytes_than_allowed_are_refused_before_they_are_made():
    data = pack({"a": np.zeros(10**6, np.int64)})
    assert len(data) < 10**5
    with pytest.raises(lwfc.FormatError, match="limit"):
        unpack(data, max_nbytes=10**6)
    two = pack({"a": np.zeros(900, np.uint8), "b": np.zeros(900, np.uint8)})
    with pytest.raises(lwfc.FormatError, match="limit"):
        unpack(two, max_nbytes=1000)


def test_damaged_bytes_are_refused_or_the_same():
    x = features((1, 2, 6, 6))
    codecs = {"c": lwfc.calibrate(x, bound=True)}
    tensors = {"a": np.arange(40, dtype=np.int32), "b": np.array([True] * 9), "c": x}
    data = pack(tensors, codecs)
    right = unpack(data, codecs)
    for length in range(len(data)):
        with pytest.raises(lwfc.FormatError):
            unpack(data[:length], codecs)
    rng = random.Random(0)
    for _ in range(1500):
        wrong = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        try:
            found = unpack(bytes(wrong), codecs, max_nbytes=10**5)
        except lwfc.FormatError:
            continue
        assert all(same(found[name], right[name]) for name in right)
    with pytest.raises(lwfc.FormatError, match="too many"):
        unpack(data + b"\0", codecs)


def test_a_deflated_tensor_that_swells_is_refused():
    """Header and checksums are right; only the zlib stream holds more than the shape says."""
    raw = b"\x01" * 10
    body = zlib.compress(b"\x01" * 10**7)
    payload = bytes([1, 1, 10]) + struct.pack("<I", zlib.crc32(raw)) + body
    head = b"\xc5\x4d\x21\x01\x01x\x01" + bytes([len(payload) & 127 | 128, len(payload) >> 7])
    data = head + struct.pack("<I", zlib.crc32(head)) + payload
    with pytest.raises(lwfc.FormatError, match="do not fill"):
        unpack(data)
