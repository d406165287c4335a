"""Damaged and hostile bytes: always reported, never a crash, never more memory than allowed.

The checksum finds all single-byte damage and all double bit flips of these streams, so the first
part tolerates no exception. The second part repairs the checksum: then a decoder may return
something, but must live.
"""

import itertools
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import stream_cases

from lwfc import _core
from lwfc.base.errors import FormatError

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import decoder
import generator
from primitives import Block, crc32c

LIMIT = 1 << 20


def small_cases():
    """(name, stream, codec or None): every coder, every kind of header, several blocks."""
    x = stream_cases.feature((1, 2, 5, 6), 3, -0.5)
    for name, coder, levels in (("raw", 0, 5), ("cabac", 1, 4), ("rans", 2, 3), ("rans", 2, 40)):
        codec = stream_cases.make_codec(levels, coder)
        yield f"{name}-{levels}", _core.encode(codec, x), None
    for kind, shape, seed in (
        ("planes", (1, 3, 4, 3), 1), ("planes", (1, 1, 1, 90), 2), ("planes", (1, 70, 1, 1), 4),
        ("joined", (1, 1, 1, 60), 0), ("joined", (1, 1, 1, 70), 3), ("joined", (1, 1, 1, 50), 8),
    ):  # fmt: skip
        rng = random.Random(seed)
        levels = 2 + seed % 3
        payload, _ = getattr(generator, kind)(Block(*shape), levels, rng)
        values = [np.arange(levels, dtype="<f4").tobytes()]
        yield f"{kind}-{seed}", generator.make_stream(shape, 1, values, [payload]), None
    spikes = stream_cases.spikes((1 << 18) + 5)
    yield "blocks", _core.encode(stream_cases.make_codec(2, 2), spikes * (spikes > 9)), None
    yield "empty", _core.encode(stream_cases.make_codec(2, 2), spikes[:0]), None
    channels = stream_cases.make_codec(3, 1, groups=2)
    yield "channels", _core.encode(channels, x), None
    bound = stream_cases.make_codec(4, 1, bound=True, inner_shape=(2, 5, 6))
    yield "bound", _core.encode(bound, x), bound
    context = stream_cases.make_codec(4, 3, context=stream_cases.context_blob(4, 2))
    info = _core.codec_fields(context)
    model = generator.coder_context.read_model(info["context"])
    payload, _ = generator.context(Block(1, 2, 5, 6), model, random.Random(1))
    tag = info["digest"] & 0xFFFFFFFF
    stream = generator.make_stream((1, 2, 5, 6), 1, [], [payload], coder=3, tag=tag)
    yield "context", stream, context


