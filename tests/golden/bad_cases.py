"""Bytes that a decoder must refuse, built field by field, with the field it must name.

See section 13 of csrc/FORMAT.md. Each case is (name, field, bytes, codec file or None); a name that
begins with "file-" is a codec file itself.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

import numpy as np
import stream_cases
from bad_transform import file_cases_of_transforms, stream_cases_of_transforms
from generator import BitWriter, make_stream, varint, write_gamma
from primitives import crc32c

from lwfc import _core

VALUES = np.arange(4, dtype="<f4").tobytes()  # four levels
CONSTANT = b"\x04\x01"


def stream(block=CONSTANT, shape=(2, 3), axis=1, values=(VALUES,), **fields):
    """A stream of one block, or of the blocks of a list."""
    blocks = block if isinstance(block, list) else [block]
    return make_stream(shape, axis, list(values), blocks, **fields)


def sealed(head: bytes, payload: bytes = CONSTANT) -> bytes:
    """A stream of one block from its header's bytes."""
    return head + crc32c(head + payload).to_bytes(4, "little") + payload


def patched(data: bytes, at: int, byte: int) -> bytes:
    return data[:at] + bytes([byte]) + data[at + 1 :]


def head(**changes) -> bytes:
    """The header of `stream()`: five bytes, levels, flags, dimensions, values."""
    fields = dict(
        magic=b"\xc5L", version=0x22, kind=0x02, axis=0x20, levels=3, flags=1,
        dimensions=b"\x02\x03", values=VALUES,
    )  # fmt: skip
    f = fields | changes
    numbers = bytes([f["version"], f["kind"], f["axis"], f["levels"], f["flags"]])
    return f["magic"] + numbers + f["dimensions"] + f["values"]


def header_cases():
    yield "empty", "magic", b""
    yield "one-byte", "magic", b"\xc5"
    yield "other-magic", "magic", sealed(head(magic=b"PK"))
    yield "magic-of-file", "version", sealed(head(magic=b"\xc5LC"))
    yield "version-0", "version", sealed(head(version=0x02))
    yield "version-2", "version", sealed(head(version=0x42))
    yield "coder-4", "coder", sealed(head(version=0x24))
    yield "coder-context-unbound", "coder", sealed(head(version=0x23))
    yield "transform-1", "transform", sealed(head(axis=0x21))
    yield "dtype-4", "dtype", sealed(head(kind=0x42))
    yield "dtype-7", "dtype", sealed(head(kind=0x72))
    yield "rank-9", "shape", sealed(head(kind=0x09, dimensions=b"\1" * 9))
    yield "axis-too-large", "shape", sealed(head(axis=0x30))
    yield "axis-frames", "shape", sealed(head(axis=0xA0))
    yield "axis-missing", "shape", sealed(head(axis=0x00))
    yield "axis-of-vector", "shape", sealed(head(kind=0x01, axis=0x10, dimensions=b"\x06"))
    yield "varint-padded", "shape", sealed(head(dimensions=b"\x82\x00\x03"))
    yield "varint-ten-bytes", "shape", sealed(head(dimensions=b"\xff" * 9 + b"\x01\x03"))
    huge = varint(1 << 31)
    yield "product-2-62", "length", sealed(head(dimensions=huge + huge))
    yield "product-over-2-62", "shape", sealed(head(dimensions=huge + varint((1 << 31) + 1)))
    big = 1 << 32
    for name, numbers in (("then-zero", (big, big, 0)), ("after-zero", (0, big, big))):
        dimensions = b"".join(map(varint, numbers))
        yield f"product-{name}", "shape", sealed(head(kind=3, dimensions=dimensions), b"")
    yield "levels-1", "levels", sealed(head(levels=0, values=VALUES[:4]))
    yield "flag-4", "flags", sealed(head(flags=5))
    yield "inner-unbound", "flags", sealed(head(kind=0x82))
    per_channel = dict(flags=3, kind=1, axis=0, dimensions=b"\x06")
    yield "groups-without-axis", "levels", sealed(head(**per_channel))
    yield "groups-of-one", "levels", sealed(head(flags=3, dimensions=b"\x06\x01"))
    yield "groups-missing", "length", sealed(head(flags=3), b"\x04\x01")
    for name, bad in (("nan", np.nan), ("inf", np.inf), ("falling", -1)):
        values = np.array([0, 1, 2, bad], "<f4").tobytes()
        yield f"values-{name}", "levels", sealed(head(values=values))
    ends = np.array([2, 1], "<f4").tobytes()
    yield "ends-falling", "levels", sealed(head(flags=0, values=ends))
    for n in (2, 4, 5, 6, 8, 12):
        yield f"header-{n}-bytes", "length", head()[:n]
    yield "no-checksum", "length", head() + b"\0\0\0"


