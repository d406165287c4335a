"""The client: streams out, outputs back."""

import select
import socket
import threading

import numpy as np

from ..base.checks import check_number
from ..base.errors import FormatError, LwfcError, ParameterError
from ..split.bundle import unpack
from .wire import receive, send

__all__ = ["Client"]


class Client:
    """A connection to a :class:`lwfc.serve.Server`.

    ``client(data)`` sends a stream, as an edge half makes it, and gives the outputs by name.
    Threads may share a client: their streams go one after another. A connection that the server has
    closed since, or that a call was broken off on, is made anew by the next call.
    Errors: FormatError with the server's words for streams it refuses; OSError for a lost
    connection, TimeoutError where an answer takes longer than ``timeout`` seconds.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, timeout: float = 60.0,
        max_nbytes: int = 1 << 30,
    ) -> None:  # fmt: skip
        check_number("port", port, 1, 65535)
        self._where, self._timeout, self._limit = (host, int(port)), timeout, max_nbytes
        self._turn = threading.Lock()
        self._connection: socket.socket | None = self._connect()

    def _connect(self) -> socket.socket:
        try:
            connection = socket.create_connection(self._where, self._timeout)
        except TimeoutError:
            raise
        except OSError as error:
            host, port = self._where
            raise ConnectionError(
                f"no server answers at {host} port {port} ({error}): does lwfc serve run there?"
            ) from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def __call__(self, data: bytes) -> dict[str, np.ndarray]:
        try:
            stream = memoryview(data).cast("B")
        except TypeError:
            raise ParameterError(
                f"a {type(data).__name__} is no stream: pass the bytes that the edge's half makes"
            ) from None
        with self._turn:
            try:
                status, body = self._ask(stream)
            except BaseException:
                self.close()  # what may still come answers no later stream
                raise
        if status == b"\0":
            return unpack(body, max_nbytes=self._limit)
        if status == b"\1":
            raise FormatError(f"the server refuses the stream: {body.decode(errors='replace')}")
        raise LwfcError(f"the server answers with status {status[0]}: another protocol?")

    def _ask(self, stream: memoryview) -> tuple[bytes, bytes]:
        # Something to read before anything was asked: the server has closed it.
        if self._connection is not None and select.select([self._connection], [], [], 0)[0]:
            self.close()
        if self._connection is None:
            self._connection = self._connect()
        send(self._connection, stream)
        message = receive(self._connection, self._limit, head=1)
        if message is None:
            raise ConnectionError("the server closed the connection")
        return message

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