CASES = list(small_cases())
EACH = pytest.mark.parametrize("stream, codec", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
CODEC_FILE = _core.codec_write(
    stream_cases.make_codec(
        3, 3, context=stream_cases.context_blob(3, 2), restore=stream_cases.restore_blob(3, 2, 2)
    )
)


def refused(data, codec):
    try:
        _core.decode(data, codec, None, LIMIT)
    except FormatError:
        return True
    return False


def byte_replacements(data):
    for at in range(len(data)):
        for value in range(256):
            if value != data[at]:
                yield data[:at] + bytes([value]) + data[at + 1 :]


def test_the_streams_are_small_and_good():
    assert len(CASES) >= 14
    for name, stream, codec in CASES:
        assert len(stream) <= 256, name
        _core.decode(stream, codec, None, 1 << 22)


# --- damage is reported -----------------------------------------------------------------------


@EACH
def test_every_truncation_and_extension_is_reported(stream, codec):
    for n in range(len(stream)):
        assert refused(stream[:n], codec), n
        assert refused(stream[n:], codec) or n == 0, n
    for byte in range(256):
        assert refused(stream + bytes([byte]), codec)


@EACH
def test_every_byte_replacement_is_reported(stream, codec):
    """All 255 at each place, all single bit flips among them."""
    for damaged in byte_replacements(stream):
        assert refused(damaged, codec), damaged.hex()


@EACH
def test_every_double_bit_flip_is_reported(stream, codec):
    head = stream[:64]
    for i, j in itertools.combinations(range(8 * len(head)), 2):
        damaged = bytearray(stream)
        damaged[i // 8] ^= 1 << i % 8
        damaged[j // 8] ^= 1 << j % 8
        assert refused(bytes(damaged), codec), (i, j)


@EACH
def test_removed_doubled_and_swapped_bytes_are_reported(stream, codec):
    for i in range(len(stream)):
        for j in range(i + 1, len(stream) + 1):
            assert refused(stream[:i] + stream[j:], codec)
            assert refused(stream[:j] + stream[i:], codec)
    for i, j in itertools.combinations(range(len(stream)), 2):
        swapped = bytearray(stream)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        assert swapped == stream or refused(bytes(swapped), codec)


def test_every_damage_of_a_codec_file_is_reported():
    def check(data):
        with pytest.raises(FormatError):
            _core.codec_read(data)

    _core.codec_read(CODEC_FILE)
    for n in range(len(CODEC_FILE)):
        check(CODEC_FILE[:n])
    for at in range(len(CODEC_FILE)):
        for bit in range(8):
            damaged = bytearray(CODEC_FILE)
            damaged[at] ^= 1 << bit
            check(bytes(damaged))
    check(CODEC_FILE + b"\0")


# --- a right checksum does not save wrong bytes -------------------------------------------------


def checksum_at(stream, codec):
    """Where a stream of one block has its checksum."""
    return _core.inspect(stream, codec)["header_nbytes"] - 4


SINGLE = [c for c in CASES if _core.inspect(*c[1:])["nblocks"] == 1]


@pytest.mark.parametrize("stream, codec", [c[1:] for c in SINGLE], ids=[c[0] for c in SINGLE])
def test_damage_under_a_right_checksum_crashes_nothing(stream, codec):
    at = checksum_at(stream, codec)
    body = stream[:at] + stream[at + 4 :]
    rng = random.Random(0)
    results = 0
    for _ in range(6000):
        damaged = bytearray(body)
        for _ in range(rng.choice((1, 1, 2, 4))):
            damaged[rng.randrange(len(body))] = rng.choice(
                (0, 1, 127, 128, 255, rng.randrange(256))
            )
        if rng.random() < 0.2:
            del damaged[rng.randrange(at, len(body) + 1) :]
        crc = crc32c(bytes(damaged)).to_bytes(4, "little")
        results += not refused(bytes(damaged[:at]) + crc + bytes(damaged[at:]), codec)
    assert results < 6000


def test_hostile_blocks():
    """Random payloads for every method, several blocks, every checksum right."""
    rng = random.Random(1)
    context = stream_cases.make_codec(4, 3, context=stream_cases.context_blob(4, 33))
    tag = _core.codec_fields(context)["digest"] & 0xFFFFFFFF
    decoded = 0
    for _ in range(20000):
        levels = rng.choice((2, 3, 4, 16, 17, 256))
        shape = rng.choice(((2, 33, 4, 4), (300,), ((1 << 18) + 1,)))
        axis = 1 if len(shape) > 1 else None
        count = 2 if shape[0] > 1 << 18 else 1
        bound = axis == 1 and rng.random() < 0.4
        blocks = []
        for _ in range(count):
            start = rng.choice((b"", b"\x00", b"\x01", b"\x02\x00", b"\x02\x01", b"\x03", b"\x04"))
            second = bytes([rng.choice((0, 1, 2, 3, 4, 8, 12, 15, 128, rng.randrange(256)))])
            blocks.append(start + second + rng.randbytes(rng.choice((0, 1, 3, 30, 200))))
        values = [np.arange(levels, dtype="<f4").tobytes()]
        data = generator.make_stream(
            shape, axis, values, blocks, 3 if bound else 2, tag if bound else None
        )
        decoded += not refused(data, context if bound else None)
    assert decoded < 20000


def mutated(payload, rng):
    """A few wrong bytes, most of them early, where tables and states are."""
    m = bytearray(payload)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(m)) if rng.random() < 0.5 else rng.randrange(min(len(m), 12))
        m[at] = rng.choice((m[at] ^ 1 << rng.randrange(8), 0, 1, 127, 128, 255))
    change = rng.random()
    if change < 0.1 and len(m) > 2:
        del m[rng.randrange(1, len(m)) :]
    elif change < 0.15:
        m += rng.randbytes(rng.randrange(1, 4))
    elif change < 0.2:
        m.insert(rng.randrange(len(m)), rng.randrange(256))
    return bytes(m)


def outcome(decode, *arguments):
    """The decoded bytes, or the field that the error names."""
    try:
        y = decode(*arguments)
        return y.shape, y.tobytes()
    except (FormatError, decoder.Refused) as e:
        return str(e).split(":")[0]


@pytest.mark.parametrize("kind", ["cabac", "planes", "joined", "context"])
def test_both_decoders_refuse_the_same_payloads(kind):
    """Under a right checksum: the same tensor, or the same reason, from C and the reference."""
    for seed in range(100):
        rng = random.Random(f"{kind} {seed}")
        shape = rng.choice(
            ((1, 1, 1, 1), (1, 3, 1, 50), (2, 2, 3, 5), (3, 17, 2, 3), (1, 70, 1, 3))
        )
        levels = rng.choice((2, 3, 4, 16))
        codec = reference = tag = None
        if kind == "context":
            blob = stream_cases.context_blob(levels, shape[1], seed)
            codec = stream_cases.make_codec(levels, 3, context=blob)
            reference = decoder.read_codec(_core.codec_write(codec))
            payload, _ = generator.context(Block(*shape), reference.context, rng)
            tag = reference.digest & 0xFFFFFFFF
        elif kind == "cabac":
            x = np.float32(rng.choices(range(levels), k=int(np.prod(shape)))).reshape(shape)
            x = x * np.float32(2 / (levels - 1))
            stream = _core.encode(stream_cases.make_codec(levels, 1), x)
            payload = stream[_core.inspect(stream)["header_nbytes"] :]
        else:
            payload, _ = getattr(generator, kind)(Block(*shape), levels, rng)
        values = [np.arange(levels, dtype="<f4").tobytes()]
        for _ in range(8):
            block = mutated(payload, rng)
            coder = 2 if tag is None else 3
            stream = generator.make_stream(shape, 1, values, [block], coder, tag)
            c = outcome(_core.decode, stream, codec)
            assert c == outcome(decoder.decode, stream, reference), (seed, stream.hex())


def test_both_decoders_refuse_the_same_headers():
    """Wrong bytes in front of small streams, the checksum put where it then belongs."""
    x = stream_cases.feature((1, 2, 5, 6), 3, -0.5)
    plain = stream_cases.make_codec(4, 1)
    whole = stream_cases.make_codec(3, 0, groups=2, values=np.float32([[0, 1, 3], [0, 2, 3]]))
    inner = stream_cases.make_codec(4, 2, bound=True, inner_shape=(2, 5, 6))
    outer = stream_cases.make_codec(
        4, 2, bound=True, groups=2, restore=stream_cases.restore_blob(4, 2)
    )
    for seed in range(8000):
        rng = random.Random(seed)
        codec = rng.choice((plain, whole, inner, outer))
        reference = decoder.read_codec(_core.codec_write(codec))
        stream = _core.encode(codec, x)
        end = _core.inspect(stream, codec)["header_nbytes"] - 4
        head, payload = bytearray(stream[:end]), stream[end + 4 :]
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(min(end, 14))
            head[at] = rng.choice((head[at] ^ 1 << rng.randrange(8), 0, 1, 2, 127, 128, 255))
        if rng.random() < 0.2:
            payload = rng.choice((b"", payload[:-1], b"\x04\x01"))
        data = bytes(head) + crc32c(bytes(head) + payload).to_bytes(4, "little") + payload
        c = outcome(_core.decode, data, codec, None, LIMIT)
        assert c == outcome(decoder.decode, data, reference), (seed, data.hex())


def test_both_readers_refuse_the_same_codec_files():
    for seed in range(4000):
        rng = random.Random(seed)
        body = mutated(CODEC_FILE[4:-4], rng)
        data = CODEC_FILE[:4] + body
        data += crc32c(data).to_bytes(4, "little")
        try:
            c = _core.codec_fields(_core.codec_read(data))["digest"]
        except FormatError as e:
            c = str(e).split(":")[0]
        try:
            reference = decoder.read_codec(data).digest
        except decoder.Refused as e:
            reference = str(e)
        assert c == reference, (seed, data.hex())


# --- hostile headers ----------------------------------------------------------------------------


EXTREMES = [0, 1, 2, 3, 255, 256, 1 << 18, (1 << 18) + 1, (1 << 31) - 1, 1 << 31, 1 << 32,
            (1 << 32) + 1, (1 << 62) - 1, 1 << 62, (1 << 63) - 1]  # fmt: skip


def test_hostile_headers_give_an_error_or_a_small_array():
    """10,000 shapes that multiply to anything."""
    rng = random.Random(2)
    for _ in range(10000):
        rank = rng.randrange(10)
        shape = [rng.choice(EXTREMES) for _ in range(rank)]
        axis = rng.choice((None, 0, 1, rank - 1, rng.randrange(15)))
        coder, dtype = rng.randrange(5), rng.randrange(5)
        values = [np.arange(rng.choice((2, 3, 256)), dtype="<f4").tobytes()] * rng.choice((1, 1, 2))
        block = rng.choice((b"", b"\x04\x01", b"\x00", b"\x02\x01\x01\x00"))
        tag = rng.choice((None, None, None, 5))
        try:
            data = generator.make_stream(
                shape, axis, values, [block] * rng.choice((1, 2)), coder, tag, dtype
            )
        except ValueError:
            continue  # no such byte
        try:
            y = _core.decode(data, None, None, LIMIT)
            assert y.nbytes <= LIMIT and y.shape == tuple(shape)
        except FormatError:
            pass


@pytest.mark.parametrize("dtype, size", [(0, 4), (1, 2), (2, 2), (3, 8)])
def test_max_nbytes_is_exact(dtype, size):
    """A constant block says 2^18 symbols in two bytes: the caller's limit decides."""
    for n in (1, 1000, 1 << 18):
        values = [np.arange(2, dtype="<f4").tobytes()]
        data = generator.make_stream((n,), None, values, [b"\x04\x01"], dtype=dtype)
        assert _core.decode(data, None, None, n * size).nbytes == n * size
        for limit in (n * size - 1, 0, 1, -1):
            if limit < n * size:
                with pytest.raises(FormatError, match="^shape: .*max_nbytes"):
                    _core.decode(data, None, None, limit)


def test_a_terabyte_in_a_few_bytes_is_refused_before_anything_is_allocated():
    values = [np.arange(2, dtype="<f4").tobytes()]
    blocks = [b"\x04\x01"] * 2
    for shape in ((1 << 40,), (1 << 20, 1 << 20), (1 << 31, 1 << 31), (1 << 62,)):
        axis = 1 if len(shape) > 1 else None
        with pytest.raises(FormatError, match="^length: "):
            _core.decode(generator.make_stream(shape, axis, values, blocks), max_nbytes=1 << 50)
