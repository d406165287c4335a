"""lwfc.storage: numcodecs and zarr v3."""

import subprocess
import sys

import numpy as np
import pytest

numcodecs = pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr")

import lwfc  # noqa: E402
from lwfc.storage.numcodecs import Lwfc  # noqa: E402
from lwfc.storage.zarr import LwfcCodec  # noqa: E402

X = np.maximum(np.random.default_rng(0).normal(size=(10, 8, 6, 6)), 0).astype(np.float32)
CODEC = lwfc.calibrate(X, levels=8, coder="context", channel_axis=1)


@pytest.mark.parametrize("codec", [Lwfc(CODEC), Lwfc(levels=8, channel_axis=1)])
def test_numcodecs(codec):
    expected = CODEC.simulate(X) if codec._chunks.codec else lwfc.decode(
        lwfc.encode(X, levels=8, channel_axis=1))  # fmt: skip
    data = codec.encode(X)
    np.testing.assert_array_equal(codec.decode(data), expected)
    out = np.empty_like(X)
    codec.decode(data, out=out)
    np.testing.assert_array_equal(out, expected)
    numcodecs.register_codec(Lwfc)
    again = numcodecs.get_codec(codec.get_config())
    assert again == codec and again.encode(X) == data


def test_zarr_store_reopens_in_a_new_process(tmp_path):
    zarr.registry.register_codec("lwfc", LwfcCodec)
    how = {"chunks": (4, 8, 6, 6), "serializer": LwfcCodec(CODEC), "compressors": None}
    array = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, dtype="float32", **how)
    array[:] = X
    expected = CODEC.simulate(X)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x.zarr")[:], expected)
    np.save(tmp_path / "y.npy", expected)
    code = f"""
import numpy as np, zarr
from lwfc.storage.zarr import LwfcCodec
zarr.registry.register_codec("lwfc", LwfcCodec)
x = zarr.open_array({str(tmp_path / "x.zarr")!r})[:]
assert np.array_equal(x, np.load({str(tmp_path / "y.npy")!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_zarr_keeps_bfloat16(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = X.astype(ml_dtypes.bfloat16)
    codec = LwfcCodec(levels=8, channel_axis=1, bfloat16=True)
    array = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=x.shape, dtype="uint16",
                              serializer=codec, compressors=None)  # fmt: skip
    array[:] = x.view(np.uint16)
    back = array[:].view(ml_dtypes.bfloat16)
    expected = lwfc.decode(lwfc.encode(x, levels=8, channel_axis=1))
    np.testing.assert_array_equal(back.astype(np.float32), np.asarray(expected, np.float32))


def test_mistakes_are_named():
    with pytest.raises(lwfc.ParameterError, match="exclude each other"):
        Lwfc(CODEC, levels=4)
    with pytest.raises(lwfc.ParameterError, match=r"lwfc\.Codec"):
        LwfcCodec(7)
    with pytest.raises(lwfc.ParameterError, match=r"lwfc\.load\(path\)"):
        LwfcCodec("layer2.lwfc")
    for options in ({"transform": "dct", "step": 0.1}, {"restore": "linear"}):
        codec = lwfc.calibrate(np.concatenate([X] * 2), channel_axis=1, **options)
        with pytest.raises(lwfc.ParameterError, match=r"chunks=\(n, 8, 6, 6\)"):
            Lwfc(codec).encode(X[:, :4])


def test_numcodecs_keeps_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = X.astype(ml_dtypes.bfloat16)
    codec = Lwfc(levels=8, channel_axis=1, bfloat16=True)
    back = codec.decode(codec.encode(x.view(np.uint16))).view(ml_dtypes.bfloat16)
    expected = lwfc.decode(lwfc.encode(x, levels=8, channel_axis=1))
    np.testing.assert_array_equal(back.astype(np.float32), np.asarray(expected, np.float32))
    again = numcodecs.get_codec(codec.get_config())
    assert again.encode(x.view(np.uint16)) == codec.encode(x.view(np.uint16))


def test_types_that_would_come_back_as_others_are_refused(tmp_path):
    for x in (X.astype(np.int32), X > 1, X.astype(np.complex64)):
        with pytest.raises(lwfc.ParameterError, match="do not come back as such"):
            Lwfc(levels=8).encode(x)
    with pytest.raises(lwfc.ParameterError, match="uint16"):
        Lwfc(levels=8, bfloat16=True).encode(X)
    with pytest.raises(lwfc.ParameterError, match="store <f4"):
        Lwfc(levels=8).encode(X.astype(">f4"))


def test_transforms_and_damaged_or_swapped_chunks(tmp_path):
    codec = lwfc.calibrate(np.concatenate([X] * 2), transform="dct", step=0.1)
    zarr.registry.register_codec("lwfc", LwfcCodec)
    array = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=X.shape, dtype="float32",
                              serializer=LwfcCodec(codec), compressors=None)  # fmt: skip
    array[:] = X
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x.zarr")[:], codec.simulate(X))
    chunk = tmp_path / "x.zarr" / "c" / "0" / "0" / "0" / "0"
    whole = chunk.read_bytes()
    larger, smaller = codec.encode(np.concatenate([X] * 3)), codec.encode(X[:3])
    damaged = {b"": "no bytes", whole[:-5]: "checksum|end too early", larger: "max_nbytes",
               smaller: "belongs"}  # fmt: skip
    for data, message in damaged.items():
        chunk.write_bytes(data)
        with pytest.raises(lwfc.FormatError, match=message):
            zarr.open_array(tmp_path / "x.zarr")[:]