def index_cases():
    good = stream()
    yield "damaged-header", "checksum", patched(good, 12, 1)
    yield "damaged-payload", "checksum", patched(good, len(good) - 1, 2)
    yield "no-payload", "length", stream(b"")
    yield "empty-and-more", "length", stream(b"\x04", shape=(0, 3))
    two = stream([CONSTANT, CONSTANT], shape=(1 << 19,), axis=None)
    yield "block-damaged", "checksum", patched(two, len(two) - 1, 2)
    yield "blocks-damaged-index", "checksum", patched(two, len(two) - 6, 2)
    yield "blocks-surplus", "length", two + b"\0"
    yield "blocks-cut", "length", two[:-1]
    yield "blocks-too-many", "length", stream([CONSTANT] * 2, shape=(1 << 40,), axis=None)
    yield "block-empty", "length", stream([b"", CONSTANT + CONSTANT], shape=(1 << 19,), axis=None)
    yield "method-5", "coder", stream(b"\x05\x01")
    yield "method-context", "coder", stream(b"\x03\x01")


def numbers_bits(*gammas) -> bytes:
    bits = BitWriter()
    for x in gammas:
        write_gamma(bits, x)
    return bits.bytes()


def state_bits(*states) -> bytes:
    bits = BitWriter()
    for x in states:
        n = x.bit_length() - 1
        bits.put(n - 15, 4)
        bits.put(x - (1 << n), n)
    return bits.bytes()


def payload_cases():
    raw, cabac, planes, joined = b"\x00", b"\x01", b"\x02\x00", b"\x02\x01"
    yield "raw-long", raw + b"\x00\x00\x00"
    yield "raw-short", raw + b"\x00"
    yield "raw-padding", raw + b"\x00\x10"
    yield "constant-long", b"\x04\x01\x01"
    yield "constant-level", b"\x04\x04"
    yield "cabac-zero", cabac + b"\x80\x00"
    yield "cabac-unread", cabac + b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x12\x34\x56"
    yield "cabac-ones", cabac + b"\xff\xff\xff\xff"
    yield "rans-empty", b"\x02"
    yield "rans-bare", planes
    yield "rans-third", b"\x02\x02\x00"
    yield "planes-layout-3", planes + b"\x03"
    yield "planes-layout-16", planes + b"\x10"
    yield "planes-constant-level", planes + b"\x84"
    yield "planes-constant-more", planes + b"\x81\x00"
    yield "planes-split-few", planes + b"\x08" + bytes(40)
    # N = 4: three left cuts, twelve sum cuts, here none; one table.
    tables, states = b"\x00\x00\x40\x80\xc0", b"\x00\x01" * 8
    yield "planes-table-equal", planes + b"\x00\x00\x00\x40\x40\xc0" + states
    yield "planes-table-zero", planes + b"\x00\x00\x00\x00\x40\xc0" + states
    yield "planes-levels", planes + b"\x00\xff\xff" + bytes(60)
    yield "planes-cut", planes + b"\x00" + tables + states[:-1]
    yield "planes-states", planes + b"\x00" + tables + states
    yield "planes-surplus", planes + b"\x00" + tables + states + bytes(9)
    yield "joined-k", joined + b"\x10" + bytes(2)
    yield "joined-constant-k", joined + b"\x05\x01"
    yield "joined-constant-level", joined + b"\x01\x04"
    yield "joined-stored-short", joined + b"\x00" + bytes(5)
    yield "joined-stored-value", joined + b"\x00" + bytes(5) + b"\x04"
    yield "joined-digits", joined + b"\x0c\x00\x10"  # k = 4: the second value has two symbols
    yield "joined-product-k", joined + b"\x02" + bytes(20)
    even = numbers_bits(1, 1, 2049, 2049)  # e = 0, then twice 2048
    start = state_bits(1 << 15)
    yield "joined-sum", joined + b"\x03" + numbers_bits(1, 1, 2049, 2050) + start
    yield "joined-short-sum", joined + b"\x03" + numbers_bits(1, 1, 2, 2, 2, 2) + start
    yield "joined-4096", joined + b"\x03" + numbers_bits(1, 1, 4097) + start
    yield "joined-gamma", joined + b"\x03" + bytes(8)
    yield "joined-no-room", joined + b"\x03" + numbers_bits(1, 6, 4096) + start
    yield "joined-odd", joined + b"\x03" + even + start + b"\x00"
    yield "joined-states", joined + b"\x03" + even + state_bits((1 << 15) + 1)
    yield "joined-no-words", joined + b"\x03" + even + state_bits((1 << 15) + 4095)
    yield "joined-surplus", joined + b"\x03" + even + start + bytes(40)
    escape = numbers_bits(97, 4001)  # e = 96, F[0] = 4000: value 1 is the escape
    yield "joined-escapes-many", joined + b"\x03" + escape + b"\x07" + bytes(7) + start
    yield "joined-escape-value", joined + b"\x03" + escape + b"\x01\x04" + start
    yield "joined-escapes-long", joined + b"\x03" + escape + b"\x80" * 5 + b"\x00" + start
    yield "joined-escapes-cut", joined + b"\x03" + escape + b"\x05\x00"


