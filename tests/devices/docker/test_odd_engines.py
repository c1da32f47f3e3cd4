"""Engines that answer garbage, too much, too slowly or not at all, behind a real sshd."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from devices.connections import Engine, open_engine
from devices.errors import ConnectionLost, DeviceError, EngineError, EngineTimeout, EngineTooOld, NotDocker
from tests.devices.servers import Behaviour, answering, read_request, unix_server
from tests.devices.targets import target_of
from tests.devices.waiting import no_threads_left
from tests.fleet import Fleet, Host

Respond = Callable[[bytes, socket.socket], None]


@contextmanager
def odd_engine(fleet: Fleet, host: Host, respond: Respond) -> Iterator[Engine]:
    name = f"odd-{threading.get_ident()}.sock"
    with no_threads_left(), unix_server(host, answering(respond), name) as path:
        engine = open_engine(target_of(fleet, host, socket_path=path, request_timeout_s=5))
        try:
            yield engine
        finally:
            engine.close()


def says(data: bytes) -> Respond:
    return lambda _request, connection: connection.sendall(data)


def says_and_hangs_up(data: bytes) -> Respond:
    def respond(_request: bytes, connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return respond


def says_endlessly(head: bytes, piece: bytes) -> Respond:
    def respond(_request: bytes, connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return respond


def trickles(head: bytes, piece: bytes) -> Respond:
    def respond(_request: bytes, connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            threading.Event().wait(0.05)

    return respond


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("respond", "expected"),
    [
        (says(b"\x00\x01\x02garbage"), NotDocker),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), NotDocker),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n"), NotDocker),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1 and more"), NotDocker),
        (says(CHUNKED + b"zz\r\n"), NotDocker),
        (says_endlessly(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000), NotDocker),
        (says_endlessly(CHUNKED, b"100000\r\n" + b" " * 0x100000 + b"\r\n"), NotDocker),
        (says_and_hangs_up(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1,"), ConnectionLost),
        (says_and_hangs_up(CHUNKED + b"3\r\n[1,\r\n"), ConnectionLost),
        (says_and_hangs_up(b"HTTP/1.1 2"), ConnectionLost),
        (says_and_hangs_up(b""), ConnectionLost),
        (trickles(CHUNKED, b"1\r\n \r\n"), EngineTimeout),
        (trickles(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), EngineTimeout),
        (trickles(b"", b""), EngineTimeout),
    ],
    ids=[
        "garbage",
        "not-json",
        "huge-length",
        "too-long",
        "bad-chunk",
        "endless-head",
        "endless-body",
        "cut-length",
        "cut-chunks",
        "cut-head",
        "no-answer",
        "slow-body",
        "slow-head",
        "silent",
    ],
)
def test_answer_that_is_no_good_is_an_error_within_the_deadline(
    fleet: Fleet, docker_host: Host, respond: Respond, expected: type[DeviceError]
) -> None:
    with odd_engine(fleet, docker_host, respond) as engine:
        started = time.monotonic()

        with pytest.raises(expected) as caught:
            engine.get_json("/containers/json", timeout_s=1 if expected is EngineTimeout else 5)

        assert time.monotonic() - started < (1.5 if expected is EngineTimeout else 5.5)
        assert f"host {docker_host.name}" in caught.value.message
        assert engine.is_open
        assert engine.channel_count <= 1


def test_error_message_of_an_engine_is_bounded_and_harmless(fleet: Fleet, docker_host: Host) -> None:
    text = "\\u001b[31m<script>\\u202e" + "x" * 100_000
    body = b'{"message": "%s"}' % text.encode()
    answer = b"HTTP/1.1 500 Odd\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with odd_engine(fleet, docker_host, says(answer)) as engine, pytest.raises(EngineError) as caught:
        engine.get_json("/containers/json")

    assert len(caught.value.message) < 700
    assert "\x1b" not in caught.value.message
    assert "\u202e" not in caught.value.message
    assert caught.value.engine_status == 500


@pytest.mark.parametrize(
    ("respond", "expected"),
    [
        (says_and_hangs_up(CHUNKED + b"5\r\nhello\r\n"), ConnectionLost),
        (says(CHUNKED + b"5\r\nhello\r\nzz\r\n"), NotDocker),
        (says_and_hangs_up(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), ConnectionLost),
    ],
    ids=["cut", "garbage", "cut-length"],
)
def test_stream_that_breaks_gives_what_came_and_then_the_error(
    fleet: Fleet, docker_host: Host, respond: Respond, expected: type[DeviceError]
) -> None:
    with odd_engine(fleet, docker_host, respond) as engine:
        stream = engine.stream("/events", read_timeout_s=5)
        read = b""

        with pytest.raises(expected):
            for piece in stream:
                read += piece

        assert read in (b"hello", b"")
        assert engine.stream_count == 0


@pytest.mark.parametrize(
    ("answer", "data"),
    [
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
    ids=["chunked", "length", "nothing"],
)
def test_stream_of_any_framing_ends_where_its_answer_ends(
    fleet: Fleet, docker_host: Host, answer: bytes, data: bytes
) -> None:
    with odd_engine(fleet, docker_host, says(answer)) as engine:
        assert b"".join(engine.stream("/events", read_timeout_s=5)) == data


def test_request_on_a_kept_channel_that_died_is_sent_once_more(fleet: Fleet, docker_host: Host) -> None:
    seen: list[bytes] = []

    def respond(request: bytes, connection: socket.socket) -> None:
        seen.append(request)
        if len(seen) == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with odd_engine(fleet, docker_host, respond) as engine:
        engine.get_json("/one")
        assert engine.get_json("/two") == []
        assert [request.split()[1] for request in seen] == [b"/v1.45/one", b"/v1.45/two", b"/v1.45/two"]


def test_post_on_a_kept_channel_that_died_is_not_repeated(fleet: Fleet, docker_host: Host) -> None:
    seen: list[bytes] = []

    def respond(request: bytes, connection: socket.socket) -> None:
        seen.append(request)
        if len(seen) == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with odd_engine(fleet, docker_host, respond) as engine:
        engine.get_json("/one")
        with pytest.raises(ConnectionLost):
            engine.post("/two")
        assert len(seen) == 2


def serving(data: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)

    return behave


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"ApiVersion": "1.40", "Version": "19.03.15"}', EngineTooOld),
        (b'{"hello": "world"}', NotDocker),
        (b'["ApiVersion"]', NotDocker),
        (b"<html>", NotDocker),
    ],
    ids=["too-old", "no-version", "list", "html"],
)
def test_socket_of_something_else_is_told_apart(
    fleet: Fleet, docker_host: Host, answer: bytes, expected: type[DeviceError]
) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)

    with no_threads_left(), unix_server(docker_host, serving(data)) as path, pytest.raises(expected) as caught:
        open_engine(target_of(fleet, docker_host, socket_path=path))

    assert caught.value.fix
