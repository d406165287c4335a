"""Bytes and files taken for one another: the error says what they are and which call takes them."""

import io
import pickle
import threading

import numpy as np
import pytest
from common import features

import lwfc
from lwfc.split import pack

X = features()
STREAM = lwfc.encode(X)
CODEC = lwfc.calibrate(X, levels=3)
FILE = CODEC.to_bytes()


def npy(save):
    file = io.BytesIO()
    save(file, X)
    return file.getvalue()


FOREIGN = {
    "npy": (npy(np.save), "numpy.load"),
    "npz": (npy(np.savez), "zip"),
    "pickle": (pickle.dumps(X), "pickle"),
    "json": (str(CODEC.get_config()).encode(), "from_config"),
    "gzip": (b"\x1f\x8b" + bytes(30), "decompress"),
    "empty": (b"", "no bytes at all"),
    "junk": (b"no such thing", "magic"),
    "several": (pack({"x": X}), "unpack"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_it_is_and_what_reads_it(name, tmp_path):
    data, message = FOREIGN[name]
    path = tmp_path / "thing"
    path.write_bytes(data)
    for call in (lwfc.decode, lwfc.inspect, lwfc.Codec.from_bytes):
        with pytest.raises(lwfc.FormatError, match=message):
            call(data)
    with pytest.raises(lwfc.FormatError, match=f"thing: .*{message}"):
        lwfc.load(path)


def test_streams_and_codec_files():
    for call in (lwfc.decode, lwfc.inspect, CODEC.decode):
        with pytest.raises(lwfc.FormatError, match="are an lwfc codec file.*lwfc.load"):
            call(FILE)
    with pytest.raises(lwfc.FormatError, match="are an lwfc stream.*lwfc.decode"):
        lwfc.Codec.from_bytes(STREAM)
    damaged = bytearray(FILE)
    damaged[len(FILE) // 2] ^= 1
    with pytest.raises(lwfc.FormatError, match="checksum"):
        lwfc.Codec.from_bytes(damaged)
    with pytest.raises(lwfc.FormatError, match="codec file"):
        lwfc.decode(damaged)


def test_the_wrong_argument_names_the_right_call(tmp_path):
    with pytest.raises(lwfc.ParameterError, match="from_bytes"):
        lwfc.load(FILE)
    with pytest.raises(lwfc.ParameterError, match="lwfc.load"):
        lwfc.Codec.from_bytes("layer.lwfc")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        lwfc.load(tmp_path)
    for target in (tmp_path, tmp_path / "none" / "layer.lwfc"):
        with pytest.raises(OSError, match=str(target)):
            CODEC.save(target)
    assert list(tmp_path.iterdir()) == []


def test_streams_kept_in_numpys_bytes_type():
    """Items of such arrays have lost the NULs at their end; a few come back by the checksum."""
    rng = np.random.default_rng(0)
    streams = [lwfc.encode(rng.random((3, 5), np.float32)) for _ in range(600)]
    kept = np.array(streams)
    shorter = [i for i, stream in enumerate(streams) if len(kept[i]) < len(stream)]
    assert shorter
    for i in shorter:
        want = lwfc.decode(streams[i])
        assert np.array_equal(lwfc.decode(kept[i]), want)
        assert np.array_equal(lwfc.decode(kept[i], out=np.empty_like(want)), want)
        assert lwfc.inspect(kept[i]).shape == want.shape
        with pytest.raises(lwfc.FormatError) as caught:
            lwfc.decode(bytes(kept[i]))
        assert "NUL" in caught.value.__notes__[0]
        assert np.array_equal(lwfc.decode(np.frombuffer(streams[i], np.uint8)), want)
    with pytest.raises(lwfc.FormatError):
        lwfc.decode(np.bytes_(b"x" + streams[0][1:]))


def test_many_save_one_file(tmp_path):
    """Threads share a process id: what they write beside the file must not be shared."""
    path = tmp_path / "layer.lwfc"
    codecs = [CODEC.replace(metadata={"from": i, "pad": "x" * 50_000}) for i in range(4)]
    codecs[0].save(path)
    errors = []

    def save(codec):
        try:
            for _ in range(30):
                codec.save(path)
                lwfc.load(path)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=save, args=(codec,)) for codec in codecs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [p.name for p in tmp_path.iterdir()] == ["layer.lwfc"]


def test_saving_follows_links(tmp_path):
    real, link = tmp_path / "real.lwfc", tmp_path / "link.lwfc"
    CODEC.save(real)
    link.symlink_to(real)
    other = CODEC.replace(nan="raise")
    other.save(link)
    assert link.is_symlink() and lwfc.load(real) == other
