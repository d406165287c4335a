"""Reading and writing length-prefixed messages."""

import socket
import struct

from ..base.errors import FormatError

__all__ = ["TooLong", "receive", "send", "skip"]

CHUNK = 1 << 20


class TooLong(FormatError):
    """A message of ``length`` bytes, of which none was read."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"a message of {length} bytes: at most {limit} are taken (max_nbytes)")
        self.length = length


def receive(connection: socket.socket, limit: int, head: int = 0) -> tuple[bytes, bytes] | None:
    """(``head`` bytes in front, body) of one message; None if the other side has closed before it.

    Memory grows with what arrives, not with what a length claims. Errors: TooLong for longer
    bodies than ``limit``, FormatError for connections that end inside a message.
    """
    first = _exactly(connection, head + 4, True)
    if first is None:
        return None
    (length,) = struct.unpack("<I", first[head:])
    if length > limit:
        raise TooLong(length, limit)
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


def skip(connection: socket.socket, count: int) -> None:
    """Read so many bytes for nothing, or until the other side closes."""
    while count > 0:
        count -= len(connection.recv(min(CHUNK, count))) or count


def send(connection: socket.socket, body: bytes | memoryview, head: bytes = b"") -> None:
    """One message."""
    if len(body) >= 2**32:
        raise FormatError(f"a message of {len(body)} bytes: at most 2^32 - 1 can be sent")
    head += struct.pack("<I", len(body))
    if len(body) > CHUNK:  # no copy of what is long
        connection.sendall(head)
        connection.sendall(body)
    else:
        connection.sendall(b"".join((head, body)))
