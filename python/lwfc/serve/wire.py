"""Reading and writing length-prefixed messages."""

import socket
import struct

from ..base.errors import FormatError

__all__ = ["receive", "send"]

CHUNK = 1 << 20


def receive(connection: socket.socket, limit: int, head: int = 0) -> tuple[bytes, bytes] | None:
    """(``head`` bytes in front, body) of one message; None if the other side has closed before it.

    Memory grows with what arrives, not with what a length claims. Errors: FormatError for longer
    bodies than ``limit`` and for connections that end inside a message.
    """
    first = _exactly(connection, head + 4, True)
    if first is None:
        return None
    (length,) = struct.unpack("<I", first[head:])
    if length > limit:
        raise FormatError(f"a message of {length} bytes: at most {limit} are taken")
    body = _exactly(connection, length, False)
    return first[:head], body or b""


def _exactly(connection: socket.socket, count: int, may_end: bool) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(CHUNK, count - len(parts)))
        if not part:
            if may_end and not parts:
                return None
            raise FormatError(f"the connection ended after {len(parts)} of {count} bytes")
        parts += part
    return bytes(parts)


def send(connection: socket.socket, body: bytes, head: bytes = b"") -> None:
    """One message."""
    if len(body) >= 2**32:
        raise FormatError(f"a message of {len(body)} bytes: at most 2^32 - 1 can be sent")
    connection.sendall(head + struct.pack("<I", len(body)) + body)
