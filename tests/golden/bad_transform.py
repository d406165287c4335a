"""Bytes of transform streams and codec files that a decoder must refuse: see bad_cases.py."""

import struct

import section_pack
import stream_cases
import transform_cases
from generator import make_stream, varint
from primitives import crc32c

from lwfc import _core


def tag_of(codec_file: bytes) -> int:
    return _core.codec_fields(_core.codec_read(codec_file))["digest"]


def compact(codec_file: bytes, payload: bytes, first=0xA0, tag=None, batch=b"") -> bytes:
    digest = tag_of(codec_file)
    tag = digest & 0xFFFF if tag is None else tag
    head = bytes([first]) + tag.to_bytes(2, "little") + batch
    crc = crc32c(digest.to_bytes(8, "little") + head + payload)
    return head + crc.to_bytes(4, "little") + payload


def stream_cases_of_transforms():
    """(name, field, bytes, codec file)"""
    file = _core.codec_write(transform_cases.codec_of("odd"))
    plain = _core.codec_write(stream_cases.make_codec(4, 2, bound=True))
    unshaped = _core.codec_write(transform_cases.codec_of("clamp"))
    vectors = _core.codec_write(transform_cases.codec_of("vectors"))
    good = b"\x00\x00\x01"  # a state of 2^16: a first flag, then the words are missing
    yield "missing", "digest", compact(file, good), None
    yield "other", "digest", compact(file, good, tag=tag_of(file) & 0xFFFF ^ 1), file
    damaged = compact(file, good)
    yield "damaged", "checksum", damaged[:-1] + b"\x02", file
    yield "short", "length", compact(file, b""), file
    yield "cut", "length", compact(file, good)[:2], file
    yield "batch-1", "shape", compact(file, good, first=0xB0, batch=b"\x01"), file
    yield "batch-0", "shape", compact(file, good, first=0xB0, batch=b"\x00"), file
    yield "batch-cut", "length", compact(file, good, first=0xB0)[:3], file
    yield "batch-blocks", "shape", compact(file, good, 0xB0, batch=varint(1 << 20)), file
    yield "unshaped", "shape", compact(unshaped, good), unshaped
    yield "plain-codec", "transform", compact(plain, good), plain
    yield "zero-end", "payload", compact(file, b"\x01\x00"), file
    yield "surplus", "payload", compact(file, b"\x07\x00" * 9 + b"\x00\x00\x01"), file
    yield "unfinished", "payload", compact(file, b"\xff\xff\xff\xff"), file
    yield "few-states", "payload", compact(file, b"\1" * 14, first=0xA1), file
    states = struct.pack("<4I", 1 << 16, 1 << 15, 1 << 16, 1 << 16)
    yield "low-state", "payload", compact(file, states[:-1], first=0xA1), file
    for code in (1, 2, 3):
        lanes = (1, 4, 16, 64)[code]
        states = struct.pack(f"<{lanes}I", *[0xFFFFFFFF] * lanes)
        yield f"ends-{lanes}", "payload", compact(file, states, first=0xA0 + code), file
    tag = tag_of(file) & 0xFFFFFFFF
    for name, field, block in (
        ("method-4", "coder", b"\x04\x01"), ("method-9", "coder", b"\x09" + good),
        ("empty", "length", b""), ("no-state", "payload", b"\x05"),
    ):  # fmt: skip
        data = with_transform(make_stream((1, 7, 9, 35), 1, [], [block], coder=2, tag=tag))
        yield name, field, data, file
    other = make_stream((1, 7, 9, 36), 1, [], [b"\x05" + good], coder=2, tag=tag)
    yield "other-map", "shape", with_transform(other), file
    other = make_stream((1, 8, 9, 35), 1, [], [b"\x05" + good], coder=2, tag=tag)
    yield "other-channels", "shape", with_transform(other), file
    cabac = make_stream((1, 7, 9, 35), 1, [], [b"\x05" + good], coder=1, tag=tag)
    yield "coder", "transform", with_transform(cabac), file
    plain_stream = make_stream((1, 7, 9, 35), 1, [], [b"\x05" + good], coder=2, tag=tag)
    yield "none", "transform", plain_stream, file
    data = compact(vectors, b"\xff\xff\xff\x7f", first=0xB0, batch=b"\x03")
    yield "vectors", "payload", data, vectors


def with_transform(data: bytes) -> bytes:
    """The stream of one block with transform 1 in its header."""
    head = data[:4] + bytes([data[4] | 1]) + data[5:]
    at = 9
    for _ in range(4):  # dimensions: varints of one byte or two
        at += 1 + (head[at] >> 7)
    return head[:at] + crc32c(head[:at] + head[at + 4 :]).to_bytes(4, "little") + head[at + 4 :]


