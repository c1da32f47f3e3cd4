"""Servers that do not let us get as far as the log-in."""

import socket
import threading
import time
from dataclasses import replace

import pytest

from devices.errors import (
    ConnectionLost,
    ConnectionRefused,
    ConnectionTimedOut,
    DeviceError,
    NameNotFound,
    NotSsh,
)
from devices.rules.targets import Authentication, ConnectionTarget
from devices.ssh.session import open_session
from tests.devices.servers import Behaviour, tcp_server
from tests.devices.waiting import no_threads_left

TARGET = ConnectionTarget(
    device_id="1",
    name="web",
    address="127.0.0.1",
    port=0,
    authentication=Authentication("op", password="hunter2"),
    connect_timeout_s=1.5,
)


def never_greets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.recv(65536)


def trickles(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x")
        threading.Event().wait(0.05)


def greets_and_stalls(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    while connection.recv(65536):
        pass


def hangs_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def speaks_http(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"<p>\x1b[31m</p>\n" * 200)


def speaks_old_ssh(connection: socket.socket) -> None:
    connection.sendall(b"SSH-1.5-OpenSSH_1.2\r\n")
    connection.recv(65536)


def talks_nonsense_after_greeting(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-odd\r\n" + b"\xff" * 4096)
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (never_greets, ConnectionTimedOut),
        (trickles, ConnectionTimedOut),
        (greets_and_stalls, ConnectionTimedOut),
        (hangs_up, ConnectionLost),
        (speaks_http, NotSsh),
        (speaks_old_ssh, NotSsh),
        (talks_nonsense_after_greeting, ConnectionLost),
    ],
)
def test_server_that_is_no_good_is_told_apart_in_time(behaviour: Behaviour, expected: type[DeviceError]) -> None:
    with tcp_server(behaviour) as port, no_threads_left():
        started = time.monotonic()

        with pytest.raises(expected) as caught:
            open_session(replace(TARGET, port=port))

        assert time.monotonic() - started < 2.5
        assert caught.value.message.startswith("web: ")
        assert caught.value.fix
        assert "\x1b" not in str(caught.value)


def test_port_that_nobody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with no_threads_left(), pytest.raises(ConnectionRefused) as caught:
        open_session(replace(TARGET, port=port))

    assert f"127.0.0.1 port {port} refused" in caught.value.message


def test_name_that_is_not_known_is_not_found() -> None:
    with no_threads_left(), pytest.raises(NameNotFound) as caught:
        open_session(replace(TARGET, address="no-such-host.invalid", port=22))

    assert "no-such-host.invalid" in caught.value.message


def test_address_without_an_answer_times_out_within_its_time() -> None:
    # A listener whose queue is full drops what comes next, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        started = time.monotonic()

        with no_threads_left(), pytest.raises(ConnectionTimedOut):
            open_session(replace(TARGET, port=listener.getsockname()[1], connect_timeout_s=0.7))

        assert time.monotonic() - started < 1.5
        for filler in fillers:
            filler.close()
