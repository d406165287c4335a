"""The stream format: golden files, and the C decoder against the one written from FORMAT.md."""

import hashlib
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import stream_cases
from common import arrays, codecs

from lwfc import _core
from lwfc.base.errors import FormatError

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import decoder
import generator
import primitives

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = {name: (codec, x) for name, codec, x in stream_cases.cases()}
MANIFEST = [line.split() for line in (GOLDEN / "MANIFEST").read_text().splitlines()]
STREAMS = [line for line in MANIFEST if line[0].endswith(".lwfc")]
CODECS = [line for line in MANIFEST if line[0].endswith(".codec")]
BAD = [line for line in MANIFEST if line not in STREAMS and line not in CODECS]


def named(lines):
    return pytest.mark.parametrize("line", lines, ids=lambda line: line[0])


def read(name, sha256):
    data = (GOLDEN / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256, f"{name} has changed; golden files may not"
    return data


def codec_of(name):
    """The codec that a golden stream is bound to: for the C code and for the reference."""
    if name == "-":
        return None, None
    file = (GOLDEN / name).read_bytes()
    return _core.codec_read(file), decoder.read_codec(file)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# --- golden files -----------------------------------------------------------------------------


def test_every_golden_file_is_listed_and_every_listed_file_is_there():
    files = {str(p.relative_to(GOLDEN)) for p in GOLDEN.glob("*/*") if "__" not in str(p)}
    assert files == {line[0] for line in MANIFEST}
    assert len(files) == len(MANIFEST)
    assert {Path(line[0]).parent.name for line in MANIFEST} == {"v1", "bad"}
    assert {f"v1/{name}.lwfc" for name in CASES} <= files, "run make golden"


@named(STREAMS)
def test_golden_streams_decode_to_the_same_bits_for_ever(line):
    name, sha256, codec_name, kind, decoded = line
    data = read(name, sha256)
    codec, reference = codec_of(codec_name)
    for level in ("scalar", "avx2", None):
        _core.limit_cpu(level)
        y = _core.decode(data, codec)
        assert f"{y.dtype}:{','.join(map(str, y.shape))}" == kind
        assert hashlib.sha256(y.tobytes()).hexdigest() == decoded
    assert same(decoder.decode(data, reference), y)


@named(CODECS)
def test_golden_codec_files_stay_what_they_are(line):
    name, sha256, digest = line
    data = read(name, sha256)
    codec = _core.codec_read(data)
    fields = _core.codec_fields(codec)
    assert _core.codec_write(codec) == data
    assert f"{fields.pop('digest'):016x}" == digest == f"{decoder.read_codec(data).digest:016x}"
    for blob in ("context", "restore", "transform"):
        fields[blob] = fields[blob] or None
    assert _core.codec_write(_core.codec_make(**fields)) == data


@named(BAD)
def test_bad_files_are_refused_for_the_right_reason(line):
    name, sha256, codec_name, field = line
    data = read(name, sha256)
    codec, reference = codec_of(codec_name)
    is_file = name.startswith("bad/file-")
    with pytest.raises(FormatError, match=f"^{field}: "):
        _core.codec_read(data) if is_file else _core.decode(data, codec)
    with pytest.raises(decoder.Refused, match=f"^{field}$"):
        decoder.read_codec(data) if is_file else decoder.decode(data, reference)


# --- two decoders -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_reference_decodes_what_the_encoder_writes(name):
    codec, x = CASES[name]
    data = _core.encode(codec, x)
    info = _core.inspect(data, codec)
    reference = decoder.read_codec(_core.codec_write(codec)) if info["bound"] else None
    y = _core.decode(data, codec)
    assert same(decoder.decode(data, reference), y)
    simulated = np.empty(x.shape, y.dtype)
    _core.simulate(codec, x, simulated)
    assert same(simulated, y)


def test_reference_agrees_on_every_kind_of_array():
    for codec in codecs().values():
        reference = decoder.read_codec(codec.to_bytes())
        for name, x in arrays().items():
            data = codec.encode(x)
            y = np.asarray(codec.decode(data))
            assert same(decoder.decode(data, reference), y), (codec, name)


def test_uniform_tables_and_checksums_are_those_of_the_specification():
    assert primitives.crc32c(b"123456789") == 0xE3069283
    rng = np.random.default_rng(0)
    for _ in range(500):
        levels = int(rng.integers(2, 257))
        lo, hi = np.sort(rng.normal(0, 10.0 ** rng.integers(-3, 5), 2)).astype(np.float32)
        symbols = np.arange(levels, dtype=np.uint8)
        values = _core.dequantize(symbols, lo, hi, levels)
        np.testing.assert_array_equal(decoder.uniform_values(lo, hi, levels), values)


def test_restoration_is_that_of_the_specification():
    for seed in range(60):
        rng = random.Random(seed)
        levels, channels, kind = rng.choice((2, 3, 4, 9, 30, 256)), rng.randint(1, 40), 1 + seed % 2
        rank = 4 * rng.randrange(9) if kind == 2 else 0
        blob = stream_cases.restore_blob(levels, channels, kind, rank, rng.choice((256, 100)), seed)
        codec = stream_cases.make_codec(levels, 2, bound=True, restore=blob, channel_axis=1)
        height, width = rng.choice(((1, 1), (1, 40), (5, 6), (17, 3)))
        x = stream_cases.feature((rng.randint(1, 3), channels, height, width), seed, -0.5)
        data = _core.encode(codec, x)
        expected = decoder.decode(data, decoder.read_codec(_core.codec_write(codec)))
        for level in ("scalar", "avx2", None):
            _core.limit_cpu(level)
            assert same(_core.decode(data, codec), expected), (seed, level)


# --- streams that the encoder would not write ---------------------------------------------------

SHAPES = [
    (1, 1, 1, 1), (1, 1, 1, 7), (1, 3, 1, 50), (2, 2, 3, 5), (1, 5, 4, 4), (3, 17, 2, 3),
    (1, 2, 9, 300), (2, 40, 3, 2), (1, 1, 7, 700), (1, 70, 1, 9), (1, 1, 60, 5), (1, 3, 5, 1000),
    (1, 1, 1, 6000), (2, 130, 2, 2),
]  # fmt: skip
LARGE = [(1, 40, 20, 21), (3, 34, 36, 36), (1, 1, 1, 40000)]


def check_invented(kind, shape, rng):
    block = primitives.Block(*shape)
    most = 16 if kind != "joined" else rng.choice((16, 256))
    levels = rng.randint(2, most)
    values = np.arange(levels, dtype=np.float32)
    codec = reference = tag = None
    coder = 2
    if kind == "context":
        blob = stream_cases.context_blob(
            levels, block.channels, rng.randrange(1 << 30), rng.randrange(4), rng.randrange(5),
            rng.randrange(3),
        )  # fmt: skip
        codec = stream_cases.make_codec(levels, 3, values=values, context=blob)
        reference = decoder.read_codec(_core.codec_write(codec))
        coder, tag = 3, reference.digest & 0xFFFFFFFF
        payload, symbols = generator.context(block, reference.context, rng)
    else:
        payload, symbols = getattr(generator, kind)(block, levels, rng)
    data = generator.make_stream(shape, 1, [values.tobytes()], [payload], coder, tag)
    expected = np.array(symbols, np.float32).reshape(shape)
    np.testing.assert_array_equal(decoder.decode(data, reference), expected)
    for level in ("scalar", "avx2", None):
        _core.limit_cpu(level)
        np.testing.assert_array_equal(_core.decode(data, codec), expected)


@pytest.mark.parametrize("kind, count", [("planes", 120), ("joined", 200), ("context", 40)])
def test_decoders_read_every_layout_and_table(kind, count):
    for seed in range(count):
        rng = random.Random(f"{kind} {seed}")
        check_invented(kind, rng.choice(SHAPES), rng)


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("kind", ["planes", "joined", "context"])
def test_decoders_read_large_blocks(kind, shape):
    check_invented(kind, shape, random.Random(f"{kind} {shape}"))


@pytest.fixture(autouse=True)
def all_cpu_levels_afterwards():
    yield
    _core.limit_cpu(None)
