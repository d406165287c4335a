"""The server and its client on the loopback: answers, refusals, limits."""

import socket
import struct
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import lwfc
from lwfc.serve import Client, Server


def half(data):
    if data == b"fail":
        raise RuntimeError("secret path /etc")
    if data == b"slow":
        time.sleep(0.4)
        return {"slow": np.zeros(1)}
    x = lwfc.decode(data)
    return {"sum": x.sum((1, 2, 3)), "shape": np.array(x.shape)}


@contextmanager
def running(**options):
    with Server(half, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def stream(n=2):
    return lwfc.encode(np.random.default_rng(n).random((n, 3, 4, 5), np.float32))


def test_streams_are_answered_one_after_another(caplog):
    caplog.set_level("INFO", "lwfc.serve")
    with running() as server, Client(port=server.port) as client:
        for n in (1, 2, 3):
            found = client(stream(n))
            assert np.array_equal(found["sum"], lwfc.decode(stream(n)).sum((1, 2, 3)))
            assert found["shape"].tolist() == [n, 3, 4, 5]
        assert server.server_address[0] == "127.0.0.1" and "bytes in" in caplog.text


def test_bad_streams_do_not_end_the_connection(caplog):
    with running() as server, Client(port=server.port) as client:
        with pytest.raises(lwfc.FormatError, match="refuses the stream"):
            client(stream()[:-1])
        with pytest.raises(lwfc.FormatError, match="the half failed") as caught:
            client(b"fail")
        assert "secret" not in str(caught.value) and "secret" in caplog.text
        assert client(stream())["shape"].tolist() == [2, 3, 4, 5]


def test_several_clients_at_once():
    with running(connections=2) as server:
        found = []

        def ask(n):
            with Client(port=server.port) as client:
                found.extend(int(client(stream(n))["shape"][0]) for _ in range(5))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted(n for n in range(1, 6) for _ in range(5))


def test_limits():
    with running(max_nbytes=100, timeout=0.2) as server:
        with (
            Client(port=server.port) as client,
            pytest.raises(lwfc.FormatError, match="at most 100"),
        ):
            client(stream(9))
        with socket.create_connection(("127.0.0.1", server.port), 5) as idle:
            assert idle.recv(1) == b""  # closed after 0.2 s of silence
        with socket.create_connection(("127.0.0.1", server.port), 5) as cut:
            cut.sendall(struct.pack("<I", 50) + b"only this")
            cut.shutdown(socket.SHUT_WR)
            assert b"ended after 9 of 50" in cut.recv(1000)
        with Client(port=server.port) as client, pytest.raises(lwfc.FormatError, match="refuses"):
            client(b"")


def test_a_client_distrusts_its_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for answer, error in [
            (b"\x02\0\0\0\0", lwfc.LwfcError), (b"\0\xff\xff\xff\xff", lwfc.FormatError),
            (b"\0\x03\0\0\0abc", lwfc.FormatError), (b"\0\x03", lwfc.FormatError),
        ]:  # fmt: skip

            def serve(answer=answer):
                with listener.accept()[0] as connection:
                    connection.recv(1000)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            with Client(port=port, max_nbytes=1000) as client, pytest.raises(error):
                client(b"x")
            thread.join()


def test_a_late_answer_answers_no_later_stream():
    with running() as server, Client(port=server.port, timeout=0.2) as client:
        with pytest.raises(TimeoutError):
            client(b"slow")
        time.sleep(0.4)
        assert client(stream())["shape"].tolist() == [2, 3, 4, 5]


def test_connections_that_the_server_closed_are_made_anew():
    with running(timeout=0.1) as server, Client(port=server.port) as client:
        assert client(stream())["shape"].tolist() == [2, 3, 4, 5]
        time.sleep(0.3)  # of silence
        assert client(stream())["shape"].tolist() == [2, 3, 4, 5]
        port = server.port
    with running(port=port), client:  # another server there
        assert client(stream())["shape"].tolist() == [2, 3, 4, 5]
    with pytest.raises(ConnectionError, match=f"port {port}.*lwfc serve"):
        Client(port=port)


def test_threads_share_a_client():
    with running() as server, Client(port=server.port) as client:
        wrong = []

        def ask(n):
            for _ in range(10):
                if client(stream(n))["shape"][0] != n:
                    wrong.append(n)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_long_streams_are_refused_in_words_and_the_connection_goes_on():
    with running(max_nbytes=1000) as server, Client(port=server.port) as client:
        for length in (1001, 1 << 24):
            with pytest.raises(lwfc.FormatError, match=f"{length} bytes: at most 1000.*max_nbytes"):
                client(bytes(length))
        assert client(stream())["shape"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_no_streams(data):
    with running() as server, Client(port=server.port) as client:
        with pytest.raises(lwfc.ParameterError, match="is no stream"):
            client(data)
        for kind in (bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)):
            assert client(kind(stream()))["shape"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "options",
    [{"half": None}, {"port": 70000}, {"max_nbytes": 0}, {"timeout": -1}, {"connections": 0}],
)
def test_servers_that_cannot_work(options):
    with pytest.raises(lwfc.ParameterError, match=next(iter(options))):
        Server(**({"half": half} | options))


def test_ports():
    with running() as server, pytest.raises(OSError, match=f"port {server.port}: .*in use"):
        Server(half, port=server.port)
    for port in (0, 70000, "x"):
        with pytest.raises(lwfc.ParameterError, match="port="):
            Client(port=port)
