"""A second reader of the container of several tensors, from its description alone."""

import struct
import zlib

import numpy as np

TYPES = ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<u2"]


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number += (byte % 128) << shift
        shift += 7
        if byte < 128:
            return number, at


def kept(payload, deflated):
    """The array of a stored or deflated payload."""
    kind, rank, at, shape = payload[0], payload[1], 2, []
    for _ in range(rank):
        n, at = varint(payload, at)
        shape.append(n)
    (crc,) = struct.unpack_from("<I", payload, at)
    body, dtype = payload[at + 4 :], np.dtype(TYPES[kind])
    if deflated:
        planes = zlib.decompress(body)
        count = len(planes) // dtype.itemsize
        body = bytes(planes[b * count + i] for i in range(count) for b in range(dtype.itemsize))
    assert zlib.crc32(body) == crc
    return np.frombuffer(body, dtype).reshape(shape)


def read(data, names=None):
    """[(name, array, or bytes of an lwfc stream)]."""
    assert data[:2] == b"\xc5\x4d" and data[2] >> 1 == 1 << 4
    named = data[2] & 1
    count, at = varint(data, 3)
    if not named:
        joined = "".join(name + "\0" for name in names).encode()
        assert struct.unpack_from("<I", data, at)[0] == zlib.crc32(joined)
        at += 4
    rows = []
    for i in range(count):
        name = None if named else names[i]
        if named:
            n, at = varint(data, at)
            name, at = data[at : at + n].decode(), at + n
        method = data[at]
        n, at = varint(data, at + 1)
        rows.append((name, method, n))
    assert struct.unpack_from("<I", data, at)[0] == zlib.crc32(data[:at])
    at += 4
    found = []
    for name, method, n in rows:
        payload, at = data[at : at + n], at + n
        found.append((name, payload if method == 2 else kept(payload, method == 1)))
    assert at == len(data)
    return found
