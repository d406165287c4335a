"""The client: streams out, outputs back."""

import socket

import numpy as np

from ..base.errors import FormatError, LwfcError
from ..split.bundle import unpack
from .wire import receive, send

__all__ = ["Client"]


class Client:
    """A connection to a :class:`lwfc.serve.Server`.

    ``client(data)`` sends a stream, as an edge half makes it, and gives the outputs by name.
    Errors: FormatError with the server's words for streams it refuses; OSError for a lost
    connection.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, timeout: float = 60.0,
        max_nbytes: int = 1 << 30,
    ) -> None:  # fmt: skip
        self._limit = max_nbytes
        self._connection = socket.create_connection((host, port), timeout)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, data: bytes) -> dict[str, np.ndarray]:
        send(self._connection, data)
        message = receive(self._connection, self._limit, head=1)
        if message is None:
            raise ConnectionError("the server closed the connection")
        status, body = message
        if status == b"\0":
            return unpack(body, max_nbytes=self._limit)
        if status == b"\1":
            raise FormatError(f"the server refuses the stream: {body.decode(errors='replace')}")
        raise LwfcError(f"the server answers with status {status[0]}: another protocol?")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
