"""The cloud's half behind a socket: a small server for streams, and its client.

Requests and answers are length-prefixed::

    request   u32 length, a stream as the edge made it
    answer    u8 status, u32 length, body

Numbers are little-endian. Status 0: the body is a container of the outputs (``lwfc.split.unpack``);
status 1: the body is an error's text, and the connection goes on. There is no authentication and
no encryption: keep it on the loopback, or behind something that has both.
"""

from .client import Client
from .server import Server

__all__ = ["Client", "Server"]