def bound_cases():
    """Streams of a codec that need another one, or another shape."""

    def file(levels=4, coder=2, **changes):
        return _core.codec_write(stream_cases.make_codec(levels, coder, bound=True, **changes))

    def tag(codec_file):
        return _core.codec_fields(_core.codec_read(codec_file))["digest"] & 0xFFFFFFFF

    plain, inner = file(), file(inner_shape=(3,))
    channels = file(groups=3)
    yield "bound-missing", "digest", stream(tag=tag(plain)), None
    yield "bound-other", "digest", stream(tag=tag(plain) ^ 1), plain
    yield "bound-coder", "coder", stream(tag=tag(plain), coder=1), plain
    yield "bound-channels", "shape", stream(tag=tag(channels), shape=(2, 4)), channels
    known = b"\xc5L\x32\x82\x20" + tag(inner).to_bytes(4, "little") + b"\x02"
    yield "inner-rank", "shape", sealed(patched(known, 3, 0x83)), inner
    yield "inner-other", "digest", sealed(patched(patched(known, 3, 0x83), 5, known[5] ^ 1)), inner
    unknown = known[:5] + tag(plain).to_bytes(4, "little") + b"\x02"
    yield "inner-unknown", "shape", sealed(unknown), plain
    context = file(coder=3, context=stream_cases.context_blob(4, 3))
    for name, payload in (
        ("flags", b"\x02" + bytes(4)), ("mask", b"\x01\x08" + b"\x00\x80\x00"),
        ("state", b"\x00\xff\x7f\x00"), ("high-state", b"\x00\x00\x00\x80"),
        ("short", b"\x00\x00\x80"), ("end", b"\x00\x01\x80\x00"),
        ("surplus", b"\x01\x07\x00\x80\x00\x00"),
    ):  # fmt: skip
        data = stream(b"\x03" + payload, tag=tag(context), coder=3)
        yield f"context-{name}", "payload", data, context
    wrong = stream(b"\x03\x01\x0f\x00\x80\x00", shape=(2, 4), tag=tag(context), coder=3)
    yield "context-channels", "payload", wrong, context


