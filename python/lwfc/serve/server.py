"""The server: a thread for each connection, bounded in number, size and patience."""

import contextlib
import logging
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..base.checks import check_number
from ..base.errors import FormatError, LwfcError, ParameterError
from ..split.bundle import pack
from .wire import TooLong, receive, send, skip

__all__ = ["Server"]

_log = logging.getLogger("lwfc.serve")


class Server(socketserver.ThreadingTCPServer):
    """Answers streams with what ``half`` makes of them.

    ``half``: called with a stream's bytes, gives a mapping of names to arrays or tensors, as the
    ``cloud.answer`` of :func:`lwfc.torch.split` does; calls run one at a time. ``host``, ``port``:
    0 takes a free port, ``server.port`` says which; ``max_nbytes``: longest request; ``timeout``:
    seconds a connection may be silent; ``connections``: how many at once, later ones wait.

    ``with Server(half) as server: server.serve_forever()``; ``shutdown()`` from another thread ends
    it. Damaged streams are answered with their error and do not end the connection. What the half
    fails on, and at level INFO each stream, goes to the logger ``lwfc.serve``. Errors:
    ParameterError for arguments that cannot work, OSError for a port that is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        half: Callable[[bytes], Mapping[str, Any]],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        max_nbytes: int = 1 << 26,
        timeout: float = 60.0,
        connections: int = 16,
    ) -> None:
        if not callable(half):
            raise ParameterError(f"half is a {type(half).__name__}: must be a function of a stream")
        check_number("port", port, 0, 65535)
        check_number("max_nbytes", max_nbytes, 1, 2**32 - 1)
        check_number("timeout", timeout, 1e-3, 1e9)
        check_number("connections", connections, 1, 1e6)
        self.half, self.max_nbytes, self.patience = half, max_nbytes, timeout
        self.turn, self.places = threading.Lock(), threading.Semaphore(connections)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise type(error)(error.errno, f"{host} port {port}: {error.strerror}") from None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_address[1]

    def answer(self, data: bytes) -> tuple[bytes, bytes]:
        """(status, body) for a request's body."""
        try:
            with self.turn:
                return b"\0", pack(self.half(data))
        except LwfcError as error:
            return b"\1", str(error).encode()
        except Exception as error:  # the half's own trouble must not end the server
            _log.exception("the half failed on a stream")
            return b"\1", (f"the half failed on this stream ({type(error).__name__}): the "
                           "server's log says why").encode()  # fmt: skip

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke; others go on."""
        _log.info("%s: connection lost", client_address[0])


class _Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        with self.server.places, contextlib.suppress(TimeoutError):
            self.request.settimeout(self.server.patience)
            while True:
                try:
                    message = receive(self.request, self.server.max_nbytes)
                except TooLong as error:
                    send(self.request, str(error).encode(), b"\1")
                    skip(self.request, error.length)
                    continue
                except FormatError as error:
                    send(self.request, str(error).encode(), b"\1")
                    return
                if message is None:
                    return
                status, body = self.server.answer(message[1])
                send(self.request, body, status)
                _log.info("%d bytes in, %d out", len(message[1]), len(body))