def file_cases_of_transforms():
    """(name, field, bytes)"""
    section = transform_cases.CASES["odd"][0]
    good = _core.codec_write(transform_cases.codec_of("odd"))
    raw, classes = transform_cases.section_of("odd"), section.classes_bytes()
    frequencies = section.block[0] * section.block[1]
    matrix = 38 + 4 * frequencies
    width = int(section.columns[section.index == 0].max())
    scales = matrix + 1 + width + width * section.channels
    tables = raw.index(classes)
    start = good.index(raw[:38])  # the packed form begins alike

    def sealed(body):
        return body + crc32c(body).to_bytes(4, "little")

    def file(at, patch):
        return sealed(good[:at] + patch + good[at + len(patch) : -4])

    def packed(form):
        return sealed(good[: start - 4] + struct.pack("<I", len(form)) + form + good[-10:-4])

    form = section_pack.pack(raw, len(classes))

    def field(at, patch):
        if at < 38:  # the head, which stands in both forms
            return packed(patched(form, at, patch))
        return packed(section_pack.pack(patched(raw, at, patch), len(classes)))

    yield "flag", "section", file(7, bytes([good[7] & ~1]))
    yield "levels", "section", file(4, b"\3")
    yield "coder", "section", file(5, b"\1")
    yield "groups", "section", file(16, b"\1")
    yield "inner", "section", file(24, struct.pack("<q", 8))
    yield "length", "length", file(start - 4, b"\xff\xff\xff\x7f")
    floats = {"unit": 16, "clip": 20, "clamp": 28}
    for name, at, patch in (
        ("version", 0, b"\2"), ("flags", 1, b"\x08"), ("height", 2, b"\0\0"),
        ("width", 4, b"\x24\0"), ("channels", 6, bytes(4)), ("block", 10, b"\2"),
        ("bits", 12, b"\3\4"), ("bits-9", 12, b"\x09"), ("reserved", 15, b"\1"),
        ("unit", floats["unit"], struct.pack("<f", 0)),
        ("unit-nan", floats["unit"], struct.pack("<f", float("nan"))),
        ("clip", floats["clip"], struct.pack("<ff", 1, 0)),
        ("clip-large", floats["clip"], struct.pack("<f", -1e30)),
        ("clamp", floats["clamp"], struct.pack("<ff", 0, 1)), ("matrices", 36, b"\0\0"),
        ("shift", matrix, b"\x09"), ("exponent", matrix + 1, b"\x09"),
        ("mantissa", matrix + 1 + width, b"\x80"),
        ("scale", scales, struct.pack("<f", float("inf"))),
        ("scale-negative", scales, struct.pack("<f", -1)),
        ("analysis", scales + 4 * width, b"\x80"), ("classes", tables, b"\x21"),
        ("top", tables + 1, b"\x40"), ("escape", tables + 2, b"\0\0"),
        ("size", tables + 4, b"\0\0"), ("sizes", tables + 4, b"\0\x08"),
    ):  # fmt: skip
        yield name, "section", field(at, patch)
    yield "silent", "section", field(len(raw) - 2, b"\0\x10")
    yield "mean", "section", field(tables - 2 * section.channels, b"\0\x80")
    after = form.index(classes, 38) + len(classes)  # the plane of shifts
    for name, bad in (
        ("head", form[:37]), ("index", patched(form, 38 + 5, b"\2")),
        ("columns", patched(form, 38 + 5 + frequencies, b"\x08")), ("trailing", form + b"\0"),
        ("cut", form[:-1]), ("plane-length", patched(form, after, b"\xff\xff\xff\xff")),
        ("plane-zero", patched(form, after, b"\0")), ("plane", patched(form, after + 4, b"\x02")),
        ("no-tables", form[: after - len(classes)]), ("expansion", expanding()),
    ):  # fmt: skip
        yield f"packed-{name}", "section", packed(bad)


def patched(data: bytes, at: int, patch: bytes) -> bytes:
    return data[:at] + patch + data[at + len(patch) :]


def expanding() -> bytes:
    """Constant planes: 64 MB of matrices and means from about a hundred bytes."""
    head = struct.pack("<BBHHIBBBBBB", 1, 2, 64, 64, 4096, 1, 1, 5, 4, 3, 0)
    head += struct.pack("<5fH", 1.0, -1, 1, 0, 0, 1)
    constants = [b"\0", b"\x10", b"\0", *[b"\1"] * 2, *[b"\0"] * 7, b"\0", b"\1", b"\0"]
    begin = struct.pack("<I3s", 3, b"\0\0\0") + struct.pack("<I3s", 3, b"\0\0\x10")
    rest = b"".join(struct.pack("<I", 2) + b"\1" + value for value in constants)
    return head + begin + b"\1\0\1\0" + rest