def file_cases():
    good = _core.codec_write(
        stream_cases.make_codec(
            3, 3, context=stream_cases.context_blob(3, 3), restore=stream_cases.restore_blob(3, 3)
        )
    )
    body = good[:-4]
    context_at = 24 + 4 * 2 + 4 * 3 + 4
    context_size = int.from_bytes(body[context_at - 4 : context_at], "little")
    restore_at = context_at + context_size + 4

    def file(at, patch):
        new = body[:at] + patch + body[at + len(patch) :]
        return new + crc32c(new).to_bytes(4, "little")

    yield "magic", "magic", b"\xc5LX" + good[3:]
    yield "short-magic", "magic", good[:3]
    yield "version", "version", file(3, b"\2")
    yield "short", "length", good[:27]
    yield "checksum", "checksum", patched(good, 20, 9)
    yield "levels", "length", file(4, b"\0")
    yield "coder", "coder", file(5, b"\4")
    yield "axis", "shape", file(6, b"\x08")
    yield "flags", "flags", file(7, b"\5")
    yield "rate-negative", "section", file(8, struct.pack("<d", -1))
    yield "rate-nan", "section", file(8, struct.pack("<d", np.nan))
    yield "groups", "length", file(16, b"\0\0\0\x7f")
    yield "inner-rank", "shape", file(20, b"\x08")
    yield "unbound", "section", file(7, b"\0")
    yield "no-context", "section", file(5, b"\2")
    yield "thresholds", "levels", file(24, struct.pack("<f", 9))
    yield "values", "levels", file(32, struct.pack("<f", np.inf))
    yield "blob-long", "length", file(context_at - 4, b"\xff\xff\xff\xff")
    yield "context-version", "section", file(context_at, b"\2")
    yield "context-levels", "section", file(context_at + 1, b"\x11")
    yield "context-scores", "section", file(context_at + 2, b"\3")
    yield "context-lanes", "section", file(context_at + 3, b"\x18")
    yield "context-shift", "section", file(context_at + 4, b"\5")
    yield "context-coarse", "section", file(context_at + 5, b"\3")
    yield "context-link", "section", file(context_at + 8, b"\x81")
    yield "context-order", "section", file(context_at + 40, body[context_at + 42 :][:2])
    record_at = context_at + 40 + 3 * 2
    yield "context-bias", "section", file(record_at, b"\x80")
    yield "context-offset", "section", file(record_at + 3, b"\x01\x20")
    yield "restore-version", "section", file(restore_at, b"\2")
    yield "restore-kind", "section", file(restore_at + 1, b"\3")
    yield "restore-rank", "section", file(restore_at + 2, b"\4")
    yield "restore-levels", "section", file(restore_at + 8, b"\4")
    yield "restore-strength", "section", file(restore_at + 10, b"\x01\x01")
    yield "restore-reserved", "section", file(restore_at + 12, b"\1")
    yield "restore-value", "section", file(restore_at + 16, b"\x1a")
    yield "restore-limits", "section", file(restore_at + 19, struct.pack("<f", np.nan))
    # Slot 1 of 33 is the first that has references.
    body = _core.codec_write(
        stream_cases.make_codec(3, 3, context=stream_cases.context_blob(3, 33))
    )[:-4]
    reference_at = context_at + 40 + 33 * 2 + 16 + 16
    yield "context-reference", "section", file(reference_at, b"\1")
    yield "context-place", "section", file(reference_at + 2, b"\5")
    yield "context-four", "section", file(reference_at + 4, b"\x7a")
    body = good[:-4]
    tail = body[:-2] + b"{}x"
    yield "trailing", "length", tail + crc32c(tail).to_bytes(4, "little")


def bad_cases():
    for name, field, data in (*header_cases(), *index_cases()):
        yield name, field, data, None
    for name, payload in payload_cases():
        yield f"payload-{name}", "payload", stream(payload), None
    yield from bound_cases()
    for name, field, data in file_cases():
        yield f"file-{name}", field, data, None
    for name, field, data, file in stream_cases_of_transforms():
        yield f"transform-{name}", field, data, file
    for name, field, data in file_cases_of_transforms():
        yield f"file-transform-{name}", field, data, None
